"""Where the maps look: what the table of their agreement with the annotations says."""

import math
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from chexviz.base.tables.evaluation import (
    CHEXLOCALIZE,
    LOCALISATION,
    POSITIVES,
    TRUE_POSITIVES,
)
from chexviz.evaluation.cases import enough
from chexviz.evaluation.over_seeds import effect
from chexviz.reporting.paper.comparisons import SIGNIFICANCE
from chexviz.reporting.selection import ENDPOINT, of_endpoints
from chexviz.reporting.titles import Endpoint, architecture_title
from chexviz.reporting.wording import (
    NAMED,
    between,
    capitalised,
    counted,
    in_words,
    interval,
    listed,
    p_phrase,
    part_of,
    percent_between,
)

ANNOTATED = "inside the annotation, on the true positives of both"
LUNGS = "within the lungs, on all images with the finding"
FEW = {ANNOTATED: "annotated true positives", LUNGS: "images with lung masks"}
THRESHOLDS = {
    "validation": "at thresholds that the validation images chose",
    "fixed": "at a fixed threshold",
}
COMPARED = (
    *(*ENDPOINT, "architecture", "method", "measure"),
    *("difference", "difference_low", "difference_high", "standard_error", "p"),
)


def energy_sentence(path: Path, titles: dict[Endpoint, str]) -> str:
    """Energy inside the annotation of each finding: of the maps, by chance, of the mean annotation.

    titles: of the endpoints that are told, here and below.
    """
    table = LOCALISATION.read(path, *ENDPOINT, "measure", "value", "chance", "prior", "note")
    table = of_endpoints(table, titles)
    table = enough(table[(table["measure"] == "energy") & table["value"].notna()])
    found = [
        Energy(titles[key], *(rows[name].tolist() for name in ("value", "chance", "prior")))
        for key, rows in table.groupby(ENDPOINT, sort=False)
    ]
    return energy(found if len(found) <= NAMED else [together(found)])


class Energy(NamedTuple):
    """Shares of energy inside the annotations of all models of a task, of uniform maps and of the
    mean annotation, in the same order."""

    task: str
    values: list[float]
    chance: list[float]
    prior: list[float]


def together(rows: Sequence[Energy]) -> Energy:
    """The models of many tasks as those of one."""
    parts = zip(*(row[1:] for row in rows), strict=True)
    return Energy(f"all {len(rows)} tasks", *([*chain(*part)] for part in parts))


def energy(rows: Sequence[Energy]) -> str:
    """Where the maps look; follows 'Under the protocol,'."""
    if not rows:
        return "there were too few annotated true positives to judge the maps."
    shares = []
    for row in rows:
        beat = [
            part_of(int(np.greater(row.values, references).sum()), len(row.values), "model")
            for references in (row.chance, row.prior)
        ]
        shares.append(
            f"{percent_between(row.values)} for {row.task} (a uniform map: "
            f"{percent_between(row.chance)}, which {beat[0]} beat; the mean "
            f"annotation: {percent_between(row.prior)}, which {beat[1]} beat)"
        )
    return f"the share of the maps’ energy inside the annotations was {'; '.join(shares)}."


def focus_sentence(path: Path, titles: dict[Endpoint, str], method: str, confidence: float) -> str:
    """Whether maps of the compared method have more energy inside than those of the baselines."""
    table = LOCALISATION.read(path, *COMPARED)
    table = of_endpoints(table[table["measure"] == "energy"], titles)
    return focus(differences(table, titles, method, confidence), ANNOTATED)


def differences(
    table: pd.DataFrame, titles: dict[Endpoint, str], method: str, confidence: float
) -> list["Focus"]:
    """The differences of a method from the baselines. table: of one measure, with COMPARED."""
    ends = {"difference_low": "low", "difference_high": "high"}
    table, rows = table[table["method"] == method].rename(columns=ends), []
    for (*key, architecture), runs in table.groupby([*ENDPOINT, "architecture"], sort=False):
        found = effect(runs, confidence)
        rows.append(Focus(titles[tuple(key)], architecture_title(architecture), *found))
    return rows


