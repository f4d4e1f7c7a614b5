"""Grad-CAM of all images with a finding in CheXlocalize's terms, and whether it is in the lungs.

CheXlocalize (Saporta et al., Nat. Mach. Intell. 2022) binarises maps at a part of their maximum
that validation images choose, and tells the mean intersection over union (mIoU) and how often the
maximum lies inside (hit rate); see docs/localisation.md.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.files import replacing
from chexviz.base.progress import Progress
from chexviz.base.randomness import stream
from chexviz.base.settings import read as read_settings
from chexviz.base.tables.evaluation import (
    CHEXLOCALIZE,
    POSITIVES,
    TRUE_POSITIVES,
    read_metrics,
)
from chexviz.base.tables.models import MODEL
from chexviz.base.tables.sites import ANNOTATIONS, LUNGS
from chexviz.evaluation.cases import too_few
from chexviz.evaluation.intervals import mean_interval
from chexviz.evaluation.localise import (
    Settings,
    mapped,
    read_heads,
    resampled,
    resampled_means,
    slices,
)
from chexviz.evaluation.overlap import area, energy_inside, iou, pointing_game
from chexviz.evaluation.paired_tests import compare_means
from chexviz.evaluation.predictions import Model, labelled
from chexviz.evaluation.resamples import units
from chexviz.images.annotated import masks, read_maps, upsample

GRID = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)  # of CheXlocalize
VALIDATION, FIXED = "validation", "fixed"
Measure = Callable[[np.ndarray, np.ndarray], np.ndarray]  # of maps and masks (n, S, S), (n,)
LUNG_MEASURES: dict[str, Measure] = {"lung_energy": energy_inside, "lung_pointing": pointing_game}


class Cut(NamedTuple):
    """The part of a map's maximum at which it is binarised. tuned_on: VALIDATION or FIXED.

    note: why it is fixed.
    """

    threshold: float
    tuned_on: str
    note: str = ""


class Scored(NamedTuple):
    """The annotated images with a finding: image, patient, score, the measures, chance, empty.

    unannotated: image, patient and score of the others.
    """

    table: pd.DataFrame
    unannotated: pd.DataFrame


def positives(rows: pd.DataFrame) -> pd.DataFrame:
    """Image, patient and score of the images with the finding."""
    return rows.loc[rows["label"] == 1, ["image", "patient", "score"]].reset_index(drop=True)


def measured(
    model: Model,
    gradcam: str,
    rows: pd.DataFrame,
    annotations: pd.DataFrame,
    size: int,
    measures: Mapping[str, Measure],
) -> Scored:
    """All measures of a model's maps of some of its images, and what a uniform map scores."""
    annotated = rows["image"].isin(annotations["image"])
    table, others = rows[annotated].reset_index(drop=True), rows[~annotated]
    images = table["image"].tolist()
    maps = read_maps(gradcam, model.site, model.finding, model.head, images) if images else None
    parts = [pd.DataFrame(columns=[*measures, "chance", "empty"], dtype=float)]
    for part in slices(len(images), size):
        inside, heat = masks(annotations, images[part], size), upsample(maps[part], size)
        found = {name: of(heat, inside) for name, of in measures.items()}
        found |= {"chance": area(inside), "empty": ~heat.any(axis=(1, 2))}
        parts.append(pd.DataFrame(found))
    return Scored(table.join(pd.concat(parts[1:] or parts, ignore_index=True)), others)


def tune(model: Model, gradcam: str, annotations: pd.DataFrame, settings: Settings) -> Cut:
    """The threshold of the GRID with the largest mIoU on the validation images with the finding.

    The lowest of equal ones. The fixed one where there are too few of them.
    """
    rows = positives(model.validation)
    rows = rows[rows["image"].isin(annotations["image"])]
    if note := too_few({"validation positive": resampled(rows, settings)}, settings.minimum_cases):
        return Cut(settings.threshold, FIXED, note)
    measures: dict[str, Measure] = {str(part): partial(iou, threshold=part) for part in GRID}
    table = measured(model, gradcam, rows, annotations, settings.size, measures).table
    return Cut(GRID[int(table[[*measures]].mean().argmax())], VALIDATION)


def how_sure(table: pd.DataFrame, one: str, settings: Settings, *key: str | int) -> dict:
    """The interval of the mean of a measure, and the test of its difference from chance.

    key: of the resamples, the same for all that is measured of the same images.
    """
    confidence = settings.bootstrap.confidence
    values = np.column_stack([table[one], table[one] - table["chance"]])
    value, difference = values.mean(axis=0)
    generator = np.random.default_rng(stream(settings.bootstrap.seed, "chexlocalize", *key))
    unit, count = units(table, settings.bootstrap.unit), resampled(table, settings)
    drawn = resampled_means(values, unit, settings.bootstrap.replicates, generator)
    low, high = mean_interval(value, drawn[:, 0], count, confidence)
    found = compare_means(difference, drawn[:, 1], count, confidence)
    return {
        **{"low": low, "high": high, "difference_low": found.low, "difference_high": found.high},
        **{"standard_error": found.standard_error, "p": found.p},
    }


