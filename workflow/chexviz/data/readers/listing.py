"""What a site's files are, before any of them is opened, and what a reader is told to find it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec
import pandas as pd

from chexviz.base.errors import InputError
from chexviz.base.settings import Settings
from chexviz.base.tables.sites import ATTRIBUTE, LABEL

BOX = ["x", "y", "width", "height"]


class Columns(Settings, frozen=True):
    """What a hospital's table calls its columns. findings: by finding; else as the finding."""

    file: str = "file"
    patient: str | None = "patient"
    view: str | None = None
    sex: str | None = None
    age: str | None = None
    subset: str | None = None
    findings: dict[str, str] = msgspec.field(default_factory=dict)


class Attribute(Settings, frozen=True):
    """Where more is known of the images: a column of a table that names them as `patients` does."""

    table: str
    column: str


class Options(Settings, frozen=True):
    """What of a site's settings is for its reader.

    findings: whose labels are read. labels: the label table; None: under its usual name. patients:
    a table that says who is on the images; None: none. attributes: by name, what else groups images
    (docs/subgroups.md). annotations: a table of boxes or masks
    beside a hospital's table. Paths are relative to the data folder if they exist there, else to
    the working directory. columns: what a hospital's table calls its columns. given_split: whether
    the dataset's own split is asked for. uncertain: what the label -1 means; None: nobody said.
    """

    findings: list[str]
    labels: str | None
    patients: str | None
    attributes: dict[str, Attribute]
    annotations: str | None
    columns: Columns
    given_split: bool
    uncertain: Literal["ignore", "positive", "negative"] | None


@dataclass(frozen=True)
class LabelTable:
    """A site's label table. ids: how many images it names. lost: those of them without a file.

    unlisted: radiographs without a row in it.
    """

    path: Path
    ids: int
    lost: list[str]
    unlisted: list[str]

    def apart(self) -> str:
        """What of the table and of the files does not meet, with examples."""
        lost = f"{len(self.lost)} of {self.ids} images in {self.path.name} have no file"
        unlisted = f"{len(self.unlisted)} radiographs have no row in it"
        return "; ".join(
            text + f", such as {', '.join(map(repr, names[:3]))}" * bool(names)
            for text, names in ((lost, self.lost), (unlisted, self.unlisted))
        )


@dataclass
class Listing:
    """What a site's files are, before any of them is opened.

    records: file (relative to the data folder), image, patient, patient_known, one row an image;
    then label_<finding> ('1', '0' or '' for unknown) for each finding of the site's options, which
    a reader that has no labels of it refuses. Where the dataset's tables have them also subset
    (train, validation, evaluation or ''; with given_split alone), view, sex and age (text, as they
    would be in a DICOM header), which count where the file itself says nothing; and
    attribute_<name> ('' for unknown) for each attribute of the options. boxes: image,
    finding, x, y, width, height. runs: image, finding, runs (absolute, column-major, see
    `run_lengths`), one row of an image and a finding. side: boxes and runs are in pixels of images
    of so many pixels a side; None: of the file. sizes: by image, height and width of what its masks
    were drawn on, where they say it. rejected: file, reason, for every other radiograph
    and every label without an image. beside: what else the dataset comes with as text: tables and
    lists. others: files that are no radiograph, nor such a table, nor one that was read.
    """

    records: pd.DataFrame
    boxes: pd.DataFrame
    runs: pd.DataFrame
    rejected: pd.DataFrame
    table: LabelTable
    side: int | None = None
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    beside: list[Path] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


def empty_site(where: Path, found: str) -> InputError:
    """The error of a site without a single usable image."""
    return InputError(
        where,
        expected="at least one labelled radiograph",
        found=f"empty site: {found}",
        fix="check `source`, `reader` and `labels` of the site in the config",
    )


def findings_of(table: pd.DataFrame) -> list[str]:
    """The findings that a table has labels of, in the order of its columns."""
    return [name.removeprefix(LABEL) for name in table if name.startswith(LABEL)]


def label_columns(table: pd.DataFrame) -> list[str]:
    """The columns of a table that are labels."""
    return [f"{LABEL}{finding}" for finding in findings_of(table)]


def attribute_columns(table: pd.DataFrame) -> list[str]:
    """The columns of a table that are attributes."""
    return [name for name in table if name.startswith(ATTRIBUTE)]


def positives(table: pd.DataFrame) -> dict[str, int]:
    """How many rows have the label 1, as text or as a number, by finding."""
    ones = {
        finding: pd.to_numeric(table[f"{LABEL}{finding}"]) == 1 for finding in findings_of(table)
    }
    return {finding: int(rows.sum()) for finding, rows in ones.items()}


def rejections(rows: list[tuple[str, str]]) -> pd.DataFrame:
    """Rejected files and reasons as a table."""
    return pd.DataFrame(rows, columns=["file", "reason"], dtype=str)


def kept(annotations: pd.DataFrame, records: pd.DataFrame) -> pd.DataFrame:
    """The annotations of the images that are there."""
    return annotations[annotations["image"].isin(records["image"])].reset_index(drop=True)


def no_boxes() -> pd.DataFrame:
    """A site without boxes."""
    return pd.DataFrame(columns=["image", "finding", *BOX])


def no_runs() -> pd.DataFrame:
    """A site without masks."""
    return pd.DataFrame(columns=["image", "finding", "runs"])
