"""The layout of VinDr-CXR, as its Kaggle competition has it: three readers an image."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from chexviz.base.randomness import stream
from chexviz.data.phantom.dicom_file import save_12_bit
from chexviz.data.phantom.item import Finding, Identity, Item
from chexviz.data.phantom.layout import Layout, Prevalence, write_csv
from chexviz.data.phantom.radiograph import Box

# Drawn pneumonia is what a reader calls consolidation; the competition has no class for the former.
CLASSES = {
    "atelectasis": ("Atelectasis", 1),
    "cardiomegaly": ("Cardiomegaly", 3),
    "pneumonia": ("Consolidation", 4),
    "mass": ("Nodule/Mass", 8),
    "nodule": ("Nodule/Mass", 8),
    "edema": ("Other lesion", 9),
    "pleural_effusion": ("Pleural effusion", 10),
    "pneumothorax": ("Pneumothorax", 12),
}
NOTHING = ("No finding", 14)
READERS, READERS_OF_AN_IMAGE = 17, 3
OVERLOOKED = 0.25  # of the findings, by one of the three readers
COLUMNS = ["image_id", "class_name", "class_id", "rad_id", "x_min", "y_min", "x_max", "y_max"]


def image(identity: Identity) -> str:
    """32 hexadecimal digits."""
    return identity.name


def file(identity: Identity, part: str) -> str:
    """All files of a part lie in one folder."""
    return f"{part}/{identity.name}.dicom"


def write_tables(items: list[Item], findings: list[Finding], folder: Path, seed: int) -> None:
    """A row a box and reader, or one of a reader who sees nothing."""
    rows = [
        (item.image, *row)
        for item, finding in zip(items, findings, strict=True)
        if item.labelled
        for row in readings(item, finding, seed)
    ]
    write_csv(rows, COLUMNS, folder / "train.csv")


def readings(item: Item, finding: Finding, seed: int) -> Iterator[tuple]:
    """What three readers say: two of them at least see a finding that is there.

    Nobody sees one that is not, so that the majority tells the truth.
    """
    draws = np.random.default_rng(stream(seed, "readers", item.image))
    readers = draws.choice(READERS, READERS_OF_AN_IMAGE, replace=False)
    unseen = {
        name: draws.integers(READERS_OF_AN_IMAGE) if draws.random() < OVERLOOKED else None
        for name in finding.boxes
    }
    for number, reader in enumerate(readers):
        who = f"R{reader + 1}"
        seen = [(name, boxes) for name, boxes in finding.boxes.items() if unseen[name] != number]
        for name, boxes in seen:
            for box in boxes:
                yield *CLASSES[name], who, *corners(box, draws)
        if not seen:
            yield *NOTHING, who, None, None, None, None


def corners(box: Box, draws: np.random.Generator) -> list[int]:
    """x_min, y_min, x_max, y_max as one reader draws them: a little within the box."""
    x, y, width, height = box
    left, top, right, bottom = draws.uniform(0, 0.06, 4)
    edges = [x + left * width, y + top * height]
    edges += [x + (1 - right) * width, y + (1 - bottom) * height]
    return [round(edge) for edge in edges]


LAYOUT = Layout(
    # Published: PA views alone. Pneumothorax is far more frequent than published (0.6 %).
    prevalence=Prevalence(0.0, {"AP": 0.15, "PA": 0.15}, {"AP": 0.15, "PA": 0.15}, 0.18),
    own_patients=160_001,
    own_studies=701,
    image=image,
    file=file,
    write_tables=write_tables,
    labels=("pneumonia", "pneumothorax", "cardiomegaly"),
    save=save_12_bit,
    size=512,
)
