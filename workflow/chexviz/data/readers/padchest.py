"""PadChest: what was said in the reports, by physicians or by a network that learnt from them."""

import ast
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from chexviz.base import user_tables
from chexviz.base.tables.sites import LABEL
from chexviz.data.readers.label_tables import match
from chexviz.data.readers.listing import Listing, Options, no_boxes, no_runs
from chexviz.data.readers.published import (
    asked,
    bare,
    check_once,
    label_table,
    not_frontal,
    prefixed,
    refuse,
)

TABLE = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv"
COLUMNS = ["ImageID", "PatientID", "PatientSex_DICOM", "Projection", "Labels"]
LYING = "AP_horizontal"  # an AP view, too


def read(folder: Path, files: pd.DataFrame, images: pd.DataFrame, options: Options) -> Listing:
    """PadChest: PNGs of 16 bits, and a row an image with the list of its labels in one cell."""
    path = label_table(folder, files, options.labels, TABLE)
    labels = read_labels(path, options.findings)
    images = images.assign(image=images["file"].map(bare))
    records, rejected, table = match(images, labels, path)
    return Listing(records, no_boxes(), no_runs(), rejected, table)


def read_labels(path: Path, findings: Sequence[str]) -> pd.DataFrame:
    """The table to image, patient, view, sex, age, refused, label_<finding>; the index is the row.

    A label is compared whole: a pseudonodule is no nodule. Without any label all are unknown.
    Images of no frontal view are refused. Raises InputError on another header, a cell of labels
    that is no list, several rows of an image, or a finding that no image has.
    """
    table = user_tables.read(path, COLUMNS)
    view = table["Projection"].replace({LYING: "AP", "UNK": ""})
    rows = pd.DataFrame(
        {
            "image": table["ImageID"].map(bare),
            "patient": prefixed("padchest", table["PatientID"]),
            "view": view,
            "sex": table["PatientSex_DICOM"],
            "age": ages(table),
            "refused": not_frontal(view),
        }
    )
    check_once(path, rows["image"])
    cells = user_tables.known(table["Labels"])
    named = label_sets(path, cells)
    columns = asked("padchest", findings, sorted(set().union(*named.values())))
    for finding, name in columns.items():
        known = {cell: str(int(name in labels)) if labels else "" for cell, labels in named.items()}
        rows[f"{LABEL}{finding}"] = cells.map(known)
    return rows


def ages(table: pd.DataFrame) -> pd.Series | str:
    """Years from the year of birth to that of the study, as text; '' where either is unknown."""
    if not {"StudyDate_DICOM", "PatientBirth"}.issubset(table):
        return ""
    study = pd.to_numeric(table["StudyDate_DICOM"].str[:4], errors="coerce")
    years = study - pd.to_numeric(table["PatientBirth"], errors="coerce")
    return years.map("{:.0f}".format, na_action="ignore").fillna("")


def label_sets(path: Path, cells: pd.Series) -> dict[str, set[str]]:
    """The labels of each cell, without the spaces around them and without empty ones.

    Raises InputError, naming the first, if cells are neither lists of texts nor ''.
    """
    found = {cell: texts(cell or "[]") for cell in cells.unique()}
    lists = {cell: labels for cell, labels in found.items() if labels is not None}
    expected = "Labels: a list such as ['pleural effusion', 'kyphosis'], or nothing"
    refuse(path, cells[~cells.isin(list(lists))], expected)
    return {cell: {label.strip() for label in labels} - {""} for cell, labels in lists.items()}


def texts(cell: str) -> list[str] | None:
    """The texts of a list as Python writes it, of which nothing is run; None if it is no such."""
    try:
        value = ast.literal_eval(cell)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
    is_list = isinstance(value, list) and all(isinstance(item, str) for item in value)
    return value if is_list else None
