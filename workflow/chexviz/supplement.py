"""What the paper's supplement says and shows: tables as text, and the numbers of its sentences."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from chexviz import grim, inflation, published, table_tests
from chexviz.cases import is_too_few
from chexviz.labels import COLUMNS as LABELS
from chexviz.layout import Layout
from chexviz.metrics import normal_quantile
from chexviz.reported import study_tables
from chexviz.results import (
    BASELINE,
    capitalised,
    model_title,
    read_table,
)
from chexviz.table_methods import COLUMNS as METHOD_COLUMNS
from chexviz.table_methods import cells as method_cells
from chexviz.tables import over_seeds

# The checks of labels and tags that the supplement shows, and what it calls them.
CHECKS = {
    "conflicting labels": "Conflicting labels of near-identical images",
    "patients": "Patients (where known)",
    "several images": "Images of patients with several",
    "missing": "Missing: {group}",
    "impossible": "Impossible: {group}",
    "positive": "Positive: {group}",
    "odds ratio": "Odds ratio: {group}",
}
# What a sentence calls the paired tests.
TESTS = {
    "bootstrap_patients": "the bootstrap of patients",
    "bootstrap_images": "the bootstrap of images",
    "delong": "DeLong's test",
    "t_test_replicates": "the _t_ test over replicates",
}
# What a sentence calls what an interval is of.
HELD = {
    **{"auroc": "AUROC", "aupr": "AUPR"},
    **{"sensitivity": "sensitivity", "specificity": "specificity"},
}
SIGNIFICANCE = 0.05  # as in the original paper
RATES = {"sensitivity": "Sensitivity", "specificity": "Specificity", "ppv": "PPV", "npv": "NPV"}
KEYS = ["site", "architecture", "method"]


def of_study(
    results: Path, protocols: list[str], sites: list[dict], titles: dict, minimum: int
) -> dict:
    """What is said of the whole run.

    titles: what readers call the task of each site. minimum: cases that an interval needs.
    """
    tables = study_tables(protocols)
    folder = results / "tables"
    return {
        "published": published_facts(folder / "published.csv", titles)
        if "published" in tables
        else None,
        "grim": grim_facts(folder / "grim.csv"),
        "inflation": inflation_facts(folder / "inflation.csv", titles)
        if "inflation" in tables
        else None,
        "simulation": simulation_facts(results / "evaluation" / "simulation.csv"),
        "coverage": coverage_facts(results / "evaluation" / "coverage.csv", minimum),
        "labels": label_facts(results / "audit" / "labels.csv", sites),
    }


def of_protocol(results: Path, protocol: str, titles: dict, method: str) -> dict:
    """What is said of one protocol. method: the one that the paper compares with the baselines."""
    tables, evaluation = (results / name / protocol for name in ("tables", "evaluation"))
    return {
        "methods": method_facts(tables / "methods.csv", titles),
        "tests": test_facts(tables / "tests.csv", titles),
        "calibration": calibration_facts(evaluation / "calibration.csv"),
        "operating_points": operating_facts(evaluation / "operating_points.csv", titles, method),
        "decision": decision_facts(evaluation / "decision.csv"),
        "localisation": localisation_facts(evaluation / "localisation.csv", titles),
        "subgroups": subgroup_facts(evaluation / "subgroups.csv", titles, method),
        "crosstask": crosstask_facts(evaluation / "crosstask.csv", titles, method),
    }


def shown(layout: Layout) -> dict:
    """A table as JSON."""
    groups = [{"title": title, "rows": rows} for title, rows in layout.groups.items()]
    return {"head": layout.head, "groups": groups, "note": layout.note}


def span(values: pd.Series) -> list[float] | None:
    """The smallest and the largest number, or None if there is none."""
    known = values.dropna()
    return [float(known.min()), float(known.max())] if len(known) else None


def grouped(table: pd.DataFrame, titles: dict) -> pd.DataFrame:
    """The table with the column `group`: the title of each row's site."""
    return table.assign(group=table["site"].map(titles).map(capitalised, na_action="ignore"))


# --- what the original reports -------------------------------------------------------------------


