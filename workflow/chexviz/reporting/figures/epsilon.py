"""AUROC against epsilon, with leaks: what differential privacy costs each model, and what for."""

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.tables.summaries import METHODS
from chexviz.reporting.figures import leaks, style
from chexviz.reporting.figures.epsilon_axis import (
    SITE,
    Place,
    by_epsilon,
    draw_series,
    finish,
    of_sites,
    shifts,
)
from chexviz.reporting.figures.leaks import Leaks
from chexviz.reporting.figures.panels import at, endpoint_pages
from chexviz.reporting.selection import in_order
from chexviz.reporting.titles import Endpoint, add_titles, architecture_title, method_title
from chexviz.reporting.wording import joined

FIGURE = {
    "name": "epsilon",
    "caption": (
        "*AUROC against differential privacy*, #protocol.title: federated models that were trained "
        "with it, for all images of a patient or, where it is marked, for a site as a whole, by "
        "epsilon, and those like them that were not (∞), with #level intervals. Less epsilon is "
        "more noise."
        '#if protocol.name == "patient" and settings.attacked.len() > 0 ['
        " Below, what attacks on the models of the first seed got: how well membership inference "
        "tells who trained them, how many of these patients it finds, and by how much images that "
        "are reconstructed from the update of a round are nearer to the right one than to one "
        "that took no part.]"
    ),
    "alt": (
        "AUROC of models trained with and without differential privacy, by epsilon; below it what "
        "leaks, where that was measured"
    ),
    "of": "endpoints",
    "per_page": 4,
    "asked": "private methods",
    "category": "Privacy",
    "shows": "AUROC against epsilon",
    "report": (
        "AUROC of federated models under the protocol ``{protocol}`` that were trained with "
        "differential privacy, by epsilon, and of those like them that were trained without noise "
        "(∞), with 95 % intervals. An epsilon is of all images of a patient, or where it is marked "
        "of a site as a whole. Less epsilon is more privacy and more noise. "
        "Where leaks were measured, a row below shows them over the same epsilon: the AUROC of "
        "membership inference (Carlini et al. 2022), the share of those who trained that it finds "
        "at few false positives, and the PSNR that images reconstructed from the update of a round "
        "(Geiping et al. 2020) have above those of images that took no part. Less leaks nearer to "
        "the grey lines."
    ),
}
COLUMNS = 2  # panels side by side
# mm on the printed page
LEFT, PANEL, HEIGHT, BETWEEN, TOP, BELOW, AXIS = 14.0, 68.0, 40.0, 18.0, 8.0, 19.0, 12.0
RIGHT, LEAK = 3.0, 36.0
APART = 0.12  # between two architectures at an epsilon
WHOSE = (
    f"“{SITE}”: of a site as a whole, else of a patient; what it sends to the server has no noise."
)
FEW = "Points without a bar: too few cases for an interval."


def draw(table: pd.DataFrame, shown: dict[Endpoint, str], leaked: Leaks | None) -> Figure:
    """A page: a panel an endpoint, and below them one of each leak; a colour an architecture.

    table: METHODS, of the methods with privacy and the one like them without. shown: headings.
    """
    rows, columns = math.ceil(len(shown) / COLUMNS), min(COLUMNS, len(shown))
    width = page_width(COLUMNS if leaked else columns)
    panel = panel_width(width, columns)
    methods = by_epsilon(table)
    note = style.wrapped(note_of(table, methods, leaked), width - 5)
    below = TOP + rows * (HEIGHT + BELOW)  # where a further row begins
    tall = below + LEAK if leaked else below - BELOW
    figure = style.new_figure(width, tall + AXIS + style.note_height(note))
    low = np.nanmin(table[["auroc", "auroc_low"]].to_numpy(float))
    for number, (endpoint, heading) in enumerate(shown.items()):
        x = LEFT + number % COLUMNS * (panel + BETWEEN)
        y = TOP + number // COLUMNS * (HEIGHT + BELOW)
        axes = style.axes_at(figure, x, y, panel, HEIGHT)
        draw_panel(axes, at(table, endpoint), methods)
        axes.set_ylim(max(math.floor(20 * (min(low, 0.5) - 0.02)) / 20, 0), 1.0)
        style.shrink_to_fit(axes.set_title(heading, loc="left"), panel)
    if leaked:
        draw_leaks(figure, below, leaked, methods, in_order(table["architecture"]))
    style.write_note(figure, note)
    return figure


