"""Training figures: learning curves; and how sites drift from the average, and what they send."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.options import finite_json
from chexviz.base.tables.models import read_histories
from chexviz.reporting.figures import style
from chexviz.reporting.titles import (
    ARCHITECTURES,
    full_title,
    in_order,
    megabytes,
    method_title,
    sent_per_round,
)

# mm on the printed page
LEFT, LABELS, RIGHT = 13.0, 22.0, 1.0
TOP, ROW, BETWEEN_ROWS, BOTTOM = 8.0, 34.0, 12.0, 17.0
LABEL, BAR, NAMES = 2.5, 3.6, 10.0
LOWEST = -0.15  # of a label, as a part of the panel's height
POOLED = "Pooled: the mean loss over all sites' images, the same in each panel of an architecture."
DRIFT = (
    "Drift: distance of a site's parameters from the average of all sites, relative to the "
    "length of the average. Methods without exchange have neither."
)


def draw_curves(histories: pd.DataFrame, sites: list[dict]) -> Figure:
    """Learning curves: a row a site, a column an architecture, a line a method.

    histories: see read_histories. sites: name, title, task.
    """
    height = TOP + len(sites) * ROW + (len(sites) - 1) * BETWEEN_ROWS + BOTTOM
    figure = style.new_figure(style.DOUBLE_COLUMN, height)
    draw_grid(figure, histories, sites, "loss", "Training loss", TOP)
    pooled = POOLED if (histories["method"] == "pooled").any() else ""
    write_note(figure, pooled, histories)
    return figure


def draw_exchange(histories: pd.DataFrame, sites: list[dict]) -> Figure:
    """a, drift: a row a site, a column an architecture, a line a method. b, bytes sent.

    Only methods that exchange something are shown.
    """
    sent = sent_per_round(histories)
    sent = sent[sent > 0]
    exchanging = histories[histories["method"].isin(sent.index.get_level_values("method"))]
    if exchanging.empty:
        figure = style.new_figure(style.DOUBLE_COLUMN, 20)
        text = "In this run no site exchanges anything with another."
        style.text_at(figure, style.DOUBLE_COLUMN / 2, 10, text, ha="center", va="center")
        return figure
    # Colours are those of the learning curves, so positions are those among all methods.
    methods = in_order(histories["method"])
    bars = BAR * exchanging["method"].nunique()
    below = TOP + len(sites) * (ROW + BETWEEN_ROWS) + 4
    figure = style.new_figure(style.DOUBLE_COLUMN, below + bars + BOTTOM)
    drift = exchanging.assign(drift=exchanging["drift"].where(exchanging["drift"] > 0))
    draw_grid(figure, drift, sites, "drift", "Drift", TOP, methods)
    architectures = in_order(histories["architecture"])
    for architecture, (x, width) in zip(architectures, columns(len(architectures)), strict=True):
        axes = style.axes_at(figure, x + NAMES, below, width - NAMES, bars)
        draw_bars(axes, sent[architecture], methods)
        title = f"{ARCHITECTURES.get(architecture, architecture)}, sent by a site in a round"
        axes.set_title(title, loc="left")
    for letter, y in (("a", TOP), ("b", below)):
        style.text_at(figure, 2.5, y - 2, letter, fontsize=9, fontweight="bold")
    write_note(figure, DRIFT, histories)
    return figure


def columns(count: int) -> list[tuple[float, float]]:
    """Left edge and width in mm of each of `count` panels in a row."""
    room = (style.DOUBLE_COLUMN - RIGHT) / count
    return [(LEFT + index * room, room - LEFT - LABELS) for index in range(count)]


def draw_grid(
    figure: Figure,
    histories: pd.DataFrame,
    sites: list[dict],
    value: str,
    label: str,
    top: float,
    methods: list[str] | None = None,
) -> None:
    """Panels of one column of the histories, from `top` mm down."""
    architectures = in_order(histories["architecture"])
    for row, site in enumerate(sites):
        own = histories["site"].map(lambda names, name=site["name"]: name in names.split("+"))
        y = top + row * (ROW + BETWEEN_ROWS)
        for architecture, (x, width) in zip(
            architectures, columns(len(architectures)), strict=True
        ):
            axes = style.axes_at(figure, x, y, width, ROW)
            shown = histories[own & (histories["architecture"] == architecture)]
            draw_panel(axes, shown, value, methods or in_order(histories["method"]))
            axes.set(xlabel="Round" if row == len(sites) - 1 else "", ylabel=label)
            name = ARCHITECTURES.get(architecture, architecture)
            title = axes.set_title(f"{name}, {full_title(site)}", loc="left")
            style.shrink_to_fit(title, width + LABELS)


def draw_panel(axes: Axes, histories: pd.DataFrame, value: str, methods: list[str]) -> None:
    """A line a method: the mean over seeds, and a band from the lowest to the highest of them."""
    ends = {}
    for position, method in enumerate(methods):
        rows = histories[histories["method"] == method]
        if rows.empty:
            continue
        runs = rows.groupby("round")[value].agg(["mean", "min", "max"])
        look = line_look(position)
        if rows["seed"].nunique() > 1:
            axes.fill_between(
                runs.index, runs["min"], runs["max"], color=look["color"], alpha=0.16, linewidth=0
            )
        single = "o" if len(runs) == 1 else None  # a line of one point cannot be seen
        axes.plot(runs.index, runs["mean"], marker=single, markersize=3, **look)
        ends[position] = (runs.index[-1], runs["mean"].iloc[-1])
    set_scales(axes, histories["round"].max())
    write_labels(axes, ends, methods)


def set_scales(axes: Axes, rounds: int) -> None:
    """Rounds from left to right; a logarithmic height with plain numbers beside it."""
    axes.set_xlim((1, rounds) if rounds > 1 else (0.5, 1.5))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    wide = high > 10 * low
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)) if wide else MaxNLocator(5))
    axes.yaxis.set_major_formatter(lambda number, _: f"{number:g}")
    axes.yaxis.set_minor_locator(NullLocator())
    axes.autoscale(enable=False)


def line_look(position: int) -> style.Look:
    """Colour and dashes of the method at this position; solid lines first, then dashed ones."""
    dashed = position >= len(style.ACCENTS)
    return {
        "color": style.accent(position),
        "linestyle": (0, (2.5, 1)) if dashed else "solid",
        "linewidth": 1.0,
    }


def write_labels(axes: Axes, ends: dict[int, tuple[float, float]], methods: list[str]) -> None:
    """Write every method's name right of the panel, tied to the end of its line.

    ends: last round and value, by the method's position.
    """
    to_axes = axes.transData + axes.transAxes.inverted()
    points = [to_axes.transform(point) for point in ends.values()]
    heights = spread([y for _, y in points], LABEL / ROW)
    for position, (x, y), beside in zip(ends, points, heights, strict=True):
        look = line_look(position) | {"linewidth": 0.5}
        axes.plot([x, 1.01, 1.05], [y, y, beside], transform=axes.transAxes, clip_on=False, **look)
        axes.text(
            1.065,
            beside,
            method_title(methods[position]),
            transform=axes.transAxes,
            color=look["color"],
            fontsize=6,
            va="center_baseline",
        )


def spread(wanted: list[float], gap: float) -> np.ndarray:
    """Heights near the wanted ones, `gap` apart at least, and from LOWEST to 1 if they all fit."""
    order = np.argsort(wanted, kind="stable")
    steps = gap * np.arange(len(wanted))
    level = np.asarray(wanted)[order] - steps
    # Pushing up only and pushing down only both keep the gap, and so does what lies between.
    level = (np.maximum.accumulate(level) + np.minimum.accumulate(level[::-1])[::-1]) / 2
    level = np.clip(level, LOWEST, max(LOWEST, 1 - steps[-1]))
    heights = np.empty(len(wanted))
    heights[order] = level + steps
    return heights


def draw_bars(axes: Axes, sent: pd.Series, methods: list[str]) -> None:
    """A bar a method: megabytes that a site sends in a round. sent: bytes by method."""
    names = [method for method in methods if method in sent]
    for y, method in enumerate(names):
        colour = style.accent(methods.index(method))
        axes.barh(y, sent[method] / 1e6, height=0.7, color=colour, linewidth=0)
        axes.annotate(
            megabytes(sent[method]),
            (sent[method] / 1e6, y),
            xytext=(3, 0),
            textcoords="offset points",
            va="center_baseline",
            fontsize=6,
        )
    axes.set_yticks(range(len(names)), [method_title(method) for method in names])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(0, sent.max() / 1e6)
    axes.locator_params(axis="x", nbins=5)
    axes.tick_params(axis="y", length=0)
    axes.set_xlabel("MB")


def write_note(figure: Figure, note: str, histories: pd.DataFrame) -> None:
    """Text at the bottom, with a line on the seeds if there are several."""
    seeds = histories["seed"].nunique()
    several = f"Lines: mean of {seeds} seeds; bands: from the lowest to the highest of them."
    lines = [note] * bool(note) + [several] * (seeds > 1)
    width, height = style.size_mm(figure)
    look = {"fontsize": 6.5, "color": style.GREY, "va": "bottom"}
    footnote = style.text_at(figure, 2.5, height - 1.2, "\n".join(lines), **look)
    style.shrink_to_fit(footnote, width - 5)


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument(
        "--history",
        action="append",
        nargs=4,
        required=True,
        metavar=("ARCHITECTURE", "METHOD", "SEED", "FILE"),
    )
    parser.add_argument("--settings", required=True, type=finite_json)
    parser.add_argument("--mark", default="", help="a text that the figures show")
    for name in ("training", "exchange"):
        parser.add_argument(f"--{name}", nargs=2, required=True, type=Path, metavar=("PDF", "PNG"))
    arguments = parser.parse_args(argv)
    histories, sites = read_histories(arguments.history), arguments.settings["sites"]
    for draw, (pdf, png) in (
        (draw_curves, arguments.training),
        (draw_exchange, arguments.exchange),
    ):
        style.save(draw(histories, sites), pdf, png, arguments.mark)


if __name__ == "__main__":
    run(main)
