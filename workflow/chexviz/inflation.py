"""How much the protocol `paper` inflates the AUROC: its value minus that under `patient`."""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from chexviz.errors import InputError, run
from chexviz.layout import Layout, to_markdown, to_tex
from chexviz.results import add_titles, group_titles, in_order, model_title, read_metrics
from chexviz.tables import INTERVAL, SPREAD, cell, over_seeds, signed_cell, to_csv, write

KEYS = ["site", "task", "architecture", "method", "seed"]
VALUES = ("auroc_paper", "auroc_patient", "inflation")
COLUMNS = [
    *("task", "site", "model", "architecture", "method", "seeds", "uncertainty"),
    *(f"{value}{end}" for value in VALUES for end in ("", "_low", "_high", "_sd")),
]
AUROC = ["auroc", "auroc_low", "auroc_high"]


def unpaired(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, ...]:
    """The difference of two estimates and its interval, from the interval of each.

    first, second: value, lower and upper bound (3, ...). Each bound of the difference is as far
    from it as the two intervals reach in that direction, added as variances are: the method of
    variance estimates recovery (Zou and Donner, Statistics in Medicine 2008), which keeps
    asymmetric intervals asymmetric. It takes the estimates for independent. Those of two protocols
    share images of one dataset, which correlates them positively: the interval is then too wide
    rather than too narrow. Returns difference, low and high, each (...).
    """
    (a, a_low, a_high), (b, b_low, b_high) = first, second
    difference = a - b
    low = difference - np.hypot(a - a_low, b_high - b)
    return difference, low, difference + np.hypot(a_high - a, b - b_low)


def compare(paper: pd.DataFrame, patient: pd.DataFrame, sites: list[dict]) -> pd.DataFrame:
    """A row for each site, architecture and method: both AUROCs and the inflation.

    paper, patient: metrics.csv of the protocols. sites: see results.site_titles. Of
    several seeds: mean and standard deviation of the inflation of each. Raises ValueError unless
    both hold the same models.
    """
    both = paper[KEYS + AUROC].merge(
        patient[KEYS + AUROC], on=KEYS, how="outer", suffixes=("_paper", "_patient"), indicator=True
    )
    single = both[both["_merge"] != "both"]
    if len(single):
        raise ValueError(" ".join(map(str, single.iloc[0][KEYS])) + " is under one protocol only")
    titles = group_titles(paper, sites)
    keys = ["site", "architecture", "method"]
    models = dict(tuple(both.sort_values("seed").groupby(keys)))
    return pd.DataFrame(
        [
            summarise(models[site, architecture, method], titles[site])
            for site in titles
            for architecture in in_order(paper["architecture"])
            for method in in_order(paper["method"])
        ]
    )


def summarise(runs: pd.DataFrame, title: str) -> dict:
    """The row of one model; runs: its rows of both protocols, one a seed."""
    first = runs.iloc[0]
    paper, patient = (
        runs[[f"{name}_{protocol}" for name in AUROC]] for protocol in ("paper", "patient")
    )
    inflation = unpaired(paper.to_numpy().T, patient.to_numpy().T)
    return {
        **{"group": title, "task": first["task"], "site": first["site"]},
        "model": model_title(first["architecture"], first["method"]),
        **{"architecture": first["architecture"], "method": first["method"]},
        **{"seeds": len(runs), "uncertainty": INTERVAL if len(runs) == 1 else SPREAD},
        **over_seeds("auroc_paper", paper),
        **over_seeds("auroc_patient", patient),
        **over_seeds("inflation", pd.DataFrame(np.transpose(inflation))),
    }


def layout(table: pd.DataFrame) -> Layout:
    """The table as readers see it: a row a model."""
    groups: dict[str, list] = {}
    for _, row in table.iterrows():
        aurocs = [cell(row, f"auroc_{protocol}") for protocol in ("paper", "patient")]
        cells = [row["model"], *aurocs, signed_cell(row, "inflation")]
        groups.setdefault(row["group"], []).append(cells)
    seeds = int(table["seeds"].max())
    spread = (
        "In brackets: 95 % intervals; of the difference from those of both values, taken as "
        "independent."
        if seeds == 1
        else f"Mean ± standard deviation over {seeds} seeds."
    )
    return Layout(
        head=["Model", "AUROC (paper)", "AUROC (patient)", "Difference"],
        groups=groups,
        caption="AUROC under both protocols, and the difference.",
        note=f"{spread} Besides leakage, the difference holds that the protocols train and "
        "evaluate on different images.",
    )


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--paper", required=True, type=Path, help="metrics.csv of this protocol")
    parser.add_argument("--patient", required=True, type=Path, help="likewise")
    add_titles(parser)
    parser.add_argument("--mark", default="", help="a text that every output shows")
    parser.add_argument("--csv", required=True, type=Path)
    parser.add_argument("--tex", required=True, type=Path)
    parser.add_argument("--md", required=True, type=Path)
    arguments = parser.parse_args(argv)

    try:
        table = compare(
            read_metrics(arguments.paper), read_metrics(arguments.patient), arguments.titles
        )
    except ValueError as error:
        raise InputError(
            arguments.patient,
            expected=f"the models of {arguments.paper}",
            found=str(error),
            fix="make the evaluation of both protocols again",
        ) from None
    shown = layout(table)
    write(
        {
            arguments.csv: to_csv(table, arguments.mark),
            arguments.tex: to_tex(shown, arguments.mark),
            arguments.md: to_markdown(shown, arguments.mark),
        }
    )


if __name__ == "__main__":
    run(main)
