"""Figure 2: ROC curves of the baselines and of one method, a panel a finding and architecture."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run
from chexviz.base.tables.evaluation import ROC, read_comparisons, read_metrics
from chexviz.evaluation.cases import is_too_few
from chexviz.reporting.figures import style
from chexviz.reporting.figures.panels import (
    PANEL,
    at_any,
    endpoint_pages,
    lay_out,
    panels,
    rows_of,
)
from chexviz.reporting.selection import compared, first_seed, in_order
from chexviz.reporting.tables.cells import few_note
from chexviz.reporting.titles import Endpoint, add_titles, curve_title, grouped
from chexviz.reporting.wording import bracketed, p_phrase

FIGURE = {
    "name": "figure2",
    "caption": (
        "*ROC curves of the baselines and the federated models*, #protocol.title. Bands: #level "
        "bootstrap intervals of sensitivity at each specificity. _p_: paired test of AUROC against "
        "the baseline, not corrected for several tests."
    ),
    "alt": "ROC curves of baselines and federated models",
    "limit": 165,
    "of": "endpoints",
    "per_page": 2,
    "columns": 2,
    "category": "Paper",
    "shows": "Figure 2, ROC curves",
    "report": (
        "ROC curves of baseline and federated models under the protocol ``{protocol}``, a panel "
        "for each finding and architecture. Bands are bootstrap intervals of the sensitivity at "
        "each specificity, numbers are AUROC with interval, and *p* is the paired test against the "
        "baseline, not corrected for several tests. With several seeds the first is shown."
    ),
}
BETWEEN = 18.0  # mm on the printed page
NOTE = (
    "AUROC with 95 % interval; bands: 95 % intervals of sensitivity; p: paired test of AUROC, "
    "not corrected for several tests."
)


def draw(
    tables: tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame],
    shown: list[dict[Endpoint, str]],
    note: str,
) -> Iterator[Figure]:
    """The pages, a panel an endpoint and architecture, see panels.lay_out.

    tables: roc, metrics and comparisons of one seed. shown: headings by endpoint, page by page.
    note: below each page, before what is said of its endpoints.
    """
    metrics = tables[1]
    architectures = in_order(metrics["architecture"])
    for titles in shown:
        few = few_note(grouped(at_any(metrics, titles), titles))
        words = "\n".join(filter(None, [note, few]))
        figure, cells = lay_out(titles, architectures, PANEL, BETWEEN, words)
        for cell, axes in panels(figure, cells, 0, PANEL):
            style.shrink_to_fit(axes.set_title(cell.heading, loc="left"), PANEL + 3)
            draw_panel(axes, *(rows_of(table, cell) for table in tables))
            style.panel_letter(axes, cell.letter, -11.5, 1.4)
        yield figure


def draw_panel(
    axes: Axes, roc: pd.DataFrame, metrics: pd.DataFrame, comparisons: pd.DataFrame
) -> None:
    """The curves of one endpoint and architecture, with AUROC and p written beside their colour."""
    axes.plot([0, 1], [0, 1], color=style.LIGHT, linewidth=0.8, zorder=0)
    methods = in_order(metrics["method"])
    for position, method in enumerate(methods):
        curve, colour = roc[roc["method"] == method], style.accent(position)
        axes.fill_between(
            curve["fpr"], curve["low"], curve["high"], color=colour, alpha=0.16, linewidth=0
        )
        axes.plot(curve["fpr"], curve["tpr"], color=colour, solid_joinstyle="round")
        write_label(axes, len(methods) - 1 - position, method, metrics, comparisons, colour)
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
    value = bracketed(auroc["auroc"], auroc["auroc_low"], auroc["auroc_high"])
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
    style.add_outputs(parser)
    arguments = parser.parse_args(argv)

    roc, comparisons = ROC.read(arguments.roc), read_comparisons(arguments.comparisons)
    metrics = compared(read_metrics(arguments.metrics), arguments.method, arguments.metrics)
    shown = endpoint_pages(metrics, arguments.metrics, arguments.titles, FIGURE)
    seed = metrics["seed"].iloc[0]
    tables = (
        of_seed(roc, seed, arguments.roc),
        of_seed(metrics, seed, arguments.metrics),
        of_seed(comparisons, seed, arguments.comparisons),
    )
    figures = draw(tables, shown, f"{NOTE}\n{first_seed(metrics['seed'])}".rstrip())
    style.save_pages(figures, arguments.pdf, arguments.png, arguments.mark)


if __name__ == "__main__":
    run(main)
