"""Predictions to calibration, operating points and decision curves."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run
from chexviz.base.files import replacing_all
from chexviz.base.options import finite_json
from chexviz.base.progress import Progress
from chexviz.base.randomness import stream
from chexviz.base.tables.evaluation import RATES
from chexviz.evaluation.calibration_measures import (
    Recalibration,
    assign_bins,
    chance_calibration_error,
    expected_calibration_error,
    fit_temperature,
    recalibrate,
    scale,
)
from chexviz.evaluation.evaluate import (
    MODEL,
    Bootstrap,
    Model,
    add_predictions,
    read_models,
    read_settings,
    require_same_images,
    units,
    why_no_interval,
)
from chexviz.evaluation.metrics import (
    mean_interval,
    normal_quantile,
    rate_interval,
    standard_deviation,
)
from chexviz.evaluation.operating_points import (
    THRESHOLDS,
    Outcomes,
    net_benefit,
    rates,
    sensitivity_threshold,
)

BINS = 10  # at most; fewer where a bin would hold too few images
HISTOGRAM = 20  # bins of equal width for the distribution of scores
SCALINGS = ("none", "temperature")
COUNTS = ["images", "patients", "positives"]
NO_SLOPE = (
    "no intercept and slope: the scores of {} positive and {} negative images separate the "
    "classes, or all but do, or are all equal"
)


def with_bounds(*names: str) -> list[str]:
    return [f"{name}{bound}" for name in names for bound in ("", "_low", "_high")]


CALIBRATION = [
    *(*MODEL, "scaling", "temperature", *COUNTS, "observed", "predicted"),
    *with_bounds("brier"),
    *("ece", "ece_chance", "bins"),
    *with_bounds("intercept", "slope"),
    "note",
]
RELIABILITY = [*MODEL, "scaling", "bin", "images", "positives", "predicted"]
RELIABILITY += [*with_bounds("observed"), "note"]
DISTRIBUTION = [*MODEL, "scaling", "score", "positives", "negatives"]
OPERATING = [*MODEL, "target", "chosen_on", "threshold", *COUNTS, *with_bounds(*RATES), "note"]
DECISION = [*MODEL, "scaling", "threshold", *with_bounds("net_benefit"), "all", "note"]


class Settings(NamedTuple):
    """bootstrap: see evaluate. sensitivities: each in (0, 1)."""

    bootstrap: Bootstrap
    sensitivities: list[float]


def read(text: str) -> Settings:
    """The settings from their JSON; raises InputError for a missing or wrong value."""
    bootstrap = read_settings(text)
    targets = finite_json(text).get("sensitivities")
    if not (
        isinstance(targets, list)
        and all(type(target) is float and 0 < target < 1 for target in targets)
    ):
        raise InputError(
            "--settings",
            expected='"sensitivities": list of numbers in (0, 1)',
            found=f"sensitivities {targets!r}",
            fix="correct the section 'evaluation' of the configuration",
        )
    return Settings(bootstrap, targets)


class Sample:
    """A site's evaluation images and the bootstrap resamples of its units.

    Weights are how often each unit was drawn (units, 1 + B), the data itself as column 0. Unlike
    the resamples of AUROC these are not stratified: how frequent a finding is decides whether its
    probabilities hold, and stratified resamples would never vary it. images: drawn (1 + B,).
    note: of too few cases, which leave no value an interval; or ''.
    """

    def __init__(self, rows: pd.DataFrame, bootstrap: Bootstrap, site: str):
        self.note = why_no_interval(rows, bootstrap)
        self.labels, self.unit = rows["label"].to_numpy(), units(rows, bootstrap.unit)
        self.confidence = bootstrap.confidence
        count = self.unit.max() + 1
        generator = np.random.default_rng(stream(bootstrap.seed, "calibration", site))
        self.weights = np.ones((count, 1 + bootstrap.replicates))
        for replicate in range(1, 1 + bootstrap.replicates):
            drawn = generator.integers(count, size=count)
            self.weights[:, replicate] = np.bincount(drawn, minlength=count)
        self.images = self.sums(np.zeros(len(rows), dtype=int), 1)[0]

    def sums(self, group: np.ndarray, groups: int, values: np.ndarray | None = None) -> np.ndarray:
        """Sums of the images' values (n,), 1 without any, in each group (groups, 1 + B).

        group: of each image (n,), integers in [0, groups).
        """
        values = np.ones(len(group)) if values is None else values
        kept = values != 0  # a stored 0 would cost as much as any value
        entries = values[kept], (group[kept], self.unit[kept])
        return csr_array(entries, shape=(groups, len(self.weights))) @ self.weights

    def units_of(self, chosen: np.ndarray) -> int:
        """How many units the chosen images, bool (n,), have."""
        return len(np.unique(self.unit[chosen]))

    def rate_bounds(self, values: np.ndarray, units: int) -> list[float]:
        """A rate with Wilson's interval (see metrics.rate_interval), all NaN if undefined.

        values: the rate and its replicates (1 + B,), of which some may be undefined (NaN). units:
        how many the rate is of.
        """
        if self.note or np.isnan(values[0]):
            return [values[0], np.nan, np.nan]
        replicates = values[1:][~np.isnan(values[1:])]
        return [values[0], *rate_interval(values[0], replicates, units, self.confidence)]

    def mean_bounds(self, values: np.ndarray) -> list[float]:
        """A mean in (0, 1) with an interval that is symmetric on the scale of the logit.

        values: the mean and its replicates (1 + B,). Where nothing varies there is none.
        """
        if self.note or np.ptp(values) < 1e-12:  # rounding
            return [values[0], np.nan, np.nan]
        units = len(self.weights)
        return [values[0], *mean_interval(values[0], values[1:], units, self.confidence)]

    def normal_bounds(self, value: float, error: float) -> list[float]:
        """A value with the interval of the normal distribution; none where nothing varies."""
        margin = normal_quantile(self.confidence) * error if error and not self.note else np.nan
        return [value, value - margin, value + margin]


class Scaled(NamedTuple):
    """The probabilities of a model's evaluation images (n,), and how they were scaled.

    note: why there are none; '' otherwise.
    """

    scaling: str
    temperature: float
    scores: np.ndarray | None
    note: str


def scalings(model: Model, settings: Bootstrap) -> list[Scaled]:
    """The scores as they are, and scaled by the temperature that the validation images choose.

    Nothing is ever fitted on evaluation images: without validation images there is no scaling, nor
    with too few of them.
    """
    is_validation = model.table["subset"] == "validation"
    rows, chosen = model.table[~is_validation], model.table[is_validation]
    scores = rows["score"].to_numpy()
    plain = Scaled(SCALINGS[0], 1.0, scores, "")
    note = why_not_chosen(chosen, settings)
    if note:
        return [plain, Scaled(SCALINGS[1], np.nan, None, f"not fitted: {note}")]
    temperature = fit_temperature(chosen["label"].to_numpy(), chosen["score"].to_numpy())
    return [plain, Scaled(SCALINGS[1], temperature, scale(scores, temperature), "")]


def why_not_chosen(rows: pd.DataFrame, settings: Bootstrap) -> str:
    """Why these validation images choose nothing; '' if they do."""
    if rows.empty:
        return "the protocol has no validation images"
    note = why_no_interval(rows, settings)
    return f"{note}, of the {rows['subset'].iloc[0]} images" if note else ""


def counts(rows: pd.DataFrame) -> list[int]:
    return [len(rows), rows["patient"].nunique(), int(rows["label"].sum())]


def calibration_rows(
    sample: Sample, rows: pd.DataFrame, scaled: Scaled, minimum: int
) -> tuple[list, list[list]]:
    """The row of calibration.csv and those of reliability.csv, without the model's name.

    With too few cases no intercept and slope are fitted. minimum: images of a bin.
    """
    head = [scaled.scaling, scaled.temperature, *counts(rows)]
    if scaled.scores is None:
        empty = len(CALIBRATION) - len(MODEL) - len(head) - 1
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
        shown, note = (
            sample.rate_bounds(observed[number], sample.units_of(bin == number)),
            sample.note,
        )
        if size < minimum:
            shown, note = [shown[0], np.nan, np.nan], f"too few images: fewer than {minimum}"
        mean = predicted[number] / size
        reliability.append([scaled.scaling, number + 1, int(size), int(found), mean, *shown, note])
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
    is_validation = model.table["subset"] == "validation"
    rows, subset = (
        model.table[~is_validation],
        "validation" if is_validation.any() else "evaluation",
    )
    chosen = model.table[model.table["subset"] == subset]
    note = why_not_chosen(chosen, settings.bootstrap)
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
        said = f"not chosen: {note}" if note else sample.note or undefined(values)
        found.append([target, subset, threshold, *counts(rows), *np.ravel(values), said])
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


TABLES = {
    "calibration": CALIBRATION,
    "reliability": RELIABILITY,
    "distribution": DISTRIBUTION,
    "operating_points": OPERATING,
    "decision": DECISION,
}


def calibrate(models: list[Model], settings: Settings) -> dict[str, pd.DataFrame]:
    """The TABLES, site by site. Raises InputError where models of a site differ in their images."""
    sites: dict[str, list[Model]] = {model.site: [] for model in models}
    for model in models:
        sites[model.site].append(model)
    for group in sites.values():
        require_same_images(group)
    found: dict[str, list[list]] = {name: [] for name in TABLES}

    def add(table: str, model: Model, rows: list[list]) -> None:
        found[table] += [[*model[: len(MODEL)], *row] for row in rows]

    with Progress("calibrate", total=len(models), unit="model") as progress:
        for site, group in sites.items():
            rows = group[0].table[group[0].table["subset"] == "evaluation"]
            sample = Sample(rows, settings.bootstrap, site)
            for model in group:
                add("operating_points", model, operating_rows(sample, model, settings))
                for scaled in scalings(model, settings.bootstrap):
                    row, bins = calibration_rows(
                        sample, rows, scaled, settings.bootstrap.minimum_cases
                    )
                    add("calibration", model, [row])
                    add("reliability", model, bins)
                    add("distribution", model, distribution_rows(sample.labels, scaled))
                    add("decision", model, decision_rows(sample, scaled))
                progress.step()
    tables = {name: pd.DataFrame(found[name], columns=columns) for name, columns in TABLES.items()}
    tables["calibration"] = tables["calibration"].astype({"bins": "Int64"})
    return tables


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    add_predictions(parser)
    parser.add_argument(
        "--settings",
        required=True,
        metavar="JSON",
        help="{'bootstrap': {...}, 'minimum_cases': 20, 'sensitivities': [0.9]}",
    )
    for name in TABLES:
        parser.add_argument(f"--{name.replace('_', '-')}", required=True, type=Path, metavar="OUT")
    arguments = parser.parse_args(argv)
    settings = read(arguments.settings)
    tables = calibrate(read_models(arguments.prediction, arguments.task), settings)
    with replacing_all({name: getattr(arguments, name) for name in TABLES}) as files:
        for name, table in tables.items():
            table.to_csv(files[name], index=False, lineterminator="\n")


if __name__ == "__main__":
    run(main)
