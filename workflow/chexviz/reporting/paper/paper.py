"""The paper's PDF: reads every number from the result files, then typesets the template."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import typst

from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run
from chexviz.base.files import replacing
from chexviz.base.options import finite_json
from chexviz.base.tables.evaluation import METRICS, read_comparisons, read_metrics
from chexviz.base.tables.study import LEAKAGE, SUBSETS
from chexviz.base.tables.table import missing
from chexviz.base.user_tables import NAMELESS
from chexviz.evaluation.cases import first_note
from chexviz.evaluation.over_seeds import SPREAD, effect
from chexviz.reporting.paper import checklists, conclusions, inventory, patients, supplement
from chexviz.reporting.tables.cells import cell, few_note, p_cell
from chexviz.reporting.tables.table1 import HEADINGS
from chexviz.reporting.titles import (
    ARCHITECTURES,
    capitalised,
    compared,
    method_title,
    read_table,
    site_titles,
)
from chexviz.reporting.wording import percent

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
    sites = [site_facts(site, results) for site in settings["sites"]]
    protocols = [protocol_facts(name, results, settings, sites) for name in settings["protocols"]]
    return {
        "mark": mark,
        "alpha": conclusions.SIGNIFICANCE,
        # Typst finds a path below its root, which is '/'.
        "results": str(results.resolve()),
        "bibliography": str(bibliography.resolve()),
        "settings": settings
        | {
            "architectures": [
                one | {"title": ARCHITECTURES.get(one["name"], one["name"])}
                for one in settings["architectures"]
            ],
            "methods": [one | {"title": method_title(one["name"])} for one in settings["methods"]],
        },
        "sites": [
            site._asdict()
            | {"said": patients.contributed(site), "real": bool(patients.real([site]))}
            for site in sites
        ],
        "known": {
            "across": patients.across(sites),
            "disjoint": patients.disjoint(sites),
            "limits": patients.limits(sites),
            "counting": patients.counting(sites),
            "independence": patients.independence(
                sites, settings["evaluation"]["bootstrap"]["unit"]
            ),
        },
        "protocols": [facts for facts, _ in protocols],
        "both": both_facts([rows for _, rows in protocols], [facts for facts, _ in protocols]),
        **supplement.of_study(
            *(results, settings["protocols"], settings["sites"], site_titles(settings["sites"])),
            settings["evaluation"]["minimum_cases"],
            patients.title("patient", sites),
        ),
        "reporting": checklists.of_study(results, settings),
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
    for name in inventory.files(settings["protocols"], sites):
        if not (results / name).is_file():
            raise missing(results / name)


def site_facts(site: dict, results: Path) -> patients.Site:
    """What is known of one site's radiographs."""
    folder = results / "sites" / site["name"]
    columns = ["image", "patient", "patient_known", "label"]
    samples = read_table(folder / "samples.csv", columns)
    rejected = read_table(folder / "rejected.csv", ["file", "reason"])
    copies = rejected["reason"].str.startswith("second copy of ")  # a mirror holds all files twice
    known = samples.loc[samples["patient_known"].astype(bool), "patient"]
    return patients.Site(
        title=site["title"],
        task=site["task"],
        images=len(samples),
        labelled=int(samples["label"].notna().sum()),
        positives=int((samples["label"] == 1).sum()),
        known=len(known),
        patients=int(known.nunique()),
        nameless=bool(known.str.startswith(NAMELESS).any()),
        table=site["table"],
        rejected=int((~copies).sum()),
        reader=site["reader"],
        phantom=site["phantom"],
    )


def protocol_facts(
    protocol: str, results: Path, settings: dict, sites: list[patients.Site]
) -> tuple[dict, list[conclusions.Comparison]]:
    """Subsets, tables, leakage audit and sentences of one protocol; its comparisons."""
    titles, method = site_titles(settings["sites"]), settings["methods"][0]["name"]
    confidence = settings["evaluation"]["bootstrap"]["confidence"]
    title = patients.title(protocol, sites)
    path = results / "tables" / protocol / "table1.csv"
    columns = ["site", "task", "model", "architecture", "method", "images", "positives", "seeds"]
    table = read_table(path, [*columns, "uncertainty", *METRICS, "p", "note"])
    tests = results / "evaluation" / protocol / "comparisons.csv"
    comparisons = compared(read_comparisons(tests), method, tests)
    rows = compare(table, comparisons, titles, confidence)
    audit = LEAKAGE.read(results / "audit" / f"{protocol}.csv")
    leaks = leaks_of(audit, settings["sites"])
    facts = {
        "name": protocol,
        "title": title,
        "headings": list(HEADINGS.values()),
        "groups": group_facts(results, protocol, table, audit, titles),
        "mean_auroc": float(table["auroc"].mean()),
        "few": few_note(table.assign(group=table["site"].map(titles).map(capitalised))),
        "spread": bool((table["uncertainty"] == SPREAD).any()),
        "results": conclusions.results(rows),
        "summary": conclusions.summary(rows),
        "correction": conclusions.correction(rows),
        "interpretation": conclusions.interpretation(rows, percent(confidence)),
        "subsets": subset_facts(results / "splits" / f"{protocol}.csv", titles),
        "audit": audit_facts(audit, settings["sites"]),
        "leakage": patients.leakage(leaks, title),
        "optimism": patients.optimism(leaks),
    }
    said = supplement.of_protocol(results, protocol, titles, method, confidence, title)
    said |= checklists.of_protocol(results, protocol, settings["sites"], method)
    return facts | said, rows


