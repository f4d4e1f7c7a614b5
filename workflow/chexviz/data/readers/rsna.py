"""RSNA Pneumonia Detection Challenge."""

from pathlib import Path

import pandas as pd

from chexviz.base import user_tables
from chexviz.base.errors import InputError
from chexviz.base.tables.sites import LABEL
from chexviz.base.user_tables import identifier
from chexviz.data.readers.annotation_tables import boxes_of
from chexviz.data.readers.label_tables import (
    check_findings,
    check_labels,
    label_table,
    match,
    mention_patients,
)
from chexviz.data.readers.listing import BOX, Listing, Options, kept, no_runs

FINDING = "pneumonia"
SIDE = 1024  # pixels of the challenge's images, in which its table has boxes


def read(folder: Path, files: pd.DataFrame, images: pd.DataFrame, options: Options) -> Listing:
    """RSNA Pneumonia Detection Challenge: DICOMs named by patientId, a row a box."""
    check_findings("rsna", options.findings, [FINDING])
    path = label_table(folder, files, options.labels, "stage_2_train_labels.csv")
    labels, boxes = read_labels(path)
    records, rejected, table = match(images, labels, path)
    return Listing(records, kept(boxes, records), no_runs(), rejected, table, SIDE)


def read_labels(path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """stage_2_train_labels.csv to labels and boxes.

    labels: image, label_pneumonia. boxes: image, finding, x, y, width, height. Raises InputError on
    another header, a Target that is not 1 or 0, an image that is both, or a box that is no box.
    """
    table = user_tables.read(path, ["patientId", *BOX, "Target"])
    mention_patients(path, table)
    table["patientId"] = table["patientId"].map(identifier)
    table["Target"] = user_tables.labels(table["Target"])
    check_labels(path, table["Target"], empty=False)
    labels = table[["patientId", "Target"]].drop_duplicates()
    labels.columns = ["image", f"{LABEL}{FINDING}"]
    both = labels["image"][labels["image"].duplicated()]
    if len(both):
        raise InputError(
            path,
            expected="one Target for all rows of an image",
            found=f"{len(both)} images with both, the first is {both.iloc[0]}",
            fix="correct the table, or download it again",
        )
    boxes = table.loc[table["Target"] == "1", ["patientId", *BOX]].rename(
        columns={"patientId": "image"}
    )
    boxes.insert(1, "finding", FINDING)
    return labels.reset_index(drop=True), boxes_of(path, boxes)
