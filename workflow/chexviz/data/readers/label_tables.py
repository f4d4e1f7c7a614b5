"""Label tables: where they are, what their labels may be, and which files they are about."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from chexviz.base import user_tables
from chexviz.base.errors import InputError
from chexviz.base.source_code import HOME
from chexviz.base.tables.sites import LABEL
from chexviz.base.user_tables import identifier
from chexviz.data.readers.files import name_of, nesting
from chexviz.data.readers.listing import LabelTable, rejections

UNCERTAIN = {"ignore": "", "positive": "1", "negative": "0"}  # what -1 becomes


def label_table(folder: Path, files: pd.DataFrame, option: str | None, usual: str) -> Path:
    """The label table of a site: the one that the config names, or the one of the usual name.

    The usual name counts anywhere in the tree, compressed or not, and several times if all are the
    same file: mirrors nest a second copy. Raises InputError if there is none or a choice.
    """
    if option:
        return locate(folder, option)
    names = files["file"].map(name_of)
    found = files[names.isin([usual, f"{usual}.gz"])].sort_values("file", key=nesting)
    if found["sha256"].nunique() == 1:
        return folder / found["file"].iloc[0]
    raise InputError(
        folder,
        expected=f"a label table {usual} (or {usual}.gz)",
        found=f"different ones: {', '.join(found['file'])}" if len(found) else "none",
        fix="name the table in `labels` of the site in the config",
    )


def locate(folder: Path, name: str) -> Path:
    """A table that the config names: in the data folder, the working directory, or as shipped."""
    for path in (folder / name, Path(name), HOME / name):
        if path.is_file():
            return path
    raise InputError(
        name,
        expected=f"a file in {folder}, in the working directory or in {HOME}",
        found="no such file",
        fix="correct `labels`, `patients`, `attributes` or `annotations` of the site in the config",
    )


def letters(name: str) -> str:
    """What the spellings of a column or a finding share: its letters and digits, in lower case."""
    return re.sub(r"[\W_]+", "", name).casefold()


def check_findings(reader: str, findings: Sequence[str], labelled: Sequence[str]) -> None:
    """Raise InputError if a site has findings that its dataset does not label."""
    if strange := [finding for finding in findings if finding not in labelled]:
        raise InputError(
            f"reader {reader}",
            expected=f"findings that the dataset labels: {', '.join(labelled)}",
            found=", ".join(strange),
            fix="correct `findings` and `evaluated_findings` of the site in the config",
        )


def labels_of(
    path: Path, table: pd.DataFrame, columns: Mapping[str, str], uncertain: str | None
) -> pd.DataFrame:
    """The labels of a table of text as label_<finding>: '1', '0' or '' for unknown.

    columns: of the table, by finding. uncertain: what -1 means, see Options. Raises InputError if a
    label is none of these, or -1 and nobody said what that means.
    """
    labels = pd.DataFrame(index=table.index)
    for finding, column in columns.items():
        values = user_tables.labels(table[column])
        values = values.mask(pd.to_numeric(values, errors="coerce") == -1, "-1")
        check_labels(path, values.mask(values == "-1", ""), empty=True)
        labels[f"{LABEL}{finding}"] = values
    return settled(path, labels, uncertain)


def settled(path: Path, labels: pd.DataFrame, uncertain: str | None) -> pd.DataFrame:
    """Columns label_<finding> with what `uncertain` says in the place of '-1'.

    Raises InputError, with how many there are of each finding, if it says nothing.
    """
    counts = (labels == "-1").sum()
    if uncertain is None and counts.any():
        found = [f"{name.removeprefix(LABEL)} {count}" for name, count in counts.items() if count]
        raise InputError(
            path,
            expected="labels 1, 0 or none, or that `uncertain` of the site says what -1 means",
            found=f"-1 (uncertain in most datasets, in others no): {', '.join(found)}",
            fix="set `uncertain` of the site in the config: ignore (unknown), positive or negative",
        )
    return labels.replace("-1", UNCERTAIN[uncertain]) if uncertain else labels


def check_labels(path: Path, column: pd.Series, *, empty: bool) -> None:
    """Raise InputError naming the first row whose label is not '1', '0' or, if allowed, ''."""
    wrong = column[~column.isin(["0", "1", ""] if empty else ["0", "1"])]
    if len(wrong):
        raise InputError(
            f"{path}, row {wrong.index[0]}",
            expected=f"{column.name}: 0 or 1" + " or empty (not annotated)" * empty,
            found=f"{wrong.iloc[0]!r} ({len(wrong)} such rows)",
            fix="correct them, or get the table again",
        )


def mention_patients(path: Path, table: pd.DataFrame) -> None:
    """Say that a challenge's label table, which names no patients, has a column that seems to."""
    found = [name for name in table if name == "patient"]
    found += user_tables.near_misses(table, "patient", ["patientId"])
    if found:
        user_tables.remark(
            f"{path}: its column {', '.join(found)} is not read; a table that `patients` of the "
            "site names says who is on the images"
        )


def match(
    files: pd.DataFrame, labels: pd.DataFrame, path: Path
) -> tuple[pd.DataFrame, pd.DataFrame, LabelTable]:
    """Bring files and the labels of a table together by file name: records, rejected, table.

    files: the radiographs of the manifest; with `image`, if their names do not say it. labels:
    image (the name of its file; of DICOM without suffix) once each, then what becomes of the
    columns of records: label_<finding>, and what there is of patient ('' if unknown), subset, view,
    sex and age; and `refused`, if not all are taken: why an image is not, or ''. An image of nobody
    known stands for a patient of its own. A name that occurs again in a deeper folder is rejected,
    saying whether it is the same file.
    """
    files = files.sort_values("file", key=nesting)
    if "image" not in files:
        files = files.assign(image=files["file"].map(name_of).map(identifier))
    first = files.drop_duplicates("image").set_index("image")
    rejected = []
    for row in files[files["image"].duplicated()].itertuples():
        one = first.loc[row.image]
        same = row.sha256 == one["sha256"]
        reason = "second copy of" if same else "same name, but other content, as"
        rejected.append((row.file, f"{reason} {one['file']}"))
    unlisted = first.loc[~first.index.isin(labels["image"]), "file"].tolist()
    rejected += [(file, f"no annotation in {path.name}") for file in unlisted]
    labels = labels if "refused" in labels else labels.assign(refused="")
    named = first.reset_index()[["file", "image"]].merge(labels, on="image")
    refused = named[named["refused"] != ""]
    rejected += zip(refused["file"], refused["refused"], strict=True)
    absent = ~labels["image"].isin(first.index) & (labels["refused"] == "")
    lost = labels.loc[absent, "image"].tolist()
    rejected += [(path.name, f"no file for image {image}") for image in lost]
    records = named[named["refused"] == ""].drop(columns="refused").reset_index(drop=True)
    table = LabelTable(path, len(labels), lost, unlisted)
    return with_patients(records), rejections(rejected), table


def with_patients(records: pd.DataFrame) -> pd.DataFrame:
    """Records of file, image, and perhaps patient ('' if unknown), with patient and patient_known.

    An image of nobody known stands for a patient of its own.
    """
    patient = records.get("patient", pd.Series("", records.index))
    rest = records.drop(columns=["file", "image", "patient"], errors="ignore")
    who = {"patient": patient.mask(patient == "", records["image"]), "patient_known": patient != ""}
    return records[["file", "image"]].assign(**who).join(rest)
