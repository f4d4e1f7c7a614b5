"""What every head of a federated model says of every site's images.

A federated model has a task block, a head, for each site. The paper evaluates each on its own site
only; here each scores all images, and the heads are compared on the same ones.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run
from chexviz.base.files import replacing
from chexviz.base.settings import read as read_settings
from chexviz.base.tables.evaluation import CROSSTASK
from chexviz.evaluation.cases import count_cases, is_too_few, too_few
from chexviz.evaluation.head_statistics import (
    Interval,
    Statistic,
    area,
    area_bounds,
    count_bounds,
    expected,
    rank_correlation,
    rate,
    rate_bounds,
    ratio,
    ratio_bounds,
    total,
)
from chexviz.evaluation.intervals import correlation_interval, ratio_interval
from chexviz.evaluation.predictions import (
    Model,
    add_predictions,
    comparable,
    read_models,
    threshold,
)
from chexviz.evaluation.resamples import Bootstrap, Resampling, defined, draws, units
from chexviz.evaluation.samples import add_samples, read_samples, samples_of

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


class Row(NamedTuple):
    """A row of the table before it is resampled.

    finding, label: of which images; '' for all. chosen: those images, bool (n,). statistic: what
    is resampled, and the interval that its replicates make; or the value itself, which has none.
    note: why there is no value, or no interval where others have one.
    """

    head: str
    measure: str
    finding: str
    label: str
    chosen: np.ndarray
    statistic: tuple[Statistic, Interval] | float
    note: str = ""


class Site(NamedTuple):
    """The evaluation images of a site: their rows of predictions, their units (n,), and labels.

    labels: for each task that the site labels, 1, 0 or NaN (n,); its own first.
    """

    rows: pd.DataFrame
    unit: np.ndarray
    labels: dict[str, np.ndarray]


class Head(NamedTuple):
    """One head on a site's images: its site, task, scores (n,) and threshold."""

    site: str
    task: str
    scores: np.ndarray
    threshold: float

    @property
    def called(self) -> np.ndarray:
        """Which images it calls positive, bool (n,)."""
        return self.scores >= self.threshold


# --- rows ----------------------------------------------------------------------------------------


def head_rows(head: Head, site: Site, minimum: int) -> Iterator[Row]:
    """What one head says of a site's images: scores, images called positive, AUROC.

    By the labels of the site's own task and, where the site has them, by those of the head's task.
    minimum: cases of each class, for an interval.
    """
    own = next(iter(site.labels))
    everything = np.ones(len(site.rows), bool)

    def called(chosen: np.ndarray) -> tuple[Statistic, Interval]:
        return rate(head.called, chosen, site.unit), rate_bounds(site.unit[chosen])

    yield Row(head.site, "threshold", "", "", everything, head.threshold)
    yield Row(
        head.site, "called", "", "", everything, called(everything), few_images(site, minimum)
    )
    for finding in dict.fromkeys([own, head.task]):
        if finding not in site.labels:
            nothing = ~everything
            note = f"the site has no labels of {finding}"
            yield Row(head.site, "auroc", finding, "", nothing, np.nan, note)
            continue
        labels = site.labels[finding]
        cases = count_cases(labels, site.unit)
        for label, kind in enumerate(("negative", "positive")):
            chosen = labels == label
            if not chosen.any():
                continue
            for share, score in zip(
                QUANTILES, np.quantile(head.scores[chosen], QUANTILES), strict=True
            ):
                name = f"score_q{round(100 * share):02d}"
                yield Row(head.site, name, finding, str(label), chosen, score)
            note = too_few({kind: cases[kind]}, minimum)
            yield Row(head.site, "called", finding, str(label), chosen, called(chosen), note)
        known = ~np.isnan(labels)
        ranked: tuple[Statistic, Interval] | float = np.nan
        if all(cases.values()):
            ranked = area(labels, head.scores, site.unit), area_bounds(labels, site.unit)
        yield Row(head.site, "auroc", finding, "", known, ranked, too_few(cases, minimum))


def few_images(site: Site, minimum: int) -> str:
    """Why what is counted over all of a site's images has no interval; '' if it has one."""
    return too_few({"in all": len(np.unique(site.unit))}, minimum)


def pair_rows(own: Head, other: Head, site: Site, minimum: int) -> Iterator[Row]:
    """How the other head goes with the site's own: images that both call positive, correlation."""
    everything, unit = np.ones(len(site.rows), bool), site.unit

    few = few_images(site, minimum)

    def row(measure: str, statistic: tuple[Statistic, Interval] | float, note: str = "") -> Row:
        return Row(other.site, measure, "", "", everything, statistic, note or few)

    called = own.called, other.called
    yield row("both_observed", (total(called[0] & called[1], unit), count_bounds(unit)))
    if called[0].any() and called[1].any():
        independent = called[0].sum() * called[1].sum() / len(unit)
        yield row("both_expected", (expected(*called, unit), ratio_interval))
        yield row("both_ratio", (ratio(*called, unit), ratio_bounds(independent, unit)))
    else:
        note = "one head calls no image positive"
        yield row("both_expected", 0.0, note)
        yield row("both_ratio", np.nan, note)
    yield row("rank_correlation", *correlated(own.scores, other.scores, unit))


