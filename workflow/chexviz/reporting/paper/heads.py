"""What the other heads of a model make of a site's images."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from chexviz.base.tables.evaluation import CROSSTASK
from chexviz.base.tables.models import MEAN, SHARED
from chexviz.evaluation.cases import enough
from chexviz.reporting.titles import Endpoint
from chexviz.reporting.wording import NAMED, between, counted, joined, part_of


def heads_sentence(path: Path, titles: dict[Endpoint, str], method: str) -> str:
    """What the other heads of the model make of a finding's labels, and how often both call.

    titles: of the endpoints that are told. The mean of several heads is no head of its own.
    """
    numbers = ["value", "low", "high"]
    keys = ["site", "architecture", "seed", "head", "finding"]
    columns = (*keys, "method", "own", "measure", "labels", *numbers, "note")
    table = enough(CROSSTASK.read(path, *columns))
    table = table[(table["method"] == method) & (table["head"] != MEAN)]
    ranked = table[table["measure"] == "auroc"]
    both = table[table["measure"] == "both_ratio"].set_index([*keys, "own"])[numbers]
    unknown = [math.nan] * len(numbers)
    rows = []
    for row in ranked.to_dict("records"):
        task, same = (row["site"], row["labels"]), row["labels"] == row["finding"]
        own = same and row["head"] in (row["site"], SHARED)
        if task in titles and not own:
            key = (*(row[name] for name in keys), row["labels"])
            together = both.loc[key].tolist() if key in both.index else unknown
            rows.append(Head(titles[task], same, *(row[name] for name in numbers), *together))
    return heads(rows)


class Head(NamedTuple):
    """Another head than the site's own of a finding, on its images, by its labels of the finding.

    same: it was trained for the same finding, elsewhere. auroc with its interval; both: images that
    it and the site's own head call positive, by how many independent heads would. NaN where there
    is none; without an interval nothing is said.
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
    """What heads make of the labels of other tasks; '' without a number. Many tasks are as one."""
    tasks = dict.fromkeys(row.task for row in rows)
    if len(tasks) > NAMED:
        every = f"all {len(tasks)} tasks together"
        return told(every, "the site’s own", rows)
    return joined(
        told(task, f"the one of {task}", [row for row in rows if row.task == task])
        for task in tasks
    )


def told(task: str, head: str, rows: Sequence[Head]) -> str:
    """What the other heads make of a task. head: what its own is called."""
    sentences = []
    for same, kind in ((False, "of another finding"), (True, "of the same finding elsewhere")):
        chosen = [row for row in rows if row.same == same and not math.isnan(row.low)]
        if chosen:
            sentences.append(labels_told_apart(task, kind, chosen))
    together = [row for row in rows if not math.isnan(row.both_low)]
    if together:
        sentences.append(called_together(head, together))
    return joined(sentences)


def labels_told_apart(task: str, kind: str, rows: Sequence[Head]) -> str:
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


def called_together(head: str, rows: Sequence[Head]) -> str:
    """How often heads call an image positive together with the site's own, which is called so."""
    more = sum(row.both_low > 1 for row in rows)
    fewer = sum(row.both_high < 1 for row in rows)
    ratios = between([row.both for row in rows], 1)
    sentence = f"Other heads and {head} called images positive together {ratios} times "
    sentence += "as often as independent heads would"
    if not more and not fewer:
        return f"{sentence}; every interval holds 1."
    return f"{sentence}; {placed(more, fewer, len(rows), '1')}."
