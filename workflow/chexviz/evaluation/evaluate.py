"""Predictions to metrics with intervals, paired comparisons and ROC curves."""

import argparse
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from chexviz.base import user_tables
from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run
from chexviz.base.files import replacing
from chexviz.base.methods import BASELINE
from chexviz.base.options import finite_json, fraction
from chexviz.base.progress import Progress
from chexviz.base.randomness import stream
from chexviz.base.tables.evaluation import LITERAL, METRICS
from chexviz.evaluation.cases import count_cases, too_few
from chexviz.evaluation.metrics import (
    ROC_POINTS,
    Comparison,
    Measures,
    compare,
    compare_delong,
    compare_replicates,
    interval,
    metric_interval,
    non_inferiority,
    untested,
    youden_threshold,
)
from chexviz.evaluation.over_seeds import holm
from chexviz.evaluation.roc import (
    Ranking,
    auroc,
    class_units,
    positive_units,
    require_both_classes,
    resamples,
)

SUBSETS = ("validation", "evaluation")
MODEL = ["site", "task", "architecture", "method", "seed"]
COUNTS = ["images", "patients", "positives", "threshold"]
INTERVALS = [f"{metric}{bound}" for metric in METRICS for bound in ("", "_low", "_high")]
COMPARISON = ["difference", "low", "high", "standard_error", "statistic", "p"]
CORRECTED = ["p_holm", "margin", "p_non_inferior", "note"]
COMPARISONS = [*MODEL[:4], "reference", "seed", "test", *COMPARISON, *CORRECTED]
ROC = ["site", "architecture", "method", "seed", "fpr", "tpr", "low", "high"]


class Bootstrap(NamedTuple):
    """How sure a number is, is found by resampling, if there are enough cases.

    replicates: >= 2. unit: patient or image. confidence: in (0, 1). seed: of the resamples.
    minimum_cases: units of each class, >= 5, for an interval or a p value (see cases.too_few).
    """

    replicates: int
    unit: str
    confidence: float
    seed: int
    minimum_cases: int


class Model(NamedTuple):
    """A model on the images of one site: its name and its predictions (see read_predictions)."""

    site: str
    task: str
    architecture: str
    method: str
    seed: int
    file: str
    table: pd.DataFrame


def read_settings(text: str) -> Bootstrap:
    """The settings from their JSON; raises InputError for a missing, unknown or wrong value."""

    def refuse(found: str) -> InputError:
        return InputError(
            "--settings",
            expected='{"bootstrap": {"replicates": integer >= 2, "unit": "patient" or "image", '
            '"confidence": between 0 and 1, "seed": integer}, "minimum_cases": integer >= 5}',
            found=found,
            fix="correct the section 'evaluation' of the configuration",
        )

    try:
        section = finite_json(text)
        settings = Bootstrap(**section["bootstrap"], minimum_cases=section["minimum_cases"])
    except (ValueError, TypeError, KeyError):
        raise refuse(text) from None
    acceptable = {
        "replicates": type(settings.replicates) is int and settings.replicates >= 2,
        "unit": settings.unit in ("patient", "image"),
        "confidence": type(settings.confidence) is float and 0 < settings.confidence < 1,
        "seed": type(settings.seed) is int,
        "minimum_cases": type(settings.minimum_cases) is int and settings.minimum_cases >= 5,
    }
    for name, accepted in acceptable.items():
        if not accepted:
            raise refuse(f"{name} {getattr(settings, name)!r}")
    return settings


def made(file: str, fix: str) -> pd.DataFrame:
    """A table of predictions of this workflow. Raises InputError if it is no table."""
    try:
        return pd.read_csv(file, dtype=str, keep_default_na=False)
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise InputError(file, expected="a CSV table", found=str(error), fix=fix) from None


def brought(file: Path, fix: str) -> pd.DataFrame:
    """A table of predictions from elsewhere, with what it need not say. Raises InputError."""
    table = user_tables.read(file, ["image", "label", "score"], ["patient", "subset"], fix=fix)
    table["label"] = user_tables.labels(table["label"])
    if "patient" in table:
        table["patient"] = user_tables.known(table["patient"])
    defaults = {"patient": table["image"], "subset": "evaluation"}
    return table.assign(**{name: defaults[name] for name in defaults if name not in table})


