"""The tables of trainings and of what models say: histories and predictions."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from chexviz.base.tables.table import Column, Table, number, text, whole

if TYPE_CHECKING:
    import pandas as pd


SHARED, MEAN = "shared", "mean"  # heads that are of no single site
UNTRAINED = "untrained"  # a representation block with the random weights of a seed: a control
HEAD = (
    f"the site whose task block it is; `{SHARED}`: of all sites that label the finding; `{MEAN}`: "
    "the mean probability of several such"
)
MODEL: dict[str, Column] = {
    "site": text("whose images"),
    "finding": text(),
    "head": text(HEAD),
    "architecture": text(),
    "method": text(),
    "seed": whole(),
}
HISTORY = Table(
    "history.csv",
    "a row for each round and site; an ensemble has no history",
    round=whole("from 1"),
    site=text("`pooled`: one row a round, of all sites, 'rsna+siim'"),
    learning_rate=number(),
    loss=number("mean training loss of the local epochs of this round; empty: under `privacy`"),
    images=whole("passed in this round"),
    drift=number(
        "Euclidean distance of the site's parameters from what the sites' updates combine to, "
        "relative to the length of that; empty: under `privacy` with `unit: site`"
    ),
    sent=whole(
        "bytes that the site sends in this round, and it receives as many; 0 for baselines and "
        "`pooled`"
    ),
    epsilon=number(
        "what a patient of the site (with `unit: site` the site as a whole) has spent at most "
        "since the first round, at the method's delta; empty: without `privacy`"
    ),
)
PREDICTIONS = Table(
    "predictions",
    "a row for each image that does not train, finding and head that knows it; the rows of a head "
    "follow each other",
    site=text(),
    image=text(),
    patient=text(),
    subset=text("validation, evaluation"),
    finding=text(),
    label=number("of the finding: 1, 0, empty = unknown, or not labelled at the site"),
    head=text(HEAD),
    score=number("probability of the finding by this head"),
)


def answer(site: str, heads: Iterable[str]) -> str:
    """Which of the heads that know a finding is a model's answer at a site.

    The site's own; else the shared one, or the mean of several; else the only one that there is.
    """
    known = list(heads)
    return next((name for name in (site, SHARED, MEAN) if name in known), known[0])


def read_histories(trainings: list[list[str]]) -> "pd.DataFrame":
    """The rows of all history.csv, with what was trained: architecture, method and seed.

    trainings: lists of ARCHITECTURE METHOD SEED FILE.
    """
    import pandas as pd

    tables = [
        HISTORY.read(path).assign(architecture=architecture, method=method, seed=int(seed))
        for architecture, method, seed, path in trainings
    ]
    return pd.concat(tables, ignore_index=True)
