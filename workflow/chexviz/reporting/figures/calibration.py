"""Reliability diagrams of the baselines and of one method, before and after temperature scaling."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.tables.evaluation import CALIBRATION, DISTRIBUTION, RELIABILITY
from chexviz.evaluation.cases import first_note
from chexviz.reporting.figures import style
from chexviz.reporting.figures.panels import (
    PANEL,
    Cell,
    at_any,
    compared_once,
    endpoint_pages,
    lay_out,
    panels,
    rows_of,
    warn,
)
from chexviz.reporting.selection import first_seed, in_order
from chexviz.reporting.titles import Endpoint, add_titles, curve_title, endpoints, grouped

FIGURE = {
    "name": "calibration",
    "caption": (
        "*Calibration.* Observed against predicted frequency in bins of equal mass, with #level "
        "intervals. Below, the distribution of the scores. Points below the diagonal: the finding "
        "is rarer than the score says. #capital(protocol.title)."
    ),
    "alt": "Observed against predicted frequency of the finding",
    "of": "endpoints",
    "per_page": 2,
    "columns": 2,
    "category": "Calibration",
    "shows": "reliability diagrams",
    "report": (
        "Reliability diagrams under the protocol ``{protocol}``: observed against predicted "
        "frequency of the finding in bins of equal mass with 95 % intervals (Wilson), the "
        "distribution of the scores beneath. Open symbols and dashed lines: after temperature "
        "scaling on the validation images, where the protocol has enough of them."
    ),
}
# mm on the printed page
LINE, DIAGRAM, GAP, SCORES, BETWEEN = 3.1, 52.0, 2.5, 13.0, 19.0
NOTE = (
    "Observed against predicted frequency in bins of equal mass; bars: 95 % intervals (Wilson). "
    "ECE: expected calibration error (in brackets: by chance alone).\n"
    "Below: scores of images with (up) and without (down) the finding, as fractions of each, "
    "on a square-root scale."
)
SCALED = "Open, dashed: temperature T fitted on validation images."
UNSCALED = "Temperature scaling "


def draw(
    tables: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame],
    shown: list[dict[Endpoint, str]],
    seeds: str,
) -> Iterator[Figure]:
    """The pages of one seed, a panel an endpoint and architecture, see panels.lay_out.

    tables: calibration, reliability and distribution. shown: headings by endpoint, page by page.
    seeds: which of several seeds this is.
    """
    calibration = tables[0]
    architectures = in_order(calibration["architecture"])
    words = lines(calibration) * LINE + 1.5
    height = words + DIAGRAM + GAP + SCORES
    for titles in shown:
        scaling = scaling_note(at_any(calibration, titles), titles)
        note = f"{NOTE}\n{scaling} {seeds}".rstrip()
        figure, cells = lay_out(titles, architectures, height, BETWEEN, note)
        for cell, axes in panels(figure, cells, words, DIAGRAM):
            draw_diagram(axes, cell, words, *(rows_of(table, cell) for table in tables[:2]))
        for cell, axes in panels(figure, cells, words + DIAGRAM + GAP, SCORES):
            methods = in_order(rows_of(calibration, cell)["method"])
            draw_scores(axes, rows_of(tables[2], cell), methods)
        yield figure


def draw_diagram(
    axes: Axes, cell: Cell, words: float, summary: pd.DataFrame, reliability: pd.DataFrame
) -> None:
    """The reliability of one cell, below its heading and `words` mm of numbers."""
    methods = in_order(summary["method"])
    colours = {method: style.accent(position) for position, method in enumerate(methods)}
    title = axes.set_title(cell.heading, loc="left", pad=words * 72 / 25.4)
    style.shrink_to_fit(title, PANEL)
    style.panel_letter(axes, cell.letter, -11.5, words)
    draw_reliability(axes, reliability, colours)
    write_summary(axes, summary, colours)
    if note := first_note(summary["note"]):
        warn(axes, f"No intervals: {note}.")


def lines(calibration: pd.DataFrame) -> int:
    """The most lines of numbers that a panel has."""
    estimated = calibration[calibration["brier"].notna()]
    sizes = estimated.groupby(["site", "finding", "architecture"]).size()
    return int(sizes.max()) if len(sizes) else 0


def draw_reliability(axes: Axes, bins: pd.DataFrame, colours: dict[str, str]) -> None:
    """Points of each method: filled with intervals as predicted, open after scaling."""
    axes.plot([0, 1], [0, 1], color=style.LIGHT, linewidth=0.8, zorder=0)
    for (method, scaling), points in bins.dropna(subset="observed").groupby(["method", "scaling"]):
        x, y, colour = points["predicted"], points["observed"], colours[method]
        if scaling == "none":
            ends = [y - points["observed_low"], points["observed_high"] - y]
            look: style.Look = {"elinewidth": 0.7, "marker": "o", "markersize": 2.6}
            axes.errorbar(x, y, ends, color=colour, clip_on=False, **look)
        else:
            look = {
                "markerfacecolor": "white",
                "markeredgewidth": 0.7,
                "markersize": 2.8,
                "clip_on": False,
            }
            axes.plot(x, y, color=colour, linestyle=(0, (3, 2)), linewidth=0.8, marker="o", **look)
    axes.set(xlim=(0, 1), ylim=(0, 1.005), ylabel="Observed frequency")
    ticks = [0, 0.25, 0.5, 0.75, 1]
    axes.set_xticks(ticks, [])
    axes.set_yticks(ticks, ["0", "0.25", "0.5", "0.75", "1"])


def write_summary(axes: Axes, summary: pd.DataFrame, colours: dict[str, str]) -> None:
    """A line above the diagram for each method, as predicted and scaled, in its colour."""
    rows = summary[summary["brier"].notna()]
    written = []
    for method, colour in colours.items():
        for row in rows[rows["method"] == method].itertuples():
            is_plain = row.scaling == "none"
            name = curve_title(method) if is_plain else f"   T = {row.temperature:.2f}"
            value = f"ECE {row.ece:.3f} ({row.ece_chance:.3f}), Brier {row.brier:.3f}"
            written.append((name, value, colour, "bold" if is_plain else "normal"))
    for position, (name, value, colour, weight) in enumerate(reversed(written)):
        up = 1 + (1.2 + position * LINE) / DIAGRAM
        look: style.Look = {"color": colour, "va": "baseline", "transform": axes.transAxes}
        label = axes.text(0, up, name, fontweight=weight, **look)
        style.shrink_to_fit(label, 0.36 * PANEL)
        axes.text(1, up, value, ha="right", **look)


def draw_scores(axes: Axes, rows: pd.DataFrame, methods: list[str]) -> None:
    """Fractions of positive (up) and negative (down) images by predicted score."""
    largest = 0.0
    for position, method in enumerate(methods):
        mine = rows[(rows["method"] == method) & (rows["scaling"] == "none")]
        if mine.empty:
            continue
        edges = np.append(mine["score"], 1.0)
        for column, sign in (("positives", 1), ("negatives", -1)):
            # A square root shows the few scores between the two ends beside the many at them.
            fraction = np.sqrt(mine[column].to_numpy() / mine[column].sum())
            largest = max(largest, fraction.max())
            colour = style.accent(position)
            axes.stairs(sign * fraction, edges, color=colour, linewidth=0.8, baseline=None)
    axes.axhline(0, color=style.GREY, linewidth=0.5)
    limit = 1.08 * largest or 1
    axes.set(xlim=(0, 1), ylim=(-limit, limit), xlabel="Predicted probability", ylabel="Scores")
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "0.25", "0.5", "0.75", "1"])
    axes.set_yticks([])


def scaling_note(calibration: pd.DataFrame, titles: dict[Endpoint, str]) -> str:
    """Where a page shows temperature scaling, and where not, why. titles: of its endpoints."""
    scaled = calibration[calibration["scaling"] == "temperature"]
    bare = scaled[scaled["brier"].isna()].drop_duplicates(["site", "finding"])
    if bare.empty:
        return SCALED
    if bare["note"].nunique() == 1 and len(bare) == len(titles):
        return f"{UNSCALED}{bare['note'].iloc[0]}."
    reasons = "; ".join(f"{row.group}: {row.note}" for row in grouped(bare, titles).itertuples())
    scaling = f"{SCALED} " * bool(scaled["brier"].notna().any())
    return f"{scaling}None for {reasons}."


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--calibration", required=True, type=Path)
    parser.add_argument("--reliability", required=True, type=Path)
    parser.add_argument("--distribution", required=True, type=Path)
    parser.add_argument("--method", required=True, help="shown beside the baseline")
    add_titles(parser)
    style.add_outputs(parser)
    arguments = parser.parse_args(argv)

    table = CALIBRATION.read(arguments.calibration)
    chosen = compared_once(table, arguments.method, arguments.calibration)
    calibration = at_any(chosen, endpoints(arguments.titles))
    seed, methods = calibration["seed"].iloc[0], calibration["method"].unique()
    reliability, distribution = (
        rows[(rows["seed"] == seed) & rows["method"].isin(methods)]
        for rows in (
            RELIABILITY.read(arguments.reliability),
            DISTRIBUTION.read(arguments.distribution),
        )
    )
    shown = endpoint_pages(calibration, arguments.calibration, arguments.titles, FIGURE)
    tables = calibration, reliability, distribution
    figures = draw(tables, shown, first_seed(table["seed"]))
    style.save_pages(figures, arguments.pdf, arguments.png, arguments.mark)


if __name__ == "__main__":
    run(main)
