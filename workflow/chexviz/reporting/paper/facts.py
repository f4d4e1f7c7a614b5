"""Everything that the paper says, as JSON values, from the result files and the run's settings."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from chexviz.base.settings import Settings
from chexviz.base.tables.evaluation import METRICS, read_comparisons, read_metrics
from chexviz.base.tables.sites import LABEL, REJECTED, SAMPLES
from chexviz.base.tables.study import LEAKAGE, SPLIT, SUBSETS
from chexviz.base.tables.summaries import TABLE1
from chexviz.base.tables.table import missing
from chexviz.base.user_tables import NAMELESS
from chexviz.evaluation.over_seeds import SPREAD
from chexviz.reporting.paper import (
    checklists,
    comparisons,
    external,
    inventory,
    patients,
    privacy,
    supplement,
)
from chexviz.reporting.selection import ENDPOINT, compared
from chexviz.reporting.tables import table1
from chexviz.reporting.tables.cells import few_note
from chexviz.reporting.titles import (
    Endpoint,
    Site,
    architecture_title,
    endpoint_titles,
    endpoints,
    finding_title,
    grouped,
    method_title,
    place_title,
)
from chexviz.reporting.wording import NAMED, capitalised, percent


class PaperSite(Site, frozen=True):
    """A site of the run, and where its images and the table of its patients ('': none) are from.

    split: protocol, or given (that its dataset comes with). uncertain: what a label of -1 means.
    """

    table: str
    reader: str
    phantom: bool
    split: str
    uncertain: str | None


class PaperSettings(Settings, frozen=True):
    """What the paper's text says about the settings; sections are as the configuration has them."""

    sites: list[PaperSite]
    protocols: list[str]
    architectures: list[dict[str, Any]]
    methods: list[dict[str, Any]]
    seeds: list[int]
    preprocess: dict[str, Any]
    split: dict[str, Any]
    training: dict[str, Any]
    evaluation: dict[str, Any]
    software: list[Any]
    code: dict[str, Any]
    sizes: dict[str, Any]
    figures: list[dict[str, Any]]
    attacked: list[dict[str, Any]]