def read_predictions(file: str, *, alone: bool = False) -> pd.DataFrame:
    """A table of predictions, checked and sorted by image.

    alone: the table comes from elsewhere; it is of one site, without a patient each image is a
    patient of its own, without a subset all images evaluate, and other columns are left out.

    Returns site (unless alone), image, patient, subset (str), label (0 or 1), and as float64 score
    and score_<site> of the heads of other sites (NaN at their own). Sorted, so that resamples do
    not depend on the order in which a file lists its images.
    Raises InputError for anything that could not be evaluated.
    """
    rerun = "remove the file and run the prediction again"
    if alone:
        rerun = "correct the table; docs/evaluation.md says what it must hold"
    key = ["image"] if alone else ["site", "image"]
    columns = [*key, "patient", "label", "subset", "score"]
    table = brought(Path(file), rerun)[columns] if alone else made(file, rerun)
    if missing := [column for column in columns if column not in table]:
        raise InputError(
            file,
            expected=f"the columns {', '.join(columns)}",
            found=f"no column {', '.join(missing)} in {', '.join(table)}",
            fix=rerun,
        )
    scores = ["score", *(column for column in table if column.startswith("score_"))]
    # to_numeric tells numbers from text, but its parser may miss the nearest float64.
    values = {name: pd.to_numeric(table[name], errors="coerce") for name in ("label", *scores)}
    own = "score_" + table[key[0]]  # which is empty: `score` is that of the site's own head
    for column, expected, valid in (
        ("image", "an id in every row", table["image"] != ""),
        ("image", "every image once", ~table.duplicated(key)),
        ("patient", "a patient in every row (NA and the like are none)", table["patient"] != ""),
        ("subset", f"{' or '.join(SUBSETS)} in every row", table["subset"].isin(SUBSETS)),
        ("label", "a label of 0 or 1 in every row", values["label"].isin([0, 1])),
        *(
            (
                score,
                "a probability in [0, 1] in every row",
                values[score].between(0, 1) | ((own == score) & (table[score] == "")),
            )
            for score in scores
        ),
    ):
        if not valid.all():
            first = table[~valid].iloc[0]
            raise InputError(
                file,
                expected=expected,
                found=f"{column} {first[column]!r} of image {first['image']!r} "
                f"({(~valid).sum()} such rows)",
                fix=rerun,
            )
    table["label"] = values["label"].astype(int)
    table[scores] = table[scores].replace("", "nan").astype(float)
    return table[[*columns[:-1], *scores]].sort_values("image", ignore_index=True)


def require_classes(model: Model, unit: str) -> None:
    """Raise InputError where a subset has one class only, or all its resampled units do."""
    for subset in SUBSETS:
        rows = model.table[model.table["subset"] == subset]
        if subset == "evaluation" or len(rows):
            positives = rows["label"].sum()
            if positives in (0, len(rows)):
                raise InputError(
                    model.file,
                    expected=f"{subset} images with and without {model.task}",
                    found=f"{positives} with and {len(rows) - positives} without",
                    fix=f"split again with a larger {subset} subset or another seed, or add "
                    "images of the class that is missing",
                )
    rows = model.table[model.table["subset"] == "evaluation"]
    try:
        require_both_classes(
            positive_units(rows["label"].to_numpy(), units(rows, unit)), "patients"
        )
    except ValueError as error:
        raise InputError(
            model.file,
            expected=f"evaluation patients with and without {model.task}, to resample both",
            found=str(error),
            fix="set bootstrap.unit to 'image' (compare: --unit image), or add patients",
        ) from None


def require_same_images(models: list[Model]) -> None:
    """Raise InputError unless all models of a site have the same images and labels."""
    first = models[0]
    for model in models[1:]:
        columns = ["image", "patient", "label", "subset"]
        both = first.table[columns].merge(model.table[columns], how="outer", indicator=True)
        differing = both[both["_merge"] != "both"]
        if len(differing):
            image, count = differing["image"].iloc[0], differing["image"].nunique()
            raise InputError(
                model.file,
                expected=f"the images, patients, labels and subsets of {first.file}: "
                f"{describe(first.table, image)}",
                found=f"{describe(model.table, image)} ({count} images differ)",
                fix="predict with both models on the same split: remove both files and run again",
            )


def describe(table: pd.DataFrame, image: str) -> str:
    """What a table says of an image, for a message."""
    for row in table[table["image"] == image].itertuples():
        return f"image {image!r} of patient {row.patient!r}, label {row.label}, in {row.subset}"
    return f"no image {image!r}"


