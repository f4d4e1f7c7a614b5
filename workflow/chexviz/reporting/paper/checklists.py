"""What checklists ask of a study (docs/claim.md), in words and tables made from its numbers.

Where the numbers decide what a sentence says, it is a function here. What is true of every run
stands in paper/reporting.typ.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from chexviz.base.rejections import spelt
from chexviz.base.tables.evaluation import CONFUSION
from chexviz.base.tables.study import FLOW, PARTICIPANTS, SOURCES
from chexviz.evaluation.planning import POWER, Precision, precision
from chexviz.reporting.paper.patients import named
from chexviz.reporting.selection import of_endpoints
from chexviz.reporting.tables import characteristics, confusion, flow
from chexviz.reporting.tables.typesetting import Layout, to_json
from chexviz.reporting.titles import endpoint_places, endpoints, finding_title, place_titles
from chexviz.reporting.wording import share, tally

# Readers of datasets of which the text says where they are from and who labelled them.
DATASETS = ("rsna", "siim", "nih", "chexpert", "mimic", "vindr", "padchest")
DRAWN, OWN = ("phantom",), ("local", "storage")  # kinds of sources; the others are public
REASONS = 3  # kinds of rejection that a sentence names


def study_facts(results: Path, settings: dict) -> dict:
    """What is said of the whole run. settings: those of the paper (see plan.paper)."""
    sites = settings["sites"]
    found = SOURCES.read(results / "audit" / "sources.csv").set_index("site")
    steps = FLOW.read(results / "audit" / "flow.csv")
    people = PARTICIPANTS.read(results / "tables" / "participants.csv")
    every = people[people["subset"] == characteristics.ALL].set_index("site")
    kinds = [found.loc[site["name"], "kind"] for site in sites]
    return {
        "kinds": kinds_of(kinds),
        "sites": [
            {
                "title": site["title"],
                "task": named([*map(finding_title, site["findings"])]),
                "external": site["role"] == "external",
                "dataset": dataset(site["reader"], kind),
                "source": source_sentence(found.loc[site["name"]].to_dict()),
                "flow": flow_sentence(site["title"], steps[steps["site"] == site["name"]]),
                "acquisition": acquisition_sentence(every.loc[site["name"]].to_dict()),
                "address": found.loc[site["name"], "address"],
            }
            for site, kind in zip(sites, kinds, strict=True)
        ],
        "participants": to_json(characteristics.layout(people, place_titles(sites))),
        "findings": to_json(characteristics.findings_layout(people, sites))
        if any(len(site["findings"]) > 1 for site in sites)
        else None,
        "precision": to_json(precision_layout(people, settings)),
        "margin": margin_sentence(planned(people, settings), settings["evaluation"]["margin"]),
    }


def protocol_facts(results: Path, protocol: str, sites: list[dict], method: str) -> dict:
    """What is said of the errors under one protocol. method: the one the paper compares."""
    table = CONFUSION.read(results / "evaluation" / protocol / "confusion.csv")
    own = of_endpoints(table[table["method"] == method], endpoints(sites))
    return {
        "confusion": to_json(confusion.layout(table, sites)),
        "errors": error_sentence(own),
    }


# --- where images come from ----------------------------------------------------------------------


def kinds_of(kinds: Iterable[str]) -> list[str]:
    """Which of 'public', 'own' and 'drawn' the sources of a study are, in this order."""
    present = {"drawn" if kind in DRAWN else "own" if kind in OWN else "public" for kind in kinds}
    return [one for one in ("public", "own", "drawn") if one in present]


def dataset(reader: str, kind: str) -> str:
    """Which known dataset a site holds, as its reader tells: 'drawn', one of DATASETS, or ''."""
    if kind in DRAWN:
        return "drawn"
    return reader if reader in DATASETS else ""


def source_sentence(source: dict) -> str:
    """Where the files of a site come from, and which they are. source: a row of sources.csv."""
    kind, address, date = (source[key] for key in ("kind", "address", "date"))
    size = f"{source['files']:,} files, {source['bytes'] / 1e9:,.1f} GB"
    if kind in DRAWN:
        return f"drawn by the workflow ({size})"
    if not address:
        where = "files of this machine, of an unknown release and date"
    else:
        where = f"fetched from {address} {'on ' + date if date else 'on an unknown day'}"
        where += ", of an unknown release"
    return f"{where} ({size}; SHA-256 of their list: {source['sha256'][:16]})"


def flow_sentence(title: str, steps: pd.DataFrame) -> str:
    """What became of the radiographs of a site. steps: its rows of flow.csv."""
    by_step = steps.set_index("step")["images"]
    found, usable = int(by_step[flow.FOUND]), int(by_step[flow.USABLE])
    unlabelled = int(by_step[flow.UNLABELLED])
    left_out = steps.loc[steps["subset"] == characteristics.NONE, "images"].max()
    rejected = steps[steps["step"] == flow.REJECTED]
    sentence = f"Of {found:,} radiographs found at {title}, {usable:,} are usable"
    if found > usable:
        reasons = [
            f"{int(one.images):,} {spelt(one.reason)}" for one in rejected[:REASONS].itertuples()
        ]
        if len(rejected) > REASONS:
            reasons.append(f"{int(rejected['images'][REASONS:].sum()):,} for other reasons")
        sentence += f" and {found - usable:,} were rejected ({'; '.join(reasons)})"
    if unlabelled:
        sentence += f"; {unlabelled:,} usable ones have no label and are in no subset"
    if left_out > 0:
        sentence += f"; {left_out:,.0f} labelled ones are in no subset of its dataset’s own split"
    return f"{sentence}."


def acquisition_sentence(people: dict) -> str:
    """The views of a site's labelled images. people: its row of participants.csv."""
    if people["view_unknown"] == people["images"]:
        return "the view of all images is unknown"
    names = {"ap": "AP", "pa": "PA", "view_other": "of other views", "view_unknown": "unknown"}
    return ", ".join(f"{people[key]:,} {name}" for key, name in names.items() if people[key])


