"""What every head of a model says of every training site's images.

A federated model has a task block, a head, for each site. The paper evaluates each on its own site
only; here each scores all images, and the heads are compared on the same ones.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.files import replacing
from chexviz.base.settings import read as read_settings
from chexviz.base.sites import Site, sites_of
from chexviz.base.tables.evaluation import CROSSTASK
from chexviz.base.tables.models import MEAN, answer
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
    IMAGE,
    Heads,
    Model,
    Name,
    add_predictions,
    comparable,
    elsewhere,
    endpoint,
    labelled,
    read_heads,
    require_same_images,
    threshold,
)
from chexviz.evaluation.resamples import Bootstrap, Resampling, defined, draws, units

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


class Row(NamedTuple):
    """A row of the table before it is resampled.

    own: finding of the site's own head that is compared with; '' for none. labels, label: of which
    images; '' for all. chosen: those images, bool (n,). statistic: what is resampled, and the
    interval that its replicates make; or the value itself, which has none. note: why there is no
    value, or no interval where others have one.
    """

    own: str
    measure: str
    labels: str
    label: str
    chosen: np.ndarray
    statistic: tuple[Statistic, Interval] | float
    note: str = ""


class Seen(NamedTuple):
    """The evaluation images of a site: their rows of predictions, their units (n,), and labels.

    labels: for each finding that the site labels, 1, 0 or NaN (n,).
    """

    rows: pd.DataFrame
    unit: np.ndarray
    labels: dict[str, np.ndarray]


class Head(NamedTuple):
    """One head on a site's images: its model's name, scores (n,) and threshold."""

    name: Name
    scores: np.ndarray
    threshold: float

    @property
    def finding(self) -> str:
        """What it knows."""
        return self.name[1]

    @property
    def called(self) -> np.ndarray:
        """Which images it calls positive, bool (n,)."""
        return self.scores >= self.threshold


# --- rows ----------------------------------------------------------------------------------------


def rows_of(head: Head, own: Sequence[Head], seen: Seen, minimum: int) -> Iterator[Row]:
    """The rows of one head. own: the site's heads that it is compared with; none: it is one."""
    yield from head_rows(head, [*(one.finding for one in own), head.finding], seen, minimum)
    for one in own:
        yield from pair_rows(one, head, seen, minimum)


def head_rows(head: Head, findings: list[str], seen: Seen, minimum: int) -> Iterator[Row]:
    """What one head says of a site's images: scores, images called positive, AUROC.

    By the labels of these findings, where the site has them. minimum: cases of each class, for an
    interval.
    """
    everything = np.ones(len(seen.rows), bool)

    def called(chosen: np.ndarray) -> tuple[Statistic, Interval]:
        return rate(head.called, chosen, seen.unit), rate_bounds(seen.unit[chosen])

    yield Row("", "threshold", "", "", everything, head.threshold)
    yield Row("", "called", "", "", everything, called(everything), few_images(seen, minimum))
    for finding in dict.fromkeys(findings):
        if finding not in seen.labels:
            nothing = ~everything
            note = f"the site has no labels of {finding}"
            yield Row("", "auroc", finding, "", nothing, np.nan, note)
            continue
        labels = seen.labels[finding]
        cases = count_cases(labels, seen.unit)
        for label, kind in enumerate(("negative", "positive")):
            chosen = labels == label
            if not chosen.any():
                continue
            for share, score in zip(
                QUANTILES, np.quantile(head.scores[chosen], QUANTILES), strict=True
            ):
                name = f"score_q{round(100 * share):02d}"
                yield Row("", name, finding, str(label), chosen, score)
            note = too_few({kind: cases[kind]}, minimum)
            yield Row("", "called", finding, str(label), chosen, called(chosen), note)
        known = ~np.isnan(labels)
        ranked: tuple[Statistic, Interval] | float = np.nan
        if all(cases.values()):
            ranked = area(labels, head.scores, seen.unit), area_bounds(labels, seen.unit)
        yield Row("", "auroc", finding, "", known, ranked, too_few(cases, minimum))


def few_images(seen: Seen, minimum: int) -> str:
    """Why what is counted over all of a site's images has no interval; '' if it has one."""
    return too_few({"in all": len(np.unique(seen.unit))}, minimum)


def pair_rows(own: Head, other: Head, seen: Seen, minimum: int) -> Iterator[Row]:
    """How the other head goes with the site's own: images that both call positive, correlation."""
    everything, unit = np.ones(len(seen.rows), bool), seen.unit

    few = few_images(seen, minimum)

    def row(measure: str, statistic: tuple[Statistic, Interval] | float, note: str = "") -> Row:
        return Row(own.finding, measure, "", "", everything, statistic, note or few)

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


