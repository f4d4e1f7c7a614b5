"""Figure 2: ROC curves of the baselines and of one method, a panel a task and architecture."""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run
from chexviz.base.tables.evaluation import read_comparisons, read_metrics
from chexviz.evaluation.cases import is_too_few
from chexviz.reporting.figures import style
from chexviz.reporting.tables.cells import few_note
from chexviz.reporting.titles import (
    ARCHITECTURES,
    add_titles,
    compared,
    curve_title,
    group_titles,
    in_order,
    p_phrase,
    read_table,
)

ROC_COLUMNS = ("site", "architecture", "method", "seed", "fpr", "tpr", "low", "high")
# mm on the printed page
PANEL, LEFT, RIGHT, BETWEEN, TOP, BETWEEN_ROWS, AXIS = 60.0, 14.0, 3.0, 17.0, 8.0, 18.0, 9.0


def draw(
    roc: pd.DataFrame,
    metrics: pd.DataFrame,
    comparisons: pd.DataFrame,
    sites: list[dict],
    note: str,
) -> Figure:
    """The figure of one seed's curves: a row a site, a column an architecture; `note` below."""
    titles = group_titles(metrics, sites)
    architectures = in_order(metrics["architecture"])
    rows, columns = len(titles), len(architectures)
    width = LEFT + columns * PANEL + (columns - 1) * BETWEEN + RIGHT
    note = style.wrapped(note, width - 5)
    height = TOP + rows * PANEL + (rows - 1) * BETWEEN_ROWS + AXIS + style.note_height(note)
    figure = style.new_figure(width, height)
    for row, (site, title) in enumerate(titles.items()):
        for column, architecture in enumerate(architectures):
            x, y = LEFT + column * (PANEL + BETWEEN), TOP + row * (PANEL + BETWEEN_ROWS)
            axes = style.axes_at(figure, x, y, PANEL, PANEL)
            heading = f"{title}, {ARCHITECTURES.get(architecture, architecture)}"
            tables = (of(table, site, architecture) for table in (roc, metrics, comparisons))
            draw_panel(axes, heading, *tables)
            style.panel_letter(axes, chr(ord("a") + row * columns + column), -11.5, 1.4)
    style.write_note(figure, note)
    return figure


def of(table: pd.DataFrame, site: str, architecture: str) -> pd.DataFrame:
    return table[(table["site"] == site) & (table["architecture"] == architecture)]


def draw_panel(
    axes: Axes, title: str, roc: pd.DataFrame, metrics: pd.DataFrame, comparisons: pd.DataFrame
) -> None:
    """The curves of one site and architecture, with AUROC and p written beside their colour."""
    axes.plot([0, 1], [0, 1], color=style.LIGHT, linewidth=0.8, zorder=0)
    methods = in_order(metrics["method"])
    for position, method in enumerate(methods):
        curve, colour = roc[roc["method"] == method], style.accent(position)
        axes.fill_between(
            curve["fpr"], curve["low"], curve["high"], color=colour, alpha=0.16, linewidth=0
        )
        axes.plot(curve["fpr"], curve["tpr"], color=colour, solid_joinstyle="round")
        write_label(axes, len(methods) - 1 - position, method, metrics, comparisons, colour)
    axes.set_title(title, loc="left")
    axes.set(xlim=(0, 1), ylim=(0, 1.005), xlabel="1 − specificity", ylabel="Sensitivity")
    ticks = [0, 0.25, 0.5, 0.75, 1]
    axes.set_xticks(ticks, ["0", "0.25", "0.5", "0.75", "1"])
    axes.set_yticks(ticks, ["0", "0.25", "0.5", "0.75", "1"])


def write_label(
    axes: Axes,
    line: int,
    method: str,
    metrics: pd.DataFrame,
    comparisons: pd.DataFrame,
    colour: str,
) -> None:
    """Write a curve's name, AUROC with interval and p in its colour; line 0 is the lowest."""
    auroc = metrics[metrics["method"] == method].iloc[0]
    value = f"{auroc['auroc']:.3f}"
    if not is_too_few(auroc["note"]):
        value += f" ({auroc['auroc_low']:.3f}–{auroc['auroc_high']:.3f})"
    test = comparisons[comparisons["method"] == method]
    y = 0.045 + 0.068 * line
    axes.text(0.985, y, value, color=colour, ha="right", va="baseline")
    name = curve_title(method)
    if not test.empty:
        few = is_too_few(test["note"].iloc[0])
        name += ", too few for p" if few else f", {p_phrase(test['p'].iloc[0])}"
    look: style.Look = {"ha": "right", "va": "baseline", "fontweight": "bold"}
    style.shrink_to_fit(axes.text(0.535, y, name, color=colour, **look), 0.53 * PANEL)


def of_seed(table: pd.DataFrame, seed: int, path: Path) -> pd.DataFrame:
    """The rows of one seed. Raises InputError if there are none."""
    chosen = table[table["seed"] == seed]
    if chosen.empty:
        raise InputError(
            path,
            expected=f"rows of seed {seed}, as in the metrics",
            found="none",
            fix="make the evaluation of this protocol again",
        )
    return chosen


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--roc", required=True, type=Path)
    parser.add_argument("--metrics", required=True, type=Path)
    parser.add_argument("--comparisons", required=True, type=Path)
    parser.add_argument("--method", required=True, help="shown beside the baseline")
    add_titles(parser)
    parser.add_argument("--mark", default="", help="a text that the figure shows")
    parser.add_argument("--pdf", required=True, type=Path)
    parser.add_argument("--png", required=True, type=Path)
    arguments = parser.parse_args(argv)

    roc = read_table(arguments.roc, ROC_COLUMNS)
    metrics = compared(read_metrics(arguments.metrics), arguments.method, arguments.metrics)
    comparisons = read_comparisons(arguments.comparisons)
    seeds = metrics["seed"].unique()
    note = (
        "AUROC with 95 % interval; bands: 95 % intervals of sensitivity; p: paired test of AUROC, "
        "not corrected for several tests."
    )
    if len(seeds) > 1:
        note += f"\nFirst of {len(seeds)} seeds ({seeds[0]})."
    titles = group_titles(metrics, arguments.titles)
    few = few_note(metrics.assign(group=metrics["site"].map(titles)))
    note += f"\n{few}" * bool(few)
    figure = draw(
        of_seed(roc, seeds[0], arguments.roc),
        of_seed(metrics, seeds[0], arguments.metrics),
        of_seed(comparisons, seeds[0], arguments.comparisons),
        arguments.titles,
        note,
    )
    style.save(figure, arguments.pdf, arguments.png, arguments.mark)


if __name__ == "__main__":
    run(main)