def find_baselines(models: list[Model]) -> dict[int, int]:
    """For each model beside the baselines (by position): its baseline's position.

    The baseline of a model has its site, architecture and seed. Raises InputError where there is
    none, or where two files claim to be the same model.
    """
    positions: dict[tuple, int] = {}
    for position, model in enumerate(models):
        key = (model.site, model.architecture, model.method, model.seed)
        if key in positions:
            raise InputError(
                model.file,
                expected="one file of predictions for each model",
                found=f"{models[positions[key]].file} for the same {' '.join(map(str, key))}",
                fix="name each model once",
            )
        positions[key] = position
    baselines = {}
    for (site, architecture, method, seed), position in positions.items():
        if method != BASELINE:
            if (site, architecture, BASELINE, seed) not in positions:
                raise InputError(
                    models[position].file,
                    expected=f"predictions of {site} {architecture} {BASELINE} {seed} to compare",
                    found="none",
                    fix=f"add the method '{BASELINE}' for this architecture and seed",
                )
            baselines[position] = positions[site, architecture, BASELINE, seed]
    return baselines


def units(rows: pd.DataFrame, unit: str) -> np.ndarray:
    """The index of each row's resampled unit, in order of appearance (n,)."""
    return pd.factorize(rows["patient"])[0] if unit == "patient" else np.arange(len(rows))


def threshold(table: pd.DataFrame) -> float:
    """Youden's threshold on the validation images, or on the evaluation images without any."""
    chosen = table[table["subset"] == "validation"]
    rows = chosen if len(chosen) else table
    return youden_threshold(rows["label"].to_numpy(), rows["score"].to_numpy())


def draws(
    rows: pd.DataFrame, site: str, settings: Bootstrap, label: str
) -> Iterator[tuple[slice, np.ndarray]]:
    """The evaluation images of a site as they are (column 0), then resampled (columns 1 to B).

    rows: of a table of predictions. Yields the columns of a block and how often each unit is in it
    (units, block). Whoever resamples a site draws the same, so that the tables agree. label: of
    the progress.
    """
    positive = positive_units(rows["label"].to_numpy(), units(rows, settings.unit))
    yield slice(0, 1), np.ones((len(positive), 1))
    generator = np.random.default_rng(stream(settings.seed, "bootstrap", site))
    with Progress(label, total=settings.replicates, unit="resample") as progress:
        done = 1
        for weights in resamples(positive, settings.replicates, generator):
            yield slice(done, done + weights.shape[1]), weights
            done += weights.shape[1]
            progress.step(weights.shape[1])


def measure_site(
    models: list[Model], thresholds: list[float | None], settings: Bootstrap
) -> tuple[np.ndarray, np.ndarray]:
    """Measure all models of a site on the same resamples of its evaluation images.

    thresholds: of each model; None where it is chosen on these images, so that every resample
    chooses its own.

    Returns, with the data itself as column 0 and B resamples after it, the metrics
    (models, METRICS, 1 + B) and the sensitivities (models, ROC_POINTS, 1 + B).
    """
    is_evaluated = models[0].table["subset"] == "evaluation"
    rows = models[0].table[is_evaluated]
    labels, unit = rows["label"].to_numpy(), units(rows, settings.unit)
    measures = [
        Measures(labels, model.table.loc[is_evaluated, "score"].to_numpy(), unit, chosen)
        for model, chosen in zip(models, thresholds, strict=True)
    ]
    metrics = np.empty((len(models), len(METRICS), 1 + settings.replicates))
    sensitivities = np.empty((len(models), ROC_POINTS, 1 + settings.replicates))

    label = f"evaluate {models[0].site} ({len(models)} models)"
    for columns, weights in draws(rows, models[0].site, settings, label):
        for position, measure in enumerate(measures):
            metrics[position, :, columns], sensitivities[position, :, columns] = measure(weights)
    return metrics, sensitivities


def metric_rows(
    models: list[Model], thresholds: list[float], metrics: np.ndarray, settings: Bootstrap
) -> list[list]:
    """Rows of metrics.csv; metrics: (models, METRICS, 1 + B), see measure_site."""
    rows = []
    for position, model in enumerate(models):
        images = model.table[model.table["subset"] == "evaluation"]
        counts = [len(images), images["patient"].nunique(), images["label"].sum()]
        cases, note = unit_cases(images, settings.unit), why_no_interval(images, settings)
        values = []
        for metric, (value, *replicates) in zip(METRICS, metrics[position], strict=True):
            bounds = metric_interval(
                metric, value, np.array(replicates), cases, settings.confidence
            )
            values += [value, *((np.nan, np.nan) if note else bounds)]
        rows.append([*model[:5], *counts, thresholds[position], *values, note])
    return rows


