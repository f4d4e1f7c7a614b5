"""Figure: mIoU, hit rate and energy within the lungs, by endpoint and model."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.tables.evaluation import CHEXLOCALIZE, POSITIVES, TRUE_POSITIVES
from chexviz.evaluation.over_seeds import over_seeds
from chexviz.reporting.figures import style
from chexviz.reporting.figures.panels import (
    at,
    external_endpoints,
    pages,
    require_endpoints,
)
from chexviz.reporting.selection import in_order
from chexviz.reporting.titles import (
    Endpoint,
    add_titles,
    architecture_title,
    endpoint_titles,
    endpoints,
    method_title,
)
from chexviz.reporting.wording import capitalised

FIGURE = {
    "name": "chexlocalize",
    "caption": (
        "*Grad-CAM in CheXlocalize's terms*, with #level intervals: over all images with the "
        "finding (filled) and over true positives (open). Energy within the lungs at sites with "
        "lung masks. #capital(protocol.title)."
    ),
    "alt": "mIoU, hit rate and energy within the lungs",
    "of": "answered endpoints",
    "per_page": 3,
    "category": "Localisation",
    "shows": "mIoU, hit rate, lungs, figure",
    "report": (
        "Mean intersection over union (mIoU), hit rate and, at sites with lung masks, the share "
        "of the maps' energy within the lungs, over all images with the finding and over true "
        "positives, protocol ``{protocol}``. A map that does not beat chance (a uniform map) "
        "tells nothing."
    ),
}
MEASURES = {
    "iou": "mIoU",
    "pointing": "Hit rate",
    "lung_energy": "Energy within the lungs",
}
KEYS = ["architecture", "method", "head", "over"]
# mm on the printed page
LEFT, RIGHT, BETWEEN, TOP, ROW, ABOVE, BELOW, NOTES = 39, 2, 9, 6, 4.2, 5, 7, 10
SIDES = {POSITIVES: -0.17, TRUE_POSITIVES: 0.17}  # of a line


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """One row a KEYS: of several seeds the mean with the bounds of +/- one SD."""
    rows = []
    for key, runs in table.groupby(KEYS, sort=False):
        value, low, high, spread = over_seeds("value", runs[["value", "low", "high"]]).values()
        if len(runs) > 1:
            low, high = value - spread, value + spread
        row = dict(zip(KEYS, key, strict=True)) | {"chance": runs["chance"].mean()}
        rows.append(row | {"value": value, "low": low, "high": high})
    return pd.DataFrame(rows, columns=[*KEYS, "chance", "value", "low", "high"])


def places(table: pd.DataFrame) -> dict[tuple[str, str], int]:
    """The line of each (architecture, method), below a line of the architecture's own."""
    lines, line = {}, 0
    for architecture in in_order(table["architecture"]):
        line += 1
        for method in in_order(table.loc[table["architecture"] == architecture, "method"]):
            lines[architecture, method] = line
            line += 1
    return lines


def shown_pages(table: pd.DataFrame, path: Path, sites: list[dict]) -> list[dict[Endpoint, str]]:
    """The headings of all endpoints that a model answers, by endpoint, for each page."""
    wanted, titles = endpoints(sites) + external_endpoints(sites), endpoint_titles(sites)
    require_endpoints(table, wanted, path)
    return [
        {endpoint: capitalised(titles[endpoint]) for endpoint in page}
        for page in pages(wanted, FIGURE)
    ]


def draw(table: pd.DataFrame, shown: list[dict[Endpoint, str]]) -> Iterator[Figure]:
    """The pages: a row an endpoint, a column a measure. shown: headings by endpoint, by page."""
    lines, several = places(table), table["seed"].nunique() > 1
    panel = ROW * (max(lines.values()) + 1)
    width = (style.DOUBLE_COLUMN - LEFT - RIGHT - (len(MEASURES) - 1) * BETWEEN) / len(MEASURES)
    for page in shown:
        height = TOP + len(page) * (ABOVE + panel + BELOW) + NOTES
        figure = style.new_figure(style.DOUBLE_COLUMN, height)
        for column, (measure, title) in enumerate(MEASURES.items()):
            x = LEFT + column * (width + BETWEEN)
            style.text_at(figure, x, 5, title, fontsize=7.5, fontweight="bold", va="baseline")
            for row, endpoint in enumerate(page):
                y = TOP + row * (ABOVE + panel + BELOW) + ABOVE
                rows = at(table[table["measure"] == measure], endpoint)
                draw_panel(style.axes_at(figure, x, y, width, panel), summarise(rows), lines)
        for row, heading in enumerate(page.values()):
            y = TOP + row * (ABOVE + panel + BELOW) + ABOVE
            head = style.text_at(figure, 2.5, y - 1.6, heading, fontsize=7.5, fontweight="bold")
            style.shrink_to_fit(head, LEFT + width)
            name_lines(figure, y, lines)
        write_notes(figure, several)
        yield figure


