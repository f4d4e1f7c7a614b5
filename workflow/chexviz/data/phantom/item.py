"""One file of a drawn site: what it shows, what it is called, and what was drawn on it."""

import uuid
from dataclasses import dataclass

from chexviz.data.phantom.anatomy import Exam
from chexviz.data.phantom.radiograph import Box


@dataclass(frozen=True)
class Identity:
    """What a file is called after.

    name: 32 random hexadecimal digits. exam: what it shows. copy: a second file of that exam.
    """

    name: str
    exam: Exam
    copy: bool

    @property
    def uuid(self) -> str:
        return str(uuid.UUID(self.name, version=4))

    def uid(self, level: int) -> str:
        """Unique identifier of the study (level 2), series (3) or instance (4)."""
        process, second, fraction = (int(self.name[i : i + 8], 16) for i in (0, 8, 16))
        fraction = 100_000 + fraction % 899_990 + {2: 1, 3: 0, 4: 2}[level]
        root = f"1.2.276.0.7230010.3.1.{level}.8323329"
        return f"{root}.{process % 32768}.{1_517_875_000 + second % 9_000_000}.{fraction}"


@dataclass(frozen=True)
class Item:
    """One file of a site.

    image: the id by which the layout's tables name it. file: its path in the site's folder.
    labelled: has a row in the site's table. edition: None for the radiograph as taken; else the
    seed of a near-identical, re-encoded copy.
    """

    identity: Identity
    image: str
    file: str
    labelled: bool
    edition: int | None

    @property
    def exam(self) -> Exam:
        return self.identity.exam


@dataclass(frozen=True)
class Finding:
    """What was drawn on the pixels of an item.

    boxes: x, y, width, height in pixels, by finding. masks: of pneumothorax, SIIM-ACR's relative
    run lengths. lungs: a mask as COCO has it; None where the layout has none.
    """

    boxes: dict[str, list[Box]]
    masks: list[str]
    lungs: dict | None = None


def patient_id(exam: Exam) -> str:
    """The patient, as sites that know the patients name them."""
    return f"nih-{exam.patient:05d}"


def radiograph_id(exam: Exam) -> str:
    """The same for near-identical images, and for no others."""
    return f"{exam.patient:08d}_{exam.study:03d}"
