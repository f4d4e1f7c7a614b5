"""What calibration, operating points and decision curves show."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from chexviz.base.methods import BASELINE
from chexviz.base.tables.evaluation import CALIBRATION, DECISION, OPERATING_POINTS
from chexviz.evaluation.cases import enough
from chexviz.evaluation.over_seeds import over_seeds
from chexviz.reporting.selection import ENDPOINT, of_endpoints
from chexviz.reporting.tables.cells import estimate
from chexviz.reporting.tables.typesetting import Layout, to_json
from chexviz.reporting.titles import Endpoint, grouped, model_title
from chexviz.reporting.wording import between, percent, percent_between

RATES = {"sensitivity": "Sensitivity", "specificity": "Specificity", "ppv": "PPV", "npv": "NPV"}
MODEL = (*ENDPOINT, "architecture", "method")


def calibration_sentence(path: Path, titles: dict[Endpoint, str]) -> str:
    """How far the probabilities of all models hold, as they are and temperature scaled.

    titles: of the endpoints that are told. Of too few cases nothing is said, here and below.
    """
    measures = ("scaling", "ece", "ece_chance", "slope", "note")
    table = enough(of_endpoints(CALIBRATION.read(path, *ENDPOINT, *measures), titles))
    raw, scaled = (table[table["scaling"] == name] for name in ("none", "temperature"))
    found = raw["ece"], raw["ece_chance"], scaled["ece"], raw["slope"]
    return calibration(Calibration(*(values.dropna().tolist() for values in found)))


class Calibration(NamedTuple):
    """Measures of all models, each a list of known numbers: expected calibration errors as they
    are, by chance and temperature scaled; slopes of the recalibration."""

    ece: list[float]
    chance: list[float]
    scaled: list[float]
    slope: list[float]


def calibration(found: Calibration) -> str:
    """How far the probabilities hold; follows 'Under the protocol,'."""
    if not found.ece:
        return "there were too few cases to judge the calibration."
    sentence = (
        f"the expected calibration error was {between(found.ece)}, where a perfectly calibrated "
        f"model would show {between(found.chance)} by chance"
    )
    if found.slope:
        sentence += f", and the slope {between(found.slope, 2)}"
    if not found.scaled:
        return f"{sentence}."
    return f"{sentence}. Temperature scaling on the validation images gave {between(found.scaled)}."


def operating_facts(path: Path, titles: dict[Endpoint, str], method: str) -> dict | None:
    """The table of operating points of the compared models; None if no threshold was chosen."""
    rates = [f"{name}{end}" for name in RATES for end in ("", "_low", "_high")]
    table = OPERATING_POINTS.read(path, *MODEL, "target", "chosen_on", *rates)
    table = of_endpoints(table[table["method"].isin([BASELINE, method])], titles)
    table = grouped(table, titles)
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
    return {"table": to_json(Layout(head, groups, "", "")), "chosen": chosen} if groups else None


def rate_cell(runs: pd.DataFrame, name: str) -> str:
    """A rate in percent: '84.2 (80.1–88.0)'; of several seeds '84.2 ± 0.4'; '–' if undefined."""
    rates = over_seeds(name, 100 * runs[[name, f"{name}_low", f"{name}_high"]])
    return estimate(rates, name, digits=1)


def decision_sentence(path: Path, titles: dict[Endpoint, str]) -> str:
    """Over how many of the probabilities each model beats treating all and none."""
    columns = (*MODEL, "seed", "scaling", "threshold", "net_benefit", "all", "note")
    table = of_endpoints(DECISION.read(path, *columns), titles)
    table = table[(table["scaling"] == "none") & table["net_benefit"].notna()]
    table = enough(table)
    if table.empty:
        return ""
    better = table["net_benefit"] > np.maximum(table["all"], 0)
    shares = better.groupby([table[key] for key in (*MODEL, "seed")]).mean()
    ends = table["threshold"].min(), table["threshold"].max()
    return decisions(shares.tolist(), ends)


def decisions(shares: Sequence[float], thresholds: tuple[float, float]) -> str:
    """Over which share of the probabilities models are of use. shares: by model."""
    low, high = map(percent, thresholds)
    return (
        "Acting on a score was better than treating all and treating none at "
        f"{percent_between(shares)} of the probabilities from {low} to {high}, by model."
    )
