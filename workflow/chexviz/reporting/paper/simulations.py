"""What the simulations say of the tests and intervals that the paper has."""

from collections.abc import Sequence
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pandas as pd

from chexviz.base.tables.evaluation import COVERAGE, SIMULATION
from chexviz.reporting.paper.paired_tests import TESTS
from chexviz.reporting.wording import fixed, joined, listed, percent, percent_between, tally

# What a sentence calls what an interval is of.
HELD = {
    **{"auroc": "AUROC", "aupr": "AUPR"},
    **{"sensitivity": "sensitivity", "specificity": "specificity"},
}


def read_simulation(path: Path) -> pd.DataFrame:
    """How often each test calls equally good models different; a test's most replicates last."""
    table = SIMULATION.read(path, "test", "replicates", "repetitions", "rate", "expected")
    return table.sort_values("replicates", kind="stable", na_position="first")


def simulation_sentence(table: pd.DataFrame) -> str:
    """The same with the most replicates, in a sentence."""
    last = [rows.iloc[-1] for _, rows in table.groupby("test", sort=False)]
    rows = [
        (
            TESTS[row["test"]],
            None if np.isnan(row["replicates"]) else int(row["replicates"]),
            float(row["rate"]),
        )
        for row in last
    ]
    return simulated(rows, int(last[0]["repetitions"]))


def simulated(rows: Sequence[tuple[str, int | None, float]], repetitions: int) -> str:
    """How often tests called equally good models different: title, replicates (if any), rate."""
    found = listed(
        f"{title}{f' ({replicates:,} replicates)' if replicates else ''} called {percent(rate)} "
        "different"
        for title, replicates, rate in rows
    )
    return f"In {tally(repetitions, 'simulated study', 'simulated studies')}, {found}"


def coverage_sentence(path: Path, minimum: int) -> str:
    """How often intervals hold the truth and tests reject it, over the simulated designs.

    minimum: patients with the finding that a design needs to be told.
    """
    table = COVERAGE.read(path, "images", "positives", "measure", "repetitions", "rate")
    told = table[table["positives"] >= minimum]

    def rates(titles: dict, rows: pd.DataFrame) -> list[tuple[str, list[float]]]:
        found = {
            title: rows.loc[rows["measure"] == one, "rate"].dropna().tolist()
            for one, title in titles.items()
        }
        return [(title, some) for title, some in found.items() if some]

    return coverage(
        int(table["repetitions"].iloc[0]),
        int(told["positives"].min()) if len(told) else None,
        rates(HELD, told),
        told.loc[told["measure"] == "sensitivity_chosen", "rate"].dropna().tolist(),
        [(float(images), rates(TESTS, rows)) for images, rows in told.groupby("images")],
    )


def coverage(
    repetitions: int,
    positives: int | None,
    intervals: Sequence[tuple[str, Sequence[float]]],
    chosen: Sequence[float],
    tests: Sequence[tuple[float, Sequence[tuple[str, Sequence[float]]]]],
) -> str:
    """How often 95 % intervals held the truth, and tests called equal models different.

    repetitions: studies of a design. positives: the fewest patients with the finding of the designs
    that are told; None where none is. intervals: what each is of, and its rates. chosen: rates of
    the sensitivity of the chosen threshold. tests: images a patient, and the rates of each test.
    """
    error = 100 * NormalDist().inv_cdf(0.975) * (0.95 * 0.05 / repetitions) ** 0.5
    sentence = (
        f"In {tally(repetitions, 'simulated study', 'simulated studies')} of each of several "
        f"designs a rate of {percent(0.95)} is known to {fixed(error, 1)} points."
    )
    if positives is None:
        return sentence
    held = listed(f"{percent_between(rates)} ({title})" for title, rates in intervals)
    sentences = [
        f"{sentence} With {positives} or more patients with the finding, {percent(0.95)} intervals "
        f"held the truth in {held}. Sensitivity and specificity are here those of the best of all "
        "thresholds, which the one that was chosen on the same images estimates. What that one "
        "itself finds in other patients, its interval of sensitivity held in "
        f"{percent_between(chosen)}."
    ]
    for images, found in tests:
        had = "one image each" if images == 1 else f"{fixed(images, 1)} images on average"
        called = listed(f"{percent_between(rates)} by {title}" for title, rates in found)
        sentences.append(
            f"Where patients had {had}, two equally good models were called different in {called}, "
            f"where {percent(0.05)} is nominal."
        )
    return joined(sentences)
