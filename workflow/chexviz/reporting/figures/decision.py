"""Decision curves of the baselines and of one method against treating all and treating none."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.tables.evaluation import DECISION
from chexviz.evaluation.cases import first_note
from chexviz.reporting.figures import style
from chexviz.reporting.figures.panels import (
    PANEL,
    compared_once,
    endpoint_pages,
    lay_out,
    panels,
    rows_of,
    warn,
)
from chexviz.reporting.selection import first_seed, in_order
from chexviz.reporting.titles import Endpoint, add_titles, curve_title

FIGURE = {
    "name": "decision",
    "caption": (
        "*Decision curves.* Net benefit with #level bands, against treating all and treating none. "
        "A model is of use where its curve lies above both. #capital(protocol.title)."
    ),
    "alt": "Net benefit against the probability at which one would act",
    "of": "endpoints",
    "per_page": 3,
    "columns": 2,
    "category": "Calibration",
    "shows": "decision curves",
    "report": (
        "Net benefit over the probability at which one would act, under the protocol "
        "``{protocol}``, with 95 % bootstrap bands, against treating all and treating none "
        "(Vickers and Elkin 2006). Probabilities are temperature scaled where the validation "
        "images allow it."
    ),
}
HEIGHT, BETWEEN = 48.0, 18.0  # mm on the printed page
NOTE = (
    "Net benefit: true positives per image, less false positives x threshold / (1 − threshold) "
    "(Vickers and Elkin 2006); bands: 95 % bootstrap intervals."
)
SCALED = {"none": "scores as predicted", "temperature": "temperature-scaled scores"}


def draw(decision: pd.DataFrame, shown: list[dict[Endpoint, str]], note: str) -> Iterator[Figure]:
    """The pages of one seed's curves, a panel an endpoint and architecture, see panels.lay_out.

    note: below each. shown: headings by endpoint, page by page.
    """
    architectures = in_order(decision["architecture"])
    for titles in shown:
        figure, cells = lay_out(titles, architectures, HEIGHT, BETWEEN, note)
        for cell, axes in panels(figure, cells, 0, HEIGHT):
            style.shrink_to_fit(axes.set_title(cell.heading, loc="left"), PANEL)
            style.panel_letter(axes, cell.letter, -11.5, 1.4)
            draw_curves(axes, rows_of(decision, cell))
        yield figure


def draw_curves(axes: Axes, rows: pd.DataFrame) -> None:
    """Net benefit of each method, scaled where the temperature of every method is known."""
    axes.set(xlim=(0, 1), xlabel="Threshold probability", ylabel="Net benefit")
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    plain, scaled = (rows[rows["scaling"] == scaling] for scaling in SCALED)
    curves = plain if scaled["net_benefit"].isna().any() else scaled
    methods = in_order(curves["method"])
    for position, method in enumerate(methods):
        curve, colour = curves[curves["method"] == method], style.accent(position)
        x = curve["threshold"]
        low, high = curve["net_benefit_low"], curve["net_benefit_high"]
        axes.fill_between(x, low, high, color=colour, alpha=0.16, linewidth=0)
        axes.plot(x, curve["net_benefit"], color=colour)
    axes.plot(x, curve["all"], color=style.GREY, linewidth=0.9)
    axes.axhline(0, color=style.INK, linewidth=0.9, linestyle=(0, (3, 2)))
    highest = curves[["net_benefit", "net_benefit_high"]].max(axis=None)
    axes.set_ylim(-0.28 * highest, 1.05 * highest)
    axes.locator_params(axis="y", nbins=6)
    if note := first_note(curves["note"]):
        warn(axes, f"No bands: {note}.")
    labels = [(curve_title(method), style.accent(i)) for i, method in enumerate(methods)]
    labels += [("Treat all", style.GREY), ("Treat none (dashed)", style.INK)]
    for line, (label, colour) in enumerate(labels):
        look: style.Look = {"color": colour, "fontweight": "bold", "transform": axes.transAxes}
        axes.text(0.985, 0.985 - 0.075 * line, label, ha="right", va="top", **look)
    look = {"color": style.GREY, "fontsize": 6.5, "transform": axes.transAxes}
    kind = SCALED[curves["scaling"].iloc[0]]
    axes.text(0.985, 0.985 - 0.075 * len(labels), kind, ha="right", va="top", **look)


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--decision", required=True, type=Path)
    parser.add_argument("--method", required=True, help="shown beside the baseline")
    add_titles(parser)
    style.add_outputs(parser)
    arguments = parser.parse_args(argv)

    table = DECISION.read(arguments.decision)
    curves = compared_once(table, arguments.method, arguments.decision)
    note = f"{NOTE}\n{first_seed(table['seed'])}".rstrip()
    shown = endpoint_pages(curves, arguments.decision, arguments.titles, FIGURE)
    figures = draw(curves, shown, note)
    style.save_pages(figures, arguments.pdf, arguments.png, arguments.mark)


if __name__ == "__main__":
    run(main)
