"""Figure: how well Grad-CAM agrees with the annotations, by measure, endpoint and model."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run
from chexviz.base.methods import BASELINE
from chexviz.base.tables.evaluation import LOCALISATION
from chexviz.evaluation.cases import TOO_FEW, is_too_few
from chexviz.evaluation.over_seeds import over_seeds, p_value
from chexviz.reporting.figures import style
from chexviz.reporting.figures.panels import at, at_any, endpoint_pages
from chexviz.reporting.selection import in_order
from chexviz.reporting.titles import (
    MEASURES,
    Endpoint,
    add_titles,
    architecture_title,
    endpoints,
    method_title,
)
from chexviz.reporting.wording import p_text

FIGURE = {
    "name": "localisation",
    "caption": (
        "*Agreement of Grad-CAM maps with the annotations* of all true positives, with #level "
        "intervals. Below chance (a uniform map) a map misleads. Below the mean annotation it "
        "tells less than where such findings usually are. #capital(protocol.title)."
    ),
    "alt": "Agreement of Grad-CAM maps with the annotations",
    "of": "endpoints",
    "per_page": 2,
    "category": "Localisation",
    "shows": "agreement, figure",
    "report": (
        "Agreement of Grad-CAM maps with the annotations, on the true positives of each model, "
        "protocol ``{protocol}``. A map that does not beat chance (a uniform map) tells nothing "
        "about where the finding is; one that does not beat the mean annotation tells no more than "
        "where such findings usually are. Maps are taken after the last ReLU, so they show what "
        "the task block sees; one that is all zero scores 0."
    ),
}
KEYS = ["site", "finding", "architecture", "method", "measure"]
# mm on the printed page
LEFT, RIGHT, BETWEEN, TOP, ROW, ABOVE_SITE, BELOW_SITE, NOTES = 39, 2, 9, 6, 3.6, 5, 7, 13.5
UNTESTED = (
    "p is not corrected for several tests. Open: too few cases for an interval, or "
    "all score alike. A map that is all zero scores 0."
)
P_COLUMN = 0.2  # of a panel's width, right of the values


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """One row a KEYS: of several seeds the mean with the bounds of +/- one SD.

    p is then of the expected difference. A seed without a number leaves none.
    """
    rows = []
    for key, runs in table.groupby(KEYS, sort=False):
        row = dict(zip(KEYS, key, strict=True)) | {"images": runs["images"].mean()}
        row |= {name: runs[name].mean(skipna=False) for name in ("chance", "prior")}
        value, low, high, spread = over_seeds("value", runs[["value", "low", "high"]]).values()
        if len(runs) > 1:
            low, high = value - spread, value + spread
        row |= {"value": value, "low": low, "high": high, "p": p_value(runs)}
        row["note"] = next(filter(None, runs["note"]), "")
        row["alike"] = runs["note"].str.contains("differences: all alike").any()
        rows.append(row)
    return pd.DataFrame(rows)


def places(rows: pd.DataFrame) -> dict[tuple[str, str], int]:
    """The line of each (architecture, method); every architecture begins with a line of its own."""
    lines, line = {}, 0
    for architecture in in_order(rows["architecture"]):
        line += 1
        for method in in_order(rows.loc[rows["architecture"] == architecture, "method"]):
            lines[architecture, method] = line
            line += 1
    return lines


def draw(table: pd.DataFrame, shown: list[dict[Endpoint, str]]) -> Iterator[Figure]:
    """The pages: a row an endpoint, a column a measure. shown: headings by endpoint, by page."""
    rows = summarise(table)
    lines, seeds = places(rows), table["seed"].nunique()
    panel = ROW * (max(lines.values()) + 1.4)
    for titles in shown:
        height = TOP + len(titles) * (ABOVE_SITE + panel + BELOW_SITE) + NOTES
        figure = style.new_figure(style.DOUBLE_COLUMN, height)
        width = (style.DOUBLE_COLUMN - LEFT - RIGHT - (len(MEASURES) - 1) * BETWEEN) / len(MEASURES)
        for column, (measure, title) in enumerate(MEASURES.items()):
            x = LEFT + column * (width + BETWEEN)
            style.text_at(figure, x, 5, title, fontsize=7.5, fontweight="bold", va="baseline")
            of_measure = rows[rows["measure"] == measure]
            limit = largest(of_measure)
            for row, endpoint in enumerate(titles):
                y = TOP + row * (ABOVE_SITE + panel + BELOW_SITE) + ABOVE_SITE
                axes = style.axes_at(figure, x, y, width, panel)
                draw_panel(axes, at(of_measure, endpoint), lines, limit)
        for row, (endpoint, name) in enumerate(titles.items()):
            y = TOP + row * (ABOVE_SITE + panel + BELOW_SITE) + ABOVE_SITE
            head = style.text_at(figure, 2.5, y - 1.6, name, fontsize=7.5, fontweight="bold")
            style.shrink_to_fit(head, LEFT + width)
            name_lines(figure, y, at(of_measure, endpoint), lines)
        write_notes(figure, seeds, why_no_p(at_any(rows, titles)))
        yield figure


def largest(rows: pd.DataFrame) -> float:
    """Where the panels of a measure end: beyond all that is drawn in them."""
    ends = rows[["high", "value", "prior", "chance"]].max()
    return 1.06 * float(np.nanmax([0.1, *ends]))


def draw_panel(axes: Axes, rows: pd.DataFrame, lines: dict, limit: float) -> None:
    """A point with its interval a model, and both references beside it."""
    methods = in_order(pd.Series([method for _, method in lines]))
    right = limit / (1 - P_COLUMN)
    for row in rows.itertuples():
        y = lines[row.architecture, row.method]
        if np.isnan(row.value):
            look: style.Look = {"va": "center_baseline", "fontsize": 6}
            text = "no annotated true positive"
            axes.text(0.02 * right, y, text, color=style.GREY, **look)
            continue
        colour = style.accent(methods.index(row.method))
        axes.plot([row.chance] * 2, [y - 0.45, y + 0.45], color=style.GREY, linewidth=1)
        look = {"markersize": 3.2, "markerfacecolor": "white", "markeredgewidth": 0.7}
        axes.plot(row.prior, y, "D", color=style.GREY, zorder=2, **look)
        axes.plot([row.low, row.high], [y, y], color=colour, linewidth=1.2, zorder=3)
        look = {"markersize": 3.6, "markerfacecolor": "white" if np.isnan(row.low) else colour}
        axes.plot(row.value, y, "o", color=colour, zorder=4, clip_on=False, **look)
        if row.method != BASELINE:
            look = {"ha": "right", "va": "center_baseline", "fontsize": 6}
            text = TOO_FEW if is_too_few(row.note) and np.isnan(row.p) else p_text(row.p)
            axes.text(right, y, text, color=style.INK, **look)
    axes.text(right, 0, "p", ha="right", va="center_baseline", fontsize=6, style="italic")
    axes.set(xlim=(0, right), ylim=(max(lines.values()) + 0.9, -0.5))
    ticks = [tick for tick in axes.get_xticks() if tick <= limit]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.spines["bottom"].set_bounds(0, limit)
    axes.axvline(0, color=style.LIGHT, linewidth=0.6, zorder=0)


def name_lines(figure: Figure, top: float, rows: pd.DataFrame, lines: dict) -> None:
    """The names left of an endpoint's panels: architectures above methods, and how many images."""
    images = rows.set_index(["architecture", "method"])["images"]
    look = {"va": "center_baseline", "fontsize": 6.5}

    def write(line: float, x: float, text: str, **more: Any) -> None:
        y = top + (line + 0.5) * ROW
        style.shrink_to_fit(style.text_at(figure, x, y, text, **look, **more), LEFT - 14)

    write(0, LEFT - 3, "images", ha="right", color=style.GREY)
    for (architecture, method), line in lines.items():
        if method == BASELINE:
            write(line - 1, 2.5, architecture_title(architecture))
        write(line, 5, method_title(method))
        if (architecture, method) in images.index:
            count = f"{images[architecture, method]:,.0f}"
            write(line, LEFT - 3, count, ha="right", color=style.GREY)


