"""Predictions to metrics with intervals, paired comparisons and ROC curves."""

from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.files import replacing_all
from chexviz.base.methods import BASELINE
from chexviz.base.options import fraction
from chexviz.base.settings import read as read_settings
from chexviz.base.tables.evaluation import COMPARISONS, LITERAL, METRICS, MODEL_METRICS, ROC
from chexviz.evaluation.intervals import percentile_interval
from chexviz.evaluation.metrics import MEASURED, ROC_POINTS, Measures
from chexviz.evaluation.over_seeds import holm
from chexviz.evaluation.paired_tests import (
    Comparison,
    compare,
    compare_delong,
    compare_replicates,
    non_inferiority,
    untested,
)
from chexviz.evaluation.predictions import (
    Model,
    add_predictions,
    comparable,
    find_baselines,
    measurable,
    read_models,
    threshold,
)
from chexviz.evaluation.resamples import (
    Bootstrap,
    Resampling,
    draws,
    positive_units,
    unit_cases,
    units,
    why_no_interval,
)
from chexviz.evaluation.roc import Ranking, auroc

TABLES = {"metrics": MODEL_METRICS, "comparisons": COMPARISONS, "roc": ROC}


def measure_endpoint(
    models: list[Model], thresholds: list[float | None], settings: Bootstrap
) -> tuple[np.ndarray, np.ndarray]:
    """Measure all models of a site and finding on the same resamples of its evaluation images.

    thresholds: of each model; None where it is chosen on these images, so that every resample
    chooses its own.

    Returns, with the data itself as column 0 and B resamples after it, the metrics
    (models, METRICS, 1 + B) and the sensitivities (models, ROC_POINTS, 1 + B).
    """
    rows = models[0].evaluated
    labels, unit = rows["label"].to_numpy(), units(rows, settings.unit)
    measures = [
        Measures(labels, model.evaluated["score"].to_numpy(), unit, chosen)
        for model, chosen in zip(models, thresholds, strict=True)
    ]
    metrics = np.empty((len(models), len(METRICS), 1 + settings.replicates))
    sensitivities = np.empty((len(models), ROC_POINTS, 1 + settings.replicates))

    label = f"evaluate {models[0].site} {models[0].finding} ({len(models)} models)"
    for columns, weights in draws(rows, models[0].site, settings, label):
        for position, measure in enumerate(measures):
            metrics[position, :, columns], sensitivities[position, :, columns] = measure(weights)
    return metrics, sensitivities


def metric_rows(
    models: list[Model], thresholds: list[float], metrics: np.ndarray, settings: Resampling
) -> list[list]:
    """Rows of metrics.csv; metrics: (models, METRICS, 1 + B), see measure_endpoint."""
    rows = []
    for position, model in enumerate(models):
        images = model.evaluated
        counts = [len(images), images["patient"].nunique(), images["label"].sum()]
        cases, note = unit_cases(images, settings.bootstrap.unit), why_no_interval(images, settings)
        values = []
        for metric, (value, *replicates) in zip(METRICS, metrics[position], strict=True):
            bounds = MEASURED[metric].interval(
                value, np.array(replicates), cases, settings.bootstrap.confidence
            )
            values += [value, *((np.nan, np.nan) if note else bounds)]
        rows.append([*model.name, *counts, thresholds[position], *values, note])
    return rows


def auroc_replicates(models: list[Model], settings: Bootstrap) -> np.ndarray | None:
    """AUROC of each model (models, 1 + B), laid out as by measure_endpoint; None where the units of
    one class are missing, which can only happen to patients that are not the configured unit."""
    rows = models[0].evaluated
    labels, unit = rows["label"].to_numpy(), units(rows, settings.unit)
    positive = positive_units(labels, unit)
    if positive.all() or not positive.any():
        return None
    rankings = [Ranking(labels, model.evaluated["score"].to_numpy(), unit) for model in models]
    areas = np.empty((len(models), 1 + settings.replicates))
    label = f"resample {settings.unit}s of {models[0].site} {models[0].finding}"
    for columns, weights in draws(rows, models[0].site, settings, label):
        for position, ranking in enumerate(rankings):
            areas[position, columns] = auroc(ranking.curve(weights))
    return areas


def paired_tests(
    pair: list[Model], areas: Mapping[str, np.ndarray | None], settings: Bootstrap
) -> dict[str, Comparison]:
    """Every paired test of a model against its baseline, by name; the primary one first.

    pair: model and baseline. areas: by resampled unit, the configured one first, the AUROC of both
    (2, 1 + B) as data and replicates, or None.
    """
    labels = pair[0].evaluated["label"].to_numpy()
    scores = np.stack([model.evaluated["score"].to_numpy() for model in pair])
    differences = {
        unit: values[0] - values[1] for unit, values in areas.items() if values is not None
    }
    primary = differences[settings.unit]
    difference = float(primary[0])
    found = {
        f"bootstrap_{unit}s": compare(difference, values[1:], settings.confidence)
        for unit, values in differences.items()
    }
    if min(labels.sum(), (1 - labels).sum()) > 1:
        found["delong"] = compare_delong(difference, labels, scores, settings.confidence)
    found[LITERAL] = compare_replicates(difference, primary[1:], settings.confidence)
    return found