def published_facts(path: Path, titles: dict) -> dict:
    """The published table beside ours; how many values lie where."""
    table = grouped(published.read(path), titles)
    table["group"] = table["group"].fillna(table["task"].map(capitalised))
    counts = table["verdict"].value_counts()
    verdicts = (published.INSIDE, published.ABOVE, published.BELOW)
    values = table["metric"] != "p"
    found = {verdict: int(counts.get(verdict, 0)) for verdict in verdicts}
    return {
        "table": shown(published.layout(table)),
        "values": int(values.sum()),
        "compared": sum(found.values()),
        **found,
    }


def grim_facts(path: Path) -> dict:
    """The sizes that fit the published percentages; a task whose fifth of images fits, or not."""
    table = grim.read(path)
    tasks = [
        {
            **{"task": task, "fifth": int(rows["fifth"].iloc[0])},
            **{"divisions": int(rows["divisions"].iloc[0])},
            "parts": [int(part) for part in rows["in_fifth"].dropna()],
            "smallest": [int(size) for size in rows["smallest"].dropna()],
        }
        for task, rows in table.groupby("task", sort=False)
    ]
    return {"table": shown(grim.layout(table)), "tasks": tasks}


def inflation_facts(path: Path, titles: dict) -> dict:
    """AUROC under both protocols, and in words what their differences say."""
    table = grouped(read_table(path, inflation.COLUMNS), titles)
    return {"table": shown(inflation.layout(table)), "words": inflation.words(table)}


# --- probabilities, groups, places ---------------------------------------------------------------


def calibration_facts(path: Path) -> dict:
    """Ranges over all models, as they are and temperature scaled; None where nothing is known.

    Of too few cases nothing is said, here and below.
    """
    measures = ("ece", "ece_chance", "slope")
    table = read_table(path, [*KEYS, "scaling", *measures, "note"])
    table = table[~table["note"].map(is_too_few)]
    return {
        scaling: {measure: span(rows[measure]) for measure in measures}
        for scaling, rows in table.groupby("scaling")
    }


def operating_facts(path: Path, titles: dict, method: str) -> dict | None:
    """The table of operating points of the compared models; None if no threshold was chosen."""
    table = read_table(path, [*KEYS, "target", "chosen_on", "note", *with_bounds(RATES)])
    table = grouped(table[table["method"].isin([BASELINE, method])], titles)
    table = table[table["sensitivity"].notna()]
    groups: dict[str, list] = {}
    for (group, architecture, method, target), runs in table.groupby(
        ["group", "architecture", "method", "target"], sort=False
    ):
        cells = [rate_cell(runs, name) for name in RATES]
        model, rows = model_title(architecture, method), groups.setdefault(group, [])
        repeated = any(row[0] == model for row in rows)
        rows.append(["" if repeated else model, f"{100 * target:g}", *cells])
    chosen = sorted(set(table["chosen_on"]))
    head = ["Model", "Target (%)", *(f"{title} (%)" for title in RATES.values())]
    return {"table": shown(Layout(head, groups, "", "")), "chosen": chosen} if groups else None


def with_bounds(names: Iterable[str]) -> list[str]:
    return [f"{name}{end}" for name in names for end in ("", "_low", "_high")]


def rate_cell(runs: pd.DataFrame, name: str) -> str:
    """A rate in percent: '84.2 (80.1–88.0)'; of several seeds '84.2 ± 0.4'; '–' if undefined."""
    row = over_seeds(name, 100 * runs[[name, f"{name}_low", f"{name}_high"]])
    if np.isnan(row[name]):
        return "–"
    if len(runs) > 1:
        return f"{row[name]:.1f} ± {row[f'{name}_sd']:.1f}"
    if np.isnan(row[f"{name}_low"]):
        return f"{row[name]:.1f}"
    return f"{row[name]:.1f} ({row[f'{name}_low']:.1f}–{row[f'{name}_high']:.1f})"


