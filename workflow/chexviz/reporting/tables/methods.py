"""The table of all methods: AUROC for every finding, the baseline's, and what a site sends."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.settings import Settings, read
from chexviz.base.tables.models import read_histories
from chexviz.base.tables.summaries import METHODS
from chexviz.evaluation.cases import TOO_FEW
from chexviz.reporting.histories import add_histories, sent_per_round, spent
from chexviz.reporting.tables.cells import cell, note, p_cell, signed_cell
from chexviz.reporting.tables.models import read_models
from chexviz.reporting.tables.outputs import add_outputs, write
from chexviz.reporting.tables.typesetting import Layout
from chexviz.reporting.titles import add_titles, architecture_title, method_title
from chexviz.reporting.wording import fixed, joined, listed, megabytes, p_phrase, power

BESIDE = 4  # endpoints that have a column each; of more, each has a group of rows
READING = (
    "Below each AUROC: its difference from the baseline of the same architecture, and p of the "
    "paired test, not corrected for the number of methods. MB: megabytes that a site sends in a "
    "round; –: no exchange in rounds."
)
PRIVATE = {
    "patient": "of each site's training for all images of a patient, the largest of the sites",
    "site": "of the federation's average for a site as a whole (site)",
}


class Promise(Settings, frozen=True):
    """What a method with `privacy` promises: whose privacy (patient, site), and at which delta."""

    unit: str
    delta: float


def compare(
    models: pd.DataFrame, histories: pd.DataFrame, private: Mapping[str, Promise]
) -> pd.DataFrame:
    """A row for each architecture, method and endpoint: `group`, then the columns of METHODS.

    models: see models.summarise. private: the methods with `privacy`.
    """
    told = pd.DataFrame({"sent": sent_per_round(histories), "epsilon": spent(histories)})
    table = models.merge(told, how="left", left_on=["architecture", "method"], right_index=True)
    promises = {name: (one.delta, one.unit) for name, one in private.items()}
    found = [promises.get(method, (np.nan, "")) for method in table["method"]]
    table[["delta", "unit"]] = pd.DataFrame(found, index=table.index)
    # An ensemble is not trained, and has no history.
    table["sent"] = table["sent"].fillna(0)
    ordered = table.sort_values(
        ["architecture", "method"],
        key=lambda column: column.map(list(column.drop_duplicates()).index),
        kind="stable",
    )
    columns = [name for name in METHODS.names if name != "mark"]
    return ordered[["group", *columns]].reset_index(drop=True)


def layout(table: pd.DataFrame) -> Layout:
    """The table as readers see it: a group an architecture, a row a method, a column an endpoint.

    An endpoint's cell has two lines: AUROC; difference from the baseline and p. Of many endpoints
    each is a group, and a row a model.
    """
    endpoints = list(table["group"].drop_duplicates())
    many = len(endpoints) > BESIDE
    private = [private_note(table)] if table["delta"].notna().any() else []
    return Layout(
        head=["Method", *(["AUROC"] if many else endpoints), "MB", *(["ε"] if private else [])],
        groups=one_below_the_other(table) if many else beside_each_other(table, endpoints),
        caption="AUROC of all methods on the evaluation sets.",
        note=joined([note(table), READING, *private]),
        group_head="Task" if many else "Architecture",
    )


def private_note(table: pd.DataFrame) -> str:
    """What the column of epsilons says, of the methods that have one."""
    deltas = listed(map(power, table["delta"].dropna().unique()))
    of = "; ".join(text for unit, text in PRIVATE.items() if (table["unit"] == unit).any())
    return f"ε: differential privacy at δ = {deltas}, {of}; –: none."


def last_cells(table: pd.DataFrame, row: Mapping) -> list[str]:
    """The cells of a model that are of no endpoint: what it sends, and epsilon if any has one."""
    cells = [megabytes(row["sent"])]
    if table["delta"].notna().any():
        whose = " (site)" if row["unit"] == "site" else ""
        cells.append("–" if np.isnan(row["epsilon"]) else f"{fixed(row['epsilon'], 2)}{whose}")
    return cells


def beside_each_other(table: pd.DataFrame, endpoints: list[str]) -> dict[str, list[list[str]]]:
    """A group an architecture, a row a method, and a column an endpoint."""
    groups: dict[str, list[list[str]]] = {}
    for (architecture, method), rows in table.groupby(["architecture", "method"], sort=False):
        models = {row["group"]: model_cell(row) for row in rows.to_dict("records")}
        cells = [models.get(endpoint, "–") for endpoint in endpoints]
        row = [method_title(method), *cells, *last_cells(table, rows.iloc[0])]
        groups.setdefault(architecture_title(architecture), []).append(row)
    return groups


def one_below_the_other(table: pd.DataFrame) -> dict[str, list[list[str]]]:
    """A group an endpoint, and a row a model."""
    groups: dict[str, list[list[str]]] = {}
    for row in table.to_dict("records"):
        model = f"{architecture_title(row['architecture'])}, {method_title(row['method'])}"
        cells = [model, model_cell(row), *last_cells(table, row)]
        groups.setdefault(row["group"], []).append(cells)
    return groups


def model_cell(row: dict) -> str:
    """'0.812 (0.790–0.834)'; below it, but for a baseline, '−0.012 (−0.031 to 0.007), p = 0.19'."""
    if np.isnan(row["difference"]):
        return cell(row, "auroc")
    p = p_cell(row)
    tested = p if p == TOO_FEW else p_phrase(row["p"])
    return f"{cell(row, 'auroc')}\n{signed_cell(row, 'difference')}, {tested}"


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--metrics", required=True, type=Path)
    parser.add_argument("--comparisons", required=True, type=Path)
    add_histories(parser)
    parser.add_argument(
        "--private", default="{}", metavar="JSON", help="the methods with `privacy`: see Promise"
    )
    add_titles(parser)
    add_outputs(parser)
    arguments = parser.parse_args(argv)

    models = read_models(arguments.metrics, arguments.comparisons, arguments.titles)
    private = read(arguments.private, dict[str, Promise], "--private")
    table = compare(models, read_histories(arguments.history), private)
    write(METHODS, table, layout(table), arguments)


if __name__ == "__main__":
    run(main)
