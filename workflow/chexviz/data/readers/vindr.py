"""VinDr-CXR: each image of the training set read by three radiologists."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from chexviz.base import user_tables
from chexviz.base.tables.sites import LABEL
from chexviz.data.readers.annotation_tables import CORNERS, boxes_of
from chexviz.data.readers.label_tables import check_labels, match
from chexviz.data.readers.listing import Listing, Options, no_boxes, no_runs
from chexviz.data.readers.published import (
    asked,
    bare,
    finding_name,
    label_tables,
    refuse,
    usual_files,
)

TABLES = {
    "train": ("image_labels_train.csv", "train.csv"),  # of PhysioNet, of Kaggle
    "evaluation": ("image_labels_test.csv",),
}
BOXES = ("annotations_train.csv", "annotations_test.csv")  # of PhysioNet

NAMES = [  # of Kaggle; PhysioNet has more
    "Aortic enlargement",
    "Atelectasis",
    "Calcification",
    "Cardiomegaly",
    "Consolidation",
    "ILD",
    "Infiltration",
    "Lung Opacity",
    "Nodule/Mass",
    "Other lesion",
    "Pleural effusion",
    "Pleural thickening",
    "Pneumothorax",
    "Pulmonary fibrosis",
    "No finding",
]


def read(folder: Path, files: pd.DataFrame, images: pd.DataFrame, options: Options) -> Listing:
    """VinDr-CXR from Kaggle (a row a reader and box) or PhysioNet (a row a reader).

    An image has a finding if more than half of its readers say so, and then all boxes that any of
    them drew of it. Nobody says who is on the images.
    """
    tables = label_tables(folder, files, options.labels, TABLES)
    path = next(iter(tables.values()))
    drawn = [*tables.values(), *usual_files(folder, files, BOXES)]
    labels = pd.concat(
        [read_labels(table, options.findings).assign(subset=name) for name, table in tables.items()]
    )
    if not options.given_split:
        labels = labels.drop(columns="subset")
    images = images.assign(image=images["file"].map(bare))
    records, rejected, table = match(images, labels, path)
    boxes = pd.concat([read_boxes(one, options.findings) for one in drawn], ignore_index=True)
    return Listing(records, agreed(boxes, records), no_runs(), rejected, table, beside=drawn)


def read_labels(path: Path, findings: Sequence[str]) -> pd.DataFrame:
    """A table to image and label_<finding>: '1' if more than half of the image's readers say so.

    Raises InputError on another header, a class or label that is none, or a finding that is not
    labelled.
    """
    table = user_tables.read(path, ["image_id"])
    of_boxes = "class_name" in table
    if of_boxes:
        strange = table["class_name"][~table["class_name"].isin(NAMES)]
        refuse(path, strange, f"class_name: one of {', '.join(NAMES)}")
    others = [name for name in table if name not in ("image_id", "rad_id")]
    columns = asked("vindr", findings, NAMES if of_boxes else others)
    readers = [table["image_id"], table.get("rad_id", pd.Series("", table.index))]
    labels = {}
    for finding, name in columns.items():
        if of_boxes:
            said = table["class_name"] == name
        else:
            label = user_tables.labels(table[name])
            check_labels(path, label, empty=False)
            said = label == "1"
        share = said.groupby(readers).any().groupby(level=0).mean()
        labels[f"{LABEL}{finding}"] = (share > 0.5).map({True: "1", False: "0"})
    return pd.DataFrame(labels).rename_axis("image").reset_index()


def read_boxes(path: Path, findings: Sequence[str]) -> pd.DataFrame:
    """The boxes that a table has of some findings: image, finding, x, y, width, height."""
    table = user_tables.read(path, ["image_id"])
    if not {"class_name", *CORNERS}.issubset(table):
        return no_boxes()
    table["finding"] = table["class_name"].map(finding_name)
    table = table[table["finding"].isin(findings) & (table[CORNERS] != "").any(axis=1)]
    return boxes_of(path, table.rename(columns={"image_id": "image"}), CORNERS)


def agreed(boxes: pd.DataFrame, records: pd.DataFrame) -> pd.DataFrame:
    """The boxes of the findings that the readers of an image agreed on."""
    found = {
        (image, finding)
        for finding in boxes["finding"].unique()
        for image in records["image"][records[f"{LABEL}{finding}"] == "1"]
    }
    pairs = zip(boxes["image"], boxes["finding"], strict=True)
    return boxes[pd.Series([pair in found for pair in pairs], boxes.index, dtype=bool)]