def both_facts(rows: list[list[conclusions.Comparison]], facts: list[dict]) -> str:
    """What the second protocol says beside the first; '' of one."""
    if len(rows) == 1:
        return ""
    titles = facts[0]["title"], facts[1]["title"]
    return conclusions.of_both(rows[0], rows[1], titles)


def group_facts(
    results: Path, protocol: str, table: pd.DataFrame, audit: pd.DataFrame, titles: dict[str, str]
) -> list[dict]:
    """The groups of Table 1: a site's models, with the images and patients they evaluate on."""
    metrics = read_metrics(results / "evaluation" / protocol / "metrics.csv")
    counts = metrics.drop_duplicates("site").set_index("site")["patients"]
    whole = audit[(audit["scope"] == "any") & (audit["shared"] == "patient")].set_index("site")
    return [
        {
            "title": capitalised(titles[site]),
            "images": int(rows["images"].iloc[0]),
            "positives": int(rows["positives"].iloc[0]),
            "patients": patients.of_group(
                int(whole["evaluation_images"][site]),
                int(whole["known_images"][site]),
                int(counts[site]),
            ),
            "rows": [
                [row["model"], *(cell(row, metric) for metric in METRICS), p_cell(row)]
                for _, row in rows.iterrows()
            ],
        }
        for site, rows in table.groupby("site", sort=False)
    ]


def compare(
    table: pd.DataFrame, comparisons: pd.DataFrame, titles: dict[str, str], confidence: float
) -> list[conclusions.Comparison]:
    """Every federated model against its baseline, in the order of the table.

    The interval of several seeds is that of the expected difference (see over_seeds.expected). With
    too few cases there is neither that nor p, and note says how many there are.
    """
    found = []
    for keys, rows in comparisons.groupby(["site", "architecture", "method"], sort=False):
        chosen = (table[["site", "architecture"]] == list(keys[:2])).all(axis=1)
        model = table[chosen & (table["method"] == keys[2])].iloc[0]
        baseline = table[chosen & (table["method"] == rows["reference"].iloc[0])].iloc[0]
        tested = effect(rows, confidence)
        found.append(
            conclusions.Comparison(
                task=titles[keys[0]],
                architecture=ARCHITECTURES.get(keys[1], keys[1]),
                auroc=cell(model, "auroc"),
                baseline=cell(baseline, "auroc"),
                **tested._asdict(),
                verdict=conclusions.verdict(tested.p, rows["difference"].tolist()),
                note=first_note(rows["note"]),
            )
        )
    return found


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


def audit_facts(audit: pd.DataFrame, sites: list[dict]) -> list[dict]:
    """The leakage audit: a row for each pair of sites and for all sites together."""
    titles = {site["name"]: site["title"] for site in sites}
    shown = audit[audit["other"].notna() | (audit["scope"] == "any")]
    return [
        {
            "site": titles[row.site],
            "other": "Any" if row.scope == "any" else titles[row.other],
            "scope": row.scope,
            "shared": row.shared,
            "images": int(row.evaluation_images),
            "affected": int(row.affected_images),
            "fraction": None if np.isnan(row.fraction) else float(row.fraction),
            "note": row.note if isinstance(row.note, str) else "",
        }
        for row in shown.itertuples()
    ]


def leaks_of(audit: pd.DataFrame, sites: list[dict]) -> list[patients.Shared]:
    """The same as numbers for sentences."""
    titles = {site["name"]: site["title"] for site in sites}
    return [
        patients.Shared(
            titles[row.site],
            *(row.scope, row.shared, row.known_images, row.affected_images, row.fraction),
        )
        for row in audit.itertuples()
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
    parser = argument_parser(main)
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
