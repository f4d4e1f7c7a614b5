"""Predictions to calibration, operating points and decision curves."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.files import replacing_all
from chexviz.base.progress import Progress
from chexviz.base.settings import Share
from chexviz.base.settings import read as read_settings
from chexviz.base.tables.evaluation import (
    CALIBRATION,
    DECISION,
    DISTRIBUTION,
    OPERATING_POINTS,
    RATES,
    RELIABILITY,
)
from chexviz.base.tables.models import MODEL
from chexviz.evaluation.calibration_measures import (
    Recalibration,
    assign_bins,
    chance_calibration_error,
    expected_calibration_error,
    fit_temperature,
    recalibrate,
)
from chexviz.evaluation.calibration_sample import Sample
from chexviz.evaluation.intervals import standard_deviation
from chexviz.evaluation.operating_points import (
    THRESHOLDS,
    Outcomes,
    net_benefit,
    rates,
    sensitivity_threshold,
)
from chexviz.evaluation.predictions import (
    OTHER_SITES,
    Model,
    add_predictions,
    by_endpoint,
    read_models,
)
from chexviz.evaluation.resamples import Resampling, why_no_interval
from chexviz.evaluation.temperature import scale

BINS = 10  # at most; fewer where a bin would hold too few images
HISTOGRAM = 20  # bins of equal width for the distribution of scores
SCALINGS = ("none", "temperature")
NO_SLOPE = (
    "no intercept and slope: the scores of {} positive and {} negative images separate the "
    "classes, or all but do, or are all equal"
)
TABLES = {
    "calibration": CALIBRATION,
    "reliability": RELIABILITY,
    "distribution": DISTRIBUTION,
    "operating_points": OPERATING_POINTS,
    "decision": DECISION,
}


class Settings(Resampling, frozen=True):
    """sensitivities: that operating points are chosen for."""

    sensitivities: list[Share]


class Scaled(NamedTuple):
    """The probabilities of a model's evaluation images (n,), and how they were scaled.

    note: why there are none; '' otherwise.
    """

    scaling: str
    temperature: float
    scores: np.ndarray | None
    note: str


def scalings(model: Model, settings: Resampling) -> list[Scaled]:
    """The scores as they are, and scaled by the temperature that the validation images choose.

    Nothing is ever fitted on evaluation images: without validation images there is no scaling, nor
    with too few of them, nor at an external site.
    """
    chosen, scores = model.validation, model.evaluated["score"].to_numpy()
    plain = Scaled(SCALINGS[0], 1.0, scores, "")
    external = model.chosen_on == OTHER_SITES
    note = "the site is external" if external else why_not_chosen(chosen, settings)
    if note:
        return [plain, Scaled(SCALINGS[1], np.nan, None, f"not fitted: {note}")]
    temperature = fit_temperature(chosen["label"].to_numpy(), chosen["score"].to_numpy())
    return [plain, Scaled(SCALINGS[1], temperature, scale(scores, temperature), "")]


def why_not_chosen(rows: pd.DataFrame, settings: Resampling) -> str:
    """Why these validation images choose nothing; '' if they do."""
    if rows.empty:
        return "the protocol has no validation images"
    note = why_no_interval(rows, settings)
    return f"{note}, of the {rows['subset'].iloc[0]} images" if note else ""


def counts(rows: pd.DataFrame) -> list[int]:
    """How many images, patients and positives there are."""
    return [len(rows), rows["patient"].nunique(), int(rows["label"].sum())]


def calibration_rows(
    sample: Sample, rows: pd.DataFrame, scaled: Scaled, minimum: int
) -> tuple[list, list[list]]:
    """The row of calibration.csv and those of reliability.csv, without the model's name.

    With too few cases no intercept and slope are fitted. minimum: images of a bin.
    """
    head = [scaled.scaling, scaled.temperature, *counts(rows)]
    if scaled.scores is None:
        empty = len(CALIBRATION.names) - len(MODEL) - len(head) - 1
        return [*head, *[np.nan] * empty, scaled.note], []
    labels, scores = sample.labels, scaled.scores
    bin = assign_bins(scores, min(BINS, max(len(scores) // minimum, 1)))
    bins = bin.max() + 1
    images, positives = sample.sums(bin, bins), sample.sums(bin, bins, labels.astype(float))
    predicted = np.bincount(bin, scores)
    with np.errstate(invalid="ignore"):
        observed = positives / images
    whole = np.zeros(len(scores), dtype=int)
    brier = sample.sums(whole, 1, (scores - labels) ** 2)[0] / sample.images
    fit, note = Recalibration(*[np.nan] * 4), sample.note
    if not note:
        fit = recalibrate(labels, scores, sample.unit)
        found = int(labels.sum())
        note = "" if np.isfinite(fit.slope) else NO_SLOPE.format(found, len(labels) - found)
    row = [
        *(*head, labels.mean(), scores.mean(), *sample.mean_bounds(brier)),
        expected_calibration_error(positives[:, 0], predicted, len(scores)),
        *(chance_calibration_error(scores, bin), bins),
        *sample.normal_bounds(fit.intercept, fit.intercept_error),
        *sample.normal_bounds(fit.slope, fit.slope_error),
        note,
    ]
    reliability = []
    for number, (size, found) in enumerate(zip(images[:, 0], positives[:, 0], strict=True)):
        rate = sample.rate_bounds(observed[number], sample.units_of(bin == number))
        note = sample.note
        if size < minimum:
            rate, note = [rate[0], np.nan, np.nan], f"too few images: fewer than {minimum}"
        mean = predicted[number] / size
        reliability.append([scaled.scaling, number + 1, int(size), int(found), mean, *rate, note])
    return row, reliability


def distribution_rows(labels: np.ndarray, scaled: Scaled) -> list[list]:
    """Rows of distribution.csv: images of each class by score, in bins named by their low end."""
    if scaled.scores is None:
        return []
    edges = np.linspace(0, 1, HISTOGRAM + 1)
    positives, negatives = (
        np.histogram(scaled.scores[labels == value], edges)[0] for value in (1, 0)
    )
    columns = zip(edges[:-1].round(6), positives, negatives, strict=True)
    return [[scaled.scaling, *row] for row in columns]


def undefined(values: list[list[float]]) -> str:
    """Which of the RATES (4, 3), see Sample.rate_bounds, do not exist; '' if all do."""
    missing = [name for name, (value, *_) in zip(RATES, values, strict=True) if np.isnan(value)]
    return f"{', '.join(missing)}: not defined, no image is called so" if missing else ""


def operating_rows(sample: Sample, model: Model, settings: Settings) -> list[list]:
    """Rows of operating_points.csv, without the model's name: one for each wanted sensitivity."""
    rows, chosen = model.evaluated, model.choosing
    note = why_not_chosen(chosen, settings)
    if note and model.chosen_on == OTHER_SITES:
        note = f"{note} of {OTHER_SITES}"
    found = []
    for target in settings.sensitivities:
        threshold, values = np.nan, [[np.nan] * 3] * len(RATES)
        if not note:
            choosing = chosen["label"].to_numpy(), chosen["score"].to_numpy()
            threshold = sensitivity_threshold(*choosing, target)
            called = rows["score"].to_numpy() >= threshold
            positive = sample.labels == 1
            outcome = 2 * (~called) + ~positive  # in the order of Outcomes
            measured = rates(Outcomes(*sample.sums(outcome, 4)))
            parts = (positive, ~positive, called, ~called)  # of which the RATES are taken
            values = [
                sample.rate_bounds(rate, sample.units_of(part))
                for rate, part in zip(measured, parts, strict=True)
            ]
        remark = f"not chosen: {note}" if note else sample.note or undefined(values)
        found.append([target, model.chosen_on, threshold, *counts(rows), *np.ravel(values), remark])
    return found


