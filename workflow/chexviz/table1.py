"""Table 1: every model on every task, with intervals and the test against its baseline."""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from chexviz.errors import InputError, run
from chexviz.files import replacing
from chexviz.results import (
    BASELINE,
    METRICS,
    combined_p,
    group_titles,
    in_order,
    model_title,
    p_text,
    read_comparisons,
    read_metrics,
)

INTERVAL, SPREAD = "95 % interval", "SD over seeds"
HEADINGS = {
    "loss": "Loss",
    "sensitivity": "Sensitivity (%)",
    "specificity": "Specificity (%)",
    "aupr": "AUPR",
    "auroc": "AUROC",
}
PERCENT = ("sensitivity", "specificity")


def summarise(metrics: pd.DataFrame, comparisons: pd.DataFrame) -> pd.DataFrame:
    """One row a model and site, in the order of Table 1. Fractions, not percent.

    Each metric has its value and, for one seed, the bounds of its 95 % interval (`auroc_low`,
    `auroc_high`); for several seeds the value is the mean and `auroc_sd` the standard deviation.
    `uncertainty` says which. `p` is that of the paired AUROC test against the baseline of the same
    architecture, combined over seeds; baselines have none. Raises ValueError if a model was not
    compared.
    """
    titles = group_titles(metrics)
    keys = ["site", "architecture", "method"]
    groups = dict(tuple(metrics.groupby(keys, sort=False)))
    tests = dict(tuple(comparisons.groupby(keys, sort=False)))
    rows = []
    for site in titles:
        for architecture in in_order(metrics["architecture"]):
            for method in in_order(metrics["method"]):
                key = (site, architecture, method)
                if key in groups:
                    rows.append(summarise_model(groups[key], titles[site], tests.get(key)))
    return pd.DataFrame(rows)


def summarise_model(runs: pd.DataFrame, title: str, tests: pd.DataFrame | None) -> dict:
    """The row of one model. runs, tests: its rows of metrics and comparisons, one a seed."""
    first = runs.iloc[0]
    seeds = len(runs)
    row = {
        **{"group": title, "task": first["task"], "site": first["site"]},
        "model": model_title(first["architecture"], first["method"]),
        **{"architecture": first["architecture"], "method": first["method"]},
        **{"images": first["images"], "positives": first["positives"]},
        **{"seeds": seeds, "uncertainty": INTERVAL if seeds == 1 else SPREAD},
    }
    for metric in METRICS:
        one = seeds == 1
        row[metric] = runs[metric].mean(skipna=False)
        row[f"{metric}_low"] = first[f"{metric}_low"] if one else np.nan
        row[f"{metric}_high"] = first[f"{metric}_high"] if one else np.nan
        row[f"{metric}_sd"] = np.nan if one else runs[metric].std(ddof=1, skipna=False)
    if first["method"] == BASELINE:
        row["p"] = np.nan
    elif tests is None or len(tests) != seeds:
        raise ValueError(
            f"{row['model']} on {row['site']}: {seeds} seeds, not all of them compared"
        )
    else:
        row["p"] = combined_p(tests["p"])
    return row


def cell(row: pd.Series, metric: str) -> str:
    """One value as readers see it: '0.842 (0.831–0.853)', '80.1 ± 0.4', or '–' if undefined."""
    scale, decimals = (100, 1) if metric in PERCENT else (1, 3)
    value, low, high, sd = (
        scale * row[name] for name in (metric, f"{metric}_low", f"{metric}_high", f"{metric}_sd")
    )
    if np.isnan(value):
        return "–"
    if row["uncertainty"] == SPREAD:
        return f"{value:.{decimals}f} ± {sd:.{decimals}f}"
    return f"{value:.{decimals}f} ({low:.{decimals}f}–{high:.{decimals}f})"


def cells(table: pd.DataFrame) -> pd.DataFrame:
    """The table as readers see it, all text: columns group, model, one a metric, p."""
    shown = table[["group", "model"]].copy()
    for metric in METRICS:
        shown[metric] = [cell(row, metric) for _, row in table.iterrows()]
    shown["p"] = table["p"].map(p_text)
    return shown


