"""What the supplement's tables show of scores, groups, heads, maps and labels, in sentences."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from chexviz.reporting.paper.conclusions import SIGNIFICANCE
from chexviz.reporting.titles import p_phrase
from chexviz.reporting.wording import (
    between,
    counted,
    in_words,
    interval,
    joined,
    listed,
    part_of,
    percent,
    percent_between,
)

# --- probabilities and decisions -----------------------------------------------------------------


class Calibration(NamedTuple):
    """Measures of all models, each a list of known numbers: expected calibration errors as they
    are, by chance and temperature scaled; slopes of the recalibration."""

    ece: list[float]
    chance: list[float]
    scaled: list[float]
    slope: list[float]


def calibration(found: Calibration) -> str:
    """How far the probabilities hold; follows 'Under the protocol,'."""
    if not found.ece:
        return "there were too few cases to judge the calibration."
    sentence = (
        f"the expected calibration error was {between(found.ece)}, where a perfectly calibrated "
        f"model would show {between(found.chance)} by chance"
    )
    if found.slope:
        sentence += f", and the slope {between(found.slope, 2)}"
    if not found.scaled:
        return f"{sentence}."
    return f"{sentence}. Temperature scaling on the validation images gave {between(found.scaled)}."


def decisions(shares: Sequence[float], thresholds: tuple[float, float]) -> str:
    """Over which share of the probabilities models are of use. shares: by model."""
    low, high = map(percent, thresholds)
    return (
        "Acting on a score was better than treating all and treating none at "
        f"{percent_between(shares)} of the probabilities from {low} to {high}, by model."
    )


# --- groups of patients --------------------------------------------------------------------------


class Gap(NamedTuple):
    """AUROC of a group minus that of the largest one of its kind."""

    task: str
    model: str
    attribute: str
    group: str
    reference: str
    value: float
    low: float
    high: float


def gaps(found: Sequence[Gap]) -> str:
    """How many gaps exclude 0, and the largest; follows 'Under the protocol,'."""
    if not found:
        return "no two groups were large enough to compare."
    apart = sum(gap.low > 0 or gap.high < 0 for gap in found)
    largest = max(found, key=lambda gap: abs(gap.value))
    size = interval(largest.value, largest.low, largest.high)
    of = f"{largest.task}, {largest.model}, {largest.attribute} {largest.group} against "
    if len(found) == 1:
        said = "an interval without 0" if apart else "an interval that holds 0"
        return (
            "the only gap between a group and the largest one of its kind had "
            f"{said}: {size} for {of}{largest.reference}."
        )
    number = in_words(apart) if apart else "none"
    return (
        f"{number} of {len(found)} gaps between a group and the largest one of its kind had an "
        f"interval without 0, uncorrected for their number. The largest was {size} for "
        f"{of}{largest.reference}."
    )


class Area(NamedTuple):
    """The AUROC of ranking the images of a task by their view, with its interval."""

    task: str
    value: float
    low: float
    high: float


def view_alone(areas: Sequence[Area], without: Sequence[str]) -> str:
    """What ranking by the view reaches. without: tasks whose images have no view or all the same,
    of which nothing can be said."""
    sentences = []
    if areas:
        reached = listed(
            f"{interval(area.value, area.low, area.high)} for {area.task}" for area in areas
        )
        sentences.append(f"The view alone, without any pixel, would reach an AUROC of {reached}.")
    if without:
        sentences.append(
            f"For {listed(without)} the view cannot tell images apart: all have the same, or none "
            "is stated."
        )
    return joined(sentences)


# --- heads ---------------------------------------------------------------------------------------


class Head(NamedTuple):
    """A head of another site on a site's images, by the site's own labels.

    same: it was trained for the same finding. auroc with its interval; both: images that it and the
    site's own head call positive, by how many independent heads would. NaN where there is none;
    without an interval nothing is said.
    """

    task: str
    same: bool
    auroc: float
    low: float
    high: float
    both: float
    both_low: float
    both_high: float


def heads(rows: Sequence[Head]) -> str:
    """What heads make of labels of another site; '' without a number."""
    sentences = []
    for task in dict.fromkeys(row.task for row in rows):
        own = [row for row in rows if row.task == task]
        for same, kind in ((False, "of another finding"), (True, "of the same finding elsewhere")):
            chosen = [row for row in own if row.same == same and not math.isnan(row.low)]
            if chosen:
                sentences.append(told(task, kind, chosen))
        together = [row for row in own if not math.isnan(row.both_low)]
        if together:
            sentences.append(called(task, together))
    return joined(sentences)


def told(task: str, kind: str, rows: Sequence[Head]) -> str:
    """Whether heads tell labels apart: where 0.5 lies to their intervals."""
    above = sum(row.low > 0.5 for row in rows)
    below = sum(row.high < 0.5 for row in rows)
    areas = between([row.auroc for row in rows])
    name = counted(len(rows), f"head {kind}", f"heads {kind}")
    sentence = f"For {task}, {name} had an AUROC of {areas}"
    if not above and not below:
        none = "it did not tell" if len(rows) == 1 else "none of them told"
        return f"{sentence}: {none} the labels apart beyond chance."
    return f"{sentence}; {placed(above, below, len(rows), '0.5')}."


def placed(above: int, below: int, total: int, line: str) -> str:
    """How many of the intervals lie on either side of a line."""
    sides = [
        f"{side} {line} for {part_of(count, total, 'head')}"
        for side, count in (("above", above), ("below", below))
        if count
    ]
    return f"the interval lies {' and '.join(sides)}"


def called(task: str, rows: Sequence[Head]) -> str:
    """How often heads call an image positive together with the site's own head."""
    more = sum(row.both_low > 1 for row in rows)
    fewer = sum(row.both_high < 1 for row in rows)
    ratios = between([row.both for row in rows], 1)
    sentence = f"Other heads and the one of {task} called images positive together {ratios} times "
    sentence += "as often as independent heads would"
    if not more and not fewer:
        return f"{sentence}; every interval holds 1."
    return f"{sentence}; {placed(more, fewer, len(rows), '1')}."


