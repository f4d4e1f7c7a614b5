"""AUROC against epsilon: what differential privacy costs each model at each endpoint."""

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
from chexviz.reporting.figures import style
from chexviz.reporting.figures.panels import at, endpoint_pages
from chexviz.reporting.selection import in_order
from chexviz.reporting.titles import Endpoint, add_titles, architecture_title, method_title

FIGURE = {
    "name": "epsilon",
    "caption": (
        "*AUROC against the privacy of a patient*, #protocol.title: federated models whose sites "
        "trained with differential privacy for all images of a patient, by epsilon, and the one "
        "that trained without (∞), with #level intervals. Less epsilon is more noise."
    ),
    "alt": "AUROC of models trained with and without differential privacy, by epsilon",
    "of": "endpoints",
    "per_page": 6,
    "asked": "private methods",
    "category": "Privacy",
    "shows": "AUROC against epsilon",
    "report": (
        "AUROC of federated models under the protocol ``{protocol}`` whose sites trained with "
        "differential privacy for all images of a patient, by epsilon, and of the one that trained "
        "without noise (∞), with 95 % intervals. Less epsilon is more privacy and more noise."
    ),
}
COLUMNS = 2  # panels side by side
# mm on the printed page
LEFT, PANEL, HEIGHT, BETWEEN, TOP, BELOW, AXIS = 14.0, 68.0, 40.0, 18.0, 8.0, 19.0, 10.0
APART = 0.12  # between two architectures at an epsilon
FEW = "Points without a bar: too few cases for an interval."


def draw(table: pd.DataFrame, shown: dict[Endpoint, str]) -> Figure:
    """A page: a panel an endpoint, a colour an architecture.

    table: METHODS, of the methods with privacy and the one like them without. shown: headings.
    """
    rows, columns = math.ceil(len(shown) / COLUMNS), min(COLUMNS, len(shown))
    width = LEFT + columns * PANEL + (columns - 1) * BETWEEN + 3
    methods = by_epsilon(table)
    note = style.wrapped(note_of(table, methods), width - 5)
    tall = TOP + rows * HEIGHT + (rows - 1) * BELOW + AXIS
    figure = style.new_figure(width, tall + style.note_height(note))
    low = np.nanmin(table[["auroc", "auroc_low"]].to_numpy(float))
    for number, (endpoint, heading) in enumerate(shown.items()):
        x = LEFT + number % COLUMNS * (PANEL + BETWEEN)
        y = TOP + number // COLUMNS * (HEIGHT + BELOW)
        axes = style.axes_at(figure, x, y, PANEL, HEIGHT)
        draw_panel(axes, at(table, endpoint), methods)
        axes.set_ylim(max(math.floor(20 * (min(low, 0.5) - 0.02)) / 20, 0), 1.0)
        axes.set(xlabel="ε of a patient", ylabel="AUROC")
        style.shrink_to_fit(axes.set_title(heading, loc="left"), PANEL)
    style.write_note(figure, note)
    return figure


def draw_panel(axes: Axes, table: pd.DataFrame, methods: dict[str, str]) -> None:
    """Points with their intervals, joined where epsilon is finite, and a line at chance."""
    axes.axhline(0.5, color=style.LIGHT, linewidth=0.8, zorder=0)
    architectures = in_order(table["architecture"])
    for position, architecture in enumerate(architectures):
        rows = table[table["architecture"] == architecture].set_index("method")
        rows = rows.loc[[method for method in methods if method in rows.index]]
        places = np.array([[*methods].index(method) for method in rows.index], float)
        places += APART * (position - (len(architectures) - 1) / 2)
        low, high = bounds(rows)
        colour = style.accent(position)
        look: style.Look = {"color": colour, "linewidth": 0.9}
        axes.vlines(places, low, high, **look)
        finite = rows["epsilon"].notna().to_numpy()
        axes.plot(places[finite], rows["auroc"][finite], **look)
        dots: style.Look = {"marker": "o", "markersize": 3.5, "linestyle": "none"}
        title = architecture_title(architecture)
        axes.plot(places, rows["auroc"], color=colour, label=title, **dots)
    axes.set_xticks(range(len(methods)), methods.values())
    axes.set_xlim(-0.5, len(methods) - 0.5)
    axes.legend(loc="upper left", ncols=2, frameon=False, fontsize=6)


def bounds(rows: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Where the bars of models end: 95 % intervals, or the spread over seeds; NaN of neither."""
    spread = rows["auroc_sd"].to_numpy(float)
    value = rows["auroc"].to_numpy(float)
    several = ~np.isnan(spread)
    low, high = (rows[f"auroc_{end}"].to_numpy(float) for end in ("low", "high"))
    return np.where(several, value - spread, low), np.where(several, value + spread, high)


def by_epsilon(table: pd.DataFrame) -> dict[str, str]:
    """The methods from the least epsilon to none, and how each is called on the axis."""
    most = table.groupby("method", sort=False)["epsilon"].max().fillna(math.inf).sort_values()
    return {str(method): epsilon_text(value) for method, value in most.items()}


def epsilon_text(value: float) -> str:
    """An epsilon with two digits, rounded up, as it is an upper bound: '1', '0.5'; '∞'."""
    if math.isinf(value):
        return "∞"
    scale = 10 ** (math.floor(math.log10(value)) - 1)
    return f"{math.ceil(round(value / scale, 6)) * scale:.2g}"


def note_of(table: pd.DataFrame, methods: dict[str, str]) -> str:
    """What the bars are, and which methods the points are of."""
    seeds = table["seeds"].max()
    named = "; ".join(f"{text}: {method_title(method)}" for method, text in methods.items())
    bars = "Bars: SD over seeds." if seeds > 1 else "Bars: 95 % intervals."
    few = FEW if (table["note"] != "").any() else ""
    return " ".join(filter(None, [bars, f"ε, {named}.", "Grey: chance.", few]))


def shown_of(table: pd.DataFrame, without: list[str]) -> pd.DataFrame:
    """The rows of methods with privacy, and of those that are like them without."""
    return table[table["epsilon"].notna() | table["method"].isin(without)]


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--methods", required=True, type=Path, help="table of all methods")
    parser.add_argument(
        "--without", nargs="*", default=[], help="methods like those with privacy, but without it"
    )
    add_titles(parser)
    style.add_outputs(parser)
    arguments = parser.parse_args(argv)
    table = shown_of(METHODS.read(arguments.methods), arguments.without)

    def drawn() -> Iterator[Figure]:
        for shown in endpoint_pages(table, arguments.methods, arguments.titles, FIGURE):
            yield draw(table, shown)

    style.save_pages(drawn(), arguments.pdf, arguments.png, arguments.mark)


if __name__ == "__main__":
    run(main)
