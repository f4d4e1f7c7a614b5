"""What the groups of patients show, and what the view alone reaches."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from chexviz.base.methods import BASELINE
from chexviz.base.tables.evaluation import SUBGROUPS
from chexviz.reporting.selection import ENDPOINT, of_endpoints
from chexviz.reporting.titles import Endpoint, model_title
from chexviz.reporting.wording import (
    NAMED,
    attribute_title,
    between,
    in_words,
    interval,
    joined,
    listed,
)


def subgroups_sentence(path: Path, titles: dict[Endpoint, str], method: str) -> str:
    """The gaps between groups of the compared models, and what the view alone reaches.

    titles: of the endpoints that are told.
    """
    columns = ("attribute", "group", "measure", "reference", "value", "low", "high")
    table = SUBGROUPS.read(path, *ENDPOINT, "architecture", "method", *columns)
    table = of_endpoints(table, titles)
    rows = table[(table["measure"] == "gap") & table["method"].isin([BASELINE, method])]
    found = [
        Gap(
            titles[row.site, row.finding],
            model_title(row.architecture, row.method),
            *(attribute_title(row.attribute), row.group, row.reference),
            *(row.value, row.low, row.high),
        )
        for row in rows.dropna(subset=["value", "low"]).itertuples()
    ]
    tags = table[(table["measure"] == "tag alone") & (table["attribute"] == "view")]
    areas = [
        Area(titles[row.site, row.finding], row.value, row.low, row.high)
        for row in tags.dropna(subset=["value", "low"]).itertuples()
    ]
    without = [titles[row.site, row.finding] for row in tags[tags["value"].isna()].itertuples()]
    return joined([gaps(found), view_alone(areas, without)])


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
    which = f"{largest.task}, {largest.model}, {largest.attribute} {largest.group} against "
    if len(found) == 1:
        kind = "an interval without 0" if apart else "an interval that holds 0"
        return (
            "the only gap between a group and the largest one of its kind had "
            f"{kind}: {size} for {which}{largest.reference}."
        )
    number = in_words(apart) if apart else "none"
    return (
        f"{number} of {len(found)} gaps between a group and the largest one of its kind had an "
        f"interval without 0, uncorrected for their number. The largest was {size} for "
        f"{which}{largest.reference}."
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
        if len(areas) > NAMED:
            reached = f"{between([area.value for area in areas])} for {len(areas)} tasks"
        sentences.append(f"The view alone, without any pixel, would reach an AUROC of {reached}.")
    if without:
        which = listed(without) if len(without) <= NAMED else f"{len(without)} tasks"
        sentences.append(
            f"For {which} the view cannot tell images apart: all have the same, or none is stated."
        )
    return joined(sentences)
