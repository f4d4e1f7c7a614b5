"""The paper's PDF: reads every number from the result files, then typesets the template."""

import argparse
import json
from pathlib import Path

import numpy as np
import pandas as pd
import typst

from chexviz import reported, reporting, supplement
from chexviz.audit import AUDIT
from chexviz.errors import InputError, run
from chexviz.files import replacing
from chexviz.options import finite_json
from chexviz.results import (
    ARCHITECTURES,
    METRICS,
    capitalised,
    compared,
    method_title,
    missing,
    p_text,
    read_comparisons,
    read_metrics,
    read_table,
)
from chexviz.supplement import SIGNIFICANCE
from chexviz.table1 import HEADINGS
from chexviz.tables import SPREAD, cell, over_trainings, p_value
from chexviz.user_tables import NAMELESS

SUBSETS = ("train", "validation", "evaluation")
SETTINGS = (
    *("sites", "protocols", "architectures", "methods", "seeds"),
    *("preprocess", "split", "training", "evaluation", "software", "code"),
)


def collect(results: Path, bibliography: Path, settings: dict, mark: str) -> dict:
    """Everything the template says, as JSON values; text where it is to be printed as it is.

    results: the folder of results. settings: the run's sites and schedules.
    Raises InputError for a file or setting that is missing.
    """
    require(results, settings)
    titles = site_titles(settings["sites"])
    method = settings["methods"][0]["name"]
    confidence = settings["evaluation"]["bootstrap"]["confidence"]
    return {
        "mark": mark,
        "alpha": SIGNIFICANCE,
        # Typst finds a path below its root, which is '/'.
        "results": str(results.resolve()),
        "bibliography": str(bibliography.resolve()),
        "settings": settings
        | {
            "architectures": [
                one | {"title": ARCHITECTURES[one["name"]]} for one in settings["architectures"]
            ],
            "methods": [one | {"title": method_title(one["name"])} for one in settings["methods"]],
        },
        "sites": [site_facts(site, results) for site in settings["sites"]],
        "protocols": [
            protocol_facts(name, results, titles, method, confidence)
            | supplement.of_protocol(results, name, titles, method)
            | reporting.of_protocol(results, name, settings["sites"], method)
            for name in settings["protocols"]
        ],
        **supplement.of_study(results, settings["protocols"], settings["sites"], titles),
        "reporting": reporting.of_study(results, settings),
    }


def require(results: Path, settings: dict) -> None:
    """Raise InputError unless every setting and file is there."""
    absent = [key for key in SETTINGS if key not in settings]
    if absent:
        raise InputError(
            "--settings",
            expected="the keys " + ", ".join(SETTINGS),
            found="no " + ", ".join(absent),
            fix="give the missing part of the configuration",
        )
    sites = [site["name"] for site in settings["sites"]]
    for name in reported.files(settings["protocols"], sites):
        if not (results / name).is_file():
            raise missing(results / name)


def site_titles(sites: list[dict]) -> dict[str, str]:
    """What the text calls each site's task: 'pneumonia', or with its site 'pneumonia (RSNA)'."""
    tasks = [site["task"] for site in sites]
    plain = len(tasks) <= 2 and len(set(tasks)) == len(tasks)
    return {
        site["name"]: site["task"] if plain else f"{site['task']} ({site['title']})"
        for site in sites
    }


def site_facts(site: dict, results: Path) -> dict:
    """Counts of one site's radiographs."""
    folder = results / "sites" / site["name"]
    columns = ["image", "patient", "patient_known", "label"]
    samples = read_table(folder / "samples.csv", columns)
    rejected = read_table(folder / "rejected.csv", ["file", "reason"])
    copies = rejected["reason"].str.startswith("second copy of ")  # a mirror holds all files twice
    known = samples[samples["patient_known"].astype(bool)]
    nameless = known["patient"].astype(str).str.startswith(NAMELESS)
    return site | {
        "images": len(samples),
        "labelled": int(samples["label"].notna().sum()),
        "positives": int((samples["label"] == 1).sum()),
        "patients": int(known["patient"].nunique()),
        "unknown": len(samples) - len(known),
        "nameless": bool(nameless.any()),
        "rejected": int((~copies).sum()),
    }


