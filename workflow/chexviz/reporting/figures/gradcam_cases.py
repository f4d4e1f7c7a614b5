"""Figure 3: Grad-CAM of true positives, baseline beside CheXViz, on cases chosen by a rule."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run
from chexviz.base.tables.evaluation import read_metrics
from chexviz.base.tables.sites import ANNOTATIONS
from chexviz.images.annotated import read_images, read_maps, upsample
from chexviz.reporting.figures import style
from chexviz.reporting.figures.overlay import below, draw_colours, show, show_map
from chexviz.reporting.titles import (
    ARCHITECTURES,
    add_titles,
    capitalised,
    curve_title,
    in_order,
    read_table,
    site_titles,
)

KEYS = ["site", "architecture", "method", "seed"]
# mm on the printed page
LEFT, GAP, WIDE_GAP, RIGHT, TOP, BELOW, NOTE_LINE = 7.0, 1.2, 3.0, 1.0, 9.5, 6.5, 3.2
WIDEST = 42.0  # of a panel
RULE = (
    "Case by rule: of the positive evaluation images that most models call positive, the one with "
    "the median mean score. "
)
BASICS = "Maps: after the last ReLU, each scaled to its own maximum. Below: score and threshold."


@dataclass
class Site:
    """A site's files, and the shown models' scores and maps.

    scores: evaluation images with label 1 (index: image) by model, a (architecture, method).
    """

    name: str
    task: str
    images: str
    samples: str
    annotations: str
    scores: pd.DataFrame = field(default_factory=pd.DataFrame, init=False)
    thresholds: dict = field(default_factory=dict, init=False)
    gradcam: dict = field(default_factory=dict, init=False)


class Case(NamedTuple):
    """The chosen image, how many of the models call it positive, and of how many it was chosen."""

    image: str
    positive: int
    candidates: int


def choose_case(scores: pd.DataFrame, thresholds: dict) -> Case | None:
    """The case to show, by a rule that leaves nothing to taste.

    scores: images with label 1 (index: image id) by model. thresholds: of each model; a score that
    reaches it is a positive call. Among the images that most models call positive (normally all
    of them: true positives of every model) the one with the median mean score; of an even number
    the lower of the two; of equal means the one with the smaller id first. None without images.
    """
    if scores.empty:
        return None
    calls = (scores >= pd.Series(thresholds)[scores.columns]).sum(axis=1)
    best = scores[calls == calls.max()]
    order = sorted(zip(best.mean(axis=1), best.index, strict=True))
    return Case(order[(len(order) - 1) // 2][1], int(calls.max()), len(order))


def draw(
    sites: list[Site], models: list[tuple[str, str]], extra: str, titles: list[dict]
) -> Figure:
    """The figure: a row a site; the radiograph, then a map a model. `extra` ends the notes."""
    gaps = [WIDE_GAP if opens(models, index) else GAP for index in range(len(models))]
    room = style.DOUBLE_COLUMN - LEFT - RIGHT - sum(gaps)
    panel = min(room / (len(models) + 1), WIDEST)
    lefts = [LEFT + sum(gaps[:index]) + index * panel for index in range(len(models) + 1)]
    height = TOP + len(sites) * (panel + BELOW) + NOTE_LINE * (len(sites) + 2)
    figure = style.new_figure(lefts[-1] + panel + RIGHT, height)
    draw_head(figure, models, lefts, panel)
    names = site_titles(titles)
    notes = []
    for row, site in enumerate(sites):
        label = capitalised(names[site.name])
        y = TOP + row * (panel + BELOW)
        look = {"rotation": 90, "ha": "center", "va": "center", "fontweight": "bold"}
        title = style.text_at(figure, 3.2, y + panel / 2, label, fontsize=7.5, **look)
        style.shrink_to_fit(title, panel, along=1)
        frames = [style.axes_at(figure, x, y, panel, panel) for x in lefts]
        notes.append(f"{label}: {draw_row(frames, site, models)}")
    write_notes(figure, [*notes, RULE + extra, BASICS])
    return figure


def opens(models: list[tuple[str, str]], index: int) -> bool:
    """Whether this model is the first of its architecture."""
    return index == 0 or models[index][0] != models[index - 1][0]


def draw_head(
    figure: Figure, models: list[tuple[str, str]], lefts: list[float], panel: float
) -> None:
    """Column titles: architectures above a rule over their methods."""
    look = {"ha": "center", "va": "baseline"}
    style.text_at(figure, lefts[0] + panel / 2, 8.3, "Radiograph", **look)
    for index, (architecture, method) in enumerate(models):
        style.text_at(figure, lefts[index + 1] + panel / 2, 8.3, curve_title(method), **look)
        if opens(models, index):
            last = max(i for i, model in enumerate(models) if model[0] == architecture)
            left, right = lefts[index + 1], lefts[last + 1] + panel
            title = ARCHITECTURES.get(architecture, architecture)
            middle = (left + right) / 2
            style.text_at(figure, middle, 3.6, title, fontsize=7.5, fontweight="bold", **look)
            rule = style.axes_at(figure, left, 5, right - left, 0.2)
            rule.axis("off")
            rule.axhline(0, color=style.GREY, linewidth=0.6, clip_on=False)


def write_notes(figure: Figure, notes: list[str]) -> None:
    """Lines of text at the bottom, and the colours beside the last."""
    width, height = style.size_mm(figure)
    for line, text in enumerate(reversed(notes)):
        y = height - 2 - line * NOTE_LINE
        note = style.text_at(figure, LEFT, y, text, fontsize=6.5, color=style.GREY)
        style.shrink_to_fit(note, width - LEFT - RIGHT - (30 if line == 0 else 0))
    draw_colours(style.axes_at(figure, width - 26, height - 4, 18, 2))


def draw_row(frames: list[Axes], site: Site, models: list[tuple[str, str]]) -> str:
    """Draw one site's case and say in words which it is and how it was chosen."""
    for frame in frames:
        frame.axis("off")
    case = choose_case(site.scores, site.thresholds)
    if case is None:
        text = "no evaluation image with label 1"
        frames[0].text(0.5, 0.5, text.replace("image ", "image\n"), ha="center", va="center")
        return text
    (grey,) = read_images(site.images, site.samples, [case.image])
    annotations = ANNOTATIONS.read(site.annotations)
    outlines = annotations[annotations["image"] == case.image]
    show(frames[0], np.repeat(grey[..., np.newaxis] / 255, 3, axis=2), outlines, linewidth=1.1)
    below(frames[0], "annotation outlined" if len(outlines) else "not annotated")
    for frame, model in zip(frames[1:], models, strict=True):
        (heat,) = upsample(read_maps(site.gradcam[model], site.name, [case.image]), len(grey))
        show_map(frame, grey, heat, outlines)
        score, threshold = site.scores.loc[case.image, model], site.thresholds[model]
        below(frame, f"score {score:.2f} {'≥' if score >= threshold else '<'} {threshold:.2f}")
    if case.positive == len(models):
        whole = case.candidates
        which = "the only true positive" if whole == 1 else f"one of {whole} true positives"
        return f"image {case.image}, {which} of all models"
    return (
        f"image {case.image}; no image is a true positive of all models, "
        f"{case.positive} of {len(models)} call this one positive"
    )


