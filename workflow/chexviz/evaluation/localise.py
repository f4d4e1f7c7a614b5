"""Grad-CAM of all true positives against the annotations, with paired tests."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run
from chexviz.base.files import replacing_all
from chexviz.base.methods import BASELINE
from chexviz.base.progress import Progress
from chexviz.base.randomness import stream
from chexviz.base.settings import Positive, Share
from chexviz.base.settings import read as read_settings
from chexviz.base.tables.evaluation import (
    LOCALISATION,
    LOCALISATION_IMAGES,
    MEASURES,
    read_metrics,
)
from chexviz.base.tables.models import MODEL, answer
from chexviz.base.tables.sites import ANNOTATIONS
from chexviz.base.tables.study import SPLIT
from chexviz.evaluation.cases import too_few
from chexviz.evaluation.intervals import mean_interval
from chexviz.evaluation.overlap import area, energy_inside, iou, pointing_game
from chexviz.evaluation.paired_tests import compare_means
from chexviz.evaluation.predictions import (
    Model,
    Name,
    by_head,
    find_baselines,
    read_predictions,
)
from chexviz.evaluation.resamples import Resampling, units, unstratified_resamples
from chexviz.images.annotated import masks, read_maps, upsample

PIXELS_AT_ONCE = 1 << 22  # of all maps that are worked on together: 16 MB in float32
REFERENCES = ["area", *(f"prior_{measure}" for measure in MEASURES)]
TABLES = {"images": LOCALISATION_IMAGES, "summary": LOCALISATION}


class Settings(Resampling, frozen=True):
    """size: of maps and masks, in pixels. threshold: part of a map's maximum, for its overlap."""

    size: Positive
    threshold: Share


class Annotated(NamedTuple):
    """What is annotated at a site, of one finding.

    references: what chance and prior score, REFERENCES by image.
    """

    annotations: pd.DataFrame
    references: pd.DataFrame


class Scored(NamedTuple):
    """A model's true positives. table: the annotated ones by image, as LOCALISATION_IMAGES."""

    model: Model
    table: pd.DataFrame
    unannotated: int


def true_positives(model: Model, threshold: float) -> pd.DataFrame:
    """Image and patient of the positive evaluation images that reach the threshold, by image."""
    rows = model.evaluated
    chosen = (rows["label"] == 1) & (rows["score"] >= threshold)
    return rows.loc[chosen, ["image", "patient"]].reset_index(drop=True)