def why_no_interval(rows: pd.DataFrame, settings: Bootstrap) -> str:
    """Why nothing is said of how sure the numbers of these images are; '' if something is."""
    found = count_cases(rows["label"].to_numpy(), units(rows, settings.unit))
    return too_few(found, settings.minimum_cases)


def unit_cases(rows: pd.DataFrame, unit: str) -> tuple[int, int]:
    """How many resampled units of some images have a positive one, and how many a negative one."""
    return class_units(rows["label"].to_numpy(), units(rows, unit))


def auroc_replicates(models: list[Model], settings: Bootstrap) -> np.ndarray | None:
    """AUROC of each model (models, 1 + B), laid out as by measure_site; None where the units of
    one class are missing, which can only happen to patients that are not the configured unit."""
    is_evaluated = models[0].table["subset"] == "evaluation"
    rows = models[0].table[is_evaluated]
    labels, unit = rows["label"].to_numpy(), units(rows, settings.unit)
    positive = positive_units(labels, unit)
    if positive.all() or not positive.any():
        return None
    rankings = [
        Ranking(labels, model.table.loc[is_evaluated, "score"].to_numpy(), unit) for model in models
    ]
    areas = np.empty((len(models), 1 + settings.replicates))
    label = f"resample {settings.unit}s of {models[0].site}"
    for columns, weights in draws(rows, models[0].site, settings, label):
        for position, ranking in enumerate(rankings):
            areas[position, columns] = auroc(ranking.curve(weights))
    return areas


def tests(
    pair: list[Model], areas: Mapping[str, np.ndarray | None], settings: Bootstrap
) -> dict[str, Comparison]:
    """Every paired test of a model against its baseline, by name; the primary one first.

    pair: model and baseline. areas: by resampled unit, the configured one first, the AUROC of both
    (2, 1 + B) as data and replicates, or None.
    """
    evaluated = [model.table[model.table["subset"] == "evaluation"] for model in pair]
    labels = evaluated[0]["label"].to_numpy()
    scores = np.stack([rows["score"].to_numpy() for rows in evaluated])
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
    models: list[Model], metrics: np.ndarray, settings: Bootstrap, margin: float
) -> list[list]:
    """Rows of comparisons.csv; metrics: (models, METRICS, 1 + B), see measure_site.

    margin: AUROC, > 0; a loss that is surely smaller is not inferior. With too few cases there is
    the difference alone, and the note says so.
    """
    baselines = find_baselines(models)
    if not baselines:
        return []
    table = models[0].table
    note = why_no_interval(table[table["subset"] == "evaluation"], settings)
    other = "image" if settings.unit == "patient" else "patient"
    areas = {
        settings.unit: metrics[:, METRICS.index("auroc")],
        other: auroc_replicates(models, settings._replace(unit=other)),
    }
    rows = []
    for position, reference in baselines.items():
        both = [position, reference]
        pair_areas = {
            unit: None if values is None else values[both] for unit, values in areas.items()
        }
        found = tests([models[one] for one in both], pair_areas, settings)
        site, task, architecture, method, seed = models[position][:5]
        for name, compared in found.items():
            compared = untested(compared) if note else compared
            tested = non_inferiority(compared, margin)
            rows.append(
                [
                    *(site, task, architecture, method, BASELINE, seed, name, *compared),
                    *(np.nan, margin, np.nan if name == LITERAL else tested, note),
                ]
            )
    return rows


def correct(comparisons: pd.DataFrame) -> pd.DataFrame:
    """Holm's correction within each family: a method, test and seed, over sites and architectures.

    For the paper's method that is its four comparisons. Methods and seeds are families of their
    own: adding one must not change what was found of another.
    """
    for _, rows in comparisons.groupby(["method", "test", "seed"]):
        comparisons.loc[rows.index, "p_holm"] = holm(rows["p"].to_numpy())
    return comparisons


def roc_rows(models: list[Model], sensitivities: np.ndarray, settings: Bootstrap) -> list[list]:
    """Rows of roc.csv; sensitivities: (models, ROC_POINTS, 1 + B), see measure_site."""
    low, high = interval(sensitivities[:, :, 1:], settings.confidence)
    table = models[0].table
    if why_no_interval(table[table["subset"] == "evaluation"], settings):
        low, high = np.full((2, *low.shape), np.nan)
    rows = []
    for position, model in enumerate(models):
        name = [model.site, model.architecture, model.method, model.seed]
        tpr = sensitivities[position, :, 0]
        for point in range(ROC_POINTS):
            fpr = point / (ROC_POINTS - 1)
            rows.append([*name, fpr, tpr[point], low[position, point], high[position, point]])
    return rows


