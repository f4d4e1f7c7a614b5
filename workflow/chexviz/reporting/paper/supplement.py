"""What the paper's supplement shows and says: tables as text, and sentences from result files."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from chexviz.base.methods import BASELINE
from chexviz.base.tables.evaluation import LITERAL
from chexviz.base.tables.study import LABEL_CHECKS
from chexviz.evaluation.cases import enough
from chexviz.evaluation.over_seeds import effect, over_seeds
from chexviz.reporting.paper import conclusions, observations
from chexviz.reporting.paper.inventory import study_tables
from chexviz.reporting.tables import grim, inflation, published, tests
from chexviz.reporting.tables.methods import COLUMNS as METHOD_COLUMNS
from chexviz.reporting.tables.methods import cells as method_cells
from chexviz.reporting.tables.typesetting import Layout
from chexviz.reporting.titles import ARCHITECTURES, capitalised, model_title, read_table
from chexviz.reporting.wording import joined

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
    "bootstrap_patients": "the bootstrap over patients",
    "bootstrap_images": "the bootstrap over images",
    "delong": "DeLong’s test",
    LITERAL: "the t test over replicates",
}
# What a sentence calls what an interval is of.
HELD = {
    **{"auroc": "AUROC", "aupr": "AUPR"},
    **{"sensitivity": "sensitivity", "specificity": "specificity"},
}
RATES = {"sensitivity": "Sensitivity", "specificity": "Specificity", "ppv": "PPV", "npv": "NPV"}
KEYS = ["site", "architecture", "method"]
Under = Callable[[str], str]  # a sentence to the same under its protocol


def of_study(
    results: Path,
    protocols: list[str],
    sites: list[dict],
    titles: dict,
    minimum: int,
    patient: str,
) -> dict:
    """What is said of the whole run.

    titles: what readers call the finding of each site. minimum: cases that an interval needs.
    patient: what the text calls the protocol of that name.
    """
    made = study_tables(protocols)
    folder = results / "tables"
    simulation = read_simulation(results / "evaluation" / "simulation.csv")
    return {
        "published": published_facts(folder / "published.csv", titles, simulation)
        if "published" in made
        else None,
        "grim": grim_facts(folder / "grim.csv"),
        "inflation": inflation_facts(folder / "inflation.csv", titles, patient)
        if "inflation" in made
        else None,
        "simulation": simulation_said(simulation),
        "coverage": coverage_said(results / "evaluation" / "coverage.csv", minimum),
        "labels": label_facts(results / "audit" / "labels.csv", sites),
    }


def of_protocol(
    results: Path, protocol: str, titles: dict, method: str, confidence: float, title: str
) -> dict:
    """What is said of one protocol.

    method: the one that the paper compares with the baselines. confidence: of intervals. title: of
    the protocol.
    """
    tables, evaluation = (results / name / protocol for name in ("tables", "evaluation"))
    localisation = evaluation / "localisation.csv"

    def under(sentence: str) -> str:
        return f"Under the {title}, {sentence}"

    return {
        "methods": method_facts(tables / "methods.csv", titles),
        "tests": test_facts(tables / "tests.csv", titles, under),
        "operating_points": operating_facts(evaluation / "operating_points.csv", titles, method),
        "calibration": under(calibration_said(evaluation / "calibration.csv")),
        "decision": decision_said(evaluation / "decision.csv"),
        "energy": under(energy_said(localisation, titles)),
        "focus": under(focus_said(localisation, titles, method, confidence)),
        "subgroups": subgroups_said(evaluation / "subgroups.csv", titles, method, under),
        "heads": heads_said(evaluation / "crosstask.csv", titles, method, under),
    }


def shown(layout: Layout) -> dict:
    """A table as JSON."""
    groups = [{"title": title, "rows": rows} for title, rows in layout.groups.items()]
    return {"head": layout.head, "groups": groups, "note": layout.note}


def grouped(table: pd.DataFrame, titles: dict) -> pd.DataFrame:
    """The table with the column `group`: the title of each row's site."""
    return table.assign(group=table["site"].map(titles).map(capitalised, na_action="ignore"))


# --- what the original reports -------------------------------------------------------------------


def published_facts(path: Path, titles: dict, simulation: pd.DataFrame) -> dict:
    """The published table beside ours, how many values agree, and why p values are not compared."""
    table = grouped(published.read(path), titles)
    table["group"] = table["group"].fillna(table["task"].map(capitalised))
    verdicts = (published.INSIDE, published.ABOVE, published.BELOW)
    counts = [int((table["verdict"] == verdict).sum()) for verdict in verdicts]
    p = table["metric"] == "p"
    literal = simulation[simulation["test"] == LITERAL].iloc[-1]
    return {
        "table": shown(published.layout(table)),
        "compared": sum(counts),
        "inside": counts[0],
        "said": conclusions.published(int((~p).sum()), *counts),
        "discrepancy": conclusions.discrepancy(*counts),
        "p": conclusions.published_p(
            [float(one) for one in table.loc[p, "published"]],
            float(literal["rate"]),
            int(literal["replicates"]),
        ),
    }


