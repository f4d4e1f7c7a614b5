"""How the models do on images of sites that trained none of them."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from chexviz.base.methods import BASELINE
from chexviz.base.tables.models import answer
from chexviz.base.tables.summaries import EXTERNAL
from chexviz.reporting.paper import comparisons
from chexviz.reporting.paper.comparisons import Comparison
from chexviz.reporting.selection import ENDPOINT, of_endpoints
from chexviz.reporting.tables import external
from chexviz.reporting.tables.typesetting import to_json
from chexviz.reporting.titles import endpoint_titles, endpoints, grouped, head_titles
from chexviz.reporting.wording import NAMED, between, joined, listed, p_phrase

BASELINES = "the baseline of a single site"  # what the summary calls what is compared with


class Outside(NamedTuple):
    """A federated model's answer at an external site against the baseline of one site.

    task: the endpoint. place: of the baseline.
    """

    task: str
    place: str
    compared: Comparison


def external_facts(
    path: Path, tests: pd.DataFrame, sites: list[dict], confidence: float
) -> dict | None:
    """The table of all models, and what is said of the compared one; None without such a site.

    path: external.csv. tests: see read_comparisons, of the compared method. sites: see titles.
    confidence: of intervals.
    """
    titles = endpoint_titles(sites)
    outside = {key: titles[key] for key in endpoints(sites, "external")}
    if not outside:
        return None
    table = EXTERNAL.read(path)
    rows = compare(table, of_endpoints(tests, outside), outside, head_titles(sites), confidence)
    compared = [row.compared for row in rows]
    return {
        "places": [site["title"] for site in sites if site["role"] == "external"],
        "table": to_json(external.layout(grouped(table, titles), sites)),
        "results": results(rows),
        "summary": comparisons.summary(compared, BASELINES),
        "correction": comparisons.correction(compared),
    }


def compare(
    table: pd.DataFrame,
    tests: pd.DataFrame,
    titles: dict,
    places: dict[str, str],
    confidence: float,
) -> list[Outside]:
    """The answer of the compared method for each endpoint against every baseline that knows it.

    table: see EXTERNAL. tests: comparisons of that method at external sites. titles: of the
    endpoints. places: of heads.
    """
    keys = [*ENDPOINT, "architecture", "method", "head"]
    models = table.drop_duplicates(keys).set_index(keys)
    found = []
    for (site, finding, architecture, method), rows in tests.groupby(keys[:-1], sort=False):
        head = answer(site, rows["head"].unique())
        for place, runs in rows[rows["head"] == head].groupby("reference_head", sort=False):
            found.append(
                Outside(
                    titles[site, finding],
                    places[place],
                    comparisons.comparison(
                        runs,
                        f"{titles[site, finding]} against the baseline of {places[place]}",
                        models.loc[site, finding, architecture, method, head],
                        models.loc[site, finding, architecture, BASELINE, place],
                        confidence,
                    ),
                )
            )
    return found


def results(rows: Sequence[Outside]) -> str:
    """Sentence by sentence: each endpoint, its architectures; of many their range."""
    tasks = dict.fromkeys(row.task for row in rows)
    if len(tasks) > NAMED:
        return ranges(rows, len(tasks))
    sentences = []
    for task in tasks:
        own = [row for row in rows if row.task == task]
        models = dict.fromkeys(row.compared.architecture for row in own)
        said = listed(
            against([row for row in own if row.compared.architecture == one]) for one in models
        )
        sentences.append(f"For {task}, the federated model had an AUROC of {said}.")
    return joined(sentences)


def against(rows: Sequence[Outside]) -> str:
    """'0.84 with Standard (baseline of RSNA: 0.85, p = 0.10; of SIIM-ACR: 0.83, p = 0.20)'.

    rows: of one model, against every baseline.
    """
    first = rows[0].compared
    theirs = "; ".join(
        f"of {row.place}: {row.compared.baseline}, {row.compared.note or p_phrase(row.compared.p)}"
        for row in rows
    )
    return f"{first.auroc} with {first.architecture} (baseline {theirs})"


def ranges(rows: Sequence[Outside], tasks: int) -> str:
    """The AUROC of so many endpoints, by architecture."""
    pairs = []
    for architecture in dict.fromkeys(row.compared.architecture for row in rows):
        values = [row.compared.values for row in rows if row.compared.architecture == architecture]
        ours, theirs = (between(aurocs) for aurocs in zip(*values, strict=True))
        pairs.append(f"{ours} with {architecture} (baselines of single sites: {theirs})")
    return f"Over the {tasks} tasks, the federated model had an AUROC of {listed(pairs)}."
