"""The files of a table, alike for every entry point: its options and what is written there."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

import pandas as pd

from chexviz.base.files import replacing_all
from chexviz.base.tables.table import Table
from chexviz.reporting.tables.typesetting import Layout, to_markdown, to_tex


def add_outputs(parser: ArgumentParser) -> None:
    """Add the options of the mark and of a table's three files."""
    parser.add_argument("--mark", default="", help="a text that every output shows")
    parser.add_argument("--csv", required=True, type=Path, help="output: the numbers, unrounded")
    parser.add_argument("--tex", required=True, type=Path, help="output, for LaTeX")
    parser.add_argument("--md", required=True, type=Path, help="output, Markdown")


def write(table: Table, rows: pd.DataFrame, layout: Layout, arguments: Namespace) -> None:
    """Write a table's files. arguments: of the options of add_outputs."""
    mark = arguments.mark
    files = {"csv": arguments.csv, "tex": arguments.tex, "md": arguments.md}
    with replacing_all(files) as paths:
        write_marked(table, rows, mark, paths["csv"])
        paths["tex"].write_text(to_tex(layout, mark), encoding="utf-8")
        paths["md"].write_text(to_markdown(layout, mark), encoding="utf-8")


def write_marked(table: Table, rows: pd.DataFrame, mark: str, path: Path) -> None:
    """Write rows with the column `mark`, '' for the paper, and without the groups of a layout."""
    table.write(rows.drop(columns="group", errors="ignore").assign(mark=mark), path)