def comparison_rows(
    models: list[Model], metrics: np.ndarray, settings: Resampling, margin: float
) -> list[list]:
    """Rows of comparisons.csv; metrics: (models, METRICS, 1 + B), see measure_endpoint.

    margin: AUROC, > 0; a loss that is surely smaller is not inferior. With too few cases there is
    the difference alone, and the note says so.
    """
    baselines = find_baselines(models)
    if not baselines:
        return []
    note, bootstrap = why_no_interval(models[0].evaluated, settings), settings.bootstrap
    other = "image" if bootstrap.unit == "patient" else "patient"
    areas = {
        bootstrap.unit: metrics[:, [*METRICS].index("auroc")],
        other: auroc_replicates(models, msgspec.structs.replace(bootstrap, unit=other)),
    }
    rows = []
    pairs = [(one, reference) for one, several in baselines.items() for reference in several]
    for position, reference in pairs:
        both = [position, reference]
        pair_areas = {
            unit: None if values is None else values[both] for unit, values in areas.items()
        }
        found = paired_tests([models[one] for one in both], pair_areas, bootstrap)
        *model, seed = models[position].name
        for name, compared in found.items():
            compared = untested(compared) if note else compared
            tested = non_inferiority(compared, margin)
            rows.append(
                [
                    *(*model, BASELINE, models[reference].head, seed, name, *compared),
                    *(np.nan, margin, np.nan if name == LITERAL else tested, note),
                ]
            )
    return rows


def correct(comparisons: pd.DataFrame, external: set[str]) -> pd.DataFrame:
    """Holm's correction within each family: a method, test and seed, over all else.

    For the paper's method that is its four comparisons. Methods and seeds are families of their
    own, and so are the comparisons at external sites: adding one must not change what was found of
    another.
    """
    family = ["method", "test", "seed", comparisons["site"].isin(external)]
    for _, rows in comparisons.groupby(family):
        comparisons.loc[rows.index, "p_holm"] = holm(rows["p"].to_numpy())
    return comparisons


def roc_rows(models: list[Model], sensitivities: np.ndarray, settings: Resampling) -> list[list]:
    """Rows of roc.csv; sensitivities: (models, ROC_POINTS, 1 + B), see measure_endpoint."""
    low, high = percentile_interval(sensitivities[:, :, 1:], settings.bootstrap.confidence)
    if why_no_interval(models[0].evaluated, settings):
        low, high = np.full((2, *low.shape), np.nan)
    rows = []
    for position, model in enumerate(models):
        tpr = sensitivities[position, :, 0]
        for point in range(ROC_POINTS):
            fpr = point / (ROC_POINTS - 1)
            rows.append([*model.name, fpr, tpr[point], low[position, point], high[position, point]])
    return rows


def evaluate(
    models: list[Model], settings: Resampling, margin: float | None
) -> dict[str, pd.DataFrame]:
    """The TABLES, endpoint by endpoint. Raises InputError before any work.

    margin: AUROC, of non-inferiority; None: nothing is compared, and no baseline is needed.
    """
    metrics, comparisons, curves = [], [], []
    checked = measurable if margin is None else comparable
    for group in checked(models, settings.bootstrap.unit).values():
        thresholds = [threshold(model) for model in group]
        fixed = [
            None if model.chosen_on == "evaluation" else chosen
            for model, chosen in zip(group, thresholds, strict=True)
        ]
        measured, sensitivities = measure_endpoint(group, fixed, settings.bootstrap)
        metrics += metric_rows(group, thresholds, measured, settings)
        if margin is not None:
            comparisons += comparison_rows(group, measured, settings, margin)
        curves += roc_rows(group, sensitivities, settings)
    rows = {"metrics": metrics, "comparisons": comparisons, "roc": curves}
    tables = {name: table.frame(rows[name]) for name, table in TABLES.items()}
    external = {model.site for model in models if model.elsewhere is not None}
    return tables | {"comparisons": correct(tables["comparisons"], external)}


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    add_predictions(parser)
    parser.add_argument("--settings", required=True, metavar="JSON", help="a Resampling")
    parser.add_argument("--margin", required=True, type=fraction, help="AUROC, of non-inferiority")
    for name in TABLES:
        parser.add_argument(f"--{name}", required=True, type=Path, metavar="OUT")
    arguments = parser.parse_args(argv)
    settings = read_settings(arguments.settings, Resampling)
    models = read_models(arguments.prediction, arguments.findings)
    tables = evaluate(models, settings, arguments.margin)
    with replacing_all({name: getattr(arguments, name) for name in TABLES}) as files:
        for name, table in TABLES.items():
            table.write(tables[name], files[name])


if __name__ == "__main__":
    run(main)