def read_sites(
    sites: list[list[str]], predictions: list[list[str]], metrics_path: Path
) -> tuple[list[Site], list[tuple[str, str]], str]:
    """The sites with the shown models' scores, the models in order, and a word on the seeds.

    sites: SITE TASK IMAGES SAMPLES ANNOTATIONS. predictions: ARCHITECTURE METHOD SEED PREDICTIONS
    GRADCAM; of several seeds the first given is shown.
    """
    given = pd.DataFrame(predictions, columns=[*KEYS[1:], "predictions", "gradcam"])
    seeds = given["seed"].unique()
    given = given[given["seed"] == seeds[0]].set_index(["architecture", "method"])
    models = [
        (architecture, method)
        for architecture in in_order(given.index.to_frame()["architecture"])
        for method in in_order(given.loc[architecture].index.to_series())
    ]
    metrics = read_metrics(metrics_path).astype({"seed": str}).set_index(KEYS)["threshold"]
    columns = ["site", "image", "label", "subset", "score"]
    tables = {model: read_table(given.loc[model, "predictions"], columns) for model in models}
    found = [Site(*site) for site in sites]
    for site in found:
        scores = {}
        for model, table in tables.items():
            key = (site.name, *model, seeds[0])
            if key not in metrics.index:
                raise InputError(
                    metrics_path,
                    expected=f"a row for {' '.join(key)}",
                    found="none",
                    fix="make the evaluation of this protocol again",
                )
            chosen = (table["site"] == site.name) & (table["subset"] == "evaluation")
            scores[model] = table[chosen & (table["label"] == 1)].set_index("image")["score"]
            site.thresholds[model] = float(metrics[key])
            site.gradcam[model] = given.loc[model, "gradcam"]
        site.scores = pd.DataFrame(scores).dropna()
    extra = f"First of {len(seeds)} seeds ({seeds[0]})." if len(seeds) > 1 else ""
    return found, models, extra


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument(
        "--site",
        action="append",
        nargs=5,
        required=True,
        metavar=("SITE", "TASK", "IMAGES", "SAMPLES", "ANNOTATIONS"),
    )
    parser.add_argument(
        "--prediction",
        action="append",
        nargs=5,
        required=True,
        metavar=("ARCHITECTURE", "METHOD", "SEED", "PREDICTIONS", "GRADCAM"),
    )
    parser.add_argument("--metrics", required=True, type=Path, help="holds the thresholds")
    add_titles(parser)
    parser.add_argument("--mark", default="", help="a text that the figure shows")
    parser.add_argument("--pdf", required=True, type=Path)
    parser.add_argument("--png", required=True, type=Path)
    arguments = parser.parse_args(argv)
    read = read_sites(arguments.site, arguments.prediction, arguments.metrics)
    figure = draw(*read, arguments.titles)
    style.save(figure, arguments.pdf, arguments.png, arguments.mark)


if __name__ == "__main__":
    run(main)
