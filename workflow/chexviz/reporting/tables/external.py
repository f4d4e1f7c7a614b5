"""The table of external sites: every model on images of a place that trained none of them."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.methods import BASELINE
from chexviz.base.tables.summaries import EXTERNAL
from chexviz.evaluation.over_seeds import holm
from chexviz.reporting.selection import ENDPOINT, in_order, of_endpoints
from chexviz.reporting.tables.cells import cell, note, p_cell, signed_cell
from chexviz.reporting.tables.models import read_summary, summarise_model
from chexviz.reporting.tables.outputs import add_outputs, write
from chexviz.reporting.tables.typesetting import Layout
from chexviz.reporting.titles import add_titles, endpoints, group_titles, head_titles, metric_title
from chexviz.reporting.wording import p_text

SHOWN = ("sensitivity", "specificity", "auroc")  # of the metrics; the CSV has all
READING = (
    "Behind each model: the site whose head it is, or shared, or the mean of several heads. "
    "Difference: of the AUROC from that of the baseline of the same architecture that was trained "
    "at the site in the column before. p: paired test. p (Holm): corrected for all comparisons of "
    "the method in this table. No threshold was chosen on these images."
)


def summarise(metrics: pd.DataFrame, comparisons: pd.DataFrame, sites: list[dict]) -> pd.DataFrame:
    """A row for each endpoint of an external site and model, as in EXTERNAL, after `group`.

    A model that is compared with several baselines has a row for each. sites: see titles. Raises
    ValueError if a model was not compared.
    """
    metrics = of_endpoints(metrics, endpoints(sites, "external"))
    titles = group_titles(metrics, sites)
    keys = [*ENDPOINT, "architecture", "method", "head"]
    models = dict(tuple(metrics.groupby(keys, sort=False)))
    compared = dict(tuple(comparisons.groupby(keys, sort=False)))
    rows: list[dict[str, object]] = []
    for endpoint, title in titles.items():
        for architecture in in_order(metrics["architecture"]):
            for method in in_order(metrics["method"]):
                for head in metrics["head"].unique():
                    key = (*endpoint, architecture, method, head)
                    if key in models:
                        rows += summarise_head(models[key], title, compared.get(key))
    table = pd.DataFrame(rows)
    table["p_holm"] = table.groupby("method")["p"].transform(lambda p: holm(p.to_numpy()))
    return table[["group", *(name for name in EXTERNAL.names if name != "mark")]]


def summarise_head(
    runs: pd.DataFrame, title: str, tests: pd.DataFrame | None
) -> Iterator[dict[str, object]]:
    """The rows of one head of a model: one for each baseline that it is compared with.

    runs, tests: its rows of metrics and comparisons. Of a baseline, a single row.
    """
    head = {"head": runs["head"].iloc[0]}
    if tests is None:  # of a method, the summary refuses that
        yield summarise_model(runs, title, None) | head | {"reference": ""}
        return
    for reference, of_one in tests.groupby("reference_head", sort=False):
        yield summarise_model(runs, title, of_one) | head | {"reference": reference}


def layout(table: pd.DataFrame, sites: list[dict]) -> Layout:
    """The table as readers see it: a group an endpoint, a row a model and baseline. sites: see
    titles."""
    names, groups = head_titles(sites), dict[str, list[list[str]]]()
    for group, rows in table.groupby("group", sort=False):
        models = rows.duplicated(["architecture", "method", "head"])
        groups[group] = [
            cells(row, names, again)
            for row, again in zip(rows.to_dict("records"), models, strict=True)
        ]
    return Layout(
        head=["Model", *map(metric_title, SHOWN), "Baseline of", "Difference", "p", "p (Holm)"],
        groups=groups,
        caption="Performance of all models on images of external sites.",
        note=f"{note(table)} {READING}",
        variables=("p",),
    )


def cells(row: dict, names: dict[str, str], again: bool) -> list[str]:
    """One row. names: of heads. again: the model itself stands in the row above."""
    model = [f"{row['model']}, {names[row['head']]}", *(cell(row, name) for name in SHOWN)]
    if row["method"] == BASELINE:
        return [*model, "–", "–", "–", "–"]
    tested = [signed_cell(row, "difference"), p_cell(row), p_text(row["p_holm"])]
    return [*([""] * len(model) if again else model), names[row["reference"]], *tested]


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--metrics", required=True, type=Path)
    parser.add_argument("--comparisons", required=True, type=Path)
    add_titles(parser)
    add_outputs(parser)
    arguments = parser.parse_args(argv)

    inputs = arguments.metrics, arguments.comparisons, arguments.titles
    table = read_summary(summarise, *inputs)
    write(EXTERNAL, table, layout(table, arguments.titles), arguments)


if __name__ == "__main__":
    run(main)
