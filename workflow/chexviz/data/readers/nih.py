"""NIH ChestX-ray14, with the labels it came with or those of Google's radiologists."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from chexviz.base import user_tables
from chexviz.base.errors import InputError
from chexviz.base.tables.sites import LABEL
from chexviz.data.readers.annotation_tables import boxes_of
from chexviz.data.readers.label_tables import check_findings, check_labels, match
from chexviz.data.readers.listing import BOX, Listing, Options, kept, no_boxes, no_runs
from chexviz.data.readers.published import (
    bare,
    check_once,
    finding_name,
    label_table,
    refuse,
    required_file,
    usual_file,
    usual_files,
)

TABLES = ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv")
BOXES = "BBox_List_2017.csv"
# Brackets with a comma in them split a name of the header, as they split its values.
BOX_COLUMNS = {
    **{"Image Index": "image", "Finding Label": "finding"},
    **{"Bbox [x": "x", "y": "y", "w": "width", "h]": "height"},
}
SIDE = 1024  # pixels of the published images, on which the boxes were drawn
NAMES = [
    "Atelectasis",
    "Cardiomegaly",
    "Consolidation",
    "Edema",
    "Effusion",
    "Emphysema",
    "Fibrosis",
    "Hernia",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pleural_Thickening",
    "Pneumonia",
    "Pneumothorax",
]
OURS = {"Effusion": "pleural_effusion", "Infiltrate": "infiltration"}
FINDINGS = {OURS.get(name, finding_name(name)): name for name in (*NAMES, "No Finding")}
REFERENCE = ("Fracture", "Pneumothorax", "Airspace opacity", "Nodule or mass")
REFERENCE_FINDINGS = {finding_name(name): name for name in REFERENCE}
REFERENCE_SUBSETS = {"val": "validation", "test": "evaluation"}
LISTS = {"train": "train_val_list.txt", "evaluation": "test_list.txt"}


def read(folder: Path, files: pd.DataFrame, images: pd.DataFrame, options: Options) -> Listing:
    """NIH ChestX-ray14: PNGs, and a row an image with all its findings in one cell.

    A table in `labels` that has Google's columns is read by these instead.
    """
    path = label_table(folder, files, options.labels, *TABLES)
    labels, subset = read_labels(path, options.findings)
    if options.given_split:
        if subset is None:
            subset = official_split(folder, files, labels["image"])
        labels = labels.assign(subset=subset)
    records, rejected, table = match(images.assign(image=images["file"].map(bare)), labels, path)
    drawn = usual_file(folder, files, [BOXES])
    boxes = kept(read_boxes(drawn, options.findings) if drawn else no_boxes(), records)
    beside = usual_files(folder, files, [BOXES, *LISTS.values()])
    return Listing(records, boxes, no_runs(), rejected, table, SIDE, beside=beside)


def read_labels(path: Path, findings: Sequence[str]) -> tuple[pd.DataFrame, pd.Series | None]:
    """A label table to image, patient, view, sex, age, label_<finding>; and Google's subsets.

    Patients are written as in tables of matches (see `patients`), so that sites agree on who is
    who. Subsets: None if the table is not Google's. Raises InputError on another header, a label
    that is none, several rows of an image, or a finding that is not labelled.
    """
    columns = ["Image Index", "Finding Labels", "Patient ID", "Patient Age", "View Position"]
    table = user_tables.read(path, columns)
    sex = "Patient Sex" if "Patient Sex" in table else "Patient Gender"
    who = table["Patient ID"]
    refuse(path, who[~who.str.fullmatch(r"\d+")], "Patient ID: a whole number")
    rows = pd.DataFrame(
        {
            "image": table["Image Index"].map(bare),
            "patient": [f"nih-{int(number):05d}" for number in who],
            "view": table["View Position"],
            "sex": table.get(sex, ""),
            "age": table["Patient Age"],
        }
    )
    check_once(path, rows["image"])
    if "Set Id" in table:
        subset = table["Set Id"].map(REFERENCE_SUBSETS).fillna("")
        return rows.join(reference_labels(path, table, findings)), subset
    return rows.join(mined_labels(path, table["Finding Labels"], findings)), None


def mined_labels(path: Path, cells: pd.Series, findings: Sequence[str]) -> pd.DataFrame:
    """label_<finding> of cells such as 'Cardiomegaly|Effusion', which name all that there is."""
    check_findings("nih", findings, list(FINDINGS))
    named = {cell: {name.strip() for name in cell.split("|")} for cell in cells.unique()}
    names = set(FINDINGS.values())
    strange = cells[[not named[cell] <= names for cell in cells]]
    refuse(path, strange, f"Finding Labels: {', '.join(FINDINGS.values())}, joined by |")
    labels = {
        f"{LABEL}{finding}": cells.map(
            {cell: str(int(FINDINGS[finding] in named[cell])) for cell in named}
        )
        for finding in findings
    }
    return pd.DataFrame(labels, cells.index)


def reference_labels(path: Path, table: pd.DataFrame, findings: Sequence[str]) -> pd.DataFrame:
    """label_<finding> of Google's table, in which radiologists say YES or NO."""
    check_findings("nih with Google's labels", findings, list(REFERENCE_FINDINGS))
    labels = pd.DataFrame(index=table.index)
    for finding in findings:
        column = table[REFERENCE_FINDINGS[finding]].replace({"YES": "1", "NO": "0"})
        check_labels(path, column, empty=True)
        labels[f"{LABEL}{finding}"] = column
    return labels


def official_split(folder: Path, files: pd.DataFrame, images: pd.Series) -> pd.Series:
    """The subset of each image by the lists that come with the dataset, disjoint by patient.

    Raises InputError where a list is absent, or names images that are not in the label table or in
    the list before it.
    """
    subset = pd.Series("", images.index)
    for part, file in LISTS.items():
        fix = "put it beside the images, or set `split: protocol` of the site in the config"
        path = required_file(folder, files, [file], fix)
        listed = {bare(name) for name in user_tables.decoded(path, [], fix).split()}
        free = set(images[subset == ""])
        if strangers := sorted(listed - free):
            raise InputError(
                path,
                expected="images of the label table, each in one of the lists",
                found=f"{len(strangers)} others, the first is {strangers[0]}",
                fix="take the lists and the label table of one release, or set `split: protocol`",
            )
        subset = subset.mask(images.isin(listed), part)
    return subset


def read_boxes(path: Path, findings: Sequence[str]) -> pd.DataFrame:
    """The boxes of some findings: image, finding, x, y, width, height."""
    boxes = user_tables.read(path, list(BOX_COLUMNS)).rename(columns=BOX_COLUMNS)
    boxes["finding"] = [OURS.get(name, finding_name(name)) for name in boxes["finding"]]
    boxes["image"] = boxes["image"].map(bare)
    return boxes_of(path, boxes[boxes["finding"].isin(findings)][["image", "finding", *BOX]])