def by_site(models: list[Model], unit: str) -> dict[str, list[Model]]:
    """The models of each site. Raises InputError unless they can be compared and resampled."""
    sites: dict[str, list[Model]] = {model.site: [] for model in models}
    for model in models:
        sites[model.site].append(model)
    find_baselines(models)
    for group in sites.values():
        require_same_images(group)
        require_classes(group[0], unit)
    return sites


def evaluate(models: list[Model], settings: Bootstrap, margin: float) -> tuple[pd.DataFrame, ...]:
    """The tables metrics, comparisons and roc, site by site. Raises InputError before any work."""
    sites = by_site(models, settings.unit)
    metrics, comparisons, curves = [], [], []
    for group in sites.values():
        thresholds = [threshold(model.table) for model in group]
        chosen_before = [(model.table["subset"] == "validation").any() for model in group]
        fixed = [
            one if before else None for one, before in zip(thresholds, chosen_before, strict=True)
        ]
        measured, sensitivities = measure_site(group, fixed, settings)
        metrics += metric_rows(group, thresholds, measured, settings)
        comparisons += comparison_rows(group, measured, settings, margin)
        curves += roc_rows(group, sensitivities, settings)
    return (
        pd.DataFrame(metrics, columns=[*MODEL, *COUNTS, *INTERVALS, "note"]),
        correct(pd.DataFrame(comparisons, columns=COMPARISONS)),
        pd.DataFrame(curves, columns=ROC),
    )


def read_models(predictions: Iterable[list[str]], tasks: Iterable[list[str]]) -> list[Model]:
    """Models on the images of each site, from lists of architecture, method, seed and file.

    tasks: lists of site and task.
    """
    task_of = dict(tasks)
    models = []
    for architecture, method, seed, file in predictions:
        if not seed.isdecimal():
            raise InputError(
                f"--prediction {architecture} {method} {seed} {file}",
                expected="an integer as seed",
                found=repr(seed),
                fix="give ARCHITECTURE METHOD SEED FILE in this order",
            )
        table = read_predictions(file)
        if strangers := set(table["site"]) - task_of.keys():
            raise InputError(
                file,
                expected=f"images of {', '.join(task_of)}",
                found=f"images of {', '.join(sorted(strangers))}",
                fix="give --task SITE TASK for every site",
            )
        for site in task_of:
            rows = table[table["site"] == site]
            if len(rows):
                rows = rows.drop(columns=["site", f"score_{site}"], errors="ignore")
                key = (site, task_of[site], architecture, method, int(seed), file)
                models.append(Model(*key, rows.reset_index(drop=True)))
    return models


def add_predictions(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name each model's predictions; read_models takes their values."""
    parser.add_argument(
        "--prediction",
        nargs=4,
        action="append",
        required=True,
        metavar=("ARCHITECTURE", "METHOD", "SEED", "FILE"),
        help="a model's predictions on the images of all sites (repeated)",
    )
    parser.add_argument(
        "--task",
        nargs=2,
        action="append",
        required=True,
        metavar=("SITE", "TASK"),
        help="what the labels of a site's images are of (repeated)",
    )


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    add_predictions(parser)
    parser.add_argument("--settings", required=True, metavar="JSON", help="{'bootstrap': {...}}")
    parser.add_argument("--margin", required=True, type=fraction, help="AUROC, of non-inferiority")
    parser.add_argument("--metrics", required=True, type=Path, metavar="OUT")
    parser.add_argument("--comparisons", required=True, type=Path, metavar="OUT")
    parser.add_argument("--roc", required=True, type=Path, metavar="OUT")
    arguments = parser.parse_args(argv)
    settings = read_settings(arguments.settings)
    tables = evaluate(read_models(arguments.prediction, arguments.task), settings, arguments.margin)
    outputs = (arguments.metrics, arguments.comparisons, arguments.roc)
    # All three are complete before the first takes its name.
    with (
        replacing(outputs[0]) as metrics,
        replacing(outputs[1]) as comparisons,
        replacing(outputs[2]) as roc,
    ):
        for table, file in zip(tables, (metrics, comparisons, roc), strict=True):
            table.to_csv(file, index=False, lineterminator="\n")


if __name__ == "__main__":
    run(main)
