"""What readers call sites, architectures, methods, tests and measures."""

import argparse
from typing import Literal

import msgspec
import pandas as pd

from chexviz.base.errors import InputError
from chexviz.base.methods import BASELINE
from chexviz.base.settings import Settings, read
from chexviz.base.tables.evaluation import LITERAL, METRICS
from chexviz.base.tables.models import MEAN, SHARED
from chexviz.reporting.wording import capitalised

ARCHITECTURES = {
    **{"standard": "Standard", "standardgn": "Standard (GroupNorm)"},
    "densenet121": "DenseNet121",
}
METHODS = {
    **{BASELINE: "Baseline", "fedavg": "FedAvg", "uniform": "Uniform FedAvg"},
    **{"fedprox": "FedProx", "fedbn": "FedBN", "fedfbn": "FedFBN", "fedrep": "FedRep"},
    **{"scaffold": "SCAFFOLD", "fedadam": "FedAdam", "median": "Median"},
    **{"shared": "Shared heads", "surgical": "Surgical Aggregation"},
    **{"pooled": "Pooled", "ensemble": "Ensemble"},
}
NAMED = 3  # findings that the name of a place lists; more are counted
# The paired tests of AUROC.
TESTS = {
    "bootstrap_patients": "Bootstrap over patients",
    "bootstrap_images": "Bootstrap over images",
    "delong": "DeLong",
    LITERAL: "t-test over replicates",
}
MEASURES = {
    "energy": "Energy inside the annotation",
    "pointing": "Pointing game",
    "iou": "Intersection over union",
}
Endpoint = tuple[str, str]  # a site and one of its findings


class Site(Settings, frozen=True):
    """What readers call a site of the run, and what it is there for.

    role: train, or external (trains nothing). findings: what its images are labelled for.
    """

    name: str
    title: str
    role: Literal["train", "external"]
    findings: list[str]


def architecture_title(architecture: str) -> str:
    """What readers call an architecture; an unknown name stands for itself, here and below."""
    return ARCHITECTURES.get(architecture, architecture)


def method_title(method: str) -> str:
    """What readers call a method."""
    return METHODS.get(method, method)


def model_title(architecture: str, method: str) -> str:
    """What the paper's Table 1 calls a model: 'Standard', 'DenseNet121 w/ FL'."""
    title = architecture_title(architecture)
    if method == BASELINE:
        return title
    return f"{title} w/ {'FL' if method == 'fedavg' else method_title(method)}"


def curve_title(method: str) -> str:
    """What the paper's Figures 2 and 3 call a method: 'CheXViz' for federated averaging."""
    return "CheXViz" if method == "fedavg" else method_title(method)


def metric_title(metric: str) -> str:
    """The heading of a metric of Table 1, or of its p values."""
    return METRICS[metric].text if metric in METRICS else metric


def is_percent(metric: str) -> bool:
    """Whether readers see a metric in percent."""
    return metric in METRICS and METRICS[metric].percent


# --- sites ---------------------------------------------------------------------------------------
# A site and one of its findings, an endpoint, are named by the finding where a model or its labels
# are meant, as the original does; a site by its place where images and patients are. `sites`: name,
# title, role and findings of all sites of the run.


def finding_title(finding: str) -> str:
    """A finding within a text: 'pleural effusion'."""
    return finding.replace("_", " ")


def endpoints(sites: list[dict], role: str = "train") -> list[Endpoint]:
    """Every site of a role with each of its findings, in order."""
    return [
        (site["name"], finding)
        for site in sites
        if site["role"] == role
        for finding in site["findings"]
    ]


def endpoint_titles(sites: list[dict]) -> dict[Endpoint, str]:
    """Every endpoint within a text: 'pneumonia'.

    Where two training sites have the same finding, all have their places too: 'pneumonia (RSNA)'.
    External sites always have.
    """
    findings = [finding for _, finding in endpoints(sites)]
    alone = len(set(findings)) == len(findings)
    titles = {}
    for site in sites:
        place = "" if alone and site["role"] == "train" else f" ({site['title']})"
        for finding in site["findings"]:
            titles[site["name"], finding] = f"{finding_title(finding)}{place}"
    return titles


def group_titles(table: pd.DataFrame, sites: list[dict]) -> dict[Endpoint, str]:
    """The same as headings, of the endpoints that a table has, in their order there.

    table: with the columns site and finding.
    """
    titles = endpoint_titles(sites)
    found = table[["site", "finding"]].drop_duplicates().itertuples(index=False)
    return {(site, finding): capitalised(titles[site, finding]) for site, finding in found}


def grouped(table: pd.DataFrame, titles: dict[Endpoint, str]) -> pd.DataFrame:
    """The table with the column `group`: the heading of each row's endpoint, None without a site.

    table: with the columns site and finding. titles: see endpoint_titles.
    """
    pairs = zip(table["site"], table["finding"], strict=True)
    groups = [capitalised(titles[pair]) if pair in titles else None for pair in pairs]
    return table.assign(group=pd.Series(groups, table.index, dtype=object))


def place_title(site: dict) -> str:
    """A site as a place that has images: 'RSNA (pneumonia)', 'NIH (14 findings)'."""
    findings = site["findings"]
    told = ", ".join(map(finding_title, findings))
    return f"{site['title']} ({told if len(findings) <= NAMED else f'{len(findings)} findings'})"


def place_titles(sites: list[dict]) -> dict[str, str]:
    """The same of all sites, by name."""
    return {site["name"]: place_title(site) for site in sites}


def endpoint_places(sites: list[dict]) -> dict[Endpoint, str]:
    """Every endpoint as a place that has images of one finding: 'NIH (pleural effusion)'."""
    return {
        (site["name"], finding): f"{site['title']} ({finding_title(finding)})"
        for site in sites
        for finding in site["findings"]
    }


def head_titles(sites: list[dict]) -> dict[str, str]:
    """What readers call a head of a model: the place whose task block it is, 'shared', 'mean'."""
    return {site["name"]: site["title"] for site in sites} | {SHARED: "shared", MEAN: "mean"}


def read_sites(text: str) -> list[dict]:
    """The sites of the run from their JSON, at least one; the type of an option."""
    try:
        sites = read(text, list[Site], "--titles")
    except InputError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not sites:
        raise argparse.ArgumentTypeError("expected at least one site")
    return msgspec.to_builtins(sites)


def add_titles(parser: argparse.ArgumentParser) -> None:
    """Add the option that tells the sites of the run: name, title, role and findings of each."""
    parser.add_argument(
        "--titles",
        required=True,
        type=read_sites,
        metavar="JSON",
        help="name, title, role and findings of every site of the run",
    )
