"""What the original study reports: its Table 1, and the public datasets that it used."""

from pathlib import Path

import pandas as pd

from chexviz.base.errors import InputError
from chexviz.base.tables.evaluation import METRICS
from chexviz.base.tables.table import missing

TABLE1 = ["task", "model", *METRICS, "p"]
DATA = ["task", "dataset", "reader", "images", "positives"]


def read_table1(path: str | Path) -> pd.DataFrame:
    """Table 1 as printed: TABLE1, all text, since the decimals of a number tell its precision."""
    return read(path, TABLE1)


def read_data(path: str | Path) -> pd.DataFrame:
    """The dataset of each task: DATA; images with a label, and how many of them are positive."""
    return read(path, DATA).astype({"images": int, "positives": int})


def read(path: str | Path, columns: list[str]) -> pd.DataFrame:
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
    return table[columns]
