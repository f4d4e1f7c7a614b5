"""The table of all methods: AUROC on every task, against the baseline, and what a site sends."""

from pathlib import Path

import numpy as np
import pandas as pd

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.tables.models import read_histories
from chexviz.evaluation.cases import TOO_FEW
from chexviz.reporting.tables.cells import (
    cell,
    escape_markdown,
    escape_tex,
    note,
    p_cell,
    read_models,
    signed_cell,
    to_csv,
    write,
)
from chexviz.reporting.titles import (
    ARCHITECTURES,
    add_titles,
    megabytes,
    method_title,
    p_phrase,
    sent_per_round,
)

COLUMNS = (
    *("group", "task", "site", "architecture", "method", "images", "positives", "seeds"),
    "uncertainty",
    *(f"{value}{end}" for value in ("auroc", "difference") for end in ("", "_low", "_high", "_sd")),
    *("p", "sent", "note"),
)
READING = (
    "Below each AUROC: its difference from the baseline of the same architecture, and p of the "
    "paired test, not corrected for the number of methods. MB: megabytes that a site sends in a "
    "round; –: no exchange in rounds."
)


def compare(models: pd.DataFrame, histories: pd.DataFrame) -> pd.DataFrame:
    """A row for each architecture, method and site, with COLUMNS; sent: bytes a round."""
    sent = sent_per_round(histories).rename("sent")
    table = models.merge(sent, how="left", left_on=["architecture", "method"], right_index=True)
    # An ensemble is not trained, and has no history.
    table["sent"] = table["sent"].fillna(0)
    ordered = table.sort_values(
        ["architecture", "method"],
        key=lambda column: column.map(list(column.drop_duplicates()).index),
        kind="stable",
    )
    return ordered[[*COLUMNS]].reset_index(drop=True)


def cells(table: pd.DataFrame) -> pd.DataFrame:
    """The table as readers see it, all text, a row an architecture and method.

    Columns: architecture, method, one a group of two lines (AUROC; difference and p), sent.
    """
    rows = []
    for (architecture, method), models in table.groupby(["architecture", "method"], sort=False):
        row = {"architecture": ARCHITECTURES.get(architecture, architecture)}
        row["method"] = method_title(method)
        for _, model in models.iterrows():
            row[model["group"]] = f"{cell(model, 'auroc')}\n{difference_cell(model)}"
        row["sent"] = megabytes(models["sent"].iloc[0])
        rows.append(row)
    return pd.DataFrame(rows).fillna("–\n")


def difference_cell(row: pd.Series) -> str:
    """'−0.012 (−0.031 to 0.007), p = 0.19', '−0.012 ± 0.004, p = 0.19'; '' for a baseline."""
    if np.isnan(row["difference"]):
        return ""
    p = p_cell(row)
    return f"{signed_cell(row, 'difference')}, {p if p == TOO_FEW else p_phrase(row['p'])}"


def to_markdown(table: pd.DataFrame, mark: str) -> str:
    """A GitHub table; the architecture is named on its first row."""
    shown = cells(table)
    groups = list(shown.columns[2:-1])
    head = ["Architecture", "Method", *map(escape_markdown, groups), "MB"]
    lines = [f"**{escape_markdown(mark)}**", ""] if mark else []
    lines += ["| " + " | ".join(head) + " |", "|:--|:--|" + "--:|" * (len(groups) + 1)]
    shown["architecture"] = shown["architecture"].where(~shown["architecture"].duplicated(), "")
    for row in shown.itertuples(index=False):
        text = [part.strip().replace("|", r"\|").replace("\n", "<br>") for part in row]
        lines.append("| " + " | ".join(text) + " |")
    return "\n".join([*lines, "", escape_markdown(f"{note(table)} {READING}"), ""])


def to_tex(table: pd.DataFrame, mark: str) -> str:
    """A booktabs tabular inside table*, to be read by \\input; needs \\usepackage{booktabs}."""
    shown = cells(table)
    groups = list(shown.columns[2:-1])
    lines = [
        r"\begin{table*}",
        r"\centering",
        r"\footnotesize",
        r"\caption{AUROC of all methods on the evaluation sets.}",
        *([rf"\textbf{{{escape_tex(mark)}}}\par\smallskip"] if mark else []),
        r"\begin{tabular}{l" + "r" * (len(groups) + 1) + "}",
        r"\toprule",
        " & ".join(["Method", *map(escape_tex, groups), "MB"]) + r" \\",
    ]
    for architecture, rows in shown.groupby("architecture", sort=False):
        title = rf"\textit{{{escape_tex(architecture)}}}"
        lines += [r"\midrule", rf"\multicolumn{{{len(groups) + 2}}}{{l}}{{{title}}} \\"]
        for method, *values, sent in rows.iloc[:, 1:].itertuples(index=False):
            above, below = zip(*(value.split("\n") for value in values), strict=True)
            lines.append(" & ".join(map(escape_tex, [method, *above, sent])) + r" \\")
            if any(below):
                small = [rf"\scriptsize {escape_tex(text)}" if text else "" for text in below]
                lines.append(" & ".join(["", *small, ""]) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}", r"\par\smallskip"]
    lines += [rf"\footnotesize {escape_tex(f'{note(table)} {READING}')}", r"\end{table*}"]
    return "\n".join(lines) + "\n"


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--metrics", required=True, type=Path)
    parser.add_argument("--comparisons", required=True, type=Path)
    parser.add_argument(
        "--history",
        action="append",
        nargs=4,
        required=True,
        metavar=("ARCHITECTURE", "METHOD", "SEED", "FILE"),
    )
    add_titles(parser)
    parser.add_argument("--mark", default="", help="a text that every output shows")
    parser.add_argument("--csv", required=True, type=Path)
    parser.add_argument("--tex", required=True, type=Path)
    parser.add_argument("--md", required=True, type=Path)
    arguments = parser.parse_args(argv)

    models = read_models(arguments.metrics, arguments.comparisons, arguments.titles)
    table = compare(models, read_histories(arguments.history))
    write(
        {
            arguments.csv: to_csv(table, arguments.mark),
            arguments.tex: to_tex(table, arguments.mark),
            arguments.md: to_markdown(table, arguments.mark),
        }
    )


if __name__ == "__main__":
    run(main)
