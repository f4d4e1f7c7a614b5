"""Figure of the simulation: how often the paired tests call two equally good models different."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run
from chexviz.base.tables.evaluation import LEVEL, SIMULATION
from chexviz.reporting.figures import style
from chexviz.reporting.titles import TESTS

FIGURE = {
    "name": "simulation",
    "by_protocol": False,
    "caption": (
        "*False positives of the tests.* Share of simulated studies in which two equally good "
        "models are called different at the 5\u00a0% level, by the number of bootstrap replicates. "
        "A test keeps its level if it stays there however many replicates are drawn."
    ),
    "alt": "False positives of each test by the number of replicates",
    "category": "Evaluation",
    "shows": "simulation of the tests, figure",
    "report": (
        "Two equally good models (AUROC {config[evaluation][simulation][auroc]}, correlation of "
        "scores {config[evaluation][simulation][correlation]}, "
        "{config[evaluation][simulation][images]} images, prevalence "
        "{config[evaluation][simulation][prevalence]}), and how often a paired test at the level "
        "of 5 % calls them different. The t-test over bootstrap replicates nearly always does: its "
        "t grows with the square root of their number. The difference divided by the standard "
        "deviation of its replicates, and DeLong's test, keep to their level."
    ),
}
# mm on the printed page
LEFT, TOP, RIGHT, BOTTOM, HEIGHT = 17.0, 4.0, 46.0, 17.0, 52.0
COLOURS = {
    "t_test_replicates": style.accent(1),
    "bootstrap_images": style.accent(0),
    "delong": style.accent(2),
}


def draw(table: pd.DataFrame) -> Figure:
    """The rate of false positives by the number of replicates. table: simulation.csv."""
    figure = style.new_figure(style.DOUBLE_COLUMN, TOP + HEIGHT + BOTTOM)
    width = style.DOUBLE_COLUMN - LEFT - RIGHT
    axes = style.axes_at(figure, LEFT, TOP, width, HEIGHT)
    resampled = table.dropna(subset="replicates")
    for test, rows in resampled.groupby("test", sort=False):
        draw_test(axes, test, rows)
    counts = sorted(resampled["replicates"].unique())
    draw_delong(axes, table[table["test"] == "delong"].iloc[0], counts[-1])
    axes.axhline(100 * LEVEL, color=style.GREY, linewidth=0.6, linestyle=(0, (4, 2)), zorder=0)
    axes.set_xscale("log")
    axes.set_xticks(counts, [f"{count:,.0f}" for count in counts])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set(xlim=(counts[0] / 1.2, counts[-1] * 1.75), ylim=(0, 100))
    axes.set(xlabel="Bootstrap replicates", ylabel="Equal models called different (%)")
    name_lines(axes, table, counts[-1])
    text = (
        f"Dots and bars: {table['repetitions'].iloc[0]:,} simulated studies with 95 % intervals. "
        "Lines: what follows if differences of AUROC are normal.\n"
        f"Dashed: the nominal {100 * LEVEL:g} %. Bootstrap: difference over standard deviation of "
        "its replicates. DeLong's test needs no replicates."
    )
    style.write_fitted_note(figure, text)
    return figure


def draw_test(axes: Axes, test: str, rows: pd.DataFrame) -> None:
    """A test's simulated rates with intervals, and the line of those expected."""
    axes.plot(rows["replicates"], 100 * rows["expected"], color=COLOURS[test], linewidth=1)
    draw_rates(axes, rows["replicates"], rows, COLOURS[test])


def draw_delong(axes: Axes, row: pd.Series, last: float) -> None:
    """The rate of DeLong's test, right of all numbers of replicates, since it has none."""
    draw_rates(axes, [last * 1.4], row.to_frame().T, COLOURS["delong"])


def draw_rates(axes: Axes, x: Sequence[float], rows: pd.DataFrame, colour: str) -> None:
    """Rates with their intervals in percent, at these numbers of replicates."""
    rates = 100 * rows["rate"].astype(float)
    ends = [rates - 100 * rows["low"].astype(float), 100 * rows["high"].astype(float) - rates]
    look: style.Look = {"color": colour, "elinewidth": 0.9, "capsize": 1.8, "clip_on": False}
    axes.errorbar(x, rates, yerr=ends, fmt="o", markersize=3.5, **look)


def name_lines(axes: Axes, table: pd.DataFrame, last: float) -> None:
    """The tests' names right of the panel, each at the height of its last rate."""
    t_rows = table[(table["test"] == "t_test_replicates") & (table["replicates"] == last)]
    height = t_rows["rate"].iloc[0]
    for y, test in ((height, "t_test_replicates"), (0.115, "bootstrap_images"), (0.045, "delong")):
        axes.text(
            1.02,
            y,
            TESTS[test],
            transform=axes.transAxes,
            color=COLOURS[test],
            fontsize=7,
            va="center_baseline",
        )


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--simulation", required=True, type=Path, metavar="CSV")
    style.add_outputs(parser)
    arguments = parser.parse_args(argv)
    table = SIMULATION.read(arguments.simulation)
    if not set(COLOURS) <= set(table["test"]):
        raise InputError(
            arguments.simulation,
            expected="rows of the tests " + ", ".join(COLOURS),
            found=", ".join(table["test"].unique()) or "no rows",
            fix="make the simulation again",
        )
    style.save(draw(table), arguments.pdf, arguments.png, arguments.mark)


if __name__ == "__main__":
    run(main)