# --- sites ---------------------------------------------------------------------------------------


def head_of(model: Model, cut: float) -> Head:
    """A head on all evaluation images of a site; cut: its threshold."""
    return Head(model.name, model.evaluated["score"].to_numpy(), cut)


def own_heads(name: str, site: Site, heads: Heads) -> dict[str, Model]:
    """Those of a model's heads that are its answers at a site, by finding."""
    known = {finding: heads.get((name, finding), {}) for finding in site.findings}
    return {finding: one[answer(name, one)] for finding, one in known.items() if one}


def other_heads(name: str, own: dict[str, Model], heads: Heads) -> list[Model]:
    """Its other heads there: of other sites or findings. The mean of several is none of them."""
    return [
        model
        for (site, finding), known in heads.items()
        for head, model in known.items()
        if site == name and model is not own.get(finding) and (head != MEAN or len(known) == 1)
    ]


def described(
    name: str, heads: Heads, sites: Mapping[str, Site]
) -> Iterator[tuple[Head, list[Head]]]:
    """Yield each head of a model at a site, with those of the site's own that it is compared with.

    A head of a finding that the site learns is compared with the site's head of that finding,
    another with each of the site's heads, and those with none. Nothing where there are no others.
    """
    answers = own_heads(name, sites[name], heads)
    others = other_heads(name, answers, heads)
    if answers and others:
        own = {
            finding: head_of(model, threshold(labelled(model)))
            for finding, model in answers.items()
        }
        yield from ((head, []) for head in own.values())
        for model in others:
            chosen = model._replace(elsewhere=elsewhere(model, heads, sites))
            head = head_of(model, threshold(chosen))
            yield head, [own[head.finding]] if head.finding in own else [*own.values()]


def seen_at(name: str, site: Site, models: Sequence[Heads], unit: str) -> Seen:
    """The evaluation images of a site; those with its first finding are resampled as positive.

    Raises InputError where heads differ in the images or their labels.
    """
    said: dict[str, list[Model]] = {}
    for heads in models:
        for (place, finding), known in heads.items():
            if place == name:
                said.setdefault(finding, []).extend(known.values())
    for group in said.values():
        require_same_images(group)
    require_same_images([group[0] for group in said.values()], [*IMAGE])
    labels = {finding: group[0].evaluated["label"].to_numpy() for finding, group in said.items()}
    first = site.findings[0]
    rows = said[first][0].evaluated.assign(label=(labels[first] == 1).astype(int))
    given = {finding: values for finding, values in labels.items() if not np.isnan(values).all()}
    return Seen(rows, units(rows, unit), given)


def site_rows(
    name: str, models: Sequence[Heads], sites: Mapping[str, Site], settings: Resampling
) -> Iterator[list]:
    """The rows of the table for one site."""
    seen = seen_at(name, sites[name], models, settings.bootstrap.unit)
    listed = [
        (head, row)
        for heads in models
        for head, own in described(name, heads, sites)
        for row in rows_of(head, own, seen, settings.minimum_cases)
    ]
    if not listed:
        return
    numbers = resampled([row for _, row in listed], seen.rows, settings.bootstrap, name)
    patients = seen.rows["patient"].to_numpy()
    for (head, row), number in zip(listed, numbers, strict=True):
        sizes = [int(row.chosen.sum()), len(set(patients[row.chosen]))]
        number = [number[0], np.nan, np.nan] if is_too_few(row.note) else number
        yield [*head.name, row.own, row.measure, row.labels, row.label, *sizes, *number, row.note]


def crosstask(
    models: Sequence[Heads], sites: Mapping[str, Site], settings: Resampling
) -> pd.DataFrame:
    """The table of all models with several heads, at every site that trains."""
    training = [name for name, site in sites.items() if site.trains]
    answers = [
        model
        for name in training
        for finding in sites[name].findings
        for model in endpoint(name, finding, models, sites)
    ]
    comparable(answers, settings.bootstrap.unit)
    rows = [row for name in training for row in site_rows(name, models, sites, settings)]
    return CROSSTASK.frame(rows)


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    add_predictions(parser)
    parser.add_argument("--settings", required=True, metavar="JSON", help="a Resampling")
    parser.add_argument("--output", required=True, type=Path, metavar="OUT")
    arguments = parser.parse_args(argv)
    settings = read_settings(arguments.settings, Resampling)
    sites = sites_of(arguments.findings)
    models = read_heads(arguments.prediction, sites)
    table = crosstask([*models.values()], sites, settings)
    with replacing(arguments.output) as temporary:
        CROSSTASK.write(table, temporary)


if __name__ == "__main__":
    run(main)
