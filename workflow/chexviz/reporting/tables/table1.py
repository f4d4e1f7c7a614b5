"""Table 1: the baseline and one method for every finding of a site, intervals and paired test."""

from pathlib import Path

import pandas as pd

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.tables.evaluation import METRICS
from chexviz.base.tables.summaries import TABLE1
from chexviz.reporting.selection import compared
from chexviz.reporting.tables.cells import cell, note, p_cell
from chexviz.reporting.tables.models import read_models
from chexviz.reporting.tables.outputs import add_outputs, write
from chexviz.reporting.tables.typesetting import Layout
from chexviz.reporting.titles import add_titles, metric_title

TEST = "p: paired test of AUROC against the baseline, not corrected for several tests."


def layout(table: pd.DataFrame) -> Layout:
    """The table as readers see it: a group an endpoint, a row a model.

    table: see models.summarise.
    """
    groups = {
        group: [
            [row["model"], *(cell(row, metric) for metric in METRICS), p_cell(row)]
            for row in rows.to_dict("records")
        ]
        for group, rows in table.groupby("group", sort=False)
    }
    return Layout(
        head=["Model", *map(metric_title, METRICS), "p"],
        groups=groups,
        caption="Performance of the baseline and federated models on the evaluation sets.",
        note=f"{note(table)} {TEST}",
        group_head="Task",
        variables=("p",),
        size="small",
    )


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--metrics", required=True, type=Path)
    parser.add_argument("--comparisons", required=True, type=Path)
    parser.add_argument("--method", required=True, help="shown beside the baseline")
    add_titles(parser)
    add_outputs(parser)
    arguments = parser.parse_args(argv)

    models = read_models(arguments.metrics, arguments.comparisons, arguments.titles)
    table = compared(models, arguments.method, arguments.metrics)
    write(TABLE1, table, layout(table), arguments)


if __name__ == "__main__":
    run(main)