def decision_facts(path: Path) -> dict | None:
    """Over how many of the probabilities each model beats treating all and none: the range."""
    table = read_table(path, [*KEYS, "seed", "scaling", "threshold", "net_benefit", "all", "note"])
    table = table[(table["scaling"] == "none") & table["net_benefit"].notna()]
    table = table[~table["note"].map(is_too_few)]
    if table.empty:
        return None
    better = table["net_benefit"] > np.maximum(table["all"], 0)
    shares = better.groupby([table[key] for key in (*KEYS, "seed")]).mean()
    return {"share": span(shares), "thresholds": span(table["threshold"])}


def localisation_facts(path: Path, titles: dict) -> list[dict]:
    """Energy inside the annotation at each site: of the maps, by chance, of the mean annotation."""
    table = read_table(path, [*KEYS, "measure", "value", "chance", "prior", "note"])
    table = table[(table["measure"] == "energy") & table["value"].notna()]
    table = table[~table["note"].map(is_too_few)]
    return [
        {
            "task": titles[site],
            **{name: span(rows[name]) for name in ("value", "chance", "prior")},
            "models": len(rows),
            "above_chance": int((rows["value"] > rows["chance"]).sum()),
            "above_prior": int((rows["value"] > rows["prior"]).sum()),
        }
        for site, rows in table.groupby("site", sort=False)
    ]


def subgroup_facts(path: Path, titles: dict, method: str) -> dict:
    """The gaps between groups of the compared models: how many are known, which is the largest."""
    columns = [*KEYS, "attribute", "group", "measure", "reference", "value", "low", "high"]
    table = read_table(path, columns)
    gaps = table[(table["measure"] == "gap") & table["method"].isin([BASELINE, method])]
    gaps = gaps[gaps["low"].notna()]
    tags = table[(table["measure"] == "tag alone") & (table["attribute"] == "view")]
    largest = gaps.loc[gaps["value"].abs().idxmax()] if len(gaps) else None
    return {
        "gaps": len(gaps),
        "apart": int(((gaps["low"] > 0) | (gaps["high"] < 0)).sum()),
        "largest": None
        if largest is None
        else {
            "task": titles[largest["site"]],
            "model": model_title(largest["architecture"], largest["method"]),
            **{name: largest[name] for name in ("attribute", "group", "reference")},
            **{name: float(largest[name]) for name in ("value", "low", "high")},
        },
        "view_alone": [
            {"task": titles[row.site], "value": float(row.value)}
            for row in tags.dropna(subset="value").itertuples()
        ],
    }


def crosstask_facts(path: Path, titles: dict, method: str) -> list[dict]:
    """At each site: what the heads of other sites make of its own finding, and how often both."""
    table = read_table(path, [*KEYS, "task", "head", "measure", "finding", "value", "note"])
    table = table[~table["note"].map(is_too_few)]
    others = table[(table["head"] != table["site"]) & (table["method"] == method)]
    facts = []
    for site, rows in others.groupby("site", sort=False):
        own = rows[(rows["measure"] == "auroc") & (rows["finding"] == rows["task"])]
        both = rows[rows["measure"] == "both_ratio"]
        ranges = {"auroc": span(own["value"]), "both": span(both["value"])}
        facts.append({"task": titles[site]} | ranges)
    return facts


def test_facts(path: Path, titles: dict) -> dict:
    """The table of all paired tests; how many of the tested comparisons each calls significant."""
    columns = [*KEYS, "test", "primary", "p", "p_holm", "margin", "p_non_inferior", "verdict"]
    table = grouped(read_table(path, [*columns, "note"]), titles)
    groups = {
        f"{group}, {model}": rows[[*table_tests.TEST]].to_numpy().tolist()
        for (group, model), rows in table_tests.cells(table).groupby(["group", "model"], sort=False)
    }
    primary = table[table["primary"].astype(bool)]
    return {
        "table": shown(Layout([*table_tests.TEST], groups, "", table_tests.note(table))),
        "comparisons": int(primary["p"].notna().sum()),
        "tests": [
            {"title": TESTS[test], "significant": int((rows["p"] < SIGNIFICANCE).sum())}
            for test, rows in table.groupby("test", sort=False)
        ],
        "holm": int((primary["p_holm"] < SIGNIFICANCE).sum()),
        "margin": float(primary["margin"].iloc[0]),
        "non_inferior": int((primary["verdict"] == "non-inferior").sum()),
    }


