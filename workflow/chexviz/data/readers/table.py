"""A hospital's folder of DICOM files, with a table of its own."""

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from chexviz.base import user_tables
from chexviz.base.errors import InputError
from chexviz.data.readers.files import image_ids, spelling
from chexviz.data.readers.label_tables import check_labels, label_table
from chexviz.data.readers.listing import (
    LabelTable,
    Listing,
    Options,
    no_boxes,
    no_runs,
    rejections,
)

ABSOLUTE = re.compile(r"[/\\]|[A-Za-z]:[/\\]")


def read(folder: Path, files: pd.DataFrame, dicoms: pd.DataFrame, options: Options) -> Listing:
    """Any folder of DICOMs with a table: file (relative to the table), patient, <task>, <finding>.

    Listed files are images whatever their name; other DICOM files are rejected.
    """
    path = label_table(folder, files, options.labels, "labels.csv")
    labels = read_labels(path, options.task, options.findings)
    labels["named"] = labels["file"]
    labels["file"] = files_named(path, labels["file"], folder, files["file"])
    there = labels["file"] != ""
    records = labels[there].reset_index(drop=True)
    records.insert(1, "image", image_ids(records["file"]))
    records["patient_known"] = records["patient"] != ""
    records["patient"] = records["patient"].where(records["patient_known"], records["image"])
    lost = labels.loc[~there, "named"].tolist()
    unlisted = dicoms.loc[~dicoms["file"].isin(labels["file"]), "file"].tolist()
    rejected = [(file, f"in {path.name}, but there is no such file") for file in lost]
    rejected += [(file, f"no row in {path.name}") for file in unlisted]
    findings = [f"label_{finding}" for finding in options.findings]
    records = records[["file", "image", "patient", "patient_known", "label", *findings]]
    table = LabelTable(path, len(labels), lost, unlisted)
    return Listing(records, no_boxes(), no_runs(), rejections(rejected), table)


def read_labels(path: Path, task: str, findings: Sequence[str]) -> pd.DataFrame:
    """A hospital's table to file, patient ('' if unknown), label ('1', '0' or ''), label_<finding>.

    The index is the row. Raises InputError on a missing column or another label.
    """
    table = user_tables.read(path, ["file", task, *findings], ["patient"])
    for column in (task, *findings):
        table[column] = user_tables.labels(table[column])
        check_labels(path, table[column], empty=True)
    patient = user_tables.known(table["patient"]) if "patient" in table else ""
    others = {f"label_{finding}": table[finding] for finding in findings}
    return table[["file"]].assign(label=table[task], patient=patient, **others)


def files_named(path: Path, names: pd.Series, folder: Path, files: pd.Series) -> list[str]:
    """The file of the site that each name in a table means; '' where there is none.

    names: relative to the table, by row; other spellings are understood if they mean one file.
    files: relative to `folder`. Raises InputError for paths that lead elsewhere, names that mean
    several files, and files with several rows.
    """
    base = path.relative_to(folder).parent.as_posix() if path.is_relative_to(folder) else "."
    roots = (f"{folder.absolute().as_posix()}/", f"{folder.resolve().as_posix()}/")
    if elsewhere := [n for n in names if ABSOLUTE.match(n) and not n.startswith(roots)]:
        raise InputError(
            path,
            expected="paths relative to the folder of the table, or within the site's data",
            found=f"{len(elsewhere)} that lead elsewhere, such as {elsewhere[0]}",
            fix="write them relative to the folder of the table",
        )
    within = [relative(name, base, roots) for name in names]
    exact, by_spelling = set(files), {}
    if not exact.issuperset(within):
        by_spelling = files.groupby(files.map(spelling)).agg(list).to_dict()
    chosen: list[str] = []
    taken: set[str] = set()
    for row, name in zip(names.index, within, strict=True):
        found = [name] if name in exact else by_spelling.get(spelling(name), [""])
        if len(found) > 1 or found[0] in taken:
            raise InputError(
                f"{path}, row {row}",
                expected="one file a row, and one row a file",
                found=f"another row for {found[0]}" if len(found) == 1 else ", ".join(found),
                fix="correct the row, or remove it",
            )
        chosen += found
        taken.update(filter(None, found))
    return chosen


def relative(name: str, base: str, roots: Sequence[str]) -> str:
    """A path of a table as seen from the data folder.

    base: the table's folder there. roots: where the data folder is, with a slash.
    """
    for root in roots:
        if name.startswith(root):
            return name.removeprefix(root)
    return name if base == "." else f"{base}/{name}"
