"""Confusion matrices at the chosen threshold, and the worst errors of a model."""

import numpy as np
import pandas as pd

from chexviz.base.methods import BASELINE
from chexviz.reporting.selection import ENDPOINT, first_seed
from chexviz.reporting.tables.typesetting import Layout
from chexviz.reporting.titles import architecture_title, endpoint_places, head_titles, method_title

CELLS = ["true_positives", "false_negatives", "false_positives", "true_negatives"]
SHARED = ["shared_false_negatives", "shared_false_positives"]
KINDS = ("false positive", "false negative")


def called(table: pd.DataFrame, threshold: float) -> pd.DataFrame:
    """The labelled evaluation images with `positive`: whether the score reaches the threshold.

    table: rows of PREDICTIONS, of one site, finding and head.
    """
    rows = table[(table["subset"] == "evaluation") & table["label"].notna()]
    return rows.assign(positive=rows["score"] >= threshold)


def matrix(rows: pd.DataFrame, reference: pd.DataFrame | None) -> dict[str, float]:
    """The counts CELLS of a model, and SHARED: how many of its errors the reference makes as well.

    rows, reference: as `called` gives them. reference: the baseline; None for the baseline itself.
    """
    finding, positive = rows["label"] == 1, rows["positive"]
    missed, alarm = finding & ~positive, ~finding & positive
    counts = [finding & positive, missed, alarm, ~finding & ~positive]
    shared = [np.nan, np.nan]
    if reference is not None:
        other = rows["image"].map(reference.set_index("image")["positive"]).astype(bool)
        shared = [int((missed & ~other).sum()), int((alarm & other).sum())]
    return dict(zip([*CELLS, *SHARED], [*(int(one.sum()) for one in counts), *shared], strict=True))


def worst(rows: pd.DataFrame, kind: str, count: int) -> pd.DataFrame:
    """The errors of a kind that the score is surest of: at most `count`, the worst first.

    rows: as `called` gives them. Equal scores are in the order of image ids.
    """
    alarm = kind == KINDS[0]
    wrong = rows[(rows["label"] == (0 if alarm else 1)) & (rows["positive"] == alarm)]
    return wrong.sort_values(["score", "image"], ascending=[not alarm, True]).head(count)


def layout(table: pd.DataFrame, sites: list[dict]) -> Layout:
    """The matrices as readers see them: a group an endpoint, a row a model; of several seeds the
    first. sites: see titles.
    """
    first = table[table["seed"] == table["seed"].iloc[0]]
    heads = {site["name"]: head_titles(sites) for site in sites if site["role"] == "external"}
    places = endpoint_places(sites)
    groups = {
        places[endpoint]: [cells(one, heads.get(one["site"])) for one in rows.to_dict("records")]
        for endpoint, rows in first.groupby(ENDPOINT, sort=False)
    }
    return Layout(
        head=["Model", "Threshold", "TP", "FN", "FP", "TN", "Errors of the baseline too"],
        groups=groups,
        caption="Confusion matrices on the evaluation images.",
        note="TP, FN, FP, TN: true positives, false negatives, false positives and true negatives. "
        "Last column: how many of a model's false negatives and false positives the baseline "
        "of the same architecture makes as well." + f" {first_seed(table['seed'])}".rstrip(),
    )


def cells(one: dict, heads: dict[str, str] | None = None) -> list[str]:
    """The row of a model. heads: titles of heads, where it is not its site's own."""
    shared = "–"
    if one["method"] != BASELINE and not np.isnan(one[SHARED[0]]):
        missed, alarms = (f"{one[name]:,.0f}" for name in SHARED)
        shared = f"FN {missed}, FP {alarms}"
    counts = [f"{one[name]:,}" for name in CELLS]
    head = f", {heads[one['head']]}" if heads else ""
    return [
        f"{architecture_title(one['architecture'])}, {method_title(one['method'])}{head}",
        f"{one['threshold']:.3g}",
        *counts,
        shared,
    ]
