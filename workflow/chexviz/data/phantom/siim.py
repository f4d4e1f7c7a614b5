"""The layout of SIIM-ACR Pneumothorax Segmentation, as its mirrors have it."""

import os
import shutil
from pathlib import Path

from chexviz.data.phantom.chest_tube import has_tube
from chexviz.data.phantom.dicom_file import save_challenge
from chexviz.data.phantom.item import Finding, Identity, Item
from chexviz.data.phantom.layout import Layout, Prevalence, write_csv

TABLE = "train-rle.csv"
TUBES = "chest_tubes.csv"  # the challenge has none: who looked for them published such a table


def image(identity: Identity) -> str:
    """The SOP instance."""
    return identity.uid(4)


def file(identity: Identity, part: str) -> str:
    """Every file lies in the folders of its study and its series."""
    study, series, instance = (identity.uid(level) for level in (2, 3, 4))
    return f"dicom-images-{part}/{study}/{series}/{instance}.dcm"


def write_tables(items: list[Item], findings: list[Finding], folder: Path, seed: int) -> None:
    """A row a mask, -1 without pneumothorax; the space before EncodedPixels is the original's.

    And a row an image in a table of chest tubes.
    """
    rows = [
        (item.image, runs)
        for item, finding in zip(items, findings, strict=True)
        if item.labelled
        for runs in (finding.masks if item.exam.pneumothorax else ["-1"])
    ]
    write_csv(rows, ["ImageId", " EncodedPixels"], folder / TABLE)
    tubes = [(item.image, int(has_tube(item.exam))) for item in items if item.labelled]
    write_csv(tubes, ["ImageId", "chest_tube"], folder / TUBES)
    mirror([TABLE, TUBES, *(item.file for item in items)], folder)


def mirror(files: list[str], folder: Path) -> None:
    """The second, identical copy of everything that the mirror of SIIM-ACR holds."""
    for file in files:
        copy = folder / "pneumothorax" / file
        copy.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(folder / file, copy)
        except OSError:  # a file system without hard links
            shutil.copyfile(folder / file, copy)


LAYOUT = Layout(
    # Published: 22.2 % positive.
    prevalence=Prevalence(0.390, {"AP": 0.15, "PA": 0.05}, {"AP": 0.26, "PA": 0.197}),
    own_patients=40_000,
    own_studies=301,
    image=image,
    file=file,
    write_tables=write_tables,
    labels=("pneumothorax",),
    save=save_challenge,
    parts=((10_675, 1_372), (37, 5)),
)