def simulation_facts(path: Path) -> list[dict]:
    """How often each test calls two equally good models different, with the most replicates."""
    table = read_table(path, ["test", "replicates", "repetitions", "rate", "expected"])
    return [
        {
            "title": TESTS[test],
            "replicates": None if np.isnan(row["replicates"]) else int(row["replicates"]),
            "repetitions": int(row["repetitions"]),
            "rate": float(row["rate"]),
        }
        for test, rows in table.groupby("test", sort=False)
        for _, row in rows.sort_values("replicates").tail(1).iterrows()
    ]


def coverage_facts(path: Path, minimum: int) -> dict:
    """How often intervals hold the truth and tests reject it: ranges over the simulated designs.

    minimum: patients with the finding that a design needs to be told; `positives`, the fewest of
    those designs, is None where there is none.
    """
    table = read_table(path, ["images", "positives", "measure", "repetitions", "rate"])
    told = table[table["positives"] >= minimum]
    repetitions = int(table["repetitions"].iloc[0])

    def ranges(titles: dict, rows: pd.DataFrame) -> list[dict]:
        found = {
            title: span(rows.loc[rows["measure"] == one, "rate"]) for one, title in titles.items()
        }
        return [{"title": title, "range": range} for title, range in found.items() if range]

    return {
        "repetitions": repetitions,
        "error": normal_quantile(0.95) * (0.95 * 0.05 / repetitions) ** 0.5,  # of a rate of 95 %
        "positives": int(told["positives"].min()) if len(told) else None,
        "intervals": ranges(HELD, told),
        "chosen": span(told.loc[told["measure"] == "sensitivity_chosen", "rate"]),
        "tests": [
            {"images": float(images), "tests": ranges(TESTS, rows)}
            for images, rows in told.groupby("images")
        ],
    }


# --- methods and labels --------------------------------------------------------------------------


def method_facts(path: Path, titles: dict[str, str]) -> dict:
    """The table of all methods: a column a site, a row an architecture and method."""
    table = read_table(path, [column for column in METHOD_COLUMNS if column != "group"])
    shown = method_cells(table.assign(group=table["site"].map(titles).map(capitalised)))
    return {
        "groups": list(shown.columns[2:-1]),
        "rows": [
            {
                "architecture": architecture,
                "method": method,
                "cells": [value.split("\n") for value in values],
                "sent": sent,
            }
            for architecture, method, *values, sent in shown.itertuples(index=False)
        ],
    }


def label_facts(path: Path, sites: list[dict]) -> dict:
    """The checks of labels and tags: a row a check, a cell a site; and confounders in numbers."""
    table = read_table(path, LABELS)
    cells = {(row.site, row.check, row.group): row for row in table.itertuples()}
    checks = table.loc[table["check"].isin(CHECKS), ["check", "group"]].drop_duplicates()
    own = checks["check"] == "conflicting labels"
    rows = [("conflicting labels", "")] * bool(own.any()) + checks[~own].values.tolist()
    view = [cells[site["name"], "odds ratio", "view AP against PA"] for site in sites]
    return {
        "sites": [site["title"] for site in sites],
        "rows": [
            {
                "title": CHECKS[check].format(group=group),
                "cells": [
                    label_cell(cells.get((site["name"], check, group or site["name"])))
                    for site in sites
                ],
            }
            for check, group in rows
        ],
        "view": [
            {
                "site": site["title"],
                "shown": label_cell(row),
                "far": bool(row.low > 1 or row.high < 1),
                "more": bool(row.value > 1),
            }
            for site, row in zip(sites, view, strict=True)
        ],
    }


def label_cell(row: Any) -> str:
    """What the table shows of a check: 'count of images (percent)', patients, or the odds ratio."""
    if row is None or np.isnan(row.value):
        return "–"
    if row.check == "odds ratio":
        return f"{row.value:.2f} ({row.low:.2f}–{row.high:.2f})"
    if row.check == "patients":
        return f"{row.count:,.0f} ({row.value:.2f} images each)"
    return f"{row.count:,.0f} of {row.images:,.0f} ({100 * row.value:.1f} %)"
