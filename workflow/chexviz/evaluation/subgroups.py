"""AUROC and errors by view, sex, age and a site's attributes, what a method changes in each, and
the gaps (docs/subgroups.md)."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.files import replacing
from chexviz.base.methods import BASELINE
from chexviz.base.settings import Positive
from chexviz.base.settings import Settings as Section
from chexviz.base.settings import read as read_settings
from chexviz.base.tables.evaluation import ALL, ERRORS, SUBGROUPS, UNKNOWN
from chexviz.base.tables.sites import ATTRIBUTE
from chexviz.base.tables.table import Table
from chexviz.evaluation.cases import count_cases, too_few
from chexviz.evaluation.intervals import rate_interval
from chexviz.evaluation.metrics import auroc_interval
from chexviz.evaluation.paired_tests import compare
from chexviz.evaluation.predictions import (
    Model,
    add_predictions,
    comparable,
    find_baselines,
    read_models,
    threshold,
)
from chexviz.evaluation.resamples import (
    Bootstrap,
    Resampling,
    defined,
    draws,
    unit_cases,
    units,
)
from chexviz.evaluation.roc import Ranking, auroc
from chexviz.evaluation.samples import add_samples, attributes_in, read_samples, samples_of

TAGS = ("view", "sex", "age")  # what files say of their images; a site's attributes come after them
VALUES = {"view": ("AP", "PA"), "sex": ("F", "M")}  # shown even where no image has them


class Bands(Section, frozen=True):
    """ages: first year of each band but the youngest, ascending."""

    ages: list[Positive]

    def __post_init__(self) -> None:
        if self.ages != sorted(set(self.ages)):
            raise ValueError(f"ages {self.ages} do not ascend")


class Settings(Resampling, frozen=True):
    """subgroups: how images are grouped."""

    subgroups: Bands


class Group(NamedTuple):
    """A group of a site's evaluation images.

    chosen: bool (n,). note: why no AUROC or interval of it is shown; empty if both are.
    """

    attribute: str
    name: str
    chosen: np.ndarray
    note: str


def age_bands(ages: pd.Series, starts: Sequence[int]) -> tuple[pd.Series, list[str]]:
    """The band of each age in years (n,), NaN for no age, and the names of all bands."""
    starts = [0, *starts]
    names = [f"{low}-{high - 1}" for low, high in pairwise(starts)] + [f"{starts[-1]}+"]
    bands = pd.cut(ages, [*starts, np.inf], right=False, labels=names)
    return bands.astype(object), names


def attributes_of(samples: pd.DataFrame) -> dict[str, str]:
    """The columns of samples that group images, by the names of the attributes."""
    added = (name for name in samples if name.startswith(ATTRIBUTE))
    return {name: name for name in TAGS} | {name.removeprefix(ATTRIBUTE): name for name in added}


def group_images(samples: pd.DataFrame, rows: pd.DataFrame, settings: Settings) -> list[Group]:
    """All images, then each group of each attribute; images without the tag are 'unknown'.

    samples: TAGS and attributes of each image. rows: its row of predictions.
    """
    labels, unit = rows["label"].to_numpy(), units(rows, settings.bootstrap.unit)

    def group(attribute: str, name: str, chosen: np.ndarray) -> Group:
        found = count_cases(labels[chosen], unit[chosen])
        note = too_few(found, settings.minimum_cases) if chosen.any() else "no images"
        return Group(attribute, name, chosen, note)

    groups = [group(ALL, ALL, np.ones(len(samples), bool))]
    for attribute, column in attributes_of(samples).items():
        if attribute == "age":
            values, names = age_bands(samples["age"], settings.subgroups.ages)
        else:
            values = samples[column]
            usual = VALUES.get(attribute, ())
            names = [*usual, *sorted(set(values.dropna()) - set(usual))]
        values = values.fillna(UNKNOWN)
        groups += [group(attribute, one, (values == one).to_numpy()) for one in [*names, UNKNOWN]]
    return groups


def prevalences(labels: np.ndarray, groups: list[Group], attribute: str) -> np.ndarray:
    """The share of positive images in each image's group (n,): the tag as a score."""
    scores = np.zeros(len(labels))
    for group in groups:
        if group.attribute == attribute and group.chosen.any():
            scores[group.chosen] = labels[group.chosen].mean()
    return scores


