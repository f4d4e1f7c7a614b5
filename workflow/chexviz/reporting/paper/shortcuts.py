"""What the models owe to attributes of the images, such as a chest tube."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from chexviz.base.methods import BASELINE
from chexviz.base.tables.evaluation import REPRESENTATION, SHORTCUTS, SUBGROUPS
from chexviz.base.tables.models import UNTRAINED
from chexviz.reporting.paper.subgroups import Gap
from chexviz.reporting.selection import ENDPOINT, of_endpoints
from chexviz.reporting.titles import Endpoint, model_title
from chexviz.reporting.wording import attribute_title, between, in_words, interval, joined, listed

FEWER = "without against with"  # positives without the tag against negatives with it


class Measured(NamedTuple):
    """A number of a model and an attribute, with its interval."""

    task: str
    model: str
    attribute: str
    value: float
    low: float
    high: float

    @property
    def said(self) -> str:
        """The number, and whose it is."""
        size = interval(self.value, self.low, self.high)
        return f"{size} for {self.task}, {self.model}, {self.attribute}"


def shortcuts_sentence(evaluation: Path, titles: dict[Endpoint, str], method: str) -> str:
    """What matched pairs leave, what the tags turn round, in which group most are missed, and what
    the representations know.

    titles: of the endpoints that are told.
    """
    table = of_endpoints(SHORTCUTS.read(evaluation / "shortcuts.csv"), titles)
    table = table[table["method"].isin([BASELINE, method])].dropna(subset=["value", "low"])

    def found(measure: str) -> list[Measured]:
        rows = table[table["measure"] == measure]
        return [
            Measured(
                titles[row.site, row.finding],
                model_title(row.architecture, row.method),
                attribute_title(row.attribute, row.tag),
                *(row.value, row.low, row.high),
            )
            for row in rows.itertuples()
        ]

    gained, turned = gained_by(found("all minus matched")), turned_round(found(FEWER))
    gaps = missed_gaps(evaluation / "subgroups.csv", titles, method)
    known = REPRESENTATION.read(evaluation / "representation.csv")
    known = known[known["site"].isin([site for site, _ in titles])]
    return joined([gained, turned, missed(gaps), carried(known, method)])


def gained_by(found: Sequence[Measured]) -> str:
    """How often an attribute explains a part of an AUROC; follows 'Under the protocol,'."""
    if not found:
        return "no attribute had groups that were large enough to match."
    more = [one for one in found if one.low > 0]
    number = in_words(len(more)) if more else "none"
    said = (
        f"{number} of {len(found)} pairings of a model and an attribute had a higher AUROC over "
        "all images than within groups, with an interval without 0, uncorrected for their number."
    )
    if more:
        said += f" The attribute was worth most, {max(more, key=lambda one: one.value).said}."
    return said


def turned_round(found: Sequence[Measured]) -> str:
    """How often negative images with a tag were ranked above positive ones without it."""
    if not found:
        return ""
    below = [one for one in found if one.high < 0.5]
    if not below:
        return (
            "No model was shown to rank negative images with a tag above positive images "
            "without it."
        )
    worst = min(below, key=lambda one: one.value)
    times = "once" if len(below) == 1 else f"{in_words(len(below))} times"
    return (
        "Negative images with a tag were ranked above positive images without it "
        f"{times} in {len(found)}: the lowest AUROC was {worst.said}."
    )


def missed_gaps(path: Path, titles: dict[Endpoint, str], method: str) -> list[Gap]:
    """How much more of the positive images is missed in a group than in the largest one."""
    columns = ("attribute", "group", "measure", "reference", "value", "low", "high")
    table = SUBGROUPS.read(path, *ENDPOINT, "architecture", "method", *columns)
    table = of_endpoints(table, titles)
    rows = table[table["measure"] == "false negative rate gap"]
    rows = rows[rows["method"].isin([BASELINE, method])].dropna(subset=["value", "low"])
    return [
        Gap(
            titles[row.site, row.finding],
            model_title(row.architecture, row.method),
            *(attribute_title(row.attribute), row.group, row.reference),
            *(row.value, row.low, row.high),
        )
        for row in rows.itertuples()
    ]


def missed(found: Sequence[Gap]) -> str:
    """In which group most positive images are missed, where intervals tell."""
    if not found:
        return ""
    apart = [gap for gap in found if gap.low > 0 or gap.high < 0]
    number = in_words(len(apart)) if apart else "None"
    said = (
        f"{number[:1].upper()}{number[1:]} of {len(found)} false negative rates differed from that "
        "of the largest group, with an interval without 0."
    )
    if apart:
        most = max(apart, key=lambda gap: abs(gap.value))
        said += (
            f" The largest difference was {interval(most.value, most.low, most.high)} for "
            f"{most.task}, {most.model}, {most.attribute} {most.group} against {most.reference}."
        )
    return said


def carried(table: pd.DataFrame, method: str) -> str:
    """What linear models tell from the representations of a method, and from untrained ones.

    table: of REPRESENTATION. Of an attribute the range over sites, architectures and seeds.
    """
    table = table.dropna(subset=["auroc"])
    parts = []
    for attribute, rows in table.groupby("attribute", sort=False):
        trained, control = (rows.loc[rows["method"] == one, "auroc"] for one in (method, UNTRAINED))
        if len(trained) and len(control):
            reached = f"{between(trained.tolist())} for {attribute_title(str(attribute))}"
            parts.append(f"{reached} (untrained: {between(control.tolist())})")
    if not parts:
        return ""
    return f"From the representation block a linear model reached an AUROC of {listed(parts)}."
