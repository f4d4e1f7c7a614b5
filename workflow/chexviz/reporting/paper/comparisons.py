"""What comparisons of models with their baselines allow to say: from numbers to sentences."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from chexviz.evaluation.cases import first_note
from chexviz.evaluation.over_seeds import effect, holm
from chexviz.reporting.selection import ENDPOINT, of_endpoints
from chexviz.reporting.tables.cells import cell
from chexviz.reporting.titles import Endpoint, architecture_title
from chexviz.reporting.wording import (
    NAMED,
    between,
    capitalised,
    counted,
    fixed,
    in_words,
    joined,
    listed,
    p_phrase,
    p_text,
)

SIGNIFICANCE = 0.05  # as in the original paper
LOWER, HIGHER, MIXED, SAME, UNTESTED = "lower", "higher", "mixed", "same", "untested"


class Comparison(NamedTuple):
    """A federated model against its baseline, over all seeds.

    auroc, baseline: as the tables show them. difference: mean over seeds, with its interval; NaN
    where too few cases leave none. p: NaN likewise. verdict: LOWER, HIGHER, MIXED, SAME, UNTESTED.
    note: why it is not tested. values: AUROC of both, as numbers.
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
    values: tuple[float, float] = (math.nan, math.nan)


def compare(
    table: pd.DataFrame, comparisons: pd.DataFrame, titles: dict[Endpoint, str], confidence: float
) -> list[Comparison]:
    """Every federated model against its baseline, for these endpoints, in the order of the table.

    table: see TABLE1. comparisons: of its method. titles: see endpoint_titles.
    """
    models = table.set_index([*ENDPOINT, "architecture", "method"])
    tests = of_endpoints(comparisons, titles).groupby(
        [*ENDPOINT, "architecture", "method", "reference"], sort=False
    )
    return [
        comparison(
            rows,
            titles[site, finding],
            models.loc[site, finding, architecture, method],
            models.loc[site, finding, architecture, reference],
            confidence,
        )
        for (site, finding, architecture, method, reference), rows in tests
    ]


def comparison(
    tests: pd.DataFrame, task: str, model: pd.Series, baseline: pd.Series, confidence: float
) -> Comparison:
    """One of them. tests: its rows, one a seed. model, baseline: their rows of a table.

    The interval of several seeds is that of the expected difference (see over_seeds.expected). With
    too few cases there is neither that nor p, and note says how many there are.
    """
    tested = effect(tests, confidence)
    return Comparison(
        task=task,
        architecture=architecture_title(tests["architecture"].iloc[0]),
        auroc=cell(model, "auroc"),
        baseline=cell(baseline, "auroc"),
        **tested._asdict(),
        verdict=verdict(tested.p, tests["difference"].tolist()),
        note=first_note(tests["note"]),
        values=(model["auroc"], baseline["auroc"]),
    )


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
    """The comparisons with one of these verdicts."""
    return [row for row in rows if row.verdict in verdicts]


def p_range(rows: Sequence[Comparison]) -> str:
    """'p = 0.10', or 'p from 0.10 to 0.76'."""
    low, high = (p_text(end(row.p for row in rows)) for end in (min, max))
    return p_phrase(rows[0].p) if low == high else f"p from {low} to {high}"


def results(rows: Sequence[Comparison]) -> str:
    """Sentence by sentence: each task, its architectures; of many tasks their range."""
    tasks, sentences = dict.fromkeys(row.task for row in rows), []
    if len(tasks) > NAMED:
        return ranges(rows, len(tasks))
    for task in tasks:
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


def ranges(rows: Sequence[Comparison], tasks: int) -> str:
    """The AUROC of so many tasks, by architecture."""
    pairs = []
    for architecture in dict.fromkeys(row.architecture for row in rows):
        both = zip(*(row.values for row in rows if row.architecture == architecture), strict=True)
        ours, theirs = map(between, both)
        pairs.append(f"{ours} with {architecture} (its baseline: {theirs})")
    return f"Over the {tasks} tasks, the federated model had an AUROC of {listed(pairs)}."


def named(rows: Sequence[Comparison]) -> str:
    """'one (pneumonia with Standard, p = 0.04)'; of many '12 (p from <0.001 to 0.04)'."""
    if len(rows) > NAMED:
        return f"{in_words(len(rows))} ({p_range(rows)})"
    names = "; ".join(f"{row.task} with {row.architecture}, {p_phrase(row.p)}" for row in rows)
    return f"{in_words(len(rows))} ({names})"


def summary(rows: Sequence[Comparison], baseline: str = "its baseline") -> str:
    """In how many comparisons the AUROC differed significantly, and which way.

    baseline: what the models are compared with.
    """
    total, same, untested = len(rows), having(rows, SAME), having(rows, UNTESTED)
    if len(untested) == total:
        return "There were too few cases to test whether federation changed the AUROC."
    if total == 1:
        return single(rows[0], baseline)
    if len(same) == total:
        return (
            f"In none of the {counted(total, 'comparison')} did the AUROC of the federated model "
            f"differ significantly from that of {baseline} ({p_range(same)})."
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
            else f"The AUROC of the federated model did not differ significantly from that of "
            f"{baseline} in {in_words(len(same))} of {counted(total, 'comparison')} "
            f"({p_range(same)})."
        )
    if untested:
        sentences.append(
            f"{capitalised(in_words(len(untested)))} could not be tested, with too few cases."
        )
    return joined(sentences)


def single(row: Comparison, baseline: str) -> str:
    """The same of the only comparison."""
    if row.verdict == SAME:
        found = f"did not differ significantly from that of {baseline}"
    elif row.verdict == MIXED:
        found = f"differed from that of {baseline} on average, but not with every seed"
    else:
        found = f"was significantly {row.verdict} than that of {baseline}"
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
    sentence = "These p values are not corrected for several tests"
    if len(having(tested, SAME)) == len(tested):
        return f"{sentence}."
    left = {0: "no difference is", 1: "one difference is"}
    found = left.get(len(kept(rows)), f"{in_words(len(kept(rows)))} differences are")
    return f"{sentence}; after Holm’s correction {found} significant."


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
    """What it means that nothing differs significantly. level: of the intervals, '95 %'."""
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
        f"{word} in {in_words(len(rows))} of {total} (by {amounts(rows)} in AUROC)"
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


def amounts(rows: Sequence[Comparison]) -> str:
    """How large the differences are: '0.020 and 0.030'; of many their range."""
    found = [abs(row.difference) for row in rows]
    return between(found) if len(found) > NAMED else listed(map(fixed, found))


def both_protocols(
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
        many = f"{in_words(len(opposite))} comparisons"
        which = many if len(opposite) > NAMED else listed(opposite)
        return (
            f"Under the {titles[1]} the difference of {which} was significant in the opposite "
            "direction."
        )
    found = counted(len(here), "significant difference") if here else "no significant difference"
    count = in_words(len(there)) if there else "none"
    return (
        f"{again} {found}, the {titles[0]} {count}. That one of two tests is significant "
        "does not show that their results differ, and the protocols train and evaluate on "
        "different images."
    )
