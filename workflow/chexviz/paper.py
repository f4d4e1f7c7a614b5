"""The paper's PDF: reads every number from the result files, then typesets the template."""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
import typst

from chexviz.audit import AUDIT
from chexviz.errors import InputError, run
from chexviz.files import replacing
from chexviz.labels import COLUMNS
from chexviz.results import (
    ARCHITECTURES,
    METRICS,
    capitalised,
    combined_p,
    compared,
    method_title,
    missing,
    p_text,
    read_comparisons,
    read_metrics,
    read_table,
)
from chexviz.table1 import HEADINGS
from chexviz.table_methods import COLUMNS as METHOD_COLUMNS
from chexviz.table_methods import cells as method_cells
from chexviz.tables import PERCENT, SPREAD, cell

SUBSETS = ("train", "validation", "evaluation")
FIGURES = ("figure2", "figure3", "training", "exchange")
BY_PROTOCOL = ("metrics", "comparisons", "table1", "methods", "audit", "splits", *FIGURES)
BY_SITE = ("samples", "rejected")
ALONE = ("figure1", "figure_audit", "labels", "published", "bibliography")
SETTINGS = (
    *("sites", "protocols", "architectures", "methods", "seeds"),
    *("preprocess", "split", "training", "evaluation"),
)
# The checks of labels and tags that the supplement shows, and what it calls them.
CHECKS = {
    "conflicting labels": "Conflicting labels of near-identical images",
    "missing": "Missing: {group}",
    "impossible": "Impossible: {group}",
    "positive": "Positive: {group}",
    "odds ratio": "Odds ratio: {group}",
}
SIGNIFICANCE = 0.05  # as in the original paper


def collect(inputs: dict, settings: dict, mark: str) -> dict:
    """Everything the template says, as JSON values; text where it is to be printed as it is.

    inputs: files by kind and protocol or site. settings: the run's sites and schedules.
    Raises InputError for a file or setting that is missing.
    """
    require(inputs, settings)
    titles = site_titles(settings["sites"])
    return {
        "mark": mark,
        "alpha": SIGNIFICANCE,
        "settings": settings
        | {
            "architectures": [
                one | {"title": ARCHITECTURES[one["name"]]} for one in settings["architectures"]
            ],
            "methods": [one | {"title": method_title(one["name"])} for one in settings["methods"]],
        },
        "sites": [site_facts(site, inputs) for site in settings["sites"]],
        "protocols": [
            protocol_facts(name, inputs, titles, settings["methods"][0]["name"])
            for name in settings["protocols"]
        ],
        "published": published_facts(inputs, titles) if "paper" in settings["protocols"] else None,
        "labels": label_facts(inputs["labels"], settings["sites"]),
        "figure1": absolute(inputs["figure1"]),
        "figure_audit": absolute(inputs["figure_audit"]),
        "bibliography": absolute(inputs["bibliography"]),
    }


def require(inputs: dict, settings: dict) -> None:
    """Raise InputError unless every setting, kind of input and file is there."""
    absent = [key for key in SETTINGS if key not in settings]
    if absent:
        raise InputError(
            "--settings",
            expected="the keys " + ", ".join(SETTINGS),
            found="no " + ", ".join(absent),
            fix="give the missing part of the configuration",
        )
    wanted = [(kind, protocol) for kind in BY_PROTOCOL for protocol in settings["protocols"]]
    wanted += [(kind, site["name"]) for kind in BY_SITE for site in settings["sites"]]
    for kind, key in [*wanted, *((kind, None) for kind in ALONE)]:
        files = inputs.get(kind, {})
        path = files if key is None else files.get(key)
        if not path:
            name = kind if key is None else f"{kind}, {key}"
            raise InputError(
                "--inputs", expected=f"a file for {name}", found="none", fix="name the file"
            )
        if not Path(path).is_file():
            raise missing(path)


def absolute(path: str) -> str:
    """A path as Typst finds it below its root, which is '/'."""
    return str(Path(path).resolve())


def site_titles(sites: list[dict]) -> dict[str, str]:
    """What the text calls each site's task: 'pneumonia', or with its site 'pneumonia (RSNA)'."""
    tasks = [site["task"] for site in sites]
    plain = len(tasks) <= 2 and len(set(tasks)) == len(tasks)
    return {
        site["name"]: site["task"] if plain else f"{site['task']} ({site['title']})"
        for site in sites
    }