def grim_facts(path: Path) -> dict:
    """The sizes that fit the published percentages, by task; what they say of the first."""
    table = grim.read(path)
    splits = [
        conclusions.original_split(
            task,
            int(rows["divisions"].iloc[0]),
            [int(part) for part in rows["in_fifth"].dropna()],
            float(rows["by_chance"].iloc[0]),
        )
        for task, rows in table.groupby("task", sort=False)
    ]
    tasks = [
        conclusions.sizes(
            task,
            int(rows["fifth"].iloc[0]),
            int(rows["divisions"].iloc[0]),
            [int(part) for part in rows["in_fifth"].dropna()],
            [int(size) for size in rows["smallest"].dropna()],
        )
        for task, rows in table.groupby("task", sort=False)
    ]
    return {"table": shown(grim.layout(table)), "split": splits[0], "sizes": joined(tasks)}


def inflation_facts(path: Path, titles: dict, patient: str) -> dict:
    """AUROC under both protocols, and in words what their differences say."""
    table = grouped(read_table(path, inflation.COLUMNS), titles)
    return {"table": shown(inflation.layout(table)), "said": inflation.words(table, patient)}


# --- probabilities, groups, places ---------------------------------------------------------------


def known(values: pd.Series) -> list[float]:
    """The numbers that there are."""
    return values.dropna().tolist()


def calibration_said(path: Path) -> str:
    """How far the probabilities of all models hold, as they are and temperature scaled.

    Of too few cases nothing is said, here and below.
    """
    table = read_table(path, [*KEYS, "scaling", "ece", "ece_chance", "slope", "note"])
    table = enough(table)
    raw, scaled = (table[table["scaling"] == name] for name in ("none", "temperature"))
    measures = raw["ece"], raw["ece_chance"], scaled["ece"], raw["slope"]
    return observations.calibration(observations.Calibration(*map(known, measures)))


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


def decision_said(path: Path) -> str:
    """Over how many of the probabilities each model beats treating all and none."""
    table = read_table(path, [*KEYS, "seed", "scaling", "threshold", "net_benefit", "all", "note"])
    table = table[(table["scaling"] == "none") & table["net_benefit"].notna()]
    table = enough(table)
    if table.empty:
        return ""
    better = table["net_benefit"] > np.maximum(table["all"], 0)
    shares = better.groupby([table[key] for key in (*KEYS, "seed")]).mean()
    ends = table["threshold"].min(), table["threshold"].max()
    return observations.decisions(shares.tolist(), ends)


def energy_said(path: Path, titles: dict) -> str:
    """Energy inside the annotation at each site: of the maps, by chance, of the mean annotation."""
    table = read_table(path, [*KEYS, "measure", "value", "chance", "prior", "note"])
    table = table[(table["measure"] == "energy") & table["value"].notna()]
    table = enough(table)
    return observations.energy(
        [
            observations.Energy(
                titles[site], *(rows[name].tolist() for name in ("value", "chance", "prior"))
            )
            for site, rows in table.groupby("site", sort=False)
        ]
    )


def focus_said(path: Path, titles: dict, method: str, confidence: float) -> str:
    """Whether maps of the compared method have more energy inside than those of the baselines."""
    numbers = ["difference", "difference_low", "difference_high", "standard_error", "p"]
    table = read_table(path, [*KEYS, "measure", *numbers])
    table = table[(table["measure"] == "energy") & (table["method"] == method)]
    rows = []
    for (site, architecture), runs in table.groupby(["site", "architecture"], sort=False):
        tests = runs[numbers].rename(columns=lambda name: name.removeprefix("difference_"))
        found = effect(tests, confidence)
        rows.append(
            observations.Focus(titles[site], ARCHITECTURES.get(architecture, architecture), *found)
        )
    return observations.focus(rows)


