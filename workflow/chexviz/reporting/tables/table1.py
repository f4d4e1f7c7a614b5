"""Table 1: the baseline and one method on every task, with intervals and the paired test."""

from pathlib import Path

import pandas as pd

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.tables.evaluation import METRICS
from chexviz.reporting.tables.cells import (
    cell,
    escape_markdown,
    escape_tex,
    note,
    p_cell,
    read_models,
    to_csv,
    write,
)
from chexviz.reporting.titles import add_titles, compared

HEADINGS = {name: heading.text for name, heading in METRICS.items()}
TEST = "p: paired test of AUROC against the baseline, not corrected for several tests."


def cells(table: pd.DataFrame) -> pd.DataFrame:
    """The table as readers see it, all text: columns group, model, one a metric, p."""
    shown = table[["group", "model"]].copy()
    for metric in METRICS:
        shown[metric] = [cell(row, metric) for _, row in table.iterrows()]
    shown["p"] = [p_cell(row) for _, row in table.iterrows()]
    return shown


def to_markdown(table: pd.DataFrame, mark: str) -> str:
    """A GitHub table; the group is named on its first row."""
    shown = cells(table)
    head = ["Task", "Model", *HEADINGS.values(), "p"]
    lines = [f"**{escape_markdown(mark)}**", ""] if mark else []
    lines += ["| " + " | ".join(head) + " |", "|:--|:--|" + "--:|" * (len(HEADINGS) + 1)]
    for position, row in enumerate(shown.itertuples(index=False)):
        first = position == 0 or shown["group"].iloc[position - 1] != row.group
        group = escape_markdown(row.group) if first else ""
        lines.append("| " + " | ".join([group, *row[1:]]) + " |")
    return "\n".join([*lines, "", escape_markdown(f"{note(table)} {TEST}"), ""])


def to_tex(table: pd.DataFrame, mark: str) -> str:
    """A booktabs tabular inside table*, to be read by \\input; needs \\usepackage{booktabs}."""
    shown = cells(table)
    head = ["Model", *HEADINGS.values(), "$p$"]
    lines = [
        r"\begin{table*}",
        r"\centering",
        r"\small",
        r"\caption{Performance of the baseline and federated models on the evaluation sets.}",
        *([rf"\textbf{{{escape_tex(mark)}}}\par\smallskip"] if mark else []),
        r"\begin{tabular}{l" + "r" * (len(HEADINGS) + 1) + "}",
        r"\toprule",
        " & ".join(part.replace("%", r"\%") for part in head) + r" \\",
    ]
    for group, rows in shown.groupby("group", sort=False):
        lines.append(r"\midrule")
        lines.append(rf"\multicolumn{{{len(head)}}}{{l}}{{\textit{{{escape_tex(group)}}}}} \\")
        for row in rows.itertuples(index=False):
            lines.append(" & ".join(escape_tex(part) for part in row[1:]) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}", r"\par\smallskip"]
    lines += [rf"\footnotesize {escape_tex(f'{note(table)} {TEST}')}", r"\end{table*}"]
    return "\n".join(lines) + "\n"


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--metrics", required=True, type=Path)
    parser.add_argument("--comparisons", required=True, type=Path)
    parser.add_argument("--method", required=True, help="shown beside the baseline")
    add_titles(parser)
    parser.add_argument("--mark", default="", help="a text that every output shows")
    parser.add_argument("--csv", required=True, type=Path)
    parser.add_argument("--tex", required=True, type=Path)
    parser.add_argument("--md", required=True, type=Path)
    arguments = parser.parse_args(argv)

    models = read_models(arguments.metrics, arguments.comparisons, arguments.titles)
    table = compared(models, arguments.method, arguments.metrics)
    write(
        {
            arguments.csv: to_csv(table, arguments.mark),
            arguments.tex: to_tex(table, arguments.mark),
            arguments.md: to_markdown(table, arguments.mark),
        }
    )


if __name__ == "__main__":
    run(main)
