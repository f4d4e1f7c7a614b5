"""What the heads of other sites make of a site's images."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from chexviz.base.tables.evaluation import CROSSTASK
from chexviz.evaluation.cases import enough
from chexviz.reporting.wording import between, counted, joined, part_of


def heads_sentence(path: Path, titles: dict[str, str], method: str) -> str:
    """What the heads of other sites make of a site's own labels, and how often both call."""
    numbers = ["value", "low", "high"]
    keys = ["site", "architecture", "seed", "head"]
    columns = (*keys, "method", "task", "head_task", "measure", "finding", *numbers, "note")
    table = enough(CROSSTASK.read(path, *columns))
    table = table[(table["head"] != table["site"]) & (table["method"] == method)]
    own = table[(table["measure"] == "auroc") & (table["finding"] == table["task"])]
    both = table[table["measure"] == "both_ratio"].set_index(keys)[numbers]
    rows = [
        Head(
            titles[row["site"]],
            row["task"] == row["head_task"],
            *row[numbers],
            *both.loc[tuple(row[keys])],
        )
        for _, row in own.iterrows()
    ]
    return heads(rows)


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
                sentences.append(labels_told_apart(task, kind, chosen))
        together = [row for row in own if not math.isnan(row.both_low)]
        if together:
            sentences.append(called_together(task, together))
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


def called_together(task: str, rows: Sequence[Head]) -> str:
    """How often heads call an image positive together with the site's own head."""
    more = sum(row.both_low > 1 for row in rows)
    fewer = sum(row.both_high < 1 for row in rows)
    ratios = between([row.both for row in rows], 1)
    sentence = f"Other heads and the one of {task} called images positive together {ratios} times "
    sentence += "as often as independent heads would"
    if not more and not fewer:
        return f"{sentence}; every interval holds 1."
    return f"{sentence}; {placed(more, fewer, len(rows), '1')}."
