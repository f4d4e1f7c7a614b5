"""What the original study reports: its Table 1, and the public datasets that it used."""

from pathlib import Path

import pandas as pd

from chexviz.base.errors import InputError
from chexviz.base.tables.table import missing

# What its Table 1 has of a model; a metric that ours has besides has no published value.
VALUES = ("loss", "sensitivity", "specificity", "aupr", "auroc", "p")
DATA = ("task", "dataset", "reader", "images", "positives")


def read_table1(path: str | Path) -> pd.DataFrame:
    """Table 1 as printed: task, model and VALUES, all text, since decimals tell the precision."""
    return read_text(path, ("task", "model", *VALUES))


def read_data(path: str | Path) -> pd.DataFrame:
    """The dataset of each task: DATA; images with a label, and how many of them are positive."""
    return read_text(path, DATA).astype({"images": int, "positives": int})


def read_text(path: str | Path, columns: tuple[str, ...]) -> pd.DataFrame:
    """A table of text; '' is an empty cell. Raises InputError unless it has `columns`."""
    if not Path(path).is_file():
        raise missing(path)
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    if absent := [column for column in columns if column not in table]:
        raise InputError(
            path,
            expected="the columns " + ", ".join(columns),
            found="no " + ", ".join(absent),
            fix="take the file as it comes with the workflow",
        )
    return table[list(columns)]
