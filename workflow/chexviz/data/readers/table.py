"""A hospital's folder of radiographs, with a table of its own."""

import json
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path

import msgspec
import pandas as pd

from chexviz.base import user_tables
from chexviz.base.errors import InputError
from chexviz.data.described import gender, years
from chexviz.data.readers.annotation_tables import read_annotations
from chexviz.data.readers.files import image_ids
from chexviz.data.readers.label_tables import (
    label_table,
    labels_of,
    letters,
    locate,
    with_patients,
)
from chexviz.data.readers.listing import (
    Columns,
    LabelTable,
    Listing,
    Options,
    no_boxes,
    no_runs,
    rejections,
)
from chexviz.data.readers.named_files import files_named

COLUMNS = ("file", "patient", "view", "sex", "age", "subset")  # beside those of labels
SUBSETS = {"": "", "train": "train", "training": "train"}
SUBSETS |= dict.fromkeys(("validation", "valid", "val"), "validation")
SUBSETS |= dict.fromkeys(("evaluation", "test"), "evaluation")
ALIKE = 0.8  # similarity of two names, from 0 to 1, at which one may be meant by the other


def read(folder: Path, files: pd.DataFrame, images: pd.DataFrame, options: Options) -> Listing:
    """Any folder of radiographs with a table, of which `columns` says what its columns are.

    Listed files are images whatever their name; other radiographs are rejected. Paths are relative
    to the folder of the table.
    """
    path = label_table(folder, files, options.labels, "labels.csv")
    labels = read_labels(path, options)
    named = labels["file"].tolist()
    labels["file"] = files_named(path, labels["file"], folder, files["file"])
    there = labels["file"] != ""
    records = labels[there].reset_index(drop=True)
    records.insert(1, "image", image_ids(records["file"]))
    lost = [name for name, file in zip(named, labels["file"], strict=True) if not file]
    unlisted = images.loc[~images["file"].isin(labels["file"]), "file"].tolist()
    rejected = [(file, f"in {path.name}, but there is no such file") for file in lost]
    rejected += [(file, f"no row in {path.name}") for file in unlisted]
    table = LabelTable(path, len(labels), lost, unlisted)
    listing = Listing(with_patients(records), no_boxes(), no_runs(), rejections(rejected), table)
    if options.annotations:
        annotations = locate(folder, options.annotations)
        drawn = read_annotations(annotations, folder, listing.records, options)
        listing.boxes, listing.runs, listing.sizes = drawn
    return listing


def read_labels(path: Path, options: Options) -> pd.DataFrame:
    """A hospital's table to file, then what the options name, then label_<finding>.

    That may be patient, view, sex, age ('' if unknown), and with given_split subset. The index is
    the row. Raises InputError on a missing column, another label or another subset.
    """
    table = user_tables.read(path, [])
    findings = {name: options.columns.findings.get(name, name) for name in options.findings}
    columns = named_columns(path, table, options.columns, findings)
    read = {name: user_tables.known(table[column]) for name, column in columns.items()}
    read["file"] = table[columns["file"]]
    for name, parsed in (("sex", gender), ("age", years)):
        if name in read:
            mention_unknown(path, name, read[name], parsed)
    subset = read.pop("subset", None)
    if options.given_split and subset is not None:
        read["subset"] = subsets(path, subset)
    return pd.DataFrame(read).join(labels_of(path, table, findings, options.uncertain))


def named_columns(
    path: Path, table: pd.DataFrame, columns: Columns, findings: dict[str, str]
) -> dict[str, str]:
    """The table's columns that are no labels, by what they hold: file, patient and so on.

    findings: the columns that are. Raises InputError if one is absent, but for that of the
    patients under its usual name, and then if another seems to be it.
    """
    named = msgspec.structs.asdict(columns)
    named = {name: named[name] for name in COLUMNS if named[name] is not None}
    if named.get("patient") == "patient" and "patient" not in table:
        del named["patient"]
        refuse_unnamed_patients(path, table, [*named.values(), *findings.values()])
    absent = {name: column for name, column in (named | findings).items() if column not in table}
    if absent:
        hints = [hint(name, column, table, name in findings) for name, column in absent.items()]
        raise InputError(
            path,
            expected=user_tables.named([*named.values(), *findings.values()]),
            found=f"no column {', '.join(absent.values())} in {', '.join(table)}",
            fix="say in `columns` of the site in the config what the table calls them: "
            + "; ".join(hints),
        )
    return named


def hint(name: str, column: str, table: pd.DataFrame, is_finding: bool) -> str:
    """How `columns` names the column of a finding or of something else, if one resembles it."""
    plain = {letters(found): found for found in table}
    alike = [plain[found] for found in get_close_matches(letters(column), plain, 1, ALIKE)]
    said = f"{name}: {json.dumps((alike or ['...'])[0], ensure_ascii=False)}"
    return f"`columns: {{findings: {{{said}}}}}`" if is_finding else f"`columns: {{{said}}}`"


def refuse_unnamed_patients(path: Path, table: pd.DataFrame, besides: Sequence[str]) -> None:
    """Raise InputError if a column seems to say who is on the images, which nobody named."""
    if found := user_tables.near_misses(table, "patient", besides):
        raise InputError(
            path,
            expected="a column patient, or none of that kind",
            found=", ".join(found),
            fix="if it says who is on an image, write in the config "
            f"`columns: {{patient: {json.dumps(found[0], ensure_ascii=False)}}}`, or rename it to "
            "patient; else `columns: {patient: null}`",
        )


def mention_unknown(path: Path, name: str, values: pd.Series, parsed: Callable[[str], str]) -> None:
    """Say how many values of a column, such as codes of its own, are read as unknown."""
    lost = values[(values != "") & (values.map(parsed) == "")]
    if len(lost):
        user_tables.remark(
            f"{path}: {len(lost)} values in its column {values.name} are no {name}, such as "
            f"{lost.iloc[0]!r}, and count as unknown"
        )


def subsets(path: Path, column: pd.Series) -> pd.Series:
    """A column as train, validation, evaluation or ''. Raises InputError on another value."""
    values = column.str.casefold().map(SUBSETS)
    wrong = column[values.isna()]
    if len(wrong):
        raise InputError(
            f"{path}, row {wrong.index[0]}",
            expected=f"{column.name}: {', '.join(filter(None, SUBSETS))} or empty",
            found=f"{wrong.iloc[0]!r} ({len(wrong)} such rows)",
            fix="correct them, or set `split: protocol` of the site in the config",
        )
    return values
