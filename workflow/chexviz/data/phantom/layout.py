"""What a layout is: how often its images show what, what its files are called, and its tables."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from chexviz.data.phantom.item import Finding, Identity, Item

# Writes the file of an item to a path: its pixels uint8 (N, N), at a quality if that is lossy.
Save = Callable[[Item, np.ndarray, int, Path], None]


@dataclass(frozen=True)
class Prevalence:
    """Fractions of a site's images: AP views, and findings by view.

    What is not published is plausible. cardiomegaly: of all images.
    """

    portable: float
    pneumonia: dict[str, float]
    pneumothorax: dict[str, float]
    cardiomegaly: float = 0.0


@dataclass(frozen=True)
class Layout:
    """The layout of a dataset. Registered in `layouts.py`.

    prevalence: in its labelled images. own_patients, own_studies: from where a site counts the
    patients that no other has, and the exams that no other has. image, file: the id and the path of
    a file, the latter in the folder of a part, train or test. write_tables: to a folder, of all
    items and the findings of each; labelled ones come first. labels: findings that the tables
    label, of those that a number of positives can be asked for. save: writes one file. size: its
    pixels a side, if no number is asked for. unlabelled: radiographs without labels, likewise.
    parts: how many radiographs are in train and test, labelled ones and others. lungs: whether it
    has masks of the lungs.
    """

    prevalence: Prevalence
    own_patients: int
    own_studies: int
    image: Callable[[Identity], str]
    file: Callable[[Identity, str], str]
    write_tables: Callable[[list[Item], list[Finding], Path, int], None]
    labels: tuple[str, ...]
    save: Save
    size: int = 1024
    unlabelled: int = 6
    parts: tuple[tuple[int, int], tuple[int, int]] = ((1, 0), (0, 1))
    lungs: bool = False


def write_csv(rows: list[tuple], columns: list[str], path: Path) -> None:
    """Write rows as they are; None is an empty cell."""
    pd.DataFrame(rows, columns=columns, dtype=object).to_csv(path, index=False, lineterminator="\n")