def draw_panel(axes: Axes, rows: pd.DataFrame, lines: dict[tuple[str, str], int]) -> None:
    """Two points with their intervals a model, and chance beside them."""
    methods = in_order(pd.Series([method for _, method in lines]))
    axes.set(ylim=(max(lines.values()) + 0.6, -0.4), yticks=[])
    axes.spines["left"].set_visible(False)
    if rows["value"].isna().all():
        axes.set(xticks=[])
        axes.spines["bottom"].set_visible(False)
        look: style.Look = {"color": style.GREY, "fontsize": 6, "va": "center"}
        what = "no lung masks" if rows.empty else "no annotated image with the finding"
        axes.text(0, 0.5, what, transform=axes.transAxes, **look)
        return
    for row in rows.itertuples():
        y = lines[row.architecture, row.method] + SIDES[row.over]
        colour = style.accent(methods.index(row.method))
        axes.plot([row.chance] * 2, [y - 0.17, y + 0.17], color=style.GREY, linewidth=1)
        axes.plot([row.low, row.high], [y, y], color=colour, linewidth=1, zorder=3)
        filled = colour if row.over == POSITIVES else "white"
        look = {"markersize": 3.2, "markerfacecolor": filled, "markeredgewidth": 0.8}
        axes.plot(row.value, y, "o", color=colour, zorder=4, clip_on=False, **look)
    ends = rows[["high", "value", "chance"]].max()
    limit = min(1.0, 1.06 * float(np.nanmax([0.1, *ends])))
    ticks = [tick for tick in axes.get_xticks() if 0 <= tick <= limit]
    axes.set(xlim=(0, limit), xticks=ticks, xticklabels=[f"{tick:g}" for tick in ticks])
    axes.axvline(0, color=style.LIGHT, linewidth=0.6, zorder=0)


def name_lines(figure: Figure, top: float, lines: dict[tuple[str, str], int]) -> None:
    """The names left of an endpoint's panels: architectures above methods."""
    look: style.Look = {"va": "center_baseline", "fontsize": 6.5}
    named: set[str] = set()
    for (architecture, method), line in lines.items():
        if architecture not in named:
            y = top + (line - 0.6) * ROW
            style.text_at(figure, 2.5, y, architecture_title(architecture), **look)
            named.add(architecture)
        text = style.text_at(figure, 5, top + (line + 0.4) * ROW, method_title(method), **look)
        style.shrink_to_fit(text, LEFT - 8)


def write_notes(figure: Figure, several: bool) -> None:
    """What the marks mean, at the bottom. several: whether there are several seeds."""
    width, height = style.size_mm(figure)
    axes = style.axes_at(figure, 0, height - NOTES, width, NOTES)
    axes.set(xlim=(0, width), ylim=(NOTES, 0))
    axes.axis("off")
    sure = "mean ± standard deviation over seeds" if several else "mean with 95 % interval"
    marks = {3: "all images with the finding", 47: "true positives"}
    for (x, text), filled in zip(marks.items(), (style.accent(0), "white"), strict=True):
        look: style.Look = {"markersize": 3.2, "markerfacecolor": filled, "markeredgewidth": 0.8}
        axes.plot([x, x + 4], [3, 3], color=style.accent(0), linewidth=1)
        axes.plot(x + 2, 3, "o", color=style.accent(0), **look)
        look = {"fontsize": 6.5, "color": style.GREY, "va": "center_baseline"}
        axes.text(x + 5.5, 3, text, **look)
    axes.plot([77, 77], [1.8, 4.2], color=style.GREY, linewidth=1)
    axes.text(79, 3, "chance: a uniform map", **look)
    told = f"{capitalised(sure)}; without: too few cases, or all score alike."
    axes.text(3, 7, f"{told} A map that is all zero scores 0.", **look)


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--chexlocalize", required=True, type=Path)
    add_titles(parser)
    style.add_outputs(parser)
    arguments = parser.parse_args(argv)
    table = CHEXLOCALIZE.read(arguments.chexlocalize)
    shown = shown_pages(table, arguments.chexlocalize, arguments.titles)
    style.save_pages(draw(table, shown), arguments.pdf, arguments.png, arguments.mark)


if __name__ == "__main__":
    run(main)