def page_width(columns: int) -> float:
    """How wide a page of so many panels of their own width is, in mm."""
    return LEFT + columns * PANEL + (columns - 1) * BETWEEN + RIGHT


def panel_width(width: float, columns: int) -> float:
    """How wide each of so many panels is that fill a page of `width` mm."""
    return (width - LEFT - RIGHT - (columns - 1) * BETWEEN) / columns


def draw_panel(axes: Axes, table: pd.DataFrame, methods: dict[str, Place]) -> None:
    """AUROC of every architecture at an endpoint, and a line at chance."""
    axes.axhline(0.5, color=style.LIGHT, linewidth=0.8, zorder=0)
    architectures = in_order(table["architecture"])
    for number, shift in enumerate(shifts(len(architectures), APART)):
        rows = table[table["architecture"] == architectures[number]]
        low, high = bounds(rows)
        rows = rows.assign(value=rows["auroc"], low=low, high=high)
        title = architecture_title(architectures[number])
        draw_series(axes, rows, methods, shift, style.accent(number), label=title)
    finish(axes, methods)
    axes.set_ylabel("AUROC")
    axes.legend(loc="upper left", ncols=2, frameon=False, fontsize=6)


def draw_leaks(
    figure: Figure, top: float, leaked: Leaks, methods: dict[str, Place], architectures: list[str]
) -> None:
    """A row of panels, one a leak, as wide as the page. top: in mm."""
    width, _ = style.size_mm(figure)
    panel = panel_width(width, len(leaked.panels))
    colours = {one: style.accent(number) for number, one in enumerate(architectures)}
    for number, (name, shown) in enumerate(leaked.panels.items()):
        x = LEFT + number * (panel + BETWEEN)
        axes = style.axes_at(figure, x, top, panel, LEAK)
        leaks.draw_panel(axes, leaked, name, methods, colours)
        style.shrink_to_fit(axes.set_title(shown.heading, loc="left"), panel)


def bounds(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Where the bars of models end: 95 % intervals, or the spread over seeds; NaN of neither."""
    spread = rows["auroc_sd"].to_numpy(float)
    value = rows["auroc"].to_numpy(float)
    several = ~np.isnan(spread)
    low, high = (rows[f"auroc_{end}"].to_numpy(float) for end in ("low", "high"))
    return np.where(several, value - spread, low), np.where(several, value + spread, high)


def note_of(table: pd.DataFrame, methods: dict[str, Place], leaked: Leaks | None) -> str:
    """What the bars are, which methods the points are of, and what is said of leaks."""
    named = "; ".join(f"{one.text}: {method_title(method)}" for method, one in methods.items())
    whose = WHOSE if of_sites(methods) else ""
    bars = "Bars: SD over seeds." if table["seeds"].max() > 1 else "Bars: 95 % intervals."
    few = (table["note"] != "").any() or leaks.lacks_bars(leaked)
    said = leaks.note_of(leaked, table)
    return joined([bars, f"ε, {named}.", whose, "Grey: chance.", said, FEW if few else ""])


def shown_of(table: pd.DataFrame, without: list[str]) -> pd.DataFrame:
    """The rows of methods with privacy, and of those that are like them without."""
    return table[table["epsilon"].notna() | table["method"].isin(without)]


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--methods", required=True, type=Path, help="table of all methods")
    parser.add_argument(
        "--without", nargs="*", default=[], help="methods like those with privacy, but without it"
    )
    for option in ("membership", "inversion"):
        parser.add_argument(f"--{option}", nargs="*", default=[], type=Path, help="of attacks")
    add_titles(parser)
    style.add_outputs(parser)
    arguments = parser.parse_args(argv)
    table = shown_of(METHODS.read(arguments.methods), arguments.without)
    leaked = leaks.read(arguments.membership, arguments.inversion, table)

    def drawn() -> Iterator[Figure]:
        for shown in endpoint_pages(table, arguments.methods, arguments.titles, FIGURE):
            yield draw(table, shown, leaked)

    style.save_pages(drawn(), arguments.pdf, arguments.png, arguments.mark)


if __name__ == "__main__":
    run(main)