def correlated(
    one: np.ndarray, two: np.ndarray, unit: np.ndarray
) -> tuple[tuple[Statistic, Interval] | float, str]:
    """How the ranks of two heads' scores (n,) go together, and why there is no (interval of) it."""
    if any(np.ptp(scores) == 0 for scores in (one, two)):
        return np.nan, "all scores of a head are equal"
    statistic = rank_correlation(one, two, unit)
    value = statistic(np.ones((unit.max() + 1, 1))).item()
    if abs(value) > 1 - 1e-12:  # rounding
        return value, "no interval: one head orders all images as the other, or in reverse"
    return (statistic, correlation_interval), ""


def resampled(
    listed: list[Row], rows: pd.DataFrame, settings: Bootstrap, site: str
) -> Iterator[list[float]]:
    """Value, low and high of each row, all on the resamples of `evaluate`."""
    statistics = {
        position: row.statistic[0]
        for position, row in enumerate(listed)
        if isinstance(row.statistic, tuple)
    }
    values = {position: np.empty(1 + settings.replicates) for position in statistics}
    for columns, weights in draws(rows, site, settings, f"heads on {site}"):
        # 0 / 0 in a resample without such an image is NaN, as it should be.
        with np.errstate(invalid="ignore", divide="ignore"):
            for position, statistic in statistics.items():
                values[position][columns] = statistic(weights)
    for position, row in enumerate(listed):
        if isinstance(row.statistic, tuple):
            value, replicates = values[position][0], values[position][1:]
            yield [value, *row.statistic[1](value, defined(replicates), settings.confidence)]
        else:
            yield [row.statistic, np.nan, np.nan]


def heads_of(model: Model, models: dict[tuple, Model]) -> list[Head]:
    """The heads of a model, its own site's first; none if it has no other.

    A head's threshold is the one of its own site. Raises InputError where a head's own site is not
    evaluated.
    """
    scored = model.evaluated
    others = [column.removeprefix("score_") for column in scored if column.startswith("score_")]
    heads = []
    for site in [model.site, *others] if others else []:
        key = (site, model.architecture, model.method, model.seed)
        if key not in models:
            raise InputError(
                model.file,
                expected=f"predictions of {' '.join(map(str, key))}, for the threshold of its head",
                found="none",
                fix="evaluate every site of the federation together",
            )
        scores = scored["score" if site == model.site else f"score_{site}"].to_numpy()
        heads.append(Head(site, models[key].task, scores, threshold(models[key].table)))
    return heads


def site_rows(
    site: Site, models: list[tuple[Model, list[Head]]], settings: Resampling
) -> Iterator[list]:
    """The rows of the table for one site."""
    listed = []
    for model, heads in models:
        for head in heads:
            rows = list(head_rows(head, site, settings.minimum_cases))
            if head is not heads[0]:
                rows += pair_rows(heads[0], head, site, settings.minimum_cases)
            listed += [(model, head.task, row) for row in rows]
    drawn = [row for *_, row in listed]
    numbers = resampled(drawn, site.rows, settings.bootstrap, models[0][0].site)
    patients = site.rows["patient"].to_numpy()
    for (model, task, row), number in zip(listed, numbers, strict=True):
        sizes = [int(row.chosen.sum()), len(set(patients[row.chosen]))]
        number = [number[0], np.nan, np.nan] if is_too_few(row.note) else number
        key = [*model.name, row.head, task, row.measure, row.finding, row.label]
        yield [*key, *sizes, *number, row.note]


def read_site(models: list[Model], samples: str, tasks: set[str], unit: str) -> Site:
    """The evaluation images of a site, with the labels of every task that its samples have."""
    rows = models[0].evaluated
    labels = {models[0].task: rows["label"].to_numpy(dtype=float)}
    known = read_samples(samples, rows["image"])
    for task in sorted(tasks - labels.keys()):
        if f"label_{task}" in known:
            labels[task] = known[f"label_{task}"].to_numpy(dtype=float)
    return Site(rows, units(rows, unit), labels)


def crosstask(models: list[Model], files: dict[str, str], settings: Resampling) -> pd.DataFrame:
    """The table of all models with several heads. files: the samples of each site."""
    tasks = {model.task for model in models}
    by_name = {(one.site, one.architecture, one.method, one.seed): one for one in models}
    rows: list[list] = []
    unit = settings.bootstrap.unit
    for name, group in comparable(models, unit).items():
        site = read_site(group, samples_of(name, files), tasks, unit)
        several = [(model, heads) for model in group if (heads := heads_of(model, by_name))]
        if several:
            rows += site_rows(site, several, settings)
    return CROSSTASK.frame(rows)


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    add_predictions(parser)
    add_samples(parser)
    parser.add_argument("--settings", required=True, metavar="JSON", help="a Resampling")
    parser.add_argument("--output", required=True, type=Path, metavar="OUT")
    arguments = parser.parse_args(argv)
    settings = read_settings(arguments.settings, Resampling)
    models = read_models(arguments.prediction, arguments.task)
    table = crosstask(models, dict(arguments.samples), settings)
    with replacing(arguments.output) as temporary:
        CROSSTASK.write(table, temporary)


if __name__ == "__main__":
    run(main)
