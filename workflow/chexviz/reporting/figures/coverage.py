"""Figure of the coverage: how often intervals hold the truth and paired tests their level."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run
from chexviz.base.tables.evaluation import COVERAGE
from chexviz.reporting import titles
from chexviz.reporting.figures import style
from chexviz.reporting.wording import share

FIGURE = {
    "name": "coverage",
    "by_protocol": False,
    "caption": (
        "*Coverage of the intervals.* Share of simulated studies whose 95\u00a0% intervals, made "
        "as those of @results, hold the truth, by the number of patients with the finding; and, "
        "for the paired tests, in which two equally good models are called different at the "
        "5\u00a0% level. Studies with fewer than #settings.evaluation.minimum_cases such patients "
        "show how far intervals of so few can be relied on."
    ),
    "alt": "Coverage of the intervals and false positives of the paired tests",
    "category": "Evaluation",
    "shows": "coverage of the intervals, figure",
    "report": (
        "How often the 95 % intervals of this study's kind hold the truth, by the number of "
        "patients with the finding, where each patient has one image and where some have several; "
        "and how often paired tests call two equally good models different at the level of 5 %. "
        "{config[evaluation][coverage][repetitions]} simulated studies of each design. Tests that "
        "take images for independent are too sure where patients have several."
    ),
}
# mm on the printed page
LEFT, TOP, PANEL, BETWEEN = 15.0, 16.0, 34.0, 8.5
HEIGHT, BELOW, BOTTOM = 34.0, 13.0, 18.0
TITLES = {
    "auroc": "AUROC",
    "aupr": "AUPR",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "sensitivity_chosen": "Sensitivity,\nchosen threshold",
    "specificity_chosen": "Specificity,\nchosen threshold",
}
PRIMARY = "bootstrap_patients"
TESTS = {PRIMARY: style.INK, "bootstrap_images": style.accent(0), "delong": style.accent(2)}
DESIGNS = (style.GREY, style.accent(1))  # one image a patient; several
# Of the axes that stand left of others with the same.
LABELS = dict.fromkeys((0, 4), "Intervals that hold the truth (%)") | {6: "Called different (%)"}
STEP = 0.19  # between the dots of one number of patients


def draw(table: pd.DataFrame) -> Figure:
    """A panel an interval, then one of the tests for each design. table: coverage.csv."""
    height = TOP + 2 * HEIGHT + BELOW + BOTTOM
    figure = style.new_figure(style.DOUBLE_COLUMN, height)
    designs = sorted(table["images"].unique())
    lowest = min(10 * np.floor(10 * table.loc[table["nominal"] > 0.5, "low"].min()), 80)
    highest = 5 * np.ceil(20 * table.loc[table["nominal"] < 0.5, "high"].max() + 0.2)
    panels = [axes_of(figure, number) for number in range(8)]
    for axes, (measure, title) in zip(panels, TITLES.items(), strict=False):
        for place, design in enumerate(designs):
            rows = table[(table["measure"] == measure) & (table["images"] == design)]
            draw_rates(axes, rows, place - (len(designs) - 1) / 2, DESIGNS[place])
        axes.set(ylim=(lowest, 100.9))
        axes.set_title(title, loc="left", linespacing=1.0)
    for axes, design in zip(panels[len(TITLES) :], designs, strict=False):
        for place, test in enumerate(TESTS):
            rows = table[(table["measure"] == test) & (table["images"] == design)]
            draw_rates(axes, rows, place - (len(TESTS) - 1) / 2, TESTS[test])
        axes.set(ylim=(0, highest))
        axes.set_title(f"Paired tests,\n{each(design)}", loc="left", linespacing=1.0)
    for number, axes in enumerate(panels):
        finish(axes, table, number)
    for number, label in LABELS.items():
        panels[number].set_ylabel(label)
    write_names(figure, designs)
    write_note(figure, table)
    return figure


def axes_of(figure: Figure, number: int) -> Axes:
    """The panel at this place, four in a row."""
    row, column = divmod(number, 4)
    x = LEFT + column * (PANEL + BETWEEN)
    return style.axes_at(figure, x, TOP + row * (HEIGHT + BELOW), PANEL, HEIGHT)


def draw_rates(axes: Axes, rows: pd.DataFrame, shift: float, colour: str) -> None:
    """Rates with their intervals in percent, a number of patients a tick."""
    x = np.arange(len(rows)) + STEP * shift
    rates, low, high = (100 * rows[name] for name in ("rate", "low", "high"))
    look: style.Look = {"color": colour, "elinewidth": 0.9, "capsize": 1.5, "clip_on": False}
    axes.errorbar(x, rates, yerr=[rates - low, high - rates], fmt="o", markersize=3, **look)


def finish(axes: Axes, table: pd.DataFrame, number: int) -> None:
    """The nominal line and the axis of patients."""
    counts = sorted(table["positives"].unique())
    nominal = 100 * table["nominal"]
    at = nominal.max() if number < len(TITLES) else nominal.min()
    axes.axhline(at, color=style.GREY, linewidth=0.6, linestyle=(0, (4, 2)), zorder=0)
    axes.set_xticks(range(len(counts)), [f"{count:,}" for count in counts])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(-0.5, len(counts) - 0.5)
    axes.tick_params(labelleft=number in LABELS)
    if number >= 4:
        axes.set_xlabel("Patients with the finding")


def each(images: float) -> str:
    """How many images a patient has, for readers."""
    return "one image a patient" if images == 1 else f"{images:.2g} images a patient"


def write_names(figure: Figure, designs: list[float]) -> None:
    """The colours of the designs and of the tests, above the panels."""
    lines = {
        "Intervals:": zip(map(each, designs), DESIGNS, strict=False),
        "Paired tests:": [(titles.TESTS[test], TESTS[test]) for test in TESTS],
    }
    for number, (heading, names) in enumerate(lines.items()):
        x, look = LEFT, {"fontsize": 7, "va": "center"}
        for name, colour in [(heading, style.INK), *((f"● {name}", one) for name, one in names)]:
            text = style.text_at(figure, x, 2.8 + 3.6 * number, name, color=colour, **look)
            width = text.get_window_extent().width / figure.dpi * 25.4
            x = LEFT + 18 if name == heading else x + width + 4


def write_note(figure: Figure, table: pd.DataFrame) -> None:
    """What is drawn, below the panels."""
    part = (table["positives"] / table["patients"]).mean()
    text = (
        f"Dots and bars: rates of {table['repetitions'].iloc[0]:,} simulated studies each, with "
        "95 % intervals. Dashed: nominal. "
        f"{share(part, digits=0)} of the patients have the finding.\n"
        "Each threshold is chosen on the same images. Above, the truth is that of the best of all "
        "thresholds, below that of the chosen one in other patients."
    )
    style.write_fitted_note(figure, text, smallest=6)


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--coverage", required=True, type=Path, metavar="CSV")
    style.add_outputs(parser)
    arguments = parser.parse_args(argv)
    table = COVERAGE.read(arguments.coverage)
    if absent := {*TITLES, PRIMARY} - set(table["measure"]):
        raise InputError(
            arguments.coverage,
            expected="rows of every interval and of the primary test",
            found=f"none of {', '.join(sorted(absent))}",
            fix="make the simulation of the coverage again",
        )
    style.save(draw(table), arguments.pdf, arguments.png, arguments.mark)


if __name__ == "__main__":
    run(main)