def why_no_p(rows: pd.DataFrame) -> str:
    """Why a dash stands for a p value; '' if none does."""
    without = rows[(rows["method"] != BASELINE) & rows["value"].notna() & rows["p"].isna()]
    reasons = ["too few" if not without["alike"].all() else ""]
    reasons += ["all differences alike" if without["alike"].any() else ""]
    found = " or ".join(filter(None, reasons))
    return f" (–: {found})" if found else ""


def write_notes(figure: Figure, seeds: int, dash: str) -> None:
    """What the marks mean, at the bottom. dash: why there is no p value."""
    width, height = style.size_mm(figure)
    axes = style.axes_at(figure, 0, height - NOTES, width, NOTES)
    axes.set(xlim=(0, width), ylim=(NOTES, 0))
    axes.axis("off")
    mean = "mean over true positives, 95 % interval"
    mean = mean if seeds == 1 else f"mean ± standard deviation over {seeds} seeds"
    axes.plot([3, 7], [3, 3], color=style.accent(0), linewidth=1.2)
    axes.plot(5, 3, "o", color=style.accent(0), markersize=3.6)
    axes.plot([66, 66], [1.6, 4.4], color=style.GREY, linewidth=1)
    look: style.Look = {"markersize": 3.2, "markerfacecolor": "white", "markeredgewidth": 0.7}
    axes.plot(109, 3, "D", color=style.GREY, **look)
    p = "p" if seeds == 1 else "p (of all seeds)"
    tested = (
        f"{p}: paired test against the baseline of the architecture, on the true positives "
        f"of both{dash}."
    )
    texts = {
        (8.5, 3): mean,
        (68, 3): "chance: a uniform map",
        (111.5, 3): "the mean annotation of the images that do not evaluate",
        (3, 7): tested,
        (3, 10.5): UNTESTED,
    }
    for (x, y), text in texts.items():
        axes.text(x, y, text, fontsize=6.5, color=style.GREY, va="center_baseline")


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--localisation", required=True, type=Path)
    add_titles(parser)
    style.add_outputs(parser)
    arguments = parser.parse_args(argv)
    table = LOCALISATION.read(arguments.localisation)
    if table.empty:
        raise InputError(
            arguments.localisation,
            expected="a row for each model and measure",
            found="no rows",
            fix="make the file again",
        )
    titles = arguments.titles
    shown = endpoint_pages(table, arguments.localisation, titles, FIGURE)
    figures = draw(at_any(table, endpoints(titles)), shown)
    style.save_pages(figures, arguments.pdf, arguments.png, arguments.mark)


if __name__ == "__main__":
    run(main)
