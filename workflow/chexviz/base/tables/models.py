"""The tables of trainings and of what models say: histories and predictions."""

from typing import TYPE_CHECKING

from chexviz.base.tables.table import Column, Table, number, text, whole

if TYPE_CHECKING:
    import pandas as pd


MODEL: dict[str, Column] = {
    "site": text(),
    "task": text(),
    "architecture": text(),
    "method": text(),
    "seed": whole(),
}
UNTASKED = {name: column for name, column in MODEL.items() if name != "task"}
HISTORY = Table(
    "history.csv",
    "a row for each round and site; an ensemble has no history",
    round=whole("from 1"),
    site=text("`pooled`: one row a round, of all sites, 'rsna+siim'"),
    learning_rate=number(),
    loss=number("mean training loss of the local epochs of this round"),
    images=whole("passed in this round"),
    drift=number(
        "Euclidean distance of the site's parameters from what the sites' updates combine to, "
        "relative to the length of that"
    ),
    sent=whole(
        "bytes that the site sends in this round, and it receives as many; 0 for baselines and "
        "`pooled`"
    ),
)
PREDICTIONS = Table(
    "predictions",
    "a row for each image that does not train",
    site=text(),
    image=text(),
    patient=text(),
    label=whole(),
    subset=text("validation, evaluation"),
    score=number("probability of the site's own task"),
    score_=number("and the name of a site: of each other head of the model; empty at its own"),
)


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
