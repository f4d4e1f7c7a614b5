"""SIIM-ACR Pneumothorax Segmentation."""

from pathlib import Path

import pandas as pd

from chexviz.base import user_tables
from chexviz.base.errors import InputError
from chexviz.base.tables.sites import LABEL
from chexviz.base.user_tables import identifier
from chexviz.data.readers.annotation_tables import masks_of
from chexviz.data.readers.label_tables import (
    check_findings,
    label_table,
    match,
    mention_patients,
)
from chexviz.data.readers.listing import Listing, Options, kept, no_boxes

FINDING = "pneumothorax"
SIDE = 1024  # pixels of the challenge's images, in which its table has masks


def read(folder: Path, files: pd.DataFrame, images: pd.DataFrame, options: Options) -> Listing:
    """SIIM-ACR Pneumothorax Segmentation: DICOMs named by SOP instance, a row a mask.

    PatientID is a fresh UUID in every file, so it says nothing about who is on it.
    """
    check_findings("siim", options.findings, [FINDING])
    path = label_table(folder, files, options.labels, "train-rle.csv")
    labels, runs = read_labels(path)
    records, rejected, table = match(images, labels, path)
    return Listing(records, no_boxes(), kept(runs, records), rejected, table, SIDE)


def read_labels(path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """train-rle.csv to labels and runs.

    labels: image, label_pneumothorax. runs: image, finding, runs: all masks of an image in one.
    Raises InputError on another header, run lengths that are none, or an image that has a mask and
    a -1 (no pneumothorax).
    """
    table = user_tables.read(path, ["ImageId", "EncodedPixels"])
    mention_patients(path, table)
    table["ImageId"] = table["ImageId"].map(identifier)
    negative = table["EncodedPixels"] == "-1"
    both = set(table["ImageId"][negative]) & set(table["ImageId"][~negative])
    if both:
        raise InputError(
            path,
            expected="-1 (no pneumothorax) or masks for an image, not both",
            found=f"{len(both)} images with both, the first is {min(both)}",
            fix="correct the table, or download it again",
        )
    masks = table[~negative].rename(columns={"ImageId": "image"}).assign(finding=FINDING)
    labels = pd.DataFrame(
        {"image": table["ImageId"], f"{LABEL}{FINDING}": negative.map({True: "0", False: "1"})}
    )
    runs, _ = masks_of(path, masks, "EncodedPixels")
    return labels.drop_duplicates().reset_index(drop=True), runs