def site_facts(site: dict, inputs: dict) -> dict:
    """Counts of one site's radiographs."""
    samples = read_table(
        inputs["samples"][site["name"]], ["image", "patient", "patient_known", "label"]
    )
    rejected = read_table(inputs["rejected"][site["name"]], ["file", "reason"])
    known = samples[samples["patient_known"].astype(bool)]
    return site | {
        "images": len(samples),
        "labelled": int(samples["label"].notna().sum()),
        "positives": int((samples["label"] == 1).sum()),
        "patients": int(known["patient"].nunique()),
        "unknown": len(samples) - len(known),
        "rejected": len(rejected),
    }


def protocol_facts(protocol: str, inputs: dict, titles: dict[str, str], method: str) -> dict:
    """Subsets, tables, comparisons and leakage audit of one protocol.

    method: the one that the paper compares with the baselines.
    """
    path = inputs["table1"][protocol]
    columns = ["site", "task", "model", "architecture", "method", "images", "positives", "seeds"]
    table = read_table(path, [*columns, "uncertainty", *METRICS, "p"])
    metrics = read_metrics(inputs["metrics"][protocol])
    tests = inputs["comparisons"][protocol]
    comparisons = compared(read_comparisons(tests), method, tests)
    patients = metrics.drop_duplicates("site").set_index("site")["patients"]
    groups = [
        {
            "title": capitalised(titles[site]),
            "images": int(rows["images"].iloc[0]),
            "positives": int(rows["positives"].iloc[0]),
            "patients": int(patients[site]),
            "rows": [
                [row["model"], *(cell(row, metric) for metric in METRICS), p_text(row["p"])]
                for _, row in rows.iterrows()
            ],
        }
        for site, rows in table.groupby("site", sort=False)
    ]
    return {
        "name": protocol,
        "headings": list(HEADINGS.values()),
        "groups": groups,
        "mean_auroc": float(table["auroc"].mean()),
        "spread": bool((table["uncertainty"] == SPREAD).any()),
        "comparisons": comparison_facts(table, comparisons, titles),
        "methods": method_facts(inputs["methods"][protocol], titles),
        "subsets": subset_facts(inputs["splits"][protocol], titles),
        "audit": audit_facts(inputs["audit"][protocol], titles),
        **{figure: absolute(inputs[figure][protocol]) for figure in FIGURES},
    }


def comparison_facts(
    table: pd.DataFrame, comparisons: pd.DataFrame, titles: dict[str, str]
) -> list[dict]:
    """Every federated model against its baseline, in the order of the table.

    difference: mean over seeds. low, high: the interval; of several seeds, the lowest and highest
    bound. verdict: 'lower', 'higher' or 'same' by the p value, 'undefined' without one.
    """
    facts = []
    for keys, rows in comparisons.groupby(["site", "architecture", "method"], sort=False):
        chosen = (table[["site", "architecture"]] == list(keys[:2])).all(axis=1)
        model = table[chosen & (table["method"] == keys[2])].iloc[0]
        baseline = table[chosen & (table["method"] == rows["reference"].iloc[0])].iloc[0]
        p, difference = combined_p(rows["p"]), float(rows["difference"].mean())
        facts.append(
            {
                "task": titles[keys[0]],
                "model": model["model"],
                "architecture": ARCHITECTURES.get(keys[1], keys[1]),
                "auroc": cell(model, "auroc"),
                "baseline": cell(baseline, "auroc"),
                "difference": difference,
                "low": float(rows["low"].min()),
                "high": float(rows["high"].max()),
                "p": None if np.isnan(p) else p,
                "p_text": p_text(p),
                "verdict": verdict(p, difference),
            }
        )
    return facts


def method_facts(path: str, titles: dict[str, str]) -> dict:
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


def verdict(p: float, difference: float) -> str:
    """What a test says: 'lower', 'higher', 'same' (not significantly different) or 'undefined'."""
    if np.isnan(p):
        return "undefined"
    if p >= SIGNIFICANCE:
        return "same"
    return "lower" if difference < 0 else "higher"


def subset_facts(path: str, titles: dict[str, str]) -> list[dict]:
    """Images (and positive ones) of each site in each subset."""
    splits = read_table(path, ["site", "image", "label", "subset"])
    facts = []
    for site, title in titles.items():
        rows = splits[splits["site"] == site]
        counts = {}
        for subset in SUBSETS:
            labels = rows.loc[rows["subset"] == subset, "label"]
            counts[subset] = {"images": len(labels), "positives": int((labels == 1).sum())}
        facts.append({"title": capitalised(title), **counts})
    return facts


