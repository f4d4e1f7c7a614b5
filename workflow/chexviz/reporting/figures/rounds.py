"""Panels of what every training does round by round: a row a site, a column an architecture."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from chexviz.reporting.figures import style
from chexviz.reporting.selection import in_order
from chexviz.reporting.titles import architecture_title, method_title, place_title

# mm on the printed page
LEFT, LABELS, RIGHT = 15.0, 22.0, 1.0
TOP, ROW, BETWEEN_ROWS, BOTTOM = 8.0, 34.0, 12.0, 17.0
LABEL = 2.5
LINE, TEXT = (0.5, 2.7), 3.5  # right of a panel: what ties a name to its line, and the name
LOWEST = -0.15  # of a label, as a part of the panel's height


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
            rows = histories[own & (histories["architecture"] == architecture)]
            draw_panel(axes, rows, value, methods or in_order(histories["method"]))
            axes.set(xlabel="Round" if row == len(sites) - 1 else "", ylabel=label)
            heading = f"{architecture_title(architecture)}, {place_title(site)}"
            title = axes.set_title(heading, loc="left")
            style.shrink_to_fit(title, width + LABELS)


def draw_panel(axes: Axes, histories: pd.DataFrame, value: str, methods: list[str]) -> None:
    """A line a method: the mean over seeds, and a band from the lowest to the highest of them."""
    ends = {}
    for position, method in enumerate(methods):
        rows = histories[histories["method"] == method].dropna(subset=[value])
        if rows.empty:  # also of a method with privacy, of which no loss is told
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
    if ends:
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
    width = axes.bbox.width / axes.figure.dpi * 25.4
    points = [to_axes.transform(point) for point in ends.values()]
    heights = spread([y for _, y in points], LABEL / ROW)
    for position, (x, y), level in zip(ends, points, heights, strict=True):
        look = line_look(position) | {"linewidth": 0.5}
        ties = [x, *(1 + right / width for right in LINE)]
        axes.plot(ties, [y, y, level], transform=axes.transAxes, clip_on=False, **look)
        name = axes.text(
            1 + TEXT / width,
            level,
            method_title(methods[position]),
            transform=axes.transAxes,
            color=look["color"],
            fontsize=6,
            va="center_baseline",
        )
        style.shrink_to_fit(name, LABELS - TEXT)


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


def write_note(figure: Figure, note: str, histories: pd.DataFrame) -> None:
    """Text at the bottom, with a line on the seeds if there are several."""
    seeds = histories["seed"].nunique()
    several = f"Lines: mean of {seeds} seeds; bands: from the lowest to the highest of them."
    lines = [note] * bool(note) + [several] * (seeds > 1)
    style.write_fitted_note(figure, "\n".join(lines))
