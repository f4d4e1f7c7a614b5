"""Which rows of a result table are shown, and in which order."""

from collections.abc import Container
from pathlib import Path

import pandas as pd

from chexviz.base.errors import InputError
from chexviz.base.methods import BASELINE
from chexviz.reporting.titles import Endpoint

ENDPOINT = ["site", "finding"]


def of_endpoints(table: pd.DataFrame, endpoints: Container[Endpoint]) -> pd.DataFrame:
    """The rows of these endpoints. table: with the columns ENDPOINT."""
    pairs = zip(table["site"], table["finding"], strict=True)
    return table.loc[[pair in endpoints for pair in pairs]]  # of no rows too


def compared(table: pd.DataFrame, method: str, path: str | Path) -> pd.DataFrame:
    """The rows of the paper's comparison: those of the baselines and of `method`.

    Raises InputError, naming the table's file, if there are none of `method`.
    """
    if not (table["method"] == method).any():
        raise InputError(
            path,
            expected=f"rows of the method {method}",
            found="rows of " + ", ".join(table["method"].unique()),
            fix="make the evaluation of this protocol again",
        )
    return table[table["method"].isin([BASELINE, method])]


def in_order(values: pd.Series) -> list:
    """The distinct values in the order of their first appearance, the baseline before the rest."""
    return sorted(values.drop_duplicates(), key=lambda value: value != BASELINE)


def first_seed(seeds: pd.Series) -> str:
    """Which seed is shown, where there are several: 'First of 3 seeds (2022).'; '' of one."""
    distinct = seeds.unique()
    return f"First of {len(distinct)} seeds ({distinct[0]})." if len(distinct) > 1 else ""
