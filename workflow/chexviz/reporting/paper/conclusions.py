"""What the comparisons of models with their baselines allow to say: from numbers to sentences."""

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from chexviz.evaluation.over_seeds import holm
from chexviz.reporting.titles import p_phrase, p_text
from chexviz.reporting.wording import (
    capital,
    counted,
    fixed,
    in_words,
    joined,
    listed,
    part_of,
    percent,
    percent_between,
    tally,
)

SIGNIFICANCE = 0.05  # as in the original paper
LOWER, HIGHER, MIXED, SAME, UNTESTED = "lower", "higher", "mixed", "same", "untested"


class Comparison(NamedTuple):
    """A federated model against its baseline, over all seeds.

    auroc, baseline: as the tables show them. difference: mean over seeds, with its interval; NaN
    where too few cases leave none. p: NaN likewise. verdict: LOWER, HIGHER, MIXED, SAME, UNTESTED.
    note: why it is not tested.
    """

    task: str
    architecture: str
    auroc: str
    baseline: str
    difference: float
    low: float
    high: float
    p: float
    verdict: str
    note: str = ""


def verdict(p: float, differences: Sequence[float]) -> str:
    """What a test of the mean of one or several seeds says.

    LOWER or HIGHER, where all seeds agree; MIXED, where they do not, though their mean differs
    significantly; SAME (not significantly different); UNTESTED without a p value.
    """
    if math.isnan(p):
        return UNTESTED
    if p >= SIGNIFICANCE:
        return SAME
    if all(difference < 0 for difference in differences):
        return LOWER
    return HIGHER if all(difference > 0 for difference in differences) else MIXED


def having(rows: Sequence[Comparison], *verdicts: str) -> list[Comparison]:
    return [row for row in rows if row.verdict in verdicts]


def p_range(rows: Sequence[Comparison]) -> str:
    """'p = 0.10', or 'p from 0.10 to 0.76'."""
    low, high = (p_text(end(row.p for row in rows)) for end in (min, max))
    return p_phrase(rows[0].p) if low == high else f"p from {low} to {high}"


# --- the comparisons of one protocol -------------------------------------------------------------


def results(rows: Sequence[Comparison]) -> str:
    """Sentence by sentence: each task, its architectures."""
    sentences = []
    for task in dict.fromkeys(row.task for row in rows):
        pairs = listed(
            f"{row.auroc} and {row.baseline} with {row.architecture} "
            f"({row.note or p_phrase(row.p)})"
            for row in rows
            if row.task == task
        )
        sentences.append(
            f"For {task}, the federated model and its baseline had an AUROC of {pairs}."
        )
    return joined(sentences)


def named(rows: Sequence[Comparison]) -> str:
    """'one (pneumonia with Standard, p = 0.04)'."""
    names = "; ".join(f"{row.task} with {row.architecture}, {p_phrase(row.p)}" for row in rows)
    return f"{in_words(len(rows))} ({names})"


def summary(rows: Sequence[Comparison]) -> str:
    """In how many comparisons the AUROC differed significantly, and which way."""
    total, same, untested = len(rows), having(rows, SAME), having(rows, UNTESTED)
    if len(untested) == total:
        return "There were too few cases to test whether federation changed the AUROC."
    if total == 1:
        return single(rows[0])
    if len(same) == total:
        return (
            f"In none of the {counted(total, 'comparison')} did the AUROC of the federated model "
            f"differ significantly from that of its baseline ({p_range(same)})."
        )
    differing = [
        f"significantly {word} in {named(found)}"
        for word in (LOWER, HIGHER)
        if (found := having(rows, word))
    ]
    sentences = []
    if differing:
        sentences.append(
            f"Of {counted(total, 'comparison')}, the AUROC of the federated model was "
            f"{' and '.join(differing)}."
        )
    if mixed := having(rows, MIXED):
        sentences.append(
            f"In {named(mixed)} it differed on average, but not in the same direction with every "
            "seed."
        )
    if same:
        others = f"{'' if untested else 'the other '}{in_words(len(same))}"
        sentences.append(
            f"It did not differ significantly in {others} ({p_range(same)})."
            if sentences
            else f"The AUROC of the federated model did not differ significantly from that of its "
            f"baseline in {in_words(len(same))} of {counted(total, 'comparison')} "
            f"({p_range(same)})."
        )
    if untested:
        sentences.append(
            f"{capital(in_words(len(untested)))} could not be tested, with too few cases."
        )
    return joined(sentences)


def single(row: Comparison) -> str:
    """The same of the only comparison."""
    if row.verdict == SAME:
        found = "did not differ significantly from that of its baseline"
    elif row.verdict == MIXED:
        found = "differed from that of its baseline on average, but not with every seed"
    else:
        found = f"was significantly {row.verdict} than that of its baseline"
    return f"The AUROC of the federated model {found} ({p_phrase(row.p)})."