def audit_facts(path: str, titles: dict[str, str]) -> list[dict]:
    """The leakage audit: a row for each pair of sites and for all sites together."""
    audit = read_table(path, AUDIT)
    shown = audit[audit["other"].notna() | (audit["scope"] == "any")]
    return [
        {
            "site": capitalised(titles[row.site]),
            "other": "Any" if row.scope == "any" else capitalised(titles[row.other]),
            "scope": row.scope,
            "shared": row.shared,
            "images": int(row.evaluation_images),
            "affected": int(row.affected_images),
            "fraction": float(row.fraction),
            "note": row.note if isinstance(row.note, str) else "",
        }
        for row in shown.itertuples()
    ]


def label_facts(path: str, sites: list[dict]) -> dict:
    """The checks of labels and tags: a row a check, a cell a site; and confounders in numbers."""
    table = read_table(path, COLUMNS)
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


def label_cell(row) -> str:
    """What the table shows of a check: 'count of images (percent)', or the odds ratio."""
    if row is None or np.isnan(row.value):
        return "–"
    if row.check == "odds ratio":
        return f"{row.value:.2f} ({row.low:.2f}–{row.high:.2f})"
    return f"{row.count:,.0f} of {row.images:,.0f} ({100 * row.value:.1f} %)"


def published_facts(inputs: dict, titles: dict[str, str]) -> list[dict]:
    """The published table beside ours: groups of rows, a cell a metric.

    A published value lies inside if our interval (of several seeds: from the lowest to the highest
    bound) meets the range that rounds to it. A task that several sites share is compared on the
    first of them. Tasks and models that one of the tables lacks are left out.
    """
    published = pd.read_csv(inputs["published"], dtype=str, keep_default_na=False)
    metrics = read_metrics(inputs["metrics"]["paper"])
    table = read_table(
        inputs["table1"]["paper"], ["site", "task", "model", "architecture", "method"]
    )
    groups = []
    for task, rows in published.groupby("task", sort=False):
        ours = table[table["task"] == task]
        if ours.empty:
            continue
        ours = ours[ours["site"] == ours["site"].iloc[0]].set_index("model")
        shown = []
        for _, row in rows[rows["model"].isin(ours.index)].iterrows():
            model = ours.loc[row["model"]]
            keys = ["site", "architecture", "method"]
            runs = metrics[(metrics[keys] == model[keys].to_list()).all(axis=1)]
            cells = [published_cell(row[metric], runs, metric) for metric in METRICS]
            shown.append({"model": row["model"], "cells": cells})
        title = capitalised(titles[ours["site"].iloc[0]])
        groups.append({"title": title, "rows": shown})
    return groups


def published_cell(published: str, runs: pd.DataFrame, metric: str) -> dict:
    """One published value (text, with the decimals it was printed with) beside ours."""
    scale = 100 if metric in PERCENT else 1
    decimals = len(published.partition(".")[2])
    half = 0.5 * 10**-decimals
    value = scale * runs[metric].mean(skipna=False)
    low, high = scale * runs[f"{metric}_low"].min(), scale * runs[f"{metric}_high"].max()
    shown = 1 if metric in PERCENT else 3
    inside = bool(low <= float(published) + half and float(published) - half <= high)
    ours = "–" if np.isnan(value) else f"{value:.{shown}f} ({low:.{shown}f}–{high:.{shown}f})"
    return {"published": published, "ours": ours, "inside": inside}


def typeset(template: Path, facts: dict) -> bytes:
    """The PDF. Only the fonts that Typst brings are used, and no date is written.

    Raises InputError when the template does not compile.
    """
    try:
        return typst.compile(
            str(template.resolve()),
            root="/",
            ignore_system_fonts=True,
            sys_inputs={"facts": json.dumps(facts, allow_nan=False)},
            timestamp=0,
        )
    except typst.TypstError as error:
        raise InputError(
            template, expected="a template that compiles", found=str(error), fix="mend the template"
        ) from None


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--template", required=True, type=Path)
    parser.add_argument("--inputs", required=True, type=json.loads)
    parser.add_argument("--settings", required=True, type=json.loads)
    parser.add_argument("--mark", default="", help="a text that every page shows")
    parser.add_argument("--output", required=True, type=Path)
    arguments = parser.parse_args(argv)
    if not arguments.template.is_file():
        raise missing(arguments.template)
    facts = collect(arguments.inputs, arguments.settings, arguments.mark)
    pdf = typeset(arguments.template, facts)
    with replacing(arguments.output) as temporary:
        temporary.write_bytes(pdf)


if __name__ == "__main__":
    run(main)
