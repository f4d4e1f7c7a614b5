"""How cells of tables are written, and what stands below: alike in their files and in the PDF."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from chexviz.evaluation.cases import TOO_FEW, is_too_few
from chexviz.evaluation.over_seeds import SPREAD
from chexviz.reporting.titles import is_percent
from chexviz.reporting.wording import NAMED, bracketed, fixed, interval, joined, p_text


def cell(row: Mapping, metric: str) -> str:
    """One value as readers see it: '0.842 (0.831–0.853)', '80.1 ± 0.4', or '–' if undefined.

    With too few cases for an interval '0.842'.
    """
    scale, digits = (100, 1) if is_percent(metric) else (1, 3)
    return estimate({name: scale * row[name] for name in with_bounds(metric)}, metric, digits)


def estimate(row: Mapping, name: str, digits: int) -> str:
    """A value (see over_seeds) with its interval or, of several seeds, standard deviation."""
    value, low, high, spread = (row[key] for key in with_bounds(name))
    if np.isnan(value) or np.isnan(spread):
        return bracketed(value, low, high, digits)
    return f"{fixed(value, digits)} ± {fixed(spread, digits)}"


def with_bounds(name: str) -> list[str]:
    """The columns of a value, its interval and its standard deviation over seeds."""
    return [f"{name}{end}" for end in ("", "_low", "_high", "_sd")]


def signed_cell(row: Mapping, name: str) -> str:
    """A difference as readers see it: '−0.012 (−0.031 to 0.007)', '−0.012 ± 0.004'."""
    value, low, high = row[name], row[f"{name}_low"], row[f"{name}_high"]
    if row["uncertainty"] == SPREAD:
        return f"{fixed(value)} ± {fixed(row[f'{name}_sd'])}"
    return fixed(value) if np.isnan(low) else interval(value, low, high)


def p_cell(row: Mapping) -> str:
    """The p value of a row as readers see it; 'too few' cases, or '–' where nothing is compared."""
    if is_too_few(row["note"]) and not np.isnan(row["difference"]):
        return TOO_FEW
    return p_text(row["p"])


def few_note(table: pd.DataFrame) -> str:
    """Which groups of a table have too few cases for an interval or a p value; '' if none has."""
    few = table[table["note"].map(is_too_few)].drop_duplicates("group")
    if few.empty:
        return ""
    if len(few) > NAMED:
        total = table["group"].nunique()
        return f"Neither interval nor p: {len(few)} of {total} evaluation sets (too few cases)."
    groups = "; ".join(f"{row.group} ({row.note})" for row in few.itertuples())
    return f"Neither interval nor p: {groups}."


def note(table: pd.DataFrame) -> str:
    """What a reader must know below the table: the evaluation sets, and what follows a value."""
    seeds = int(table["seeds"].max())
    spread = (
        "Values in brackets: 95 % bootstrap intervals."
        if seeds == 1
        else f"Mean ± standard deviation over {seeds} seeds; p of the difference that is expected "
        "over trainings."
    )
    return joined([evaluation_sets(table), spread, few_note(table)])


def evaluation_sets(table: pd.DataFrame) -> str:
    """The size of every evaluation set; of many their range."""
    sets = table.drop_duplicates("group")
    if len(sets) > NAMED:
        images, positives = (between(sets[name]) for name in ("images", "positives"))
        return f"{len(sets)} evaluation sets: {images} images, {positives} positive."
    data = "; ".join(
        f"{row.group}: {row.images:,} images, {row.positives:,} positive"
        for row in sets.itertuples()
    )
    return f"Evaluation set: {data}."


def between(counts: pd.Series) -> str:
    """The range of some counts: '72 to 5,336'."""
    return f"{counts.min():,} to {counts.max():,}"
