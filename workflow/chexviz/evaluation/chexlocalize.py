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
from chexviz.evaluation.predictions import Model, find_baselines, labelled
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


class Judged(NamedTuple):
    """A model and its maps. called: the score from which it calls an image positive.

    scored: by measure; of the lungs where its site has masks of them.
    """

    model: Model
    called: float
    cut: Cut
    scored: dict[str, Scored]

    def chosen(self, one: str, over: str) -> Scored:
        """What is averaged of a measure. over: POSITIVES or TRUE_POSITIVES."""
        least = self.called if over == TRUE_POSITIVES else 0
        return Scored(*(rows[rows["score"] >= least] for rows in self.scored[one]))


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
    if not images:
        return Scored(table.assign(**dict.fromkeys([*measures, "chance", "empty"], 0.0)), others)
    maps = read_maps(gradcam, model.site, model.finding, model.head, images)
    parts = []
    for part in slices(len(images), size):
        inside, heat = masks(annotations, images[part], size), upsample(maps[part], size)
        found = pd.DataFrame({name: of(heat, inside) for name, of in measures.items()})
        parts.append(found.assign(chance=area(inside), empty=~heat.any(axis=(1, 2))))
    return Scored(table.join(pd.concat(parts, ignore_index=True)), others)


def tune(model: Model, gradcam: str, annotations: pd.DataFrame, settings: Settings) -> Cut:
    """The threshold of the GRID with the largest mIoU on the validation images with the finding.

    The lowest of equal ones. The fixed one where there are too few of them.
    """
    rows = positives(model.validation)
    rows = rows[rows["image"].isin(annotations["image"])]
    if note := too_few({"validation positive": resampled(rows, settings)}, settings.minimum_cases):
        return Cut(settings.threshold, FIXED, f"threshold fixed: {note}")
    measures: dict[str, Measure] = {str(part): partial(iou, threshold=part) for part in GRID}
    table = measured(model, gradcam, rows, annotations, settings.size, measures).table
    return Cut(GRID[int(table[[*measures]].mean().argmax())], VALIDATION)


def judge(
    model: Model, gradcam: str, called: float, annotations: pd.DataFrame, settings: Settings
) -> Judged:
    """All measures of a model's maps. annotations: of its site."""
    rows = positives(model.evaluated)
    own = annotations[annotations["finding"].isin(["", model.finding])]
    lungs = annotations[annotations["finding"] == LUNGS]
    cut = tune(model, gradcam, own, settings)
    measures: dict[str, Measure]
    measures = {"iou": partial(iou, threshold=cut.threshold), "pointing": pointing_game}
    scored = dict.fromkeys(measures, measured(model, gradcam, rows, own, settings.size, measures))
    if len(lungs):
        within = measured(model, gradcam, rows, lungs, settings.size, LUNG_MEASURES)
        scored |= dict.fromkeys(LUNG_MEASURES, within)
    return Judged(model, called, cut, scored)


def why_none(values: pd.Series, count: int, over: str, settings: Settings) -> str:
    """Why these values have no interval, '' if they have one. count: of what is resampled."""
    if note := too_few({over.removesuffix("s"): count}, settings.minimum_cases):
        return note
    return "" if np.ptp(values) else "all alike, no interval"


def replicates(
    table: pd.DataFrame, columns: list[str], settings: Settings, *key: str | int
) -> np.ndarray:
    """The means of columns on resamples of patients (B, columns)."""
    generator = np.random.default_rng(stream(settings.bootstrap.seed, "chexlocalize", *key))
    unit = units(table, settings.bootstrap.unit)
    values = table[columns].to_numpy(dtype=float)
    return resampled_means(values, unit, settings.bootstrap.replicates, generator)