def subgroups_said(path: Path, titles: dict, method: str, under: Under) -> str:
    """The gaps between groups of the compared models, and what the view alone reaches."""
    columns = [*KEYS, "attribute", "group", "measure", "reference", "value", "low", "high"]
    table = read_table(path, columns)
    gaps = table[(table["measure"] == "gap") & table["method"].isin([BASELINE, method])]
    found = [
        observations.Gap(
            titles[row.site],
            model_title(row.architecture, row.method),
            *(row.attribute, row.group, row.reference, row.value, row.low, row.high),
        )
        for row in gaps.dropna(subset=["value", "low"]).itertuples()
    ]
    tags = table[(table["measure"] == "tag alone") & (table["attribute"] == "view")]
    areas = [
        observations.Area(titles[row.site], row.value, row.low, row.high)
        for row in tags.dropna(subset=["value", "low"]).itertuples()
    ]
    without = [titles[site] for site in tags.loc[tags["value"].isna(), "site"]]
    return joined([under(observations.gaps(found)), observations.view_alone(areas, without)])


def heads_said(path: Path, titles: dict, method: str, under: Under) -> str:
    """What the heads of other sites make of a site's own labels, and how often both call."""
    numbers = ["value", "low", "high"]
    keys = ["site", "architecture", "seed", "head"]
    columns = [*keys, "method", "task", "head_task", "measure", "finding", *numbers, "note"]
    table = read_table(path, columns)
    table = enough(table)
    table = table[(table["head"] != table["site"]) & (table["method"] == method)]
    own = table[(table["measure"] == "auroc") & (table["finding"] == table["task"])]
    both = table[table["measure"] == "both_ratio"].set_index(keys)[numbers]
    rows = [
        observations.Head(
            titles[row["site"]],
            row["task"] == row["head_task"],
            *row[numbers],
            *both.loc[tuple(row[keys])],
        )
        for _, row in own.iterrows()
    ]
    sentences = observations.heads(rows)
    return f"{under(sentences[:1].lower() + sentences[1:])}" if sentences else ""


def test_facts(path: Path, titles: dict, under: Under) -> dict:
    """The table of all paired tests; how many comparisons each calls significant."""
    columns = [*KEYS, "test", "primary", "p", "p_holm", "margin", "p_non_inferior", "verdict"]
    table = grouped(read_table(path, [*columns, "note"]), titles)
    groups = {
        f"{group}, {model}": rows[[*tests.TEST]].to_numpy().tolist()
        for (group, model), rows in tests.cells(table).groupby(["group", "model"], sort=False)
    }
    primary = table[table["primary"].astype(bool)]
    significant = table["p"] < conclusions.SIGNIFICANCE
    said = conclusions.tests(
        int(primary["p"].notna().sum()),
        [
            (TESTS[test], int(significant[rows.index].sum()))
            for test, rows in table.groupby("test", sort=False)
        ],
        int((primary["p_holm"] < conclusions.SIGNIFICANCE).sum()),
        float(primary["margin"].iloc[0]),
        int((primary["verdict"] == "non-inferior").sum()),
    )
    layout = Layout([*tests.TEST], groups, "", tests.note(table))
    return {"table": shown(layout), "said": under(said)}


def read_simulation(path: Path) -> pd.DataFrame:
    """How often each test calls equally good models different; a test's most replicates last."""
    columns = ["test", "replicates", "repetitions", "rate", "expected"]
    return read_table(path, columns).sort_values("replicates", kind="stable", na_position="first")


def simulation_said(table: pd.DataFrame) -> str:
    """The same with the most replicates, in a sentence."""
    last = [rows.iloc[-1] for _, rows in table.groupby("test", sort=False)]
    rows = [
        (
            TESTS[row["test"]],
            None if np.isnan(row["replicates"]) else int(row["replicates"]),
            float(row["rate"]),
        )
        for row in last
    ]
    return conclusions.simulated(rows, int(last[0]["repetitions"]))


def coverage_said(path: Path, minimum: int) -> str:
    """How often intervals hold the truth and tests reject it, over the simulated designs.

    minimum: patients with the finding that a design needs to be told.
    """
    table = read_table(path, ["images", "positives", "measure", "repetitions", "rate"])
    told = table[table["positives"] >= minimum]

    def rates(titles: dict, rows: pd.DataFrame) -> list[tuple[str, list[float]]]:
        found = {
            title: known(rows.loc[rows["measure"] == one, "rate"]) for one, title in titles.items()
        }
        return [(title, some) for title, some in found.items() if some]

    return conclusions.coverage(
        int(table["repetitions"].iloc[0]),
        int(told["positives"].min()) if len(told) else None,
        rates(HELD, told),
        known(told.loc[told["measure"] == "sensitivity_chosen", "rate"]),
        [(float(images), rates(TESTS, rows)) for images, rows in told.groupby("images")],
    )


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
    table = LABEL_CHECKS.read(path)
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
        "view": observations.confounding(
            [
                observations.View(site["title"], row.value, row.low, row.high)
                for site, row in zip(sites, view, strict=True)
            ]
        ),
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
