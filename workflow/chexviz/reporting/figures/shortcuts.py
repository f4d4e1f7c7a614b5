"""Shortcut figure: AUROC where an attribute can help a model, and where it cannot."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.methods import BASELINE
from chexviz.base.tables.evaluation import SHORTCUTS
from chexviz.reporting.figures import style
from chexviz.reporting.figures.panels import at, at_any, heading_pages
from chexviz.reporting.figures.subgroups import (
    BETWEEN,
    PANEL,
    VALUES,
    draw_method,
    write_methods,
)
from chexviz.reporting.selection import in_order
from chexviz.reporting.titles import Endpoint, add_titles, endpoints
from chexviz.reporting.wording import attribute_title, capitalised

FIGURE = {
    "name": "shortcuts",
    "caption": (
        "*Shortcuts*: AUROC of pairs of a positive and a negative image, with #level intervals. "
        "Within groups: pairs of one group, among which the attribute cannot help. Below it: "
        "positive images without a tag against negative ones with it, and so on. A model that has "
        "learnt a chest tube ranks untreated patients below those with a tube and nothing else: an "
        "AUROC below 0.5. #known.counting #capital(protocol.title)."
    ),
    "alt": "AUROC within groups and across them",
    "of": "endpoints",
    "per_page": 1,
    "category": "Subgroups",
    "shows": "shortcuts, figure",
    "report": (
        "AUROC of pairs of a positive and a negative image of the baselines and of {method}, "
        "protocol ``{protocol}``, with 95 % intervals: of one group, among which the attribute "
        "cannot help, and with or without a tag such as a chest tube. A model that has learnt the "
        "tag ranks positive images without it below negative ones with it: an AUROC below 0.5."
    ),
}
SHOWN = {  # measures, and what readers call them
    "all": "All pairs",
    "matched": "Within groups",
    "without against all": "Without against all",
    "without against without": "Without against without",
    "without against with": "Without against with",
    "with against without": "With against without",
}
NOTHING = "No attribute tells the images apart: all have the same, or none is stated."
# mm on the printed page
LEFT, TOP, ROW, TITLE, AXIS = 50.0, 5.0, 4.6, 8.0, 9.0
NOTE = (
    "AUROC with 95 % interval, not corrected for the number of attributes. Without against with: "
    "positive images without what the heading names (chest tube, view AP) against negative images "
    "with it, and so on. n: positive of all images of the pairs. Too few: fewer independent "
    "positive or negative cases than an interval needs."
)


def draw(table: pd.DataFrame, pages: list[dict[Endpoint, str]], note: str) -> Iterator[Figure]:
    """The pages: lines of one endpoint, a column an architecture; `note` below.

    table: of the methods to be shown, of all seeds. pages: the endpoint of each, with its heading.
    """
    architectures, methods = in_order(table["architecture"]), in_order(table["method"])
    columns = max(len(architectures), 1)
    width = LEFT + columns * (PANEL + VALUES) + (columns - 1) * BETWEEN
    note = style.wrapped(note, width - 5)
    limits = axis_limits(table)
    for page in pages:
        ((endpoint, title),) = page.items()
        own = at(table, endpoint)
        lines = lines_of(own)
        height = ROW * max(len(lines), 1)
        whole = TOP + TITLE + height + AXIS + style.note_height(note)
        figure = style.new_figure(width, whole)
        style.write_note(figure, note)
        y = TOP + TITLE
        heading = style.text_at(figure, 2.5, y - 3, title, fontsize=7.5, fontweight="bold")
        style.break_to_fit(heading, LEFT - 10)
        if not lines:
            style.text_at(figure, 2.5, y + ROW, NOTHING, fontsize=6.5)
        name_lines(figure, y, lines, own)
        for column, architecture in enumerate(architectures if lines else ()):
            x = LEFT + column * (PANEL + VALUES + BETWEEN)
            axes = style.axes_at(figure, x, y, PANEL, height)
            write_methods(figure, x, y - 3, architecture, methods)
            draw_panel(axes, lines, own[own["architecture"] == architecture], methods)
            axes.set(xlim=limits, ylim=(len(lines) - 0.5, -0.5), xlabel="AUROC")
        yield figure


def lines_of(table: pd.DataFrame) -> list[tuple[str, str, str]]:
    """Attribute, tag and measure of each line, from the top; a heading has no measure."""
    lines = []
    rows = table.drop_duplicates(["attribute", "measure"])
    for (attribute, tag), found in rows.groupby(["attribute", "tag"], sort=False):
        lines.append((attribute, tag, ""))
        lines += [(attribute, tag, name) for name in found["measure"] if name in SHOWN]
    return lines


def axis_limits(table: pd.DataFrame) -> tuple[float, float]:
    """The range of AUROC that all panels show: it holds chance."""
    low, high = table[["low", "value"]].min(axis=None), table[["high", "value"]].max(axis=None)
    ends = np.nanmin([low, 0.4]), np.nanmax([high, 0.6])
    return max(np.floor(10 * ends[0]) / 10, 0) - 0.02, min(np.ceil(10 * ends[1]) / 10, 1) + 0.02


def name_lines(figure: Figure, y: float, lines: list, table: pd.DataFrame) -> None:
    """Write the names of the lines left of the panels, and their images; y: mm from the top."""
    style.text_at(figure, LEFT - 3, y - 3, "n", fontsize=6.5, color=style.GREY, ha="right")
    images = table.drop_duplicates(["attribute", "measure"]).set_index(["attribute", "measure"])
    for number, (attribute, tag, measure) in enumerate(lines):
        place = y + ROW * (number + 0.5)
        look = {"fontsize": 6.5, "va": "center_baseline"}
        if measure:
            style.text_at(figure, 4.5, place, SHOWN[measure], **look)
            row = images.loc[(attribute, measure)]
            count = f"{row['positives']:,} of {row['images']:,}"
            style.text_at(figure, LEFT - 3, place, count, color=style.GREY, ha="right", **look)
        else:
            heading = capitalised(attribute_title(attribute, tag))
            style.text_at(figure, 2.5, place, heading, fontweight="bold", **look)


def draw_panel(axes: Axes, lines: list, table: pd.DataFrame, methods: list[str]) -> None:
    """Points with intervals of each method, line by line, and their values beside the panel."""
    axes.axvline(0.5, color=style.LIGHT, linewidth=0.8, zorder=0)
    step = 0.46 / max(len(methods) - 1, 1)
    for number, (attribute, _, measure) in enumerate(lines):
        rows = table[(table["attribute"] == attribute) & (table["measure"] == measure)]
        for position, method in enumerate(methods):
            y = number + (position - (len(methods) - 1) / 2) * step
            draw_method(axes, y, rows[rows["method"] == method], style.accent(position), "")
    axes.set_yticks([])
    axes.spines["left"].set_color(style.LIGHT)
    axes.locator_params(axis="x", nbins=5)


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--shortcuts", required=True, type=Path)
    parser.add_argument("--method", required=True, help="shown beside the baseline")
    add_titles(parser)
    style.add_outputs(parser)
    arguments = parser.parse_args(argv)
    table = at_any(SHORTCUTS.read(arguments.shortcuts), endpoints(arguments.titles))
    table = table[table["method"].isin([BASELINE, arguments.method])]
    seeds, note = table["seed"].unique(), NOTE
    if len(seeds) > 1:
        note += f"\nPoints and values: first of {len(seeds)} seeds ({seeds[0]}); rings: the others."
    figures = draw(table, heading_pages(arguments.titles, FIGURE), note)
    style.save_pages(figures, arguments.pdf, arguments.png, arguments.mark)


if __name__ == "__main__":
    run(main)