# --- how precise the numbers can be --------------------------------------------------------------


class Evaluated(NamedTuple):
    """An evaluation set: the images of a site whose label of a finding is known."""

    site: str
    finding: str
    protocol: str
    images: int
    positives: int


def evaluation_sets(people: pd.DataFrame, sites: list[dict]) -> list[Evaluated]:
    """All that models are evaluated on. people: participants.csv. sites: see titles."""
    learned = {finding for _, finding in endpoints(sites)}
    findings = {site["name"]: site["findings"] for site in sites}
    return [
        Evaluated(
            one["site"],
            finding,
            one["protocol"],
            int(one[f"known_{finding}"]),
            int(one[f"positives_{finding}"]),
        )
        for one in people[people["subset"] == "evaluation"].to_dict("records")
        for finding in findings[one["site"]]
        if finding in learned
    ]


def planned(people: pd.DataFrame, settings: dict) -> list[tuple[Evaluated, Precision | None]]:
    """Every evaluation set with the precision that its size gives.

    None where a class has fewer images than results are given for.
    """
    evaluation = settings["evaluation"]
    plan = evaluation["simulation"]
    found = []
    for one in evaluation_sets(people, settings["sites"]):
        positives, negatives = one.positives, one.images - one.positives
        enough = min(positives, negatives) >= evaluation["minimum_cases"]
        values = (plan["auroc"], plan["correlation"], evaluation["margin"])
        confidence = evaluation["bootstrap"]["confidence"]
        gives = precision(positives, negatives, *values, confidence) if enough else None
        found.append((one, gives))
    return found


def precision_layout(people: pd.DataFrame, settings: dict) -> Layout:
    """The precision of all evaluation sets: a group an endpoint, a row a protocol."""
    evaluation = settings["evaluation"]
    plan, least = evaluation["simulation"], evaluation["minimum_cases"]
    names = endpoint_places(settings["sites"])
    groups: dict[str, list[list[str]]] = {}
    for one, gives in planned(people, settings):
        cells = ["too few"] * 3
        if gives:
            power = power_text(gives.non_inferior)
            cells = [f"± {gives.half_width:.3f}", f"{gives.detectable:.3f}", power]
        row = [one.protocol, f"{one.images:,}", f"{one.positives:,}", *cells]
        groups.setdefault(names[one.site, one.finding], []).append(row)
    return Layout(
        head=[
            *("Protocol", "Images", "Positive", "Interval of an AUROC"),
            *("Detectable difference", "Power, non-inferiority"),
        ],
        groups=groups,
        caption="Precision and power that the sizes of the evaluation sets give.",
        note=f"Planned with two equally good models of AUROC {plan['auroc']:g} whose scores are "
        f"correlated by {plan['correlation']:g} within a class, and with independent images: where "
        "patients have several, intervals are wider and power is lower. Detectable: the smallest "
        f"true difference of AUROC that is found with a power of {power_text(POWER)}. "
        f"Non-inferiority: of ruling out a loss of {evaluation['margin']:g}. "
        f"Too few: fewer than {least} positive or negative images.",
    )


def margin_sentence(sets: list[tuple[Evaluated, Precision | None]], margin: float) -> str:
    """What the sizes of the evaluation sets make of the margin."""
    powers = [gives.non_inferior for _, gives in sets if gives]
    few = len(sets) - len(powers)
    if not powers:
        return "No evaluation set is large enough to plan with."
    low, high = power_text(min(powers)), power_text(max(powers))
    span = low if low == high else f"{low} to {high}"
    sentence = (
        f"A federation that loses nothing would be shown to lose less than {margin:g} with a "
    )
    sentence += f"power of {span}"
    sentence += " by evaluation set"
    sentence += f" ({tally(few, 'set')} left out, too small to plan with)" if few else ""
    if min(powers) < POWER:
        sentence += "; where the power is low, a margin that is not met says little"
    return f"{sentence}."


def power_text(power: float) -> str:
    """'81 %'; what is nearly all or nothing is not rounded to it."""
    if power > 0.99:
        return "above 99 %"
    return "below 1 %" if power < 0.01 else share(power, digits=0)


# --- errors --------------------------------------------------------------------------------------


def error_sentence(models: pd.DataFrame) -> str:
    """How many errors the compared models make, and how many of them the baselines make as well.

    models: their rows of confusion.csv; of several seeds the first counts.
    """
    seeds = models["seed"].unique()
    first = models[models["seed"] == seeds[0]]
    which = f" of the first of {len(seeds)} seeds" if len(seeds) > 1 else ""
    errors = int(first[["false_negatives", "false_positives"]].sum().sum())
    shared = int(first[list(confusion.SHARED)].sum().sum())
    if not errors:
        return f"the federated models{which} made no error."
    missed, alarms = (int(first[f"false_{kind}s"].sum()) for kind in ("negative", "positive"))
    also = f"{shared:,} of them ({share(shared, errors, digits=0)})" if shared else "none of them"
    return (
        f"the federated models{which} made {tally(errors, 'error')} "
        f"({tally(missed, 'false negative')}, {tally(alarms, 'false positive')}); the baselines "
        f"made {also} as well."
    )