def average(table: pd.DataFrame, one: str, over: str, settings: Settings, *key: str | int) -> dict:
    """The mean of a measure, its interval, and whether it is more or less than chance."""
    value, chance = table[[one, "chance"]].mean()
    found = {"value": value, "chance": chance}
    table = table.assign(excess=table[one] - table["chance"])
    count, confidence = resampled(table, settings), settings.bootstrap.confidence
    if note := why_none(table[one], count, over, settings):
        return found | {"note": note}
    drawn = replicates(table, [one, "excess"], settings, "value", over, *key)
    low, high = mean_interval(value, drawn[:, 0], count, confidence)
    tested = compare_means(value - chance, drawn[:, 1], count, confidence)
    return found | {"low": low, "high": high, "p_chance": tested.p, "note": ""}


def difference(
    table: pd.DataFrame,
    baseline: pd.DataFrame,
    one: str,
    over: str,
    settings: Settings,
    *key: str | int,
) -> dict:
    """A measure of a model minus that of its baseline, on the images that both have."""
    both = table.merge(baseline, on=["image", "patient"], suffixes=("", "_baseline"))
    both["difference"] = both[one] - both[f"{one}_baseline"]
    found = {"paired_images": len(both), "paired_patients": both["patient"].nunique()}
    found["difference"] = both["difference"].mean()
    count = resampled(both, settings)
    if note := why_none(both["difference"], count, over, settings):
        return found | {"note": f"{note} (differences)"}
    drawn = replicates(both, ["difference"], settings, "difference", over, *key)[:, 0]
    tested = compare_means(found["difference"], drawn, count, settings.bootstrap.confidence)
    found |= {"difference_low": tested.low, "difference_high": tested.high}
    return found | {"standard_error": tested.standard_error, "p": tested.p, "note": ""}


def summarise(judged: Judged, baselines: list[Judged], settings: Settings) -> Iterator[dict]:
    """The rows of a model, see CHEXLOCALIZE. baselines: only a single one is compared with.

    With too few cases, or where all score alike, there is neither an interval nor p; the note says
    so.
    """
    model, cut = judged.model, judged.cut
    key = (*model.name[:2], *model.name[3:])  # the draws of a site and finding, whatever the head
    for one in judged.scored:
        for over in (POSITIVES, TRUE_POSITIVES):
            table, others = judged.chosen(one, over)
            row: dict = dict(zip(MODEL, model.name, strict=True)) | {"measure": one, "over": over}
            row |= {"images": len(table), "patients": table["patient"].nunique()}
            row |= {"unannotated": len(others), "empty": int(table["empty"].sum())}
            row |= average(table, one, over, settings, *key)
            notes = [row["note"]]
            if one == "iou":
                row |= {"threshold": cut.threshold, "tuned_on": cut.tuned_on}
                notes.append(cut.note)
            if len(baselines) == 1:
                baseline = baselines[0].chosen(one, over).table
                row |= difference(table, baseline, one, over, settings, *key)
                notes.append(row["note"])
            elif baselines:
                notes.append(f"no difference: {len(baselines)} baselines know the finding")
            yield row | {"note": "; ".join(filter(None, notes))}


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
    judged: dict[tuple, Judged] = {}
    with Progress("judge maps", total=len(predictions), unit="model") as progress:
        for architecture, method, seed, file, gradcam in predictions:
            own = [name for name in names if name[3:] == (architecture, method, int(seed))]
            for model in map(labelled, read_heads(file, own, [*annotations])):
                drawn = annotations[model.site]
                judged[model.name] = judge(model, gradcam, cuts[model.name], drawn, settings)
            progress.step()
    # Endpoint by endpoint, whatever the order of the files.
    found = [judged[name] for name in names if name in judged]
    baselines = find_baselines([one.model for one in found])
    rows: list[dict] = []
    for place, one in enumerate(found):
        rows += summarise(one, [found[other] for other in baselines.get(place, [])], settings)
    return CHEXLOCALIZE.frame(rows).astype({"paired_images": "Int64", "paired_patients": "Int64"})


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
