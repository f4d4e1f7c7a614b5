"""Result tables: reading them with their columns checked, and what readers call things."""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from chexviz.base.errors import InputError
from chexviz.base.methods import BASELINE
from chexviz.base.options import finite_json
from chexviz.base.tables.evaluation import LITERAL
from chexviz.base.tables.table import missing

TEXT = (
    *("site", "task", "architecture", "method", "reference", "model", "protocol", "subset"),
    *("image", "patient", "group", "file", "reason", "view", "sex", "other", "shared", "note"),
    *("runs", "test", "published", "percentages", "counts", "verdict", "reason"),
)
ARCHITECTURES = {"standard": "Standard", "densenet121": "DenseNet121"}
METHODS = {
    **{BASELINE: "Baseline", "fedavg": "FedAvg", "uniform": "Uniform FedAvg"},
    **{"fedprox": "FedProx", "fedbn": "FedBN", "fedfbn": "FedFBN", "fedrep": "FedRep"},
    **{"scaffold": "SCAFFOLD", "fedadam": "FedAdam", "median": "Median"},
    **{"pooled": "Pooled", "ensemble": "Ensemble"},
}
# What readers call the paired tests of AUROC.
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


def read_table(path: str | Path, columns: list[str] | tuple[str, ...]) -> pd.DataFrame:
    """Read a result table and check that it has `columns`.

    An empty cell is missing; nothing else is, so that an image called 'NA' keeps its name. Names
    and ids stay text. Raises InputError when the file is absent, not a table, or lacks a column.
    """
    try:
        table = pd.read_csv(
            path,
            dtype=dict.fromkeys(TEXT, str),
            keep_default_na=False,
            na_values=[""],
            float_precision="round_trip",
        )
    except FileNotFoundError:
        raise missing(path) from None
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise InputError(
            path, expected="a table (CSV, UTF-8)", found=str(error), fix="make the file again"
        ) from None
    absent = [column for column in columns if column not in table]
    if absent:
        raise InputError(
            path,
            expected="the columns " + ", ".join(columns),
            found="no " + ", ".join(absent),
            fix="make the file again with this version of the workflow",
        )
    return table


def sent_per_round(histories: pd.DataFrame) -> pd.Series:
    """Bytes that a site sends in a round, mean, by (architecture, method); 0 without exchange."""
    return histories.groupby(["architecture", "method"], sort=False)["sent"].mean()


def megabytes(count: float) -> str:
    """Bytes as megabytes with three digits: '28.2', '0.371'; '–' for none."""
    return f"{count / 1e6:#.3g}".rstrip(".") if count else "–"


def compared(table: pd.DataFrame, method: str, path: str | Path) -> pd.DataFrame:
    """The rows of the paper's comparison: those of the baselines and of `method`.

    Raises InputError, naming the table's file, if there are none of `method`.
    """
    if not (table["method"] == method).any():
        raise InputError(
            path,
            expected=f"rows of the method {method}",
            found="rows of " + ", ".join(table["method"].unique()),
            fix="make the evaluation of this protocol again",
        )
    return table[table["method"].isin([BASELINE, method])]


def model_title(architecture: str, method: str) -> str:
    """What the paper's Table 1 calls a model: 'Standard', 'DenseNet121 w/ FL'."""
    title = ARCHITECTURES.get(architecture, architecture)
    if method == BASELINE:
        return title
    return f"{title} w/ {'FL' if method == 'fedavg' else method_title(method)}"


def curve_title(method: str) -> str:
    """What the paper's Figures 2 and 3 call a method: 'CheXViz' for federated averaging."""
    return "CheXViz" if method == "fedavg" else method_title(method)


def method_title(method: str) -> str:
    """What readers call a method; an unknown name stands for itself."""
    return METHODS.get(method, method)


def in_order(values: pd.Series) -> list:
    """The distinct values in the order of their first appearance, the baseline before the rest."""
    return sorted(values.drop_duplicates(), key=lambda value: value != BASELINE)


def site_titles(sites: list[dict]) -> dict[str, str]:
    """What readers call each site within a text: its finding, 'pneumonia', as the original does.

    Where two sites have the same one, all have their titles too: 'pneumonia (RSNA)'. Where images
    and patients are meant rather than a task, a site is its title. sites: name, title and task of
    all sites of the run.
    """
    tasks = [site["task"] for site in sites]
    alone = len(set(tasks)) == len(tasks)
    return {
        site["name"]: site["task"] if alone else f"{site['task']} ({site['title']})"
        for site in sites
    }


def group_titles(table: pd.DataFrame, sites: list[dict]) -> dict[str, str]:
    """The same as headings, of the sites that a table has, in their order there."""
    titles = site_titles(sites)
    return {site: capitalised(titles[site]) for site in table["site"].drop_duplicates()}


def full_title(site: dict) -> str:
    """A site with its finding, where it is a place that has images: 'RSNA (pneumonia)'."""
    return f"{site['title']} ({site['task']})"


def full_titles(sites: list[dict]) -> dict[str, str]:
    """The same of all sites, by name."""
    return {site["name"]: full_title(site) for site in sites}


def add_titles(parser: argparse.ArgumentParser) -> None:
    """Add the option that says what readers call the sites; see site_titles."""
    parser.add_argument(
        "--titles",
        required=True,
        type=finite_json,
        metavar="JSON",
        help="name, title and task of every site of the run",
    )


def capitalised(text: str) -> str:
    """First letter as a capital, the rest as it is ('pleural effusion in AP')."""
    return text[:1].upper() + text[1:]


def p_text(p: float) -> str:
    """A p value as readers expect it: '<0.001', '0.004', '0.19'; '–' where there is none.

    Two decimals, but three where two would hide on which side of 0.01 or 0.05 it lies.
    """
    if np.isnan(p):
        return "–"
    if p < 0.001:
        return "<0.001"
    if p >= 0.995:
        return ">0.99"
    return f"{p:.3f}" if p < 0.01 or 0.045 <= p < 0.055 else f"{p:.2f}"


def p_phrase(p: float) -> str:
    """A p value within a sentence: 'p = 0.19', 'p < 0.001'; 'not tested' where there is none."""
    if np.isnan(p):
        return "not tested"
    shown = p_text(p)
    return f"p {shown[0]} {shown[1:]}" if shown[0] in "<>" else f"p = {shown}"
