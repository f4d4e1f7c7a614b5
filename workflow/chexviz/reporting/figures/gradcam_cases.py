"""Figure 3: Grad-CAM of true positives, baseline beside CheXViz, on cases chosen by a rule."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.tables.evaluation import read_metrics, threshold_of
from chexviz.base.tables.models import MODEL
from chexviz.images.annotated import read_maps, upsample
from chexviz.reporting.figures import style
from chexviz.reporting.figures.overlay import below, draw_colours, show, show_map
from chexviz.reporting.figures.panels import pages
from chexviz.reporting.figures.site_files import Scores, Site, add_sites, read_scores
from chexviz.reporting.selection import first_seed, in_order
from chexviz.reporting.titles import (
    Endpoint,
    add_titles,
    architecture_title,
    curve_title,
    endpoint_titles,
    endpoints,
)
from chexviz.reporting.wording import capitalised

FIGURE = {
    "name": "figure3",
    "caption": (
        "*Grad-CAM of true positives*, #protocol.title. Chosen by rule, not by eye: of the "
        "positive evaluation images that all shown models call positive (or, if there is none, "
        "most of them), the one with the median mean score. Maps are taken after the last ReLU, "
        "and each is scaled to its own maximum."
    ),
    "alt": "Grad-CAM maps of baselines and federated models",
    "limit": 215,
    "radiographs": True,
    "of": "endpoints",
    "per_page": 4,
    "category": "Paper",
    "shows": "Figure 3, Grad-CAM",
    "report": (
        "Grad-CAM of one true positive for each finding of each site, protocol ``{protocol}``. The "
        "case follows a rule: of the positive evaluation images that all models call positive (or, "
        "if there is none, most of them), the one with the median mean score. Maps are taken after "
        "the last ReLU, and each is scaled to its own maximum, so colours compare places within a "
        "map and not strengths between maps. The outline is the annotation of the dataset."
    ),
}
# mm on the printed page
LEFT, GAP, WIDE_GAP, RIGHT, TOP, BELOW, NOTE_LINE = 7.0, 1.2, 3.0, 1.0, 9.5, 6.5, 3.2
WIDEST = 42.0  # of a panel
RULE = (
    "Case by rule: of the positive evaluation images that most models call positive, the one with "
    "the median mean score. "
)
BASICS = "Maps: after the last ReLU, each scaled to its own maximum. Below: score and threshold."


Model = tuple[str, str]  # architecture and method


class Scored(NamedTuple):
    """An endpoint and the files of its site; by model the scores of the evaluation images with
    label 1 (index: image), the threshold, the file of the maps, and the head that answers."""

    endpoint: Endpoint
    site: Site
    scores: pd.DataFrame
    thresholds: dict[Model, float]
    gradcam: dict[Model, str]
    heads: dict[Model, str]


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
    shown: list[Scored], models: list[Model], extra: str, titles: dict[Endpoint, str]
) -> Figure:
    """A page: a row an endpoint; the radiograph, then a map a model. `extra` ends the notes."""
    gaps = [WIDE_GAP if opens(models, index) else GAP for index in range(len(models))]
    room = style.DOUBLE_COLUMN - LEFT - RIGHT - sum(gaps)
    panel = min(room / (len(models) + 1), WIDEST)
    lefts = [LEFT + sum(gaps[:index]) + index * panel for index in range(len(models) + 1)]
    height = TOP + len(shown) * (panel + BELOW) + NOTE_LINE * (len(shown) + 2)
    figure = style.new_figure(lefts[-1] + panel + RIGHT, height)
    draw_head(figure, models, lefts, panel)
    notes = []
    for row, scored in enumerate(shown):
        label = capitalised(titles[scored.endpoint])
        y = TOP + row * (panel + BELOW)
        look = {"rotation": 90, "ha": "center", "va": "center", "fontweight": "bold"}
        title = style.text_at(figure, 3.2, y + panel / 2, label, fontsize=7.5, **look)
        style.break_to_fit(title, panel, along=1)
        frames = [style.axes_at(figure, x, y, panel, panel) for x in lefts]
        notes.append(f"{label}: {draw_row(frames, scored, models)}")
    write_notes(figure, [*notes, RULE + extra, BASICS])
    return figure


def opens(models: list[Model], index: int) -> bool:
    """Whether this model is the first of its architecture."""
    return index == 0 or models[index][0] != models[index - 1][0]


def draw_head(figure: Figure, models: list[Model], lefts: list[float], panel: float) -> None:
    """Column titles: architectures above a rule over their methods."""
    look = {"ha": "center", "va": "baseline"}
    style.text_at(figure, lefts[0] + panel / 2, 8.3, "Radiograph", **look)
    for index, (architecture, method) in enumerate(models):
        style.text_at(figure, lefts[index + 1] + panel / 2, 8.3, curve_title(method), **look)
        if opens(models, index):
            last = max(i for i, model in enumerate(models) if model[0] == architecture)
            left, right = lefts[index + 1], lefts[last + 1] + panel
            title = architecture_title(architecture)
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


def draw_row(frames: list[Axes], scored: Scored, models: list[Model]) -> str:
    """Draw one endpoint's case and say in words which it is and how it was chosen."""
    for frame in frames:
        frame.axis("off")
    case = choose_case(scored.scores, scored.thresholds)
    if case is None:
        text = "no evaluation image with label 1"
        frames[0].text(0.5, 0.5, text.replace("image ", "image\n"), ha="center", va="center")
        return text
    (grey,) = scored.site.radiographs([case.image])
    annotations = scored.site.outlines(scored.endpoint[1])
    outlines = annotations[annotations["image"] == case.image]
    show(frames[0], np.repeat(grey[..., np.newaxis] / 255, 3, axis=2), outlines, linewidth=1.1)
    below(frames[0], "annotation outlined" if len(outlines) else "not annotated")
    for frame, model in zip(frames[1:], models, strict=True):
        head = scored.heads[model]
        maps = read_maps(scored.gradcam[model], *scored.endpoint, head, [case.image])
        (heat,) = upsample(maps, len(grey))
        show_map(frame, grey, heat, outlines)
        score, threshold = scored.scores.loc[case.image, model], scored.thresholds[model]
        below(frame, f"score {score:.2f} {'≥' if score >= threshold else '<'} {threshold:.2f}")
    if case.positive == len(models):
        whole = case.candidates
        which = "the only true positive" if whole == 1 else f"one of {whole} true positives"
        return f"image {case.image}, {which} of all models"
    return (
        f"image {case.image}; no image is a true positive of all models, "
        f"{case.positive} of {len(models)} call this one positive"
    )


