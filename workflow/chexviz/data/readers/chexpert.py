"""CheXpert: what a text miner found in reports, and for validation and test, radiologists."""

from pathlib import Path

import pandas as pd

from chexviz.base import user_tables
from chexviz.data.readers.label_tables import labels_of, match
from chexviz.data.readers.listing import Listing, Options, no_boxes, no_runs
from chexviz.data.readers.published import asked, check_once, label_tables, prefixed, refuse

TABLES = {
    "train": ("train.csv",),
    "validation": ("valid.csv", "val_labels.csv"),
    "evaluation": ("test.csv", "test_labels.csv"),
}
NAMES = [
    "No Finding",
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
]
# What precedes it differs between copies, and between tables and folders of one copy.
IMAGE = r"(?:^|/)(patient\d+/study\d+/view\d+_(?:frontal|lateral))(?:\.\w+)?$"


def read(folder: Path, files: pd.DataFrame, images: pd.DataFrame, options: Options) -> Listing:
    """CheXpert: JPEGs in a folder a study, and a table a subset with a column a finding."""
    tables = label_tables(folder, files, options.labels, TABLES)
    path = next(iter(tables.values()))
    rows = [read_labels(table, options).assign(subset=name) for name, table in tables.items()]
    labels = pd.concat(rows)
    check_once(path, labels["image"])
    if not options.given_split:
        labels = labels.drop(columns="subset")
    images = images.assign(image=image_ids(images["file"]).fillna(images["file"]))
    records, rejected, table = match(images, labels, path)
    return Listing(records, no_boxes(), no_runs(), rejected, table, beside=[*tables.values()])


def image_ids(paths: pd.Series) -> pd.Series:
    """'patient00001_study1_view1_frontal' of a path that ends so; NaN of any other."""
    return paths.str.extract(IMAGE, expand=False).str.replace("/", "_")


def read_labels(path: Path, options: Options) -> pd.DataFrame:
    """A table to image, patient, view, sex, age, refused and label_<finding>; the index is the row.

    A finding that a report does not mention is unknown. Lateral views are refused. Raises
    InputError on another header, a path or a label that is none, or a finding that has no column.
    """
    table = user_tables.read(path, ["Path"])
    columns = asked("chexpert", options.findings, [name for name in NAMES if name in table])
    image = image_ids(table["Path"])
    where = "Path: .../patient00001/study1/view1_frontal.jpg"
    refuse(path, table["Path"][image.isna()], where)
    nothing = pd.Series("", table.index)
    rows = pd.DataFrame(
        {
            "image": image,
            "patient": prefixed("chexpert", image.str.extract(r"^patient(\d+)", expand=False)),
            "view": table.get("AP/PA", nothing),
            "sex": table.get("Sex", nothing),
            "age": table.get("Age", nothing).replace("0", ""),  # of adults
            "refused": image.str.endswith("lateral").map(
                {True: "not a frontal view: lateral", False: ""}
            ),
        }
    )
    return rows.join(labels_of(path, table, columns, options.uncertain))