# --- maps ----------------------------------------------------------------------------------------


class Focus(NamedTuple):
    """The share of a map's energy inside the annotations: a federated model minus its baseline, on
    the true positives of both. NaN where too few leave no number."""

    task: str
    architecture: str
    difference: float
    low: float
    high: float
    p: float


class Energy(NamedTuple):
    """Shares of energy inside the annotations of all models of a task, of uniform maps and of the
    mean annotation, in the same order."""

    task: str
    values: list[float]
    chance: list[float]
    prior: list[float]


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


def focus(rows: Sequence[Focus]) -> str:
    """Whether maps of the federated model are more focused than the baseline's, as the original
    has it; follows 'Under the protocol,'."""
    tested = [row for row in rows if not math.isnan(row.p)]
    if not tested:
        return "there were too few annotated true positives to test that."
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
        where = total if len(tested) == 1 else f"any of {total}"
        found = f"not significantly different from that of the baseline in {where}"
    return (
        "the share of the federated map’s energy inside the annotation, on the true positives of "
        f"both and without correction for several tests, was {found}: "
        f"{answer(len(more), len(less), len(tested))}."
    )


def differing(rows: Sequence[Focus]) -> str:
    """'one (pneumonia with Standard, 0.021 (0.004 to 0.038), p = 0.02)'."""
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


# --- labels --------------------------------------------------------------------------------------


class View(NamedTuple):
    """The odds ratio of a positive label, AP against PA, of a site; NaN where it is not known."""

    site: str
    ratio: float
    low: float
    high: float


def confounding(rows: Sequence[View]) -> str:
    """Whether the view is tied to the label."""
    unknown = [row.site for row in rows if math.isnan(row.ratio)]
    tied = [row for row in rows if row.low > 1 or row.high < 1]
    blind = f"For {listed(unknown)} that is not known." if unknown else ""
    if tied:
        sites = listed(
            f"{'more' if row.ratio > 1 else 'less'} often positive at {row.site} (odds ratio "
            f"{row.ratio:.2f} ({row.low:.2f}–{row.high:.2f}))"
            for row in tied
        )
        said = f"The view is tied to the label: AP images are {sites}. A model may learn the view "
        return joined([f"{said}instead of the finding.", blind])
    known = [row.site for row in rows if row.site not in unknown]
    if not known:
        return "Whether the view (AP or PA) is tied to the label is not known."
    said = (
        f"At {listed(known)} the view (AP or PA) is not shown to be tied to the label."
        if unknown
        else "In no dataset is the view (AP or PA) tied to the label beyond chance."
    )
    return joined([said, blind])