def protocol_facts(
    protocol: str, results: Path, titles: dict[str, str], method: str, confidence: float
) -> dict:
    """Subsets, tables, comparisons and leakage audit of one protocol.

    method: the one that the paper compares with the baselines. confidence: of intervals.
    """
    path = results / "tables" / protocol / "table1.csv"
    columns = ["site", "task", "model", "architecture", "method", "images", "positives", "seeds"]
    table = read_table(path, [*columns, "uncertainty", *METRICS, "p"])
    metrics = read_metrics(results / "evaluation" / protocol / "metrics.csv")
    tests = results / "evaluation" / protocol / "comparisons.csv"
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
        "comparisons": comparison_facts(table, comparisons, titles, confidence),
        "subsets": subset_facts(results / "splits" / f"{protocol}.csv", titles),
        "audit": audit_facts(results / "audit" / f"{protocol}.csv", titles),
    }


def comparison_facts(
    table: pd.DataFrame, comparisons: pd.DataFrame, titles: dict[str, str], confidence: float
) -> list[dict]:
    """Every federated model against its baseline, in the order of the table.

    difference: mean over seeds. low, high: its interval, of several seeds that of the expected
    difference (see seeds.expected). verdict: see `verdict`.
    """
    facts = []
    for keys, rows in comparisons.groupby(["site", "architecture", "method"], sort=False):
        chosen = (table[["site", "architecture"]] == list(keys[:2])).all(axis=1)
        model = table[chosen & (table["method"] == keys[2])].iloc[0]
        baseline = table[chosen & (table["method"] == rows["reference"].iloc[0])].iloc[0]
        p, difference = p_value(rows), float(rows["difference"].mean())
        low, high = rows["low"].iloc[0], rows["high"].iloc[0]
        if len(rows) > 1:
            low, high = over_trainings(rows).interval(confidence)
        facts.append(
            {
                "task": titles[keys[0]],
                "model": model["model"],
                "architecture": ARCHITECTURES.get(keys[1], keys[1]),
                "auroc": cell(model, "auroc"),
                "baseline": cell(baseline, "auroc"),
                "difference": difference,
                "low": float(low),
                "high": float(high),
                "p": None if np.isnan(p) else p,
                "p_text": p_text(p),
                "verdict": verdict(p, rows["difference"]),
            }
        )
    return facts


def verdict(p: float, differences: pd.Series) -> str:
    """What a test of the mean of one or several seeds says.

    'lower' or 'higher', where all seeds agree; 'mixed', where they do not, though their mean
    differs significantly; 'same' (not significantly different); 'undefined' without a p value.
    """
    if np.isnan(p):
        return "undefined"
    if p >= SIGNIFICANCE:
        return "same"
    if (differences < 0).all():
        return "lower"
    return "higher" if (differences > 0).all() else "mixed"


def subset_facts(path: Path, titles: dict[str, str]) -> list[dict]:
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


def audit_facts(path: Path, titles: dict[str, str]) -> list[dict]:
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
            "fraction": None if np.isnan(row.fraction) else float(row.fraction),
            "note": row.note if isinstance(row.note, str) else "",
        }
        for row in shown.itertuples()
    ]


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
    parser.add_argument(
        "--template", nargs="+", required=True, type=Path, help="then the files that it imports"
    )
    parser.add_argument("--bibliography", required=True, type=Path)
    parser.add_argument("--results", required=True, type=Path, help="the folder of results")
    parser.add_argument("--settings", required=True, type=finite_json)
    parser.add_argument("--mark", default="", help="a text that every page shows")
    parser.add_argument("--output", required=True, type=Path)
    arguments = parser.parse_args(argv)
    for path in (*arguments.template, arguments.bibliography):
        if not path.is_file():
            raise missing(path)
    inputs = arguments.results, arguments.bibliography
    facts = collect(*inputs, arguments.settings, arguments.mark)
    pdf = typeset(arguments.template[0], facts)
    with replacing(arguments.output) as temporary:
        temporary.write_bytes(pdf)


if __name__ == "__main__":
    run(main)