def read_models(predictions: list[list[str]]) -> tuple[pd.DataFrame, int, str]:
    """The files of the shown models (index: architecture, method), their seed, the note on it.

    predictions: ARCHITECTURE METHOD SEED PREDICTIONS GRADCAM; of several seeds the first given is
    shown.
    """
    columns = ["architecture", "method", "seed", "predictions", "gradcam"]
    given = pd.DataFrame(predictions, columns=columns)
    seed = given["seed"].iloc[0]
    files = given[given["seed"] == seed].set_index(["architecture", "method"])
    return files, int(seed), first_seed(given["seed"])


def read_endpoint(
    endpoint: Endpoint,
    site: Site,
    scored: dict[Model, Scores],
    files: pd.DataFrame,
    cuts: pd.Series,
    seed: int,
) -> Scored:
    """The shown models' scores and maps of an endpoint.

    scored: of each model. files: read_models. cuts: see threshold_of.
    """
    scores, thresholds, heads = {}, {}, {}
    for model, found in scored.items():
        ((head, rows),) = found[endpoint].items()
        scores[model] = rows[rows["label"] == 1].set_index("image")["score"]
        thresholds[model] = threshold_of(cuts, *endpoint, head, *model, seed)
        heads[model] = head
    gradcam = files["gradcam"].to_dict()
    return Scored(endpoint, site, pd.DataFrame(scores).dropna(), thresholds, gradcam, heads)


def read_all(
    files: pd.DataFrame, given: list[Site], sites: list[dict], cuts: pd.Series, seed: int
) -> list[Scored]:
    """Every endpoint that trains. files: read_models. given: the files of all sites."""
    training = [site for site in sites if site["role"] == "train"]
    scored = {model: read_scores(file, training) for model, file in files["predictions"].items()}
    by_name = {site.name: site for site in given}
    return [
        read_endpoint(endpoint, by_name[endpoint[0]], scored, files, cuts, seed)
        for endpoint in endpoints(sites)
    ]


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    add_sites(parser)
    parser.add_argument(
        "--prediction",
        action="append",
        nargs=5,
        required=True,
        metavar=("ARCHITECTURE", "METHOD", "SEED", "PREDICTIONS", "GRADCAM"),
    )
    parser.add_argument("--metrics", required=True, type=Path, help="holds the thresholds")
    add_titles(parser)
    style.add_outputs(parser)
    arguments = parser.parse_args(argv)
    files, seed, note = read_models(arguments.prediction)
    models = [
        (architecture, method)
        for architecture in in_order(files.index.to_frame()["architecture"])
        for method in in_order(files.loc[architecture].index.to_series())
    ]
    cuts = read_metrics(arguments.metrics).set_index([*MODEL])["threshold"]
    given = [Site(*site) for site in arguments.site]
    shown = read_all(files.loc[models], given, arguments.titles, cuts, seed)
    titles = endpoint_titles(arguments.titles)
    figures = (draw(page, models, note, titles) for page in pages(shown, FIGURE))
    style.save_pages(figures, arguments.pdf, arguments.png, arguments.mark)


if __name__ == "__main__":
    run(main)