def note(table: pd.DataFrame) -> str:
    """What a reader must know below the table."""
    counts = table.drop_duplicates("group")
    data = "; ".join(
        f"{row.group}: {row.images:,} images, {row.positives:,} positive"
        for row in counts.itertuples()
    )
    seeds = int(table["seeds"].max())
    spread = (
        "Values in brackets: 95 % bootstrap intervals."
        if seeds == 1
        else f"Mean ± standard deviation over {seeds} seeds; p combined over seeds (Rüger's rule)."
    )
    return f"Evaluation set: {data}. {spread} p: paired test of AUROC against the baseline."


def to_markdown(table: pd.DataFrame, mark: str) -> str:
    """A GitHub table; the group is named on its first row."""
    shown = cells(table)
    head = ["Task", "Model", *HEADINGS.values(), "p"]
    lines = [f"**{mark}**", ""] if mark else []
    lines += ["| " + " | ".join(head) + " |", "|:--|:--|" + "--:|" * (len(HEADINGS) + 1)]
    for position, row in enumerate(shown.itertuples(index=False)):
        first = position == 0 or shown["group"].iloc[position - 1] != row.group
        text = [row.group if first else "", *row[1:]]
        lines.append("| " + " | ".join(part.replace("|", r"\|") for part in text) + " |")
    return "\n".join([*lines, "", note(table), ""])


TEX = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    **{"~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"<": "$<$", ">": "$>$", "±": r"$\pm$", "–": "--", "ü": r"\"u"},
}


def escape_tex(text: str) -> str:
    """`text` with every character that TeX would read as a command written out."""
    return "".join(TEX.get(character, character) for character in text)


def to_tex(table: pd.DataFrame, mark: str) -> str:
    """A booktabs tabular* inside table*, to be read by \\input; needs \\usepackage{booktabs}."""
    shown = cells(table)
    head = ["Model", *HEADINGS.values(), "$p$"]
    lines = [
        r"\begin{table*}",
        r"\centering",
        r"\small",
        r"\caption{Performance of the baseline and federated (FL) models on the evaluation sets.}",
        *([rf"\textbf{{{escape_tex(mark)}}}\par\smallskip"] if mark else []),
        r"\begin{tabular}{l" + "r" * (len(HEADINGS) + 1) + "}",
        r"\toprule",
        " & ".join(part.replace("%", r"\%") for part in head) + r" \\",
    ]
    for group, rows in shown.groupby("group", sort=False):
        lines.append(r"\midrule")
        lines.append(rf"\multicolumn{{{len(head)}}}{{l}}{{\textit{{{escape_tex(group)}}}}} \\")
        for row in rows.itertuples(index=False):
            lines.append(" & ".join(escape_tex(part) for part in row[1:]) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}", r"\par\smallskip"]
    lines += [rf"\footnotesize {escape_tex(note(table))}", r"\end{table*}"]
    return "\n".join(lines) + "\n"


def to_csv(table: pd.DataFrame, mark: str) -> str:
    """The numbers, unrounded; `mark` is a column of its own, empty for the paper."""
    tidy = table.drop(columns="group").assign(mark=mark)
    return tidy.to_csv(index=False, lineterminator="\n")


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--metrics", required=True, type=Path)
    parser.add_argument("--comparisons", required=True, type=Path)
    parser.add_argument("--mark", default="", help="a text that every output shows")
    parser.add_argument("--csv", required=True, type=Path)
    parser.add_argument("--tex", required=True, type=Path)
    parser.add_argument("--md", required=True, type=Path)
    arguments = parser.parse_args(argv)

    metrics = read_metrics(arguments.metrics)
    comparisons = read_comparisons(arguments.comparisons)
    try:
        table = summarise(metrics, comparisons)
    except ValueError as error:
        raise InputError(
            arguments.comparisons,
            expected="a comparison of every federated model in metrics.csv, for each seed",
            found=str(error),
            fix="make the evaluation of this protocol again",
        ) from None
    for path, text in (
        (arguments.csv, to_csv(table, arguments.mark)),
        (arguments.tex, to_tex(table, arguments.mark)),
        (arguments.md, to_markdown(table, arguments.mark)),
    ):
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run(main)