def decision_rows(sample: Sample, scaled: Scaled) -> list[list]:
    """Rows of decision.csv, without the model's name: net benefit at each of THRESHOLDS."""
    if scaled.scores is None:
        return [[scaled.scaling, *[np.nan] * 5, scaled.note]]
    steps = np.searchsorted(THRESHOLDS, scaled.scores, side="right")
    positive = sample.labels == 1
    true, false = (
        sample.sums(steps, len(THRESHOLDS) + 1, one.astype(float))[::-1].cumsum(axis=0)[-2::-1]
        for one in (positive, ~positive)
    )
    benefit = net_benefit(true, false, sample.images, THRESHOLDS[:, np.newaxis])
    errors = [standard_deviation(replicates) for replicates in benefit[:, 1:]]
    values = map(sample.normal_bounds, benefit[:, 0], errors)
    all_treated = net_benefit(positive.sum(), (~positive).sum(), len(positive), THRESHOLDS)
    columns = zip(THRESHOLDS, values, all_treated, strict=True)
    note = sample.note
    return [[scaled.scaling, at, *value, treated, note] for at, value, treated in columns]


def calibrate(models: list[Model], settings: Settings) -> dict[str, pd.DataFrame]:
    """The TABLES, endpoint by endpoint. Raises InputError where models differ in its images."""
    endpoints = by_endpoint(models)
    found: dict[str, list[list]] = {name: [] for name in TABLES}

    def add(table: str, model: Model, rows: list[list]) -> None:
        found[table] += [[*model.name, *row] for row in rows]

    with Progress("calibrate", total=len(models), unit="model") as progress:
        for (site, _), group in endpoints.items():
            rows = group[0].evaluated
            sample = Sample(rows, settings, site)
            for model in group:
                add("operating_points", model, operating_rows(sample, model, settings))
                for scaled in scalings(model, settings):
                    row, bins = calibration_rows(sample, rows, scaled, settings.minimum_cases)
                    add("calibration", model, [row])
                    add("reliability", model, bins)
                    add("distribution", model, distribution_rows(sample.labels, scaled))
                    add("decision", model, decision_rows(sample, scaled))
                progress.step()
    tables = {name: table.frame(found[name]) for name, table in TABLES.items()}
    tables["calibration"] = tables["calibration"].astype({"bins": "Int64"})
    return tables


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    add_predictions(parser)
    parser.add_argument(
        "--settings", required=True, metavar="JSON", help="a Resampling with its sensitivities"
    )
    for name in TABLES:
        parser.add_argument(f"--{name.replace('_', '-')}", required=True, type=Path, metavar="OUT")
    arguments = parser.parse_args(argv)
    settings = read_settings(arguments.settings, Settings)
    tables = calibrate(read_models(arguments.prediction, arguments.findings), settings)
    with replacing_all({name: getattr(arguments, name) for name in TABLES}) as files:
        for name, table in TABLES.items():
            table.write(tables[name], files[name])


if __name__ == "__main__":
    run(main)
