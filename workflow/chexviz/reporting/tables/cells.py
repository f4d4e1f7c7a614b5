"""What Table 1 and the table of all methods share: a row a model, and how its cells are written."""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from chexviz.base.errors import InputError
from chexviz.base.files import replacing
from chexviz.base.methods import BASELINE
from chexviz.base.tables.evaluation import METRICS, read_comparisons, read_metrics
from chexviz.evaluation.cases import TOO_FEW, is_too_few
from chexviz.evaluation.over_seeds import SPREAD, over_seeds, p_value, uncertainty
from chexviz.reporting.titles import group_titles, in_order, model_title, p_text

PERCENT = [name for name, heading in METRICS.items() if heading.percent]


def read_models(metrics: Path, comparisons: Path, sites: list[dict]) -> pd.DataFrame:
    """The summary of all models of an evaluation. sites: see titles.site_titles.

    Raises InputError if one was not compared."""
    try:
        return summarise(read_metrics(metrics), read_comparisons(comparisons), sites)
    except ValueError as error:
        raise InputError(
            comparisons,
            expected="a comparison of every federated model in metrics.csv, for each seed",
            found=str(error),
            fix="make the evaluation of this protocol again",
        ) from None


def summarise(metrics: pd.DataFrame, comparisons: pd.DataFrame, sites: list[dict]) -> pd.DataFrame:
    """One row a model and site, in the order of Table 1. Fractions, not percent.

    Each metric has its value and, for one seed, the bounds of its 95 % interval (`auroc_low`,
    `auroc_high`); for several seeds the value is the mean and `auroc_sd` the standard deviation.
    `uncertainty` says which. `difference`, likewise, is of the AUROC from that of the baseline of
    the same architecture, and `p` that of the paired test, of several seeds that of the expected
    difference (see over_seeds.expected); baselines have none. `note`: why there is neither interval
    nor p (too few cases), or ''. Raises ValueError if a model was not compared.
    """
    titles = group_titles(metrics, sites)
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
        **{"seeds": seeds, "uncertainty": uncertainty(seeds)},
    }
    for metric in METRICS:
        row |= over_seeds(metric, runs[[metric, f"{metric}_low", f"{metric}_high"]])
    row["note"] = first["note"]
    if first["method"] == BASELINE:
        return row | over_seeds("difference", pd.DataFrame([[np.nan] * 3])) | {"p": np.nan}
    if tests is None or len(tests) != seeds:
        raise ValueError(
            f"{row['model']} on {row['site']}: {seeds} seeds, not all of them compared"
        )
    differences = over_seeds("difference", tests[["difference", "low", "high"]])
    return row | differences | {"p": p_value(tests)}


def cell(row: pd.Series, metric: str) -> str:
    """One value as readers see it: '0.842 (0.831–0.853)', '80.1 ± 0.4', or '–' if undefined.

    With too few cases for an interval '0.842'.
    """
    scale, decimals = (100, 1) if metric in PERCENT else (1, 3)
    value, low, high, sd = (
        scale * row[name] for name in (metric, f"{metric}_low", f"{metric}_high", f"{metric}_sd")
    )
    if np.isnan(value):
        return "–"
    if row["uncertainty"] == SPREAD:
        return f"{value:.{decimals}f} ± {sd:.{decimals}f}"
    if np.isnan(low):
        return f"{value:.{decimals}f}"
    return f"{value:.{decimals}f} ({low:.{decimals}f}–{high:.{decimals}f})"


def signed_cell(row: pd.Series, name: str) -> str:
    """A difference as readers see it: '−0.012 (−0.031 to 0.007)', '−0.012 ± 0.004'."""
    value, low, high = (
        f"{row[f'{name}{end}']:.3f}".replace("-", "−") for end in ("", "_low", "_high")
    )
    if row["uncertainty"] == SPREAD:
        return f"{value} ± {row[f'{name}_sd']:.3f}"
    return value if np.isnan(row[f"{name}_low"]) else f"{value} ({low} to {high})"


def p_cell(row: pd.Series) -> str:
    """The p value of a row as readers see it; 'too few' cases, or '–' where nothing is compared."""
    if is_too_few(row["note"]) and not np.isnan(row["difference"]):
        return TOO_FEW
    return p_text(row["p"])


def few_note(table: pd.DataFrame) -> str:
    """Which groups of a table have too few cases for an interval or a p value; '' if none has."""
    few = table[table["note"].map(is_too_few)].drop_duplicates("group")
    if few.empty:
        return ""
    said = "; ".join(f"{row.group} ({row.note})" for row in few.itertuples())
    return f"Neither interval nor p: {said}."


def note(table: pd.DataFrame) -> str:
    """What a reader must know below the table: the evaluation sets, and what follows a value."""
    counts = table.drop_duplicates("group")
    data = "; ".join(
        f"{row.group}: {row.images:,} images, {row.positives:,} positive"
        for row in counts.itertuples()
    )
    seeds = int(table["seeds"].max())
    spread = (
        "Values in brackets: 95 % bootstrap intervals."
        if seeds == 1
        else f"Mean ± standard deviation over {seeds} seeds; p of the difference that is expected "
        "over trainings."
    )
    return " ".join(filter(None, [f"Evaluation set: {data}. {spread}", few_note(table)]))


TEX = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    **{"~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"<": "$<$", ">": "$>$", "±": r"$\pm$", "−": "$-$", "–": "--", "ü": r"\"u"},
}


def escape_tex(text: str) -> str:
    """`text` with every character that TeX would read as a command written out."""
    return "".join(TEX.get(character, character) for character in text)


def escape_markdown(text: str) -> str:
    """`text` with every character that GitHub's Markdown would read as markup written out."""
    return re.sub(r"[\\`*_\[\]<>|~$&#]", r"\\\g<0>", text)


def to_csv(table: pd.DataFrame, mark: str) -> str:
    """The numbers, unrounded; `mark` is a column of its own, empty for the paper."""
    tidy = table.drop(columns="group", errors="ignore").assign(mark=mark)
    return tidy.to_csv(index=False, lineterminator="\n")


def write(texts: dict[Path, str]) -> None:
    """Write each text to its file."""
    for path, text in texts.items():
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