def kept(rows: Sequence[Comparison]) -> list[Comparison]:
    """Those that still differ significantly after Holm's correction over all of them."""
    tested = [row for row in rows if row.verdict != UNTESTED]
    if not tested:
        return []
    corrected = holm(np.array([row.p for row in tested]))
    return [row for row, p in zip(tested, corrected, strict=True) if p < SIGNIFICANCE]


def correction(rows: Sequence[Comparison]) -> str:
    """Whether these p values are corrected, and what a correction leaves; '' for a single one."""
    tested = [row for row in rows if row.verdict != UNTESTED]
    if len(tested) < 2:
        return ""
    said = "These p values are not corrected for several tests"
    if len(having(tested, SAME)) == len(tested):
        return f"{said}."
    left = {0: "no difference is", 1: "one difference is"}
    found = left.get(len(kept(rows)), f"{in_words(len(kept(rows)))} differences are")
    return f"{said}; after Holm’s correction {found} significant."


def interpretation(rows: Sequence[Comparison], level: str) -> str:
    """What that means. level: of the intervals, '95 %'."""
    lower, higher = having(rows, LOWER), having(rows, HIGHER)
    mixed, untested = having(rows, MIXED), having(rows, UNTESTED)
    total = counted(len(rows), "comparison")
    if len(untested) == len(rows):
        return "The evaluation sets hold too few cases to compare the models with their baselines."
    sentences = []
    if mixed:
        sentences.append(
            f"In {in_words(len(mixed))} of {total}, whether federation helped or harmed depended "
            "on the seed of the training."
        )
    if lower or higher:
        sentences.append(price(lower, higher, kept(rows), total))
    elif not mixed:
        sentences.append(no_difference(rows, level))
    return joined(sentences)


def no_difference(rows: Sequence[Comparison], level: str) -> str:
    low = min(row.low for row in rows if row.verdict != UNTESTED)
    return (
        "Sharing the representation block, while each site kept its task block, did not change the "
        "AUROC by an amount that these evaluation sets can show. A difference that is not "
        f"significant is not proof of equality: the {level} intervals of the differences admit "
        f"losses of up to {fixed(max(-low, 0))} in AUROC."
    )


def price(
    lower: list[Comparison], higher: list[Comparison], left: list[Comparison], total: str
) -> str:
    """What significant differences mean, in either direction. left: after Holm's correction."""
    found = [
        f"{word} in {in_words(len(rows))} of {total} (by "
        f"{listed(fixed(abs(row.difference)) for row in rows)} in AUROC)"
        for word, rows in (("cost discrimination", lower), ("helped", higher))
        if rows
    ]
    if total == counted(1, "comparison"):
        (row,) = lower + higher
        return f"Federation {found[0].partition(' in ')[0]}, by {fixed(abs(row.difference))}."
    sentence = f"Federation {' and '.join(found)}"
    left = [row for row in left if row in lower + higher]
    if not left:
        these = "this is not" if len(lower + higher) == 1 else "none of these is"
        return (
            f"{sentence} if each comparison is looked at alone. After correction for several tests "
            f"{these} significant, so that the evaluation sets do not establish that federation "
            "changed the AUROC."
        )
    if len(left) < len(lower + higher):
        sentence += f"; after correction for several tests {in_words(len(left))} of these remain"
        sentence += "s" * (len(left) == 1)
    if len({row.verdict for row in left}) == 2:
        return f"{sentence}: whether it pays depends on the task and the architecture."
    return f"{sentence}."


# --- two protocols -------------------------------------------------------------------------------


def of_both(
    main: Sequence[Comparison], other: Sequence[Comparison], titles: tuple[str, str]
) -> str:
    """Whether another protocol says the same. titles: of both ('image-wise protocol')."""

    def significant(rows: Sequence[Comparison]) -> dict[tuple[str, str], str]:
        chosen = having(rows, LOWER, HIGHER)
        return {(row.task, row.architecture): row.verdict for row in chosen}

    here, there = significant(other), significant(main)
    if len(having(other, UNTESTED)) == len(other):
        return f"Under the {titles[1]} there were too few cases for any test."
    again = f"The {titles[1]} gave"
    if not here and not there:
        return f"{again} no significant difference either."
    if here == there:
        same = "the same significant difference" + "s" * (len(here) > 1)
        return f"{again} {same}, in the same direction."
    opposite = [" with ".join(key) for key in here if key in there and here[key] != there[key]]
    if opposite:
        return (
            f"Under the {titles[1]} the difference of {listed(opposite)} was significant in the "
            "opposite direction."
        )
    found = counted(len(here), "significant difference") if here else "no significant difference"
    beside = in_words(len(there)) if there else "none"
    return (
        f"{again} {found}, the {titles[0]} {beside}. That one of two tests is significant "
        "does not show that their results differ, and the protocols train and evaluate on "
        "different images."
    )


# --- tests ---------------------------------------------------------------------------------------