def lungs_sentences(path: Path, titles: dict[Endpoint, str], method: str, confidence: float) -> str:
    """Whether maps look within the lungs: more than a uniform map, and than the baselines' maps.

    titles: of all endpoints; what counts is at sites with lung masks.
    """
    table = CHEXLOCALIZE.read(path, *COMPARED, "over", "value", "chance", "p_chance")
    chosen = (table["measure"] == "lung_energy") & (table["over"] == POSITIVES)
    table = of_endpoints(table[chosen], titles)
    if table.empty:
        return (
            "no site has lung masks, so that it was not tested whether maps look within the lungs."
        )
    tested = table[table["p_chance"].notna()]
    if tested.empty:
        return "there were too few images with lung masks to test whether maps look within them."
    shares = listed(
        f"{percent_between(rows['value'].tolist())} for {name} (a uniform map: "
        f"{percent_between(rows['chance'].tolist())})"
        for name, rows in by_task(tested, titles).items()
    )
    clear, more = tested["p_chance"] < SIGNIFICANCE, tested["value"] > tested["chance"]
    larger, smaller = (
        part_of(int((clear & side).sum()), len(tested), "comparison") for side in (more, ~more)
    )
    return (
        "of all images with the finding, the share of the maps’ energy within the lungs was "
        f"{shares}, significantly more than that of a uniform map in {larger} and less in "
        f"{smaller}. {capitalised(focus(differences(table, titles, method, confidence), LUNGS))}"
    )


def by_task(table: pd.DataFrame, titles: dict[Endpoint, str]) -> dict[str, pd.DataFrame]:
    """The rows of each task by its title; of many all together."""
    found = {titles[key]: rows for key, rows in table.groupby(ENDPOINT, sort=False)}
    return found if len(found) <= NAMED else {f"all {len(found)} tasks": table}


def chexlocalize_sentence(path: Path, titles: dict[Endpoint, str]) -> str:
    """mIoU and hit rate, over all images with the finding and over true positives."""
    names = ("measure", "over", "tuned_on", "value", "note")
    table = of_endpoints(CHEXLOCALIZE.read(path, *ENDPOINT, *names), titles)
    table = enough(table[table["value"].notna()])
    told = []
    for over, where in ((POSITIVES, "all images with the finding"), (TRUE_POSITIVES,) * 2):
        parts = []
        for name, rows in by_task(table[table["over"] == over], titles).items():
            values = rows.groupby("measure")["value"].agg(list)
            parts.append(
                f"{between(values['iou'])} and {percent_between(values['pointing'])} for {name}"
            )
        told += [f"{', '.join(parts)} over {where}"] if parts else []
    if not told:
        return "there were too few annotated images to tell mIoU and hit rate."
    chosen = {*table.loc[table["measure"] == "iou", "tuned_on"]}
    how = " or ".join(text for one, text in THRESHOLDS.items() if one in chosen)
    return f"mIoU ({how}) and hit rate were {'; '.join(told)}."


class Focus(NamedTuple):
    """The share of a map's energy inside the annotations: a federated model minus its baseline, on
    the true positives of both. NaN where too few leave no number."""

    task: str
    architecture: str
    difference: float
    low: float
    high: float
    p: float


def focus(rows: Sequence[Focus], where: str = ANNOTATED) -> str:
    """Whether maps of the federated model are more focused than the baseline's, as the original
    has it; follows 'Under the protocol,'.

    where: ANNOTATED or LUNGS.
    """
    tested = [row for row in rows if not math.isnan(row.p)]
    if not tested:
        return f"there were too few {FEW[where]} to test that."
    more = [row for row in tested if row.p < SIGNIFICANCE and row.difference > 0]
    less = [row for row in tested if row.p < SIGNIFICANCE and row.difference < 0]
    sides = [
        f"larger than that of the baseline in {differing(more)}" if more else "",
        f"{'smaller' if more else 'smaller than that of the baseline'} in {differing(less)}"
        if less
        else "",
    ]
    total = counted(len(tested), "comparison")
    found = f"{' and '.join(filter(None, sides))} of {total}"
    if not (more or less):
        any_of = total if len(tested) == 1 else f"any of {total}"
        found = f"not significantly different from that of the baseline in {any_of}"
    return (
        f"the share of the federated map’s energy {where} and without correction for several "
        f"tests, was {found}: "
        f"{answer(len(more), len(less), len(tested))}."
    )


def differing(rows: Sequence[Focus]) -> str:
    """'one (pneumonia with Standard, 0.021 (0.004 to 0.038), p = 0.02)'; of many their range."""
    if len(rows) > NAMED:
        return f"{in_words(len(rows))} ({between([row.difference for row in rows])})"
    names = "; ".join(
        f"{row.task} with {row.architecture}, {interval(row.difference, row.low, row.high)}, "
        f"{p_phrase(row.p)}"
        for row in rows
    )
    return f"{in_words(len(rows))} ({names})"


def answer(more: int, less: int, total: int) -> str:
    """What so many significant differences say of the claim."""
    if more == total:
        return "that agrees with the original"
    if more and not less:
        return "that agrees with the original in part"
    if less and not more:
        return "that does not support the original, and speaks against it"
    if more and less:
        return "that agrees with the original in part, and speaks against it in part"
    return "that does not support the original, and does not refute it"
