"""AUROC by view, sex and age, what a method changes in each, and the gaps (docs/subgroups.md)."""

import argparse
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run
from chexviz.base.files import replacing
from chexviz.base.methods import BASELINE
from chexviz.base.options import finite_json
from chexviz.base.tables.evaluation import ALL, UNKNOWN
from chexviz.evaluation.cases import count_cases, too_few
from chexviz.evaluation.evaluate import (
    MODEL,
    Bootstrap,
    Model,
    add_predictions,
    by_site,
    draws,
    find_baselines,
    read_models,
    read_settings,
    unit_cases,
    units,
)
from chexviz.evaluation.metrics import compare, metric_interval
from chexviz.evaluation.roc import Ranking, auroc
from chexviz.reporting.titles import read_table

ATTRIBUTES = ("view", "sex", "age")
VALUES = {"view": ("AP", "PA"), "sex": ("F", "M")}  # shown even where no image has them
COUNTS = ["images", "patients", "positives", "prevalence"]
COLUMNS = [*MODEL, "attribute", "group", "measure", "reference", *COUNTS]
COLUMNS += ["value", "low", "high", "note"]


class Group(NamedTuple):
    """A group of a site's evaluation images.

    chosen: bool (n,). note: why no AUROC or interval of it is shown; empty if both are.
    """

    attribute: str
    name: str
    chosen: np.ndarray
    note: str


def read_ages(text: str) -> list[int]:
    """First year of each age band from the settings' JSON; raises InputError for a wrong value."""
    try:
        section = finite_json(text)["subgroups"]
        ages = section["ages"]
        right = section.keys() == {"ages"} and all(type(age) is int and age > 0 for age in ages)
        right = right and all(np.diff(ages) > 0)
    except (ValueError, TypeError, KeyError, AttributeError):
        right = False
    if not right:
        raise InputError(
            "--settings",
            expected='{"subgroups": {"ages": ascending integers > 0}}',
            found=text,
            fix="correct the section 'evaluation: subgroups' of the configuration",
        )
    return ages


def read_samples(file: str, images: pd.Series, columns: Sequence[str]) -> pd.DataFrame:
    """The rows (n,) of a site's samples.csv for these images. Raises InputError if one lacks."""
    table = read_table(file, ["image", *columns]).set_index("image")
    strangers = images[~images.isin(table.index)]
    if len(strangers):
        raise InputError(
            file,
            expected="every image of the predictions",
            found=f"no image {strangers.iloc[0]!r} ({len(strangers)} such images)",
            fix="remove the predictions of this site and run again",
        )
    return table.loc[images].reset_index(drop=True)


def age_bands(ages: pd.Series, starts: Sequence[int]) -> tuple[pd.Series, list[str]]:
    """The band of each age in years (n,), NaN for no age, and the names of all bands."""
    starts = [0, *starts]
    names = [f"{low}-{high - 1}" for low, high in pairwise(starts)] + [f"{starts[-1]}+"]
    bands = pd.cut(ages, [*starts, np.inf], right=False, labels=names)
    return bands.astype(object), names


def group_images(
    samples: pd.DataFrame, rows: pd.DataFrame, settings: Bootstrap, ages: Sequence[int]
) -> list[Group]:
    """All images, then each group of each attribute; images without the tag are 'unknown'.

    samples: view, sex, age of each image. rows: its row of predictions. ages: see read_ages.
    """
    labels, unit = rows["label"].to_numpy(), units(rows, settings.unit)

    def group(attribute: str, name: str, chosen: np.ndarray) -> Group:
        found = count_cases(labels[chosen], unit[chosen])
        note = too_few(found, settings.minimum_cases) if chosen.any() else "no images"
        return Group(attribute, name, chosen, note)

    groups = [group(ALL, ALL, np.ones(len(samples), bool))]
    for attribute in ATTRIBUTES:
        if attribute == "age":
            values, names = age_bands(samples["age"], ages)
        else:
            values = samples[attribute]
            usual = VALUES[attribute]
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
) -> np.ndarray:
    """AUROC of each score (k, n) in each group, on the same resamples (k, groups, 1 + B).

    Column 0 is the data itself. NaN in a group that lacks a class. Resamples are those of
    `evaluate`: of all units of the site, each class by itself. So the numbers of positive and
    negative units of the site are given; those of a group vary, as does who is in two groups.
    """
    labels, unit = rows["label"].to_numpy(), units(rows, settings.unit)
    shown = [
        (position, group)
        for position, group in enumerate(groups)
        if len(np.unique(labels[group.chosen])) == 2
    ]
    rankings, members = {}, {}
    for position, group in shown:
        members[position], own = np.unique(unit[group.chosen], return_inverse=True)
        rankings[position] = [
            Ranking(labels[group.chosen], score[group.chosen], own) for score in scores
        ]
    aurocs = np.full((len(scores), len(groups), 1 + settings.replicates), np.nan)
    label = f"subgroups of {site} ({len(shown)} groups)"
    for columns, weights in draws(rows, site, settings, label):
        for position, _ in shown:
            weight = weights[members[position]]
            # A resample without one class has no AUROC: 0 / 0 is NaN, as it should be.
            with np.errstate(invalid="ignore"):
                for number, ranking in enumerate(rankings[position]):
                    aurocs[number, position, columns] = auroc(ranking.curve(weight))
    return aurocs


