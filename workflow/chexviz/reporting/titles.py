"""What readers call sites, architectures, methods, tests and measures."""

import argparse
from typing import Literal

import msgspec
import pandas as pd

from chexviz.base.errors import InputError
from chexviz.base.methods import BASELINE
from chexviz.base.settings import Settings, read
from chexviz.base.tables.evaluation import LITERAL, METRICS
from chexviz.reporting.wording import capitalised

ARCHITECTURES = {"standard": "Standard", "densenet121": "DenseNet121"}
METHODS = {
    **{BASELINE: "Baseline", "fedavg": "FedAvg", "uniform": "Uniform FedAvg"},
    **{"fedprox": "FedProx", "fedbn": "FedBN", "fedfbn": "FedFBN", "fedrep": "FedRep"},
    **{"scaffold": "SCAFFOLD", "fedadam": "FedAdam", "median": "Median"},
    **{"pooled": "Pooled", "ensemble": "Ensemble"},
}
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
# A site is named by its finding where a model or its labels are meant, as the original does, and by
# its place where images and patients are. `sites`: name, title and task of all sites of the run.


def task_titles(sites: list[dict]) -> dict[str, str]:
    """Each site as a task, within a text: 'pneumonia'.

    Where two sites have the same finding, all have their places too: 'pneumonia (RSNA)'.
    """
    tasks = [site["task"] for site in sites]
    alone = len(set(tasks)) == len(tasks)
    return {
        site["name"]: site["task"] if alone else f"{site['task']} ({site['title']})"
        for site in sites
    }


def group_titles(table: pd.DataFrame, sites: list[dict]) -> dict[str, str]:
    """The same as headings, of the sites that a table has, in their order there."""
    titles = task_titles(sites)
    return {site: capitalised(titles[site]) for site in table["site"].drop_duplicates()}


def grouped(table: pd.DataFrame, titles: dict[str, str]) -> pd.DataFrame:
    """The table with the column `group`: the heading of each row's site, NaN without a site.

    titles: see task_titles.
    """
    return table.assign(group=table["site"].map(titles).map(capitalised, na_action="ignore"))


def place_title(site: dict) -> str:
    """A site as a place that has images: 'RSNA (pneumonia)'."""
    return f"{site['title']} ({site['task']})"


def place_titles(sites: list[dict]) -> dict[str, str]:
    """The same of all sites, by name."""
    return {site["name"]: place_title(site) for site in sites}


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
    """Add the option that tells the sites of the run: name, title and task of each."""
    parser.add_argument(
        "--titles",
        required=True,
        type=read_sites,
        metavar="JSON",
        help="name, title and task of every site of the run",
    )