def measure(
    scores: np.ndarray, groups: list[Group], rows: pd.DataFrame, site: str, settings: Bootstrap
) -> tuple[np.ndarray, np.ndarray]:
    """AUROC of each score (k, n) in each group, on the same resamples (k, groups, 1 + B).

    And how many pairs of a positive and a negative image it is of (groups, 1 + B). Column 0 is the
    data itself. NaN in a group that lacks a class. Resamples are those of `evaluate`: of all units
    of the site, each class by itself. So the numbers of positive and negative units of the site are
    given; those of a group vary, as does who is in two groups.
    """
    labels, unit = rows["label"].to_numpy(), units(rows, settings.unit)
    ranked = [
        (position, group)
        for position, group in enumerate(groups)
        if len(np.unique(labels[group.chosen])) == 2
    ]
    rankings, members = {}, {}
    for position, group in ranked:
        members[position], own = np.unique(unit[group.chosen], return_inverse=True)
        rankings[position] = [
            Ranking(labels[group.chosen], score[group.chosen], own) for score in scores
        ]
    aurocs = np.full((len(scores), len(groups), 1 + settings.replicates), np.nan)
    pairs = np.zeros(aurocs.shape[1:])
    label = f"subgroups of {site} ({len(ranked)} groups)"
    for columns, weights in draws(rows, site, settings, label):
        for position, _ in ranked:
            weight = weights[members[position]]
            # A resample without one class has no AUROC: 0 / 0 is NaN, as it should be.
            with np.errstate(invalid="ignore"):
                for number, ranking in enumerate(rankings[position]):
                    curve = ranking.curve(weight)
                    aurocs[number, position, columns] = auroc(curve)
                pairs[position, columns] = curve.positives * curve.negatives
    return aurocs, pairs


def measure_errors(
    called: np.ndarray, groups: list[Group], rows: pd.DataFrame, site: str, settings: Bootstrap
) -> np.ndarray:
    """ERRORS in each group of what models call positive, on those resamples (k, 2, groups, 1 + B).

    called: bool (k, n). NaN in a group that lacks the class.
    """
    labels, unit = rows["label"].to_numpy(), units(rows, settings.unit)
    members = np.stack([group.chosen for group in groups])
    classes = [members & (labels == label) for label in ERRORS.values()]
    kinds = [*zip(classes, ERRORS.values(), strict=True)]
    wrong = [one & (call != label) for call in called for one, label in kinds]
    counted = np.concatenate([*classes, *wrong])
    numbers, images = np.nonzero(counted)
    shape = (len(counted), unit.max() + 1)
    sums = csr_array((np.ones(len(images)), (numbers, unit[images])), shape=shape)
    counts = np.empty((len(counted), 1 + settings.replicates))
    for columns, weights in draws(rows, site, settings, f"errors in subgroups of {site}"):
        counts[:, columns] = sums @ weights
    size = (-1, len(ERRORS), len(groups), counts.shape[1])
    all_of, wrong_of = np.split(counts.reshape(size), [1])
    with np.errstate(invalid="ignore"):
        return wrong_of / all_of


def area(values: np.ndarray, cases: tuple[int, int], confidence: float, note: str) -> list[float]:
    """An AUROC and its interval, from it and its resamples (1 + B,), undefined ones left out.

    cases: how many units have a positive image, and how many a negative one. note: of too few
    cases, which leave the value alone; or ''.
    """
    if note or np.isnan(values[0]):
        return [values[0], np.nan, np.nan]
    return [values[0], *auroc_interval(values[0], defined(values[1:]), cases, confidence)]


def share(values: np.ndarray, cases: int, confidence: float, note: str) -> list[float]:
    """The same of a share of the images of one class; cases: units that have one."""
    if note or np.isnan(values[0]):
        return [values[0], np.nan, np.nan]
    return [values[0], *rate_interval(values[0], defined(values[1:]), cases, confidence)]


def change(values: np.ndarray, confidence: float, note: str) -> list[float]:
    """The same of a difference of two of them, by the standard error that also tests it."""
    if note or np.isnan(values[0]):
        return [values[0], np.nan, np.nan]
    return list(compare(values[0], defined(values[1:]), confidence)[:3])


def largest(groups: list[Group], attribute: str) -> int | None:
    """The position of the largest group of an attribute of which something can be said."""
    sizes = {
        position: group.chosen.sum()
        for position, group in enumerate(groups)
        if group.attribute == attribute and group.name != UNKNOWN and not group.note
    }
    return max(sizes, key=sizes.__getitem__) if sizes else None


def counts(rows: pd.DataFrame) -> list:
    """How many images, patients and positives there are, and the prevalence."""
    positives = int(rows["label"].sum())
    share = positives / len(rows) if len(rows) else np.nan
    return [len(rows), rows["patient"].nunique(), positives, share]


class Measured(NamedTuple):
    """A model in all groups, and on all resamples. auroc: (groups, 1 + B). errors: (2, ...) of it.

    baselines: the AUROC of those that it is compared with, by what a row calls them.
    """

    name: list
    auroc: np.ndarray
    errors: np.ndarray
    baselines: dict[str, np.ndarray]


