"""The axis of epsilon: where methods stand on it, and what is drawn above them."""

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from chexviz.reporting.figures import style

WITHOUT = "∞"  # of a method that trains without privacy


def by_epsilon(table: pd.DataFrame) -> dict[str, str]:
    """The methods from the least epsilon to none, and how each is called on the axis."""
    most = table.groupby("method", sort=False)["epsilon"].max().fillna(math.inf).sort_values()
    return {str(method): epsilon_text(value) for method, value in most.items()}


def epsilon_text(value: float) -> str:
    """An epsilon with two digits, rounded up, as it is an upper bound: '1', '0.5'; '∞'."""
    if math.isinf(value):
        return WITHOUT
    scale = 10 ** (math.floor(math.log10(value)) - 1)
    return f"{math.ceil(round(value / scale, 6)) * scale:.2g}"


def finish(axes: Axes, methods: dict[str, str]) -> None:
    """Ticks, limits and title of the axis. methods: see by_epsilon."""
    axes.set_xticks(range(len(methods)), methods.values())
    axes.set_xlim(-0.5, len(methods) - 0.5)
    axes.set_xlabel("ε of a patient")


def shifts(count: int, apart: float) -> np.ndarray:
    """How far each of some series stands beside an epsilon (count,). apart: between neighbours."""
    return apart * (np.arange(count) - (count - 1) / 2)


def draw_series(
    axes: Axes,
    rows: pd.DataFrame,
    methods: dict[str, str],
    shift: float,
    colour: str,
    *,
    hollow: bool = False,
    label: str = "",
) -> None:
    """Points with their bars; filled ones are joined where epsilon is finite.

    rows: method, value, low and high of one architecture; without an end there is no bar. methods:
    see by_epsilon; of those that have no row nothing is drawn.
    """
    rows = rows.set_index("method").reindex([*methods])
    places = np.arange(len(rows)) + shift
    look: style.Look = {"color": colour, "linewidth": 0.9}
    axes.vlines(places, rows["low"], rows["high"], **look)
    if not hollow:
        finite = np.array([text != WITHOUT for text in methods.values()])
        axes.plot(places[finite], rows["value"][finite], **look)
    dots: style.Look = {"marker": "o", "markersize": 3.5, "linestyle": "none"}
    dots |= {"markerfacecolor": "white" if hollow else colour, "markeredgewidth": 0.9, "zorder": 3}
    axes.plot(places, rows["value"], color=colour, label=label or None, **dots)