def tests(
    comparisons: int, significant: Sequence[tuple[str, int]], holm: int, margin: float, shown: int
) -> str:
    """How many of so many comparisons each test calls significant.

    significant: what a sentence calls a test, and its number. holm: that of the primary test after
    correction. shown: of the comparisons, in how many a loss of `margin` in AUROC is ruled out.
    """
    if not comparisons:
        return "no comparison had enough cases to be tested."
    by_test = listed(
        f"{in_words(number) if number else 'none'} by {title}" for title, number in significant
    )
    return (
        f"the significant differences among {counted(comparisons, 'comparison')} were, without "
        f"correction, {by_test}. Holm’s correction of the primary test left "
        f"{in_words(holm) if holm else 'none'}. A loss of {margin:g} or more in AUROC could be "
        f"ruled out in {part_of(shown, comparisons, 'comparison')}."
    )


def simulated(rows: Sequence[tuple[str, int | None, float]], repetitions: int) -> str:
    """How often tests called equally good models different: title, replicates (if any), rate."""
    found = listed(
        f"{title}{f' ({replicates:,} replicates)' if replicates else ''} called {percent(rate)} "
        "different"
        for title, replicates, rate in rows
    )
    return f"In {tally(repetitions, 'simulated study', 'simulated studies')}, {found}"


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
    said = (
        f"In {tally(repetitions, 'simulated study', 'simulated studies')} of each of several "
        f"designs a rate of {percent(0.95)} is known to {fixed(error, 1)} points."
    )
    if positives is None:
        return said
    held = listed(f"{percent_between(rates)} ({title})" for title, rates in intervals)
    sentences = [
        f"{said} With {positives} or more patients with the finding, {percent(0.95)} intervals "
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


# --- the original --------------------------------------------------------------------------------


def published(values: int, inside: int, above: int, below: int) -> str:
    """How many published values agree with ours."""
    compared = inside + above + below
    if not compared:
        return (
            f"None of its {values} values can be compared with ours, for the reasons below the "
            "table."
        )
    sentence = (
        f"Of {values} values, {compared} can be compared with ours; {inside} "
        f"({percent(inside / compared)}) lie where {percent(0.95)} of repetitions of our "
        f"evaluation would, {above} above and {below} below."
    )
    if inside == values:
        sentence += " The reproduction agrees with the original throughout."
    return sentence


def discrepancy(inside: int, above: int, below: int) -> str:
    """What is made of the published values that lie outside; '' if none can be compared."""
    compared = inside + above + below
    if not compared:
        return ""
    if inside == compared:
        return f"All {compared} published values that can be compared are compatible with ours."
    return (
        f"Of the published values that can be compared, {percent(inside / compared)} are "
        "compatible with ours. Why the others are not is unknown: the original does not state its "
        "batch, augmentation, learning-rate schedule and input size, and nothing here tells their "
        "effect from chance. Sensitivity and specificity, in addition, move in opposite directions "
        "with the threshold."
    )


def published_p(values: Sequence[float], rate: float, replicates: int) -> str:
    """Why the published p values are not compared.

    values: as printed. rate: at which the literal test, over so many replicates, calls equally good
    models different.
    """
    printed = sorted(values)
    return (
        "The published p values are not compared with ours: the original does not state its test "
        "in full. Read literally, as a t test over bootstrap replicates, it calls "
        f"{percent(rate)} of equally good models different with {replicates:,} replicates, "
        f"whereas the published p are from {printed[0]:.2f} to {printed[-1]:.2f}."
    )


def original_split(task: str, divisions: int, parts: Sequence[int], by_chance: float) -> str:
    """What the published percentages say of how the original was split.

    divisions: in how many ways a fifth of the dataset divides into classes that fit them, if one
    into these parts. by_chance: how many are to be expected of unrelated percentages.
    """
    if divisions != 1:
        return (
            "How the original was split does not follow from its table: a fifth of the dataset "
            f"divides in {in_words(divisions)} ways that fit the published percentages for {task}."
        )
    expected = f"{by_chance:.2g}" if by_chance >= 0.001 else "fewer than 0.001"
    return (
        f"The published percentages for {task} fit {parts[0]:,} positive and {parts[1]:,} negative "
        f"images, a fifth of the dataset, and no other division of it ({expected} such divisions "
        "are to be expected of unrelated percentages). That suggests a plain random fifth. It does "
        "not tell a draw of images from one of patients."
    )


def sizes(
    task: str, fifth: int, divisions: int, parts: Sequence[int], smallest: Sequence[int]
) -> str:
    """Which evaluation sets the published percentages fit. smallest: classes that fit at all."""
    images = f"{fifth:,} images, a fifth of the dataset"
    if divisions == 1:
        return (
            f"The published percentages for {task} fit {parts[0]:,} positive and {parts[1]:,} "
            f"negative images, and no other division of {images}."
        )
    number = f"{divisions:,} divisions" if divisions else "no division"
    sentence = f"For {task}, {number} of {images}, fit{'' if divisions else 's'}."
    if not smallest:
        return sentence
    return (
        f"{sentence} The smallest classes that do have {listed(f'{size:,}' for size in smallest)} "
        "images."
    )
