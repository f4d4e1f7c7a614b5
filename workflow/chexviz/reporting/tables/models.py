"""The models of an evaluation over all seeds: what Table 1 and the table of methods show."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from chexviz.base.errors import InputError
from chexviz.base.methods import BASELINE
from chexviz.base.tables.evaluation import METRICS, read_comparisons, read_metrics
from chexviz.evaluation.over_seeds import over_seeds, p_value, uncertainty
from chexviz.reporting.selection import ENDPOINT, in_order, of_endpoints
from chexviz.reporting.titles import endpoints, group_titles, model_title


def read_models(metrics: Path, comparisons: Path, sites: list[dict]) -> pd.DataFrame:
    """The summary of all models of an evaluation at the sites that train. sites: see titles.

    Raises InputError if one was not compared.
    """
    return read_summary(summarise, metrics, comparisons, sites)


def read_summary(
    summary: Callable[[pd.DataFrame, pd.DataFrame, list[dict]], pd.DataFrame],
    metrics: Path,
    comparisons: Path,
    sites: list[dict],
) -> pd.DataFrame:
    """A summary of metrics and comparisons, from their files. sites: see titles.

    Raises InputError where the summary raises ValueError: if a model was not compared.
    """
    try:
        return summary(read_metrics(metrics), read_comparisons(comparisons), sites)
    except ValueError as error:
        raise InputError(
            comparisons,
            expected="a comparison of every federated model in metrics.csv, for each seed",
            found=str(error),
            fix="make the evaluation of this protocol again",
        ) from None


def summarise(metrics: pd.DataFrame, comparisons: pd.DataFrame, sites: list[dict]) -> pd.DataFrame:
    """A row for each endpoint of a site that trains and model, in the order of Table 1. Fractions,
    not percent.

    Each metric has its value and, for one seed, the bounds of its 95 % interval (`auroc_low`,
    `auroc_high`); for several seeds the value is the mean and `auroc_sd` the standard deviation.
    `uncertainty` says which. `difference`, likewise, is of the AUROC from that of the baseline of
    the same architecture, and `p` that of the paired test, of several seeds that of the expected
    difference (see over_seeds.expected); baselines have none. `note`: why there is neither interval
    nor p (too few cases), or ''. Raises ValueError if a model was not compared.
    """
    metrics = of_endpoints(metrics, endpoints(sites))
    titles = group_titles(metrics, sites)
    keys = [*ENDPOINT, "architecture", "method"]
    groups = dict(tuple(metrics.groupby(keys, sort=False)))
    tests = dict(tuple(comparisons.groupby(keys, sort=False)))
    rows = []
    for endpoint, title in titles.items():
        for architecture in in_order(metrics["architecture"]):
            for method in in_order(metrics["method"]):
                key = (*endpoint, architecture, method)
                if key in groups:
                    rows.append(summarise_model(groups[key], title, tests.get(key)))
    return pd.DataFrame(rows)


def summarise_model(runs: pd.DataFrame, title: str, tests: pd.DataFrame | None) -> dict:
    """The row of one model. runs, tests: its rows of metrics and comparisons, one a seed."""
    first = runs.iloc[0]
    seeds = len(runs)
    row = {
        **{"group": title, "finding": first["finding"], "site": first["site"]},
        "model": model_title(first["architecture"], first["method"]),
        **{"architecture": first["architecture"], "method": first["method"]},
        **{"images": first["images"], "positives": first["positives"]},
        **{"seeds": seeds, "uncertainty": uncertainty(seeds)},
    }
    for metric in METRICS:
        row |= over_seeds(metric, runs[[metric, f"{metric}_low", f"{metric}_high"]])
    row["note"] = first["note"]
    if first["method"] == BASELINE:
        return row | over_seeds("difference", pd.DataFrame([[np.nan] * 3])) | {"p": np.nan}
    if tests is None or len(tests) != seeds:
        raise ValueError(
            f"{row['model']} on {row['site']} ({row['finding']}): {seeds} seeds, not all of them "
            "compared"
        )
    differences = over_seeds("difference", tests[["difference", "low", "high"]])
    return row | differences | {"p": p_value(tests)}