def collect(results: Path, bibliography: Path, settings: dict, mark: str) -> dict:
    """Everything the template says, as JSON values; text where it is to be printed as it is.

    results: the folder of results. settings: PaperSettings.
    Raises InputError for a file that is missing.
    """
    require(results, settings)
    sites = [site_facts(site, results) for site in settings["sites"]]
    protocols = [protocol_facts(name, results, settings, sites) for name in settings["protocols"]]
    return {
        "mark": mark,
        "alpha": comparisons.SIGNIFICANCE,
        # Typst finds a path below its root, which is '/'.
        "results": str(results.resolve()),
        "bibliography": str(bibliography.resolve()),
        "settings": settings
        | {
            "architectures": [
                one | {"title": architecture_title(one["name"])}
                for one in settings["architectures"]
            ],
            "methods": [one | {"title": method_title(one["name"])} for one in settings["methods"]],
        },
        "sites": [
            site._asdict()
            | {
                **{"task": patients.named(site.findings), "said": patients.contributed(site)},
                "real": bool(patients.real([site])),
            }
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
        **supplement.study_facts(
            *(results, settings["protocols"], settings["sites"], trained_titles(settings)),
            settings["evaluation"]["minimum_cases"],
            patients.title("patient", sites),
        ),
        "privacy": privacy.privacy_facts(results, settings["attacked"]),
        "reporting": checklists.study_facts(results, settings),
    }


def require(results: Path, settings: dict) -> None:
    """Raise InputError unless every file is there."""
    told = (settings[key] for key in ("protocols", "sites", "figures", "attacked"))
    for name in inventory.files(*told):
        if not (results / name).is_file():
            raise missing(results / name)


def trained_titles(settings: dict) -> dict[Endpoint, str]:
    """The titles of the endpoints that are trained for."""
    titles = endpoint_titles(settings["sites"])
    return {endpoint: titles[endpoint] for endpoint in endpoints(settings["sites"])}


def site_facts(site: dict, results: Path) -> patients.Site:
    """What is known of one site's radiographs."""
    folder = results / "sites" / site["name"]
    columns = [f"{LABEL}{finding}" for finding in site["findings"]]
    samples = SAMPLES.read(folder / "samples.csv", "image", "patient", "patient_known", *columns)
    labels = samples[columns]
    rejected = REJECTED.read(folder / "rejected.csv")
    copies = rejected["reason"].str.startswith("second copy of ")  # a mirror holds all files twice
    known = samples.loc[samples["patient_known"], "patient"]
    return patients.Site(
        title=site["title"],
        findings=[*map(finding_title, site["findings"])],
        images=len(samples),
        labelled=int(labels.notna().any(axis=1).sum()),
        positives=int((labels == 1).any(axis=1).sum()),
        known=len(known),
        patients=int(known.nunique()),
        nameless=bool(known.str.startswith(NAMELESS).any()),
        table=site["table"],
        rejected=int((~copies).sum()),
        reader=site["reader"],
        phantom=site["phantom"],
        external=site["role"] == "external",
        given=site["split"] == "given",
        uncertain=site["uncertain"],
    )


def protocol_facts(
    protocol: str, results: Path, settings: dict, sites: list[patients.Site]
) -> tuple[dict, list[comparisons.Comparison]]:
    """Subsets, tables, leakage audit and sentences of one protocol; its comparisons."""
    titles, method = trained_titles(settings), settings["methods"][0]["name"]
    confidence = settings["evaluation"]["bootstrap"]["confidence"]
    title = patients.title(protocol, sites)
    path = results / "tables" / protocol / "table1.csv"
    table = grouped(TABLE1.read(path), titles)
    path = results / "evaluation" / protocol / "comparisons.csv"
    tests = compared(read_comparisons(path), method, path)
    rows = comparisons.compare(table, tests, titles, confidence)
    audit = LEAKAGE.read(results / "audit" / f"{protocol}.csv")
    leaks = leaks_of(audit, settings["sites"])
    facts = {
        "name": protocol,
        "title": title,
        "headings": [one.text for one in METRICS.values()],
        "groups": group_facts(results, protocol, table),
        "mean_auroc": float(table["auroc"].mean()),
        "few": few_note(table),
        "spread": bool((table["uncertainty"] == SPREAD).any()),
        "results": comparisons.results(rows),
        "summary": comparisons.summary(rows),
        "correction": comparisons.correction(rows),
        "interpretation": comparisons.interpretation(rows, percent(confidence)),
        "external": external.external_facts(
            results / "tables" / protocol / "external.csv", tests, settings["sites"], confidence
        ),
        "subsets": subset_facts(results / "splits" / f"{protocol}.csv", settings["sites"]),
        "audit": audit_facts(audit, settings["sites"]),
        "leakage": patients.leakage(leaks, title),
        "optimism": patients.optimism(leaks),
    }
    supplemented = supplement.protocol_facts(
        results, protocol, titles, method, confidence, title, endpoint_titles(settings["sites"])
    )
    supplemented |= checklists.protocol_facts(results, protocol, settings["sites"], method)
    return facts | supplemented, rows


def both_facts(rows: list[list[comparisons.Comparison]], facts: list[dict]) -> str:
    """What the second protocol says beside the first; '' of one."""
    if len(rows) == 1:
        return ""
    titles = facts[0]["title"], facts[1]["title"]
    return comparisons.both_protocols(rows[0], rows[1], titles)


def group_facts(results: Path, protocol: str, table: pd.DataFrame) -> list[dict]:
    """The groups of Table 1: the models of an endpoint, with the images and patients evaluated."""
    cells = table1.layout(table).groups
    metrics = read_metrics(results / "evaluation" / protocol / "metrics.csv")
    counts = metrics.drop_duplicates(ENDPOINT).set_index(ENDPOINT)["patients"]
    split = SPLIT.read(results / "splits" / f"{protocol}.csv")
    split = split[split["subset"] == "evaluation"].merge(known_patients(results, table))
    facts = []
    for (site, finding), rows in table.groupby(ENDPOINT, sort=False):
        first, own = rows.iloc[0], split[split["site"] == site]
        known = own.loc[own[f"{LABEL}{finding}"].notna(), "patient_known"].sum()
        facts.append(
            {
                "title": first["group"],
                "images": int(first["images"]),
                "positives": int(first["positives"]),
                "patients": patients.evaluated(
                    int(first["images"]), int(known), int(counts[site, finding])
                ),
                "rows": cells[first["group"]],
            }
        )
    return facts


def known_patients(results: Path, table: pd.DataFrame) -> pd.DataFrame:
    """site, image and patient_known of all samples of the sites of a table."""
    folders = {site: results / "sites" / site for site in table["site"].unique()}
    return pd.concat(
        SAMPLES.read(folder / "samples.csv", "image", "patient_known").assign(site=site)
        for site, folder in folders.items()
    )


def subset_facts(path: Path, sites: list[dict]) -> list[dict]:
    """Images (and positive ones) in each subset: of each endpoint, or of many of each site.

    sites: see titles.
    """
    splits, titles = SPLIT.read(path), endpoint_titles(sites)
    rows = {capitalised(title): (site, [finding]) for (site, finding), title in titles.items()}
    if len(rows) > NAMED:
        rows = {place_title(site): (site["name"], site["findings"]) for site in sites}
    return [
        {"title": title} | subset_counts(splits[splits["site"] == site], findings)
        for title, (site, findings) in rows.items()
    ]


def subset_counts(split: pd.DataFrame, findings: list[str]) -> dict[str, dict[str, int]]:
    """Images with a known label of any of these findings, and with any of them, by subset."""
    labels = split[[f"{LABEL}{finding}" for finding in findings]]
    known, positive = labels.notna().any(axis=1), (labels == 1).any(axis=1)
    chosen = {subset: split["subset"] == subset for subset in SUBSETS}
    return {
        subset: {"images": int((known & one).sum()), "positives": int((positive & one).sum())}
        for subset, one in chosen.items()
    }


def audit_facts(audit: pd.DataFrame, sites: list[dict]) -> list[dict]:
    """The leakage audit: a row for each pair of sites and for all sites together."""
    titles = {site["name"]: site["title"] for site in sites}
    rows = audit[audit["other"].notna() | (audit["scope"] == "any")]
    return [
        {
            "site": titles[row.site],
            "other": "Any" if row.scope == "any" else titles[row.other],
            "scope": row.scope,
            "shared": row.shared,
            "images": int(row.evaluation_images),
            "affected": int(row.affected_images),
            "fraction": None if np.isnan(row.fraction) else float(row.fraction),
            "note": row.note,
        }
        for row in rows.itertuples()
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
