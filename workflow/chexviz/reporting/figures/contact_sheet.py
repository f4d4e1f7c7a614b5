"""Contact sheet: Grad-CAM of many true positives from best to worst, baseline beside a method."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.methods import BASELINE
from chexviz.base.tables.evaluation import LOCALISATION_IMAGES, MEASURES
from chexviz.base.tables.models import MODEL
from chexviz.images.annotated import read_maps, upsample
from chexviz.reporting.figures import style
from chexviz.reporting.figures.overlay import below, draw_colours, show_map
from chexviz.reporting.figures.panels import at, heading_pages
from chexviz.reporting.figures.site_files import Site, add_sites
from chexviz.reporting.selection import first_seed, in_order
from chexviz.reporting.titles import Endpoint, add_titles, architecture_title, curve_title

FIGURE = {
    "name": "contact_sheet",
    "caption": (
        "*Grad-CAM of true positives from best to worst*, at even steps of rank in the energy of "
        "the baseline's map inside the annotation. Each map is scaled to its own maximum. "
        "#capital(protocol.title)."
    ),
    "alt": "Grad-CAM maps of true positives from best to worst",
    "limit": 215,
    "radiographs": True,
    "of": "endpoints",
    "per_page": 2,
    "category": "Localisation",
    "shows": "true positives",
    "report": (
        "Grad-CAM of true positives from best to worst, protocol ``{protocol}``, baseline beside "
        "the first method. Cases follow a rule: of the true positives of both models, those at "
        "even steps of rank in the energy of the baseline's map inside the annotation, the highest "
        "and the lowest included. Maps are taken after the last ReLU and each is scaled to its own "
        "maximum, so colours compare places within a map and not strengths between maps."
    ),
}
CASES, ACROSS = 10, 5  # of an endpoint and architecture
# mm on the printed page
EDGE, GAP, WIDE_GAP, TOP, HEAD, BELOW, AFTER, NOTES = 2.0, 0.6, 2.4, 2.0, 8.2, 3.4, 2.5, 11
PANEL = (style.DOUBLE_COLUMN - 2 * EDGE - ACROSS * GAP - (ACROSS - 1) * WIDE_GAP) / (2 * ACROSS)
NOTES_TEXT = (
    "Cases by rule: at even steps of rank from the highest to the lowest energy of the baseline's "
    "map inside the annotation (blue outline).",
    "Below each map: energy inside, hit or miss of its maximum (equal maxima count by their "
    "share), intersection over union.",
    "Maps: Grad-CAM after the last ReLU, each scaled to its own maximum.",
)


def choose(scored: pd.DataFrame, method: str) -> pd.DataFrame:
    """The cases of one endpoint, architecture and seed, best first, with both models' numbers.

    Of the true positives of both in the order of the baseline's energy inside (equal ones by id),
    CASES in even steps, first and last included; all of them if they are no more.
    """
    baseline, other = (scored[scored["method"] == one] for one in (BASELINE, method))
    both = baseline.merge(other, on="image", suffixes=("_baseline", f"_{method}"))
    both = both.sort_values(["energy_baseline", "image"], ascending=[False, True])
    steps = np.linspace(0, len(both) - 1, min(len(both), CASES)).round().astype(int)
    return both.iloc[steps].assign(rank=steps + 1, count=len(both))


def numbers(case: pd.Series, method: str) -> str:
    """What a map scores, in words as short as its panel is wide: '0.42 hit 0.31'."""
    energy, pointing, overlap = (case[f"{measure}_{method}"] for measure in MEASURES)
    hit = {0.0: "miss", 1.0: "hit"}.get(pointing, f"{pointing:.2f}")
    return f"{energy:.2f} {hit} {overlap:.2f}"


def draw(
    sites: dict[str, Site],
    scored: pd.DataFrame,
    maps: pd.DataFrame,
    shown: dict[Endpoint, str],
    note: str,
) -> Figure:
    """A page: a block an endpoint and architecture, pairs of maps in it.

    sites: the files of each. maps: the columns architecture, method and file. shown: headings by
    endpoint.
    """
    _, method = in_order(maps["method"])
    files = maps.set_index(["architecture", "method"])["file"]
    blocks = []
    for endpoint in shown:
        own = at(scored, endpoint)
        for architecture in in_order(maps["architecture"]):
            cases = choose(own[own["architecture"] == architecture], method)
            blocks.append((endpoint, architecture, cases))
    heights = [
        HEAD + max(-(-len(cases) // ACROSS), 0.3) * (PANEL + BELOW) + AFTER
        for _, _, cases in blocks
    ]
    figure = style.new_figure(style.DOUBLE_COLUMN, TOP + sum(heights) + NOTES)
    y = TOP
    for (endpoint, architecture, cases), height in zip(blocks, heights, strict=True):
        title = f"{shown[endpoint]}, {architecture_title(architecture)}"
        draw_head(figure, y, title, cases, method)
        if len(cases):
            pair = {one: files[architecture, one] for one in (BASELINE, method)}
            draw_cases(figure, y + HEAD, endpoint, sites[endpoint[0]], cases, pair)
        y += height
    write_notes(figure, note)
    return figure


def left_of(column: int) -> float:
    """Where the pair of a column begins, mm."""
    return EDGE + column * (2 * PANEL + GAP + WIDE_GAP)


def draw_head(figure: Figure, y: float, title: str, cases: pd.DataFrame, method: str) -> None:
    """The title of a block, how many images it was chosen from, and whose map stands where."""
    look = {"fontsize": 7.5, "fontweight": "bold", "va": "baseline"}
    style.text_at(figure, EDGE, y + 3, title, **look)
    count = int(cases["count"].iloc[0]) if len(cases) else 0
    text = (
        f"{len(cases)} of {count:,} true positives of both"
        if count
        else "no annotated true positive of both"
    )
    look = {"fontsize": 6.5, "color": style.GREY, "va": "baseline"}
    style.text_at(figure, style.DOUBLE_COLUMN - EDGE, y + 3, text, ha="right", **look)
    for column in range(min(len(cases), ACROSS)):
        for offset, one in ((0, BASELINE), (PANEL + GAP, method)):
            x = left_of(column) + offset + PANEL / 2
            style.text_at(figure, x, y + 7, curve_title(one), ha="center", **look)


def draw_cases(
    figure: Figure,
    y: float,
    endpoint: Endpoint,
    site: Site,
    cases: pd.DataFrame,
    files: dict[str, str],
) -> None:
    """The pairs of maps of a block, row by row. files: of the baseline's and the method's maps."""
    images = cases["image"].tolist()
    radiographs, annotations = site.radiographs(images), site.outlines(endpoint[1])
    heats = {}
    for one, file in files.items():
        maps = read_maps(file, *endpoint, cases[f"head_{one}"].iloc[0], images)
        heats[one] = upsample(maps, radiographs.shape[-1])
    for position, (_, case) in enumerate(cases.iterrows()):
        row, column = divmod(position, ACROSS)
        outlines = annotations[annotations["image"] == case["image"]]
        for side, (one, heat) in enumerate(heats.items()):
            x = left_of(column) + side * (PANEL + GAP)
            axes = style.axes_at(figure, x, y + row * (PANEL + BELOW), PANEL, PANEL)
            axes.axis("off")
            show_map(axes, radiographs[position], heat[position], outlines, fontsize=6)
            below(axes, numbers(case, one), fontsize=6)


def write_notes(figure: Figure, note: str) -> None:
    """What is shown, at the bottom, and the colours beside it."""
    width, height = style.size_mm(figure)
    for line, text in enumerate((*NOTES_TEXT[:-1], f"{NOTES_TEXT[-1]} {note}".strip())):
        y = height - NOTES + 3 + 3.2 * line
        written = style.text_at(figure, EDGE, y, text, fontsize=6.5, color=style.GREY)
        style.shrink_to_fit(written, width - 2 * EDGE)
    draw_colours(style.axes_at(figure, width - 26, height - 3.2, 18, 2))


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    add_sites(parser)
    parser.add_argument(
        "--gradcam",
        action="append",
        nargs=4,
        required=True,
        metavar=("ARCHITECTURE", "METHOD", "SEED", "GRADCAM"),
        help="of the baselines and one method; of several seeds the first is shown",
    )
    parser.add_argument("--scored", required=True, type=Path, help="a row an image, by `localise`")
    add_titles(parser)
    style.add_outputs(parser)
    arguments = parser.parse_args(argv)
    scored = LOCALISATION_IMAGES.read(arguments.scored, *MODEL, "image", *MEASURES)
    model = ["architecture", "method", "seed"]
    given = pd.DataFrame(arguments.gradcam, columns=[*model, "file"]).astype({"seed": int})
    given = given[given["seed"] == given["seed"].iloc[0]]
    chosen, note = scored.merge(given, on=model), first_seed(scored["seed"])
    sites = {site[0]: Site(*site) for site in arguments.site}
    shown = heading_pages(arguments.titles, FIGURE)
    figures = (draw(sites, chosen, given, page, note) for page in shown)
    style.save_pages(figures, arguments.pdf, arguments.png, arguments.mark)


if __name__ == "__main__":
    run(main)