def model_rows(
    model: Measured,
    groups: list[Group],
    sizes: list[list],
    cases: list[tuple[int, int]],
    confidence: float,
) -> Iterator[list]:
    """Yield the rows of one model.

    sizes, cases: counts of each group's images, and of its positive and negative units.
    """
    for position, group in enumerate(groups):
        own, reference = model.auroc[position], largest(groups, group.attribute)
        reference = None if reference == position else reference
        found = [("auroc", "", area(own, cases[position], confidence, group.note))]
        for baseline, other in model.baselines.items():
            numbers = change(own - other[position], confidence, group.note)
            found.append(("difference", baseline, numbers))
        if reference is not None:
            numbers = change(own - model.auroc[reference], confidence, group.note)
            found.append(("gap", groups[reference].name, numbers))
        for (error, label), rates in zip(ERRORS.items(), model.errors, strict=True):
            of_class = cases[position][1 - label]
            found.append((error, "", share(rates[position], of_class, confidence, group.note)))
            if reference is not None:
                numbers = change(rates[position] - rates[reference], confidence, group.note)
                found.append((f"{error} gap", groups[reference].name, numbers))
        for measured, compared, numbers in found:
            key = [*model.name, group.attribute, group.name, measured, compared]
            yield [*key, *sizes[position], *numbers, group.note]


def name_of(baseline: Model) -> str:
    """What a row says of the baseline that a model is compared with."""
    return BASELINE if baseline.head == baseline.site else f"{BASELINE} {baseline.head}"


def endpoint_rows(models: list[Model], samples: str, settings: Settings) -> list[list]:
    """The rows of one site and finding: the tags alone, then each of the models."""
    rows, bootstrap = models[0].evaluated, settings.bootstrap
    tags = read_samples(samples, rows["image"], *TAGS, *attributes_in(samples))
    labels, attributes = rows["label"].to_numpy(), attributes_of(tags)
    groups = group_images(tags, rows, settings)
    sizes = [counts(rows[group.chosen]) for group in groups]
    cases = [unit_cases(rows[group.chosen], bootstrap.unit) for group in groups]
    alone = [prevalences(labels, groups, attribute) for attribute in attributes]
    own = [model.evaluated["score"].to_numpy() for model in models]
    where = (groups, rows, models[0].site, bootstrap)
    aurocs, _ = measure(np.stack([*alone, *own]), *where)
    called = [score >= threshold(model) for model, score in zip(models, own, strict=True)]
    errors = measure_errors(np.stack(called), *where)
    found = []
    for number, attribute in enumerate(attributes):
        note = groups[0].note
        numbers = area(aurocs[number, 0], cases[0], bootstrap.confidence, note)
        if sum(group.attribute == attribute and group.chosen.any() for group in groups) < 2:
            numbers, note = [np.nan] * 3, "all images are in one group"
        key = [models[0].site, models[0].finding, "", "", "", "", attribute, ALL]
        found.append([*key, "tag alone", "", *sizes[0], *numbers, note])
    aurocs = aurocs[len(alone) :]
    found_baselines = find_baselines(models)
    for position, model in enumerate(models):
        baselines = {
            name_of(models[place]): aurocs[place] for place in found_baselines.get(position, [])
        }
        one = Measured(list(model.name), aurocs[position], errors[position], baselines)
        found += model_rows(one, groups, sizes, cases, bootstrap.confidence)
    return found


def tabulate(
    main: Callable, argv: list[str] | None, table: Table, rows_of: Callable[..., list[list]]
) -> None:
    """What `main` of a module does: a table of what is known of each site and finding.

    rows_of: as `endpoint_rows`.
    """
    parser = argument_parser(main)
    add_predictions(parser)
    add_samples(parser)
    parser.add_argument(
        "--settings", required=True, metavar="JSON", help="a Resampling with its subgroups"
    )
    parser.add_argument("--output", required=True, type=Path, metavar="OUT")
    arguments = parser.parse_args(argv)
    settings = read_settings(arguments.settings, Settings)
    models = read_models(arguments.prediction, arguments.findings)
    files = dict(arguments.samples)
    rows: list[list] = []
    for (site, _), group in comparable(models, settings.bootstrap.unit).items():
        rows += rows_of(group, samples_of(site, files), settings)
    with replacing(arguments.output) as temporary:
        table.write(rows, temporary)


def main(argv: list[str] | None = None) -> None:
    tabulate(main, argv, SUBGROUPS, endpoint_rows)


if __name__ == "__main__":
    run(main)