def slices(count: int, size: int) -> Iterator[slice]:
    """All of `count` images of (size, size), in parts that fit into memory."""
    step = max(PIXELS_AT_ONCE // size**2, 1)
    return (slice(first, first + step) for first in range(0, count, step))


def mean_annotation(annotations: pd.DataFrame, images: list[str], size: int) -> np.ndarray | None:
    """How often each place is annotated among the images, float32 (size, size); None of none."""
    if not images:
        return None
    total = np.zeros((size, size))
    for part in slices(len(images), size):
        total += masks(annotations, images[part], size).sum(axis=0)
    return (total / len(images)).astype(np.float32)


def agreement(heat: np.ndarray, inside: np.ndarray, threshold: float) -> pd.DataFrame:
    """All measures of maps (n, S, S) and masks."""
    values = (
        energy_inside(heat, inside),
        pointing_game(heat, inside),
        iou(heat, inside, threshold),
    )
    return pd.DataFrame(dict(zip(MEASURES, values, strict=True)))


def refer(
    annotations: pd.DataFrame, images: list[str], prior: np.ndarray | None, settings: Settings
) -> pd.DataFrame:
    """What a uniform map and the prior (size, size) score on the images; REFERENCES by image."""
    parts = []
    for part in slices(len(images), settings.size):
        inside = masks(annotations, images[part], settings.size)
        found = pd.DataFrame({"area": area(inside)})
        if prior is not None:
            expected = np.broadcast_to(prior, inside.shape)
            agreed = agreement(expected, inside, settings.threshold)
            found = found.join(agreed.add_prefix("prior_"))
        parts.append(found.reindex(columns=REFERENCES))
    return pd.concat(parts).set_axis(images) if parts else pd.DataFrame(columns=REFERENCES)


def measure(
    images: list[str], maps: np.ndarray, known: Annotated, settings: Settings
) -> pd.DataFrame:
    """All measures of n annotated images and their maps (n, h, w), and of chance and prior."""
    parts = []
    for part in slices(len(images), settings.size):
        inside = masks(known.annotations, images[part], settings.size)
        heat = upsample(maps[part], settings.size)
        found = agreement(heat, inside, settings.threshold)
        parts.append(found.assign(empty=~heat.any(axis=(1, 2))))
    references = known.references.loc[images].reset_index(drop=True)
    return pd.concat([pd.concat(parts, ignore_index=True), references], axis=1)


def score(model: Model, gradcam: str, cut: float, known: Annotated, settings: Settings) -> Scored:
    """Score a model's true positives. cut: the score from which it calls an image positive."""
    found = true_positives(model, cut)
    annotated = found["image"].isin(known.references.index)
    table = found[annotated].reset_index(drop=True)
    if len(table):
        images = table["image"].tolist()
        maps = read_maps(gradcam, model.site, model.finding, model.head, images)
        table = pd.concat([table, measure(images, maps, known, settings)], axis=1)
    table = table.assign(**dict(zip(MODEL, model.name, strict=True)))
    table = table.reindex(columns=LOCALISATION_IMAGES.names)
    return Scored(model, table, int((~annotated).sum()))


def resampled_means(
    values: np.ndarray, unit: np.ndarray, replicates: int, generator: np.random.Generator
) -> np.ndarray:
    """Means over images of bootstrap resamples of units, (replicates, columns).

    values: (n, columns). unit: index of each image's unit, from 0 without gaps (n,). A unit comes
    with all of its images, so larger ones weigh more, as they do in the mean itself.
    """
    totals = np.zeros((unit.max() + 1, values.shape[1] + 1))
    np.add.at(totals, unit, np.column_stack([values, np.ones(len(values))]))
    means = []
    for weights in unstratified_resamples(len(totals), replicates, generator):
        # Without a BLAS, whose order of adding depends on the number of threads.
        sums = np.einsum("ur,uc->rc", weights, totals)
        means.append(sums[:, :-1] / sums[:, -1:])
    return np.concatenate(means)


def replicates(rows: pd.DataFrame, settings: Settings, *purpose: str | int) -> np.ndarray | None:
    """The means of all measures on resamples (MEASURES, B); None with too few cases."""
    if few(rows, settings):
        return None
    bootstrap, measured = settings.bootstrap, rows[list(MEASURES)].to_numpy(dtype=float)
    generator = np.random.default_rng(stream(bootstrap.seed, "localisation", *purpose))
    unit = units(rows, bootstrap.unit)
    return resampled_means(measured, unit, bootstrap.replicates, generator).T


def resampled(rows: pd.DataFrame, settings: Settings) -> int:
    """How many patients (or images, if those are resampled) there are."""
    return rows["patient"].nunique() if settings.bootstrap.unit == "patient" else len(rows)


def few(rows: pd.DataFrame, settings: Settings) -> str:
    """Why these true positives have no intervals, '' if there are enough of them."""
    return too_few({"true positive": resampled(rows, settings)}, settings.minimum_cases)


def why_none(rows: pd.DataFrame, one: str, settings: Settings, whose: str) -> str:
    """Why a measure of these images has no interval, '' if it has one."""
    if note := few(rows, settings):
        return f"{note} ({whose})"
    return "" if np.ptp(rows[one]) else f"all alike, no interval ({whose})"


def summarise(scored: Scored, baselines: list[Scored], settings: Settings) -> list[dict]:
    """The rows of one model, a measure each; see LOCALISATION.

    With too few cases there is neither an interval nor a p value. Where all score alike neither,
    since a bootstrap cannot tell that from certainty; the note says so. baselines: of which only a
    single one is compared with.
    """
    table, confidence = scored.table, settings.bootstrap.confidence
    name = scored.model.name
    key = (*name[:2], *name[3:])  # the draws are those of a site and finding, whatever the head
    counts = (len(table), table["patient"].nunique(), scored.unannotated, int(table["empty"].sum()))
    drawn = replicates(table, settings, "value", *key)
    both = differences(scored, baselines[0]) if len(baselines) == 1 else None
    drawn_both = None if both is None else replicates(both, settings, "difference", *key)
    rows = []
    for position, one in enumerate(MEASURES):
        row = dict(zip(LOCALISATION.names, (*name, one, *counts), strict=False))
        values = None if drawn is None else drawn[position]
        notes = [why_none(table, one, settings, "true positives")]
        if len(table):
            row |= {"value": table[one].mean(), "chance": table["area"].mean()}
            row |= {"prior": table[f"prior_{one}"].mean()}
        if values is not None and not notes[0]:
            count = resampled(table, settings)
            row["low"], row["high"] = mean_interval(row["value"], values, count, confidence)
        if both is not None:
            row |= {"paired_images": len(both), "paired_patients": both["patient"].nunique()}
            values = None if drawn_both is None else drawn_both[position]
            notes.append(why_none(both, one, settings, "differences"))
            if len(both):
                row["difference"] = float(both[one].mean())
            if values is not None and not notes[1]:
                count = resampled(both, settings)
                found = compare_means(row["difference"], values, count, confidence)
                row |= {"difference_low": found.low, "difference_high": found.high}
                row |= {"standard_error": found.standard_error, "p": found.p}
        elif baselines:
            notes.append(f"no difference: {len(baselines)} baselines know the finding")
        rows.append(row | {"note": "; ".join(filter(None, notes))})
    return rows


def differences(model: Scored, baseline: Scored) -> pd.DataFrame:
    """Each measure of a model minus that of its baseline, on the true positives of both."""
    both = model.table.merge(baseline.table, on=["image", "patient"], suffixes=("", "_baseline"))
    for one in MEASURES:
        both[one] -= both[f"{one}_baseline"]
    return both


def mapped(cuts: pd.Series) -> list[Name]:
    """The names of the models that have maps: every baseline, and the answer of any other model."""
    heads: dict[tuple, list[str]] = {}
    for site, finding, head, *model in cuts.index:
        heads.setdefault((site, finding, *model), []).append(head)
    return [
        (site, finding, head, architecture, method, seed)
        for site, finding, head, architecture, method, seed in cuts.index
        if method == BASELINE
        or head == answer(site, heads[site, finding, architecture, method, seed])
    ]


def read_heads(file: str, names: list[Name], sites: list[str]) -> list[Model]:
    """The named heads of a model. Raises InputError where one, or any of a site, is not there."""
    for site in sites:
        if site not in [name[0] for name in names]:
            raise InputError(
                "--metrics",
                expected=f"rows for the images of {site} by the models of {file}",
                found="none",
                fix="make the evaluation of this protocol again",
            )
    said = by_head(read_predictions(file))
    for site, finding, head, *_ in names:
        if (site, finding, head) not in said:
            raise InputError(
                file,
                expected=f"predictions of {finding} by the head {head} for the images of {site}",
                found="none",
                fix="run the prediction and the evaluation of this protocol again",
            )
    return [Model(*name, file=file, table=said[name[:3]]) for name in names]


def localise(
    known: dict[tuple[str, str], Annotated],
    predictions: list[list[str]],
    cuts: pd.Series,
    settings: Settings,
) -> dict[str, pd.DataFrame]:
    """The TABLES. known: by site and finding. predictions: see main. cuts: threshold by MODEL."""
    names = [name for name in mapped(cuts) if name[:2] in known]
    sites = [*dict.fromkeys(site for site, _ in known)]
    scored: dict[tuple, Scored] = {}
    with Progress("localise", total=len(predictions), unit="model") as progress:
        for architecture, method, seed, file, gradcam in predictions:
            own = [name for name in names if name[3:] == (architecture, method, int(seed))]
            for model in read_heads(file, own, sites):
                annotated = known[model.site, model.finding]
                scored[model.name] = score(model, gradcam, cuts[model.name], annotated, settings)
            progress.step()
    # Endpoint by endpoint, whatever the order of the files.
    found = [scored[name] for name in names if name in scored]
    baselines = find_baselines([one.model for one in found])
    rows = []
    for position, one in enumerate(found):
        rows += summarise(one, [found[place] for place in baselines.get(position, [])], settings)
    counts = {"paired_images": "Int64", "paired_patients": "Int64"}
    summary = LOCALISATION.frame(rows).astype(counts)
    images = pd.concat([one.table for one in found], ignore_index=True)
    return {"images": images, "summary": summary}


def annotate(
    site: str, finding: str, annotations: pd.DataFrame, split: pd.DataFrame, settings: Settings
) -> Annotated:
    """The annotations of a finding; what chance and their mean over the other images score where
    the site evaluates.
    """
    annotations = annotations[annotations["finding"].isin(["", finding])]
    rows = split[(split["site"] == site) & split["image"].isin(annotations["image"])]
    evaluates = rows["subset"] == "evaluation"
    images, others = (sorted(rows.loc[chosen, "image"]) for chosen in (evaluates, ~evaluates))
    prior = mean_annotation(annotations, others, settings.size)
    return Annotated(annotations, refer(annotations, images, prior, settings))


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
    parser.add_argument("--split", required=True, type=Path)
    parser.add_argument("--metrics", required=True, type=Path, help="holds models and thresholds")
    parser.add_argument(
        "--settings", required=True, metavar="JSON", help="a Resampling, size and threshold"
    )
    parser.add_argument("--images", required=True, type=Path, help="output, a row an image")
    parser.add_argument("--summary", required=True, type=Path, help="output, a row a measure")
    arguments = parser.parse_args(argv)
    settings = read_settings(arguments.settings, Settings)
    split = SPLIT.read(arguments.split, "site", "image", "subset")
    cuts = read_metrics(arguments.metrics).set_index([*MODEL])["threshold"]
    annotations = {site: ANNOTATIONS.read(path) for site, path in arguments.site}
    known = {
        (site, finding): annotate(site, finding, annotations[site], split, settings)
        for site, finding in dict.fromkeys((name[:2]) for name in cuts.index)
        if site in annotations
    }
    tables = localise(known, arguments.prediction, cuts, settings)
    with replacing_all({name: getattr(arguments, name) for name in TABLES}) as files:
        for name, table in TABLES.items():
            table.write(tables[name], files[name])


if __name__ == "__main__":
    run(main)
