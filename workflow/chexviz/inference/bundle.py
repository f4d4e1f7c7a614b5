"""A bundle: one folder with all that a trained model needs elsewhere, whose parts belong together.

`bundle.json` holds a Bundle: what the model's numbers mean, and the SHA-256 of every other file
and of itself. A folder of which anything differs is refused (docs/inference.md).
"""

import hashlib
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from chexviz.base.errors import InputError
from chexviz.base.files import sha256
from chexviz.base.settings import Positive, Settings, Share
from chexviz.base.tables.models import MEAN, answer

FORMAT = 1  # of the bundles that are written here, and the newest that is read
ABOUT, GRAPH, WEIGHTS = "bundle.json", "model.onnx", "model.safetensors"
CARD, PAGE = "card.md", "card.html"
PARTS = (GRAPH, WEIGHTS, CARD, PAGE)
RESEARCH = "Research use only; not a medical device."
AGAIN = "make the bundle again, or get a whole copy of its folder"

Head = tuple[str, str]  # a finding, and a head that knows it
Hash = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class Preprocessing(Settings, frozen=True):
    """How a file becomes the square image of size x size pixels that the model sees."""

    size: Positive
    fit: Literal["pad", "crop"]
    max_pixels: Positive


class Point(Settings, frozen=True):
    """An operating point: a score of at least `threshold` is positive. name: how it was chosen."""

    name: str
    threshold: float


def answer_of(heads: list[str]) -> str:
    """The head that answers of those that know a finding, as at a site that trained none of them.

    The only one, or the mean of several.
    """
    return answer("", [*heads, MEAN] if len(heads) > 1 else heads)


class Learned(Settings, frozen=True):
    """What validation images have taught of a finding's score, where there are enough of them.

    temperature: that divides the logit of the score, for a calibrated probability; None without
    one. images, patients, positives: those that taught it. note: why something is not there; ''.
    """

    points: list[Point]
    temperature: float | None
    images: int
    patients: int
    positives: int
    note: str

    def point(self, name: str) -> Point | None:
        """The operating point of this name, if there is one."""
        return next((one for one in self.points if one.name == name), None)


class Finding(Settings, frozen=True):
    """A finding of the model. heads: that know it, in the order of the outputs."""

    name: str
    heads: list[str]
    learned: Learned

    @property
    def answer(self) -> str:
        """The head whose score is the model's answer: see answer_of."""
        return answer_of(self.heads)


class Likeness(Settings, frozen=True):
    """What radiographs of this model look like (see quality.likeness).

    side: of the thumbnails. typical: the mean one, side * side numbers. limit: what nearly all
    images that trained reach, and that an image has to reach to be called like them.
    """

    side: Positive
    typical: list[float]
    limit: Share


class Place(Settings, frozen=True):
    """A site of the study: what readers call it, whether it trained the model, its findings."""

    title: str
    trains: bool
    findings: list[str]


class Tested(Settings, frozen=True):
    """How good the model was at a finding, on a group of a site's evaluation images.

    site: its title. attribute, group: such as view and AP; all, all: of all images. measures: value
    and 95 % interval of each, in [0, 1]; None where too few cases have none.
    """

    site: str
    finding: str
    attribute: str
    group: str
    images: int
    positives: int
    measures: dict[str, tuple[float | None, float | None, float | None]]


class Bundle(Settings, frozen=True):
    """What `bundle.json` holds.

    format: a reader refuses a newer one. mark: a text that every output shows; ''. outputs: finding
    and head of each logit of the graph. files: SHA-256 of each other file. made_from: of what the
    model was made, by a name. made_with: versions. digest: SHA-256 of all this but itself.
    """

    format: int
    mark: str
    protocol: str
    architecture: str
    method: str
    seed: int
    sites: list[Place]
    preprocessing: Preprocessing
    outputs: list[Head]
    findings: list[Finding]
    likeness: Likeness
    made_from: dict[str, str]
    made_with: dict[str, str]
    tested: list[Tested]
    files: dict[str, Hash] = msgspec.field(default_factory=dict)
    digest: str = ""

    @property
    def name(self) -> str:
        """Which bundle this is, for a reader: the start of its digest."""
        return self.digest[:12]


class Format(msgspec.Struct):
    """What is read first, of a bundle of whatever format."""

    format: int


def digest_of(bundle: Bundle) -> str:
    """SHA-256 of all that a bundle says but its digest, however it is spaced in its file."""
    plain = msgspec.structs.replace(bundle, digest="")
    return hashlib.sha256(msgspec.json.encode(plain, order="sorted")).hexdigest()


def seal(bundle: Bundle, files: dict[str, Path]) -> bytes:
    """The text of `bundle.json` for a bundle whose other parts lie in `files`, by their names."""
    hashes = {name: sha256(files[name]) for name in PARTS}
    whole = msgspec.structs.replace(bundle, files=hashes)
    sealed = msgspec.structs.replace(whole, digest=digest_of(whole))
    return msgspec.json.format(msgspec.json.encode(sealed, order="sorted"), indent=1) + b"\n"


def open_bundle(folder: Path) -> Bundle:
    """The bundle in a folder, each of whose parts is the one that it was made with.

    Raises InputError if it is none, of a newer format, or its parts do not belong together.
    """
    bundle = read_about(folder / ABOUT)
    if digest_of(bundle) != bundle.digest:
        raise changed(folder / ABOUT, bundle.digest, digest_of(bundle))
    for name in PARTS:
        read_part(folder, bundle, name)
    return bundle


def read_about(path: Path) -> Bundle:
    """What a `bundle.json` holds, its format first. Raises InputError."""
    try:
        text = path.read_bytes()
        found = msgspec.json.decode(text, type=Format).format
        if found > FORMAT:
            raise InputError(
                path.parent,
                expected=f"a bundle of format {FORMAT} or older",
                found=f"format {found}",
                fix="use it with the version of chexviz that made it, or a newer one",
            )
        return msgspec.json.decode(text, type=Bundle)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            path.parent,
            expected=f"a bundle: a folder with {ABOUT}",
            found=f"no {ABOUT} in it" if path.parent.is_dir() else "no such folder",
            fix="name the folder of a bundle, such as results/bundles/patient/densenet121",
        ) from None
    except msgspec.MsgspecError as error:
        raise InputError(path, expected="a bundle", found=str(error), fix=AGAIN) from None


def read_part(folder: Path, bundle: Bundle, name: str) -> bytes:
    """The bytes of a part of a bundle, which are those that it was made with; else InputError."""
    path = folder / name
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(
            path, expected="a part of the bundle", found="nothing", fix=AGAIN
        ) from None
    found = hashlib.sha256(content).hexdigest()
    if found != bundle.files.get(name):
        raise changed(path, bundle.files.get(name, "none"), found)
    return content


def changed(path: Path, expected: str, found: str) -> InputError:
    """The error of a part that is not the one that the bundle was made with."""
    return InputError(path, expected=f"SHA-256 {expected}, as in {ABOUT}", found=found, fix=AGAIN)
