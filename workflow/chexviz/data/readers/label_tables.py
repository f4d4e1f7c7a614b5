"""Label tables: where they are, what their labels may be, and which files they are about."""

from pathlib import Path

import pandas as pd

from chexviz.base import user_tables
from chexviz.base.errors import InputError
from chexviz.base.source_code import HOME
from chexviz.base.user_tables import identifier
from chexviz.data.readers.files import name_of, nesting
from chexviz.data.readers.listing import LabelTable, rejections


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
        fix="correct `labels` or `patients` of the site in the config",
    )


def check_labels(path: Path, column: pd.Series, *, empty: bool) -> None:
    """Raise InputError naming the first row whose label is not '1', '0' or, if allowed, ''."""
    wrong = column[~column.isin(["0", "1", ""] if empty else ["0", "1"])]
    if len(wrong):
        raise InputError(
            f"{path}, row {wrong.index[0]}",
            expected=f"{column.name}: 0 or 1" + " or empty (not annotated)" * empty,
            found=f"{wrong.iloc[0]!r} ({len(wrong)} such rows)",
            fix="correct them; of -1, say what it means: uncertain in some datasets, in others no",
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
    dicoms: pd.DataFrame, labels: pd.DataFrame, path: Path
) -> tuple[pd.DataFrame, pd.DataFrame, LabelTable]:
    """Bring DICOM files and the labels of a table together by file name: records, rejected, table.

    Patients are unknown: every image stands for one of its own. A name that occurs again in a
    deeper folder is rejected, saying whether it is the same file.
    """
    dicoms = dicoms.sort_values("file", key=nesting).assign(
        image=dicoms["file"].map(name_of).map(identifier)
    )
    first = dicoms.drop_duplicates("image").set_index("image")
    label = labels.set_index("image")["label"]
    rejected = []
    for row in dicoms[dicoms["image"].duplicated()].itertuples():
        one = first.loc[row.image]
        same = row.sha256 == one["sha256"]
        reason = "second copy of" if same else "same name, but other content, as"
        rejected.append((row.file, f"{reason} {one['file']}"))
    first = first.reset_index()
    known = first["image"].isin(label.index)
    unlisted = first.loc[~known, "file"].tolist()
    rejected += [(file, f"no annotation in {path.name}") for file in unlisted]
    lost = label.index[~label.index.isin(first["image"])].tolist()
    rejected += [(path.name, f"no DICOM file for image {image}") for image in lost]
    records = first.loc[known, ["file", "image"]]
    records = records.assign(
        patient=records["image"], patient_known=False, label=records["image"].map(label)
    )
    table = LabelTable(path, len(label), lost, unlisted)
    return records.reset_index(drop=True), rejections(rejected), table
