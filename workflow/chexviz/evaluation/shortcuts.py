"""What is left of an AUROC where an attribute cannot help: matched pairs, and the chest-tube test.

A model that finds the chest tube ranks treated patients above all others, and an untreated one
below them (docs/subgroups.md).
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from chexviz.base.errors import run
from chexviz.base.tables.evaluation import ALL, SHORTCUTS, UNKNOWN
from chexviz.evaluation.cases import count_cases, too_few
from chexviz.evaluation.predictions import Model
from chexviz.evaluation.resamples import unit_cases, units
from chexviz.evaluation.samples import attributes_in, read_samples
from chexviz.evaluation.subgroups import (
    TAGS,
    Group,
    Settings,
    area,
    change,
    group_images,
    measure,
    tabulate,
)

MATCHED, GAINED = "matched", "all minus matched"
# Whether the positive images, and the negative ones, are with the tag; None: any.
CROSSED = {
    "without against all": (False, None),
    "without against without": (False, False),
    "without against with": (False, True),
    "with against without": (True, False),
}


class Attribute(NamedTuple):
    """An attribute that tells images of a site apart. groups: those whose images are known, two or
    more. tag: the group that is 'with' it; None: there are more than two.

    known: of all such images. matched: of those that have an image of the other class in their
    group. crossed: positive and negative images, by CROSSED.
    """

    name: str
    groups: list[Group]
    tag: Group | None
    known: Group
    matched: Group
    crossed: list[Group]

    @property
    def compared(self) -> list[Group]:
        """All sets of images of which an AUROC is needed."""
        return [self.known, *self.groups, *self.crossed]


def attributes(groups: list[Group], rows: pd.DataFrame, settings: Settings) -> Iterator[Attribute]:
    """The attributes of which at least two groups have images; groups: of all attributes."""
    labels, unit = rows["label"].to_numpy(), units(rows, settings.bootstrap.unit)
    positive = labels == 1

    def group(attribute: str, name: str, chosen: np.ndarray) -> Group:
        found = count_cases(labels[chosen], unit[chosen])
        return Group(attribute, name, chosen, too_few(found, settings.minimum_cases))

    for name in dict.fromkeys(group.attribute for group in groups if group.attribute != ALL):
        own = [one for one in groups if one.attribute == name and one.chosen.any()]
        own = [one for one in own if one.name != UNKNOWN]
        if len(own) < 2:
            continue
        known = group(name, ALL, np.any([one.chosen for one in own], axis=0))
        mixed = [one.chosen for one in own if len(np.unique(labels[one.chosen])) == 2]
        matched = group(name, MATCHED, np.any([np.zeros(len(labels), bool), *mixed], axis=0))
        tag = tag_of(own, labels) if len(own) == 2 else None
        crossed = []
        if tag:
            sides = {True: tag.chosen, False: known.chosen & ~tag.chosen, None: known.chosen}
            for crossing, (first, second) in CROSSED.items():
                chosen = np.where(positive, sides[first], sides[second])
                crossed.append(group(name, crossing, chosen))
        yield Attribute(name, own, tag, known, matched, crossed)


def tag_of(groups: list[Group], labels: np.ndarray) -> Group:
    """The group that is 'with' an attribute: yes, or where more of the images are positive."""
    return max(groups, key=lambda group: (group.name == "yes", labels[group.chosen].mean()))


def matched_auroc(aurocs: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """The share of rightly ranked pairs of one group, over all groups (1 + B,).

    aurocs, pairs: of each group (groups, 1 + B). NaN where no group has both classes.
    """
    right = np.where(pairs > 0, aurocs * pairs, 0).sum(axis=0)
    with np.errstate(invalid="ignore"):
        return right / pairs.sum(axis=0)


def verdict(measured: str, low: float, high: float, attribute: str, tag: str) -> str:
    """What an interval says; '' without one.

    A difference is compared with 0, an AUROC with 0.5.
    """
    if np.isnan(low):
        return ""
    middle = 0 if measured == GAINED else 0.5
    place = 0 if low > middle else 1 if high < middle else 2
    if measured == GAINED:
        found = "ranks better by", "ranks worse by", "is not shown to gain or lose by"
        return f"{found[place]} {attribute}"
    if measured in CROSSED:
        first, second = measured.split(" against ")
        ours, others = f"positives {first}", "negatives" + f" {second}" * (second != "all")
        found = (
            f"{ours} above {others}",
            f"{others} above {ours}",
            f"{ours} no better than {others}",
        )
        return f"ranks {found[place]} ({attribute} {tag})"
    found = "tells images apart", "ranks images the wrong way round", "does not tell images apart"
    return found[place] + " within groups" * (measured == MATCHED)


def attribute_rows(
    one: Attribute, aurocs: np.ndarray, pairs: np.ndarray, rows: pd.DataFrame, settings: Settings
) -> Iterator[list]:
    """Yield the rows of an attribute and a model, without the model's name.

    aurocs, pairs: of the images of `compared` (k, 1 + B).
    """
    number, bootstrap = len(one.groups), settings.bootstrap
    within = slice(1, 1 + number)
    matched = matched_auroc(aurocs[within], pairs[within])
    found = [(one.known, aurocs[0]), (one.matched, matched)]
    found += zip(one.crossed, aurocs[1 + number :], strict=True)
    tag = one.tag.name if one.tag else ""
    lines = []
    for group, values in found:
        cases = unit_cases(rows[group.chosen], bootstrap.unit)
        lines.append((group.name, group, area(values, cases, bootstrap.confidence, group.note)))
    gained = change(aurocs[0] - matched, bootstrap.confidence, one.matched.note)
    lines.insert(2, (GAINED, one.matched, gained))
    for name, group, numbers in lines:
        chosen = rows[group.chosen]
        sizes = [len(chosen), chosen["patient"].nunique(), int(chosen["label"].sum())]
        said = verdict(name, numbers[1], numbers[2], one.name, tag)
        yield [one.name, tag, name, *sizes, *numbers, said, group.note]


def endpoint_rows(models: list[Model], samples: str, settings: Settings) -> list[list]:
    """The rows of one site and finding."""
    rows = models[0].evaluated
    tags = read_samples(samples, rows["image"], *TAGS, *attributes_in(samples))
    found = [*attributes(group_images(tags, rows, settings), rows, settings)]
    compared = [group for one in found for group in one.compared]
    if not compared:
        return []
    scores = np.stack([model.evaluated["score"] for model in models])
    aurocs, pairs = measure(scores, compared, rows, models[0].site, settings.bootstrap)
    ends = np.cumsum([len(one.compared) for one in found])[:-1]
    lines = []
    for model, of_model in zip(models, aurocs, strict=True):
        parts = zip(found, np.split(of_model, ends), np.split(pairs, ends), strict=True)
        for one, own, numbers in parts:
            found_rows = attribute_rows(one, own, numbers, rows, settings)
            lines += [[*model.name, *row] for row in found_rows]
    return lines


def main(argv: list[str] | None = None) -> None:
    tabulate(main, argv, SHORTCUTS, endpoint_rows)


if __name__ == "__main__":
    run(main)