def summarise(
    model: Model, scored: Scored, one: str, threshold: float, settings: Settings
) -> Iterator[dict]:
    """The rows of a measure, over all images with the finding and over true positives.

    threshold: the score from which the model calls an image positive. With too few cases, or where
    all score alike, there is neither an interval nor p, and the note says so.
    """
    for over in (POSITIVES, TRUE_POSITIVES):
        least = threshold if over == TRUE_POSITIVES else 0
        table, others = (rows[rows["score"] >= least] for rows in scored)
        row: dict = dict(zip(MODEL, model.name, strict=True)) | {"measure": one, "over": over}
        row |= {"images": len(table), "patients": table["patient"].nunique()}
        row |= {"unannotated": len(others), "empty": int(table["empty"].sum())}
        if len(table):
            value, chance = table[[one, "chance"]].mean()
            row |= {"value": value, "chance": chance, "difference": value - chance}
        cases = {over.removesuffix("s"): resampled(table, settings)}
        row["note"] = too_few(cases, settings.minimum_cases)
        if not row["note"] and 0 in (np.ptp(table[one]), np.ptp(table[one] - table["chance"])):
            row["note"] = "all alike, no interval"
        if not row["note"]:
            key = (*model.name[:2], *model.name[3:], over)
            row |= how_sure(table, one, settings, *key)
        yield row


def judge(
    model: Model, gradcam: str, threshold: float, annotations: pd.DataFrame, settings: Settings
) -> list[dict]:
    """The rows of one model, see CHEXLOCALIZE; of the lungs where its site has masks of them.

    annotations: of the site. threshold: the score from which it calls an image positive.
    """
    rows = positives(model.evaluated)
    own = annotations[annotations["finding"].isin(["", model.finding])]
    lungs = annotations[annotations["finding"] == LUNGS]
    cut = tune(model, gradcam, own, settings)
    measures: dict[str, Measure] = {
        "iou": partial(iou, threshold=cut.threshold),
        "pointing": pointing_game,
    }
    scored = measured(model, gradcam, rows, own, settings.size, measures)
    found = [row for one in measures for row in summarise(model, scored, one, threshold, settings)]
    for row in found:
        if row["measure"] == "iou":
            row |= {"threshold": cut.threshold, "tuned_on": cut.tuned_on}
            row["note"] = "; ".join(filter(None, [row["note"], cut.note]))
    if len(lungs):
        scored = measured(model, gradcam, rows, lungs, settings.size, LUNG_MEASURES)
        for one in LUNG_MEASURES:
            found += summarise(model, scored, one, threshold, settings)
    return found


def compare(
    annotations: Mapping[str, pd.DataFrame],
    predictions: list[list[str]],
    cuts: pd.Series,
    settings: Settings,
) -> pd.DataFrame:
    """CHEXLOCALIZE of all models. annotations: by site. predictions: see main.

    cuts: threshold of the score by MODEL.
    """
    names = [name for name in mapped(cuts) if name[0] in annotations]
    found: dict[tuple, list[dict]] = {}
    with Progress("judge maps", total=len(predictions), unit="model") as progress:
        for architecture, method, seed, file, gradcam in predictions:
            own = [name for name in names if name[3:] == (architecture, method, int(seed))]
            for model in map(labelled, read_heads(file, own, [*annotations])):
                drawn = annotations[model.site]
                found[model.name] = judge(model, gradcam, cuts[model.name], drawn, settings)
            progress.step()
    # Endpoint by endpoint, whatever the order of the files.
    return CHEXLOCALIZE.frame(row for name in names for row in found.get(name, []))


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument(
        "--site", action="append", nargs=2, required=True, metavar=("SITE", "ANNOTATIONS")
    )
    parser.add_argument(
        "--prediction",
        action="append",
        nargs=5,
        required=True,
        metavar=("ARCHITECTURE", "METHOD", "SEED", "PREDICTIONS", "GRADCAM"),
    )
    parser.add_argument("--metrics", required=True, type=Path, help="holds models and thresholds")
    parser.add_argument(
        "--settings", required=True, metavar="JSON", help="a Resampling, size and threshold"
    )
    parser.add_argument("--output", required=True, type=Path, help="a row a measure")
    arguments = parser.parse_args(argv)
    settings = read_settings(arguments.settings, Settings)
    cuts = read_metrics(arguments.metrics).set_index([*MODEL])["threshold"]
    annotations = {site: ANNOTATIONS.read(path) for site, path in arguments.site}
    table = compare(annotations, arguments.prediction, cuts, settings)
    with replacing(arguments.output) as temporary:
        CHEXLOCALIZE.write(table, temporary)


if __name__ == "__main__":
    run(main)