def area(values: np.ndarray, cases: tuple[int, int], confidence: float, note: str) -> list[float]:
    """An AUROC and its interval, from it and its resamples (1 + B,), undefined ones left out.

    cases: how many units have a positive image, and how many a negative one. note: of too few
    cases, which leave the value alone; or ''.
    """
    if note or np.isnan(values[0]):
        return [values[0], np.nan, np.nan]
    replicates = values[1:][~np.isnan(values[1:])]
    return [values[0], *metric_interval("auroc", values[0], replicates, cases, confidence)]


def change(values: np.ndarray, confidence: float, note: str) -> list[float]:
    """The same of a difference of two AUROCs, by the standard error that also tests it."""
    if note or np.isnan(values[0]):
        return [values[0], np.nan, np.nan]
    return list(compare(values[0], values[1:][~np.isnan(values[1:])], confidence)[:3])


def largest(groups: list[Group], attribute: str) -> int | None:
    """The position of the largest group of an attribute of which something can be said."""
    sizes = {
        position: group.chosen.sum()
        for position, group in enumerate(groups)
        if group.attribute == attribute and group.name != UNKNOWN and not group.note
    }
    return max(sizes, key=sizes.__getitem__) if sizes else None


def counts(rows: pd.DataFrame) -> list:
    """COUNTS of some evaluation images."""
    positives = int(rows["label"].sum())
    share = positives / len(rows) if len(rows) else np.nan
    return [len(rows), rows["patient"].nunique(), positives, share]


def model_rows(
    name: list,
    own: np.ndarray,
    baseline: np.ndarray | None,
    groups: list[Group],
    sizes: list[list],
    cases: list[tuple[int, int]],
    confidence: float,
) -> Iterator[list]:
    """Yield the rows of one model. own, baseline: AUROC (groups, 1 + B); None: it is a baseline.

    sizes, cases: counts of each group's images, and of its positive and negative units.
    """
    for position, group in enumerate(groups):
        key, size = [*name, group.attribute, group.name], sizes[position]
        shown = area(own[position], cases[position], confidence, group.note)
        yield [*key, "auroc", "", *size, *shown, group.note]
        if baseline is not None:
            shown = change(own[position] - baseline[position], confidence, group.note)
            yield [*key, "difference", BASELINE, *size, *shown, group.note]
        reference = largest(groups, group.attribute)
        if reference not in (None, position):
            shown = change(own[position] - own[reference], confidence, group.note)
            yield [*key, "gap", groups[reference].name, *size, *shown, group.note]


def site_rows(
    models: list[Model], samples: str, settings: Bootstrap, ages: Sequence[int]
) -> list[list]:
    """The rows of one site: its tags alone, then each of its models."""
    is_evaluated = models[0].table["subset"] == "evaluation"
    rows = models[0].table[is_evaluated].reset_index(drop=True)
    tags = read_samples(samples, rows["image"], ATTRIBUTES)
    labels = rows["label"].to_numpy()
    groups = group_images(tags, rows, settings, ages)
    sizes = [counts(rows[group.chosen]) for group in groups]
    cases = [unit_cases(rows[group.chosen], settings.unit) for group in groups]
    alone = [prevalences(labels, groups, attribute) for attribute in ATTRIBUTES]
    own = [model.table.loc[is_evaluated, "score"].to_numpy() for model in models]
    aurocs = measure(np.stack([*alone, *own]), groups, rows, models[0].site, settings)
    found = []
    for number, attribute in enumerate(ATTRIBUTES):
        note = groups[0].note
        shown = area(aurocs[number, 0], cases[0], settings.confidence, note)
        if sum(group.attribute == attribute and group.chosen.any() for group in groups) < 2:
            shown, note = [np.nan] * 3, "all images are in one group"
        key = [models[0].site, models[0].task, "", "", "", attribute, ALL]
        found.append([*key, "tag alone", "", *sizes[0], *shown, note])
    aurocs = aurocs[len(alone) :]
    baselines = find_baselines(models)
    for position, model in enumerate(models):
        baseline = aurocs[baselines[position]] if position in baselines else None
        name = list(model[: len(MODEL)])
        own_rows = (name, aurocs[position], baseline, groups, sizes, cases)
        found += model_rows(*own_rows, settings.confidence)
    return found


def samples_of(site: str, files: dict[str, str]) -> str:
    """The file of a site's samples. Raises InputError if none was given."""
    if site not in files:
        raise InputError(
            f"--samples {site}",
            expected=f"the samples of {site}, whose predictions are evaluated",
            found=", ".join(files) or "none",
            fix="give --samples SITE FILE for every site",
        )
    return files[site]


def add_samples(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names the samples of each site."""
    parser.add_argument(
        "--samples",
        nargs=2,
        action="append",
        required=True,
        metavar=("SITE", "FILE"),
        help="what is known of a site's images (repeated)",
    )


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    add_predictions(parser)
    add_samples(parser)
    parser.add_argument(
        "--settings", required=True, metavar="JSON", help="bootstrap, minimum_cases, ages"
    )
    parser.add_argument("--output", required=True, type=Path, metavar="OUT")
    arguments = parser.parse_args(argv)
    settings, ages = read_settings(arguments.settings), read_ages(arguments.settings)
    models = by_site(read_models(arguments.prediction, arguments.task), settings.unit)
    files = dict(arguments.samples)
    rows = []
    for site, group in models.items():
        rows += site_rows(group, samples_of(site, files), settings, ages)
    with replacing(arguments.output) as temporary:
        table = pd.DataFrame(rows, columns=COLUMNS)
        table.to_csv(temporary, index=False, lineterminator="\n")


if __name__ == "__main__":
    run(main)
