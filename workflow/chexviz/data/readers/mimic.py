"""MIMIC-CXR-JPG: what a text miner found in the report of each study."""

from pathlib import Path

import pandas as pd

from chexviz.base import user_tables
from chexviz.data.readers.chexpert import NAMES
from chexviz.data.readers.label_tables import labels_of, match
from chexviz.data.readers.listing import Listing, Options, no_boxes, no_runs
from chexviz.data.readers.published import (
    asked,
    bare,
    check_once,
    label_table,
    not_frontal,
    prefixed,
    required_file,
    usual_files,
)

RELEASE = "mimic-cxr-2.0.0-"  # which release 2.1.0 has kept in the names of its tables
TABLES = ("chexpert", "negbio", "metadata", "split")
SUBSETS = {"train": "train", "validate": "validation", "test": "evaluation"}
FIX = "put it, as published, beside the images"


def read(folder: Path, files: pd.DataFrame, images: pd.DataFrame, options: Options) -> Listing:
    """MIMIC-CXR-JPG: JPEGs named by dicom_id, labels of their studies, and who and how beside."""
    path = label_table(folder, files, options.labels, f"{RELEASE}chexpert.csv")
    about = required_file(folder, files, [f"{RELEASE}metadata.csv"], FIX)
    labels = read_labels(path, about, options)
    if options.given_split:
        split = required_file(folder, files, [f"{RELEASE}split.csv"], FIX)
        labels["subset"] = read_split(split, labels["image"])
    images = images.assign(image=images["file"].map(bare))
    records, rejected, table = match(images, labels, path)
    beside = usual_files(folder, files, [f"{RELEASE}{name}.csv" for name in TABLES])
    return Listing(records, no_boxes(), no_runs(), rejected, table, beside=beside)


def read_labels(path: Path, about: Path, options: Options) -> pd.DataFrame:
    """Labels by study to image, patient, view, refused and label_<finding> by image.

    path: of the labels. about: the table of metadata, a row an image. A finding that a report does
    not mention is unknown. Images of no frontal view, and of studies without a row, are refused.
    Raises InputError on another header, a label that is none, or a finding that has no column.
    """
    images = user_tables.read(about, ["dicom_id", "subject_id", "study_id", "ViewPosition"])
    studies = user_tables.read(path, ["study_id"])
    check_once(about, images["dicom_id"])
    check_once(path, studies["study_id"])
    columns = asked("mimic", options.findings, [name for name in NAMES if name in studies])
    labels = labels_of(path, studies, columns, options.uncertain)
    labels = labels.set_axis(studies["study_id"]).reindex(images["study_id"])
    refused = not_frontal(images["ViewPosition"])
    unlabelled = ~images["study_id"].isin(studies["study_id"]) & (refused == "")
    rows = pd.DataFrame(
        {
            "image": images["dicom_id"],
            "patient": prefixed("mimic", images["subject_id"]),
            "view": images["ViewPosition"],
            "refused": refused.mask(unlabelled, f"no annotation in {path.name}"),
        }
    )
    return rows.join(labels.fillna("").set_axis(images.index))


def read_split(path: Path, images: pd.Series) -> pd.Series:
    """The subset of each image by the published split; '' if it has none."""
    table = user_tables.read(path, ["dicom_id", "split"])
    check_once(path, table["dicom_id"])
    return images.map(table.set_index("dicom_id")["split"].map(SUBSETS)).fillna("")
