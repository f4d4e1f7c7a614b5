"""Predictions of every kind of model at sites with several findings, and at external sites."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from chexviz.base.methods import BASELINE, ENSEMBLE
from chexviz.base.tables.models import MEAN, SHARED
from chexviz.evaluation.predictions import Model, read_models

SITES = {
    "north": ("train", ["pneumonia", "edema"]),
    "south": ("train", ["pneumonia"]),
    "abroad": ("external", ["pneumonia", "edema"]),
}
METHODS = (BASELINE, "fedavg", "shared", ENSEMBLE)
SETTINGS = {
    "bootstrap": {"replicates": 100, "unit": "patient", "confidence": 0.95, "seed": 2022},
    "minimum_cases": 10,
}


class Endpoints:
    """tables: what the file of each method holds; change one and evaluate. fedavg has private
    heads. validation: whether there are validation images at sites that train.
    """

    def __init__(self, folder: Path, sites=SITES, methods=METHODS, *, validation: bool = True):
        self.folder, self.sites = folder, sites
        self.images = {site: self.drawn(site, validation) for site in sites}
        self.tables = {
            method: pd.concat([self.scored(method, site) for site in sites], ignore_index=True)
            for method in methods
        }

    @property
    def training(self) -> list[str]:
        return [site for site, (role, _) in self.sites.items() if role == "train"]

    def drawn(self, site: str, validation: bool) -> pd.DataFrame:
        """A site's images, two a patient, and its labels, of which some are unknown."""
        draws = np.random.default_rng([*site.encode()])
        number = np.arange(240)
        role, findings = self.sites[site]
        chooses = validation & (role == "train") & (number // 2 % 3 == 0)
        rows = pd.DataFrame(
            {
                "site": site,
                "image": [f"{one:04d}" for one in number],
                "patient": [f"{site}-{one // 2}" for one in number],
                "subset": np.where(chooses, "validation", "evaluation"),
            }
        )
        for finding in findings:
            label = (draws.random(240) < 0.35).astype(float)
            rows[f"label_{finding}"] = np.where(draws.random(240) < 0.1, np.nan, label)
        return rows

    def knowing(self, finding: str) -> list[str]:
        return [site for site in self.training if finding in self.sites[site][1]]

    def heads(self, method: str, site: str, finding: str) -> list[str]:
        """The heads that score a finding at a site."""
        knowing = self.knowing(finding)
        if method == "shared":
            return [SHARED]
        if method == ENSEMBLE:
            return [MEAN]
        if method == BASELINE:
            return [one for one in knowing if site in (one, *self.abroad)]
        return [*knowing, *[MEAN] * (len(knowing) > 1)]

    @property
    def abroad(self) -> list[str]:
        return [site for site in self.sites if site not in self.training]

    def scored(self, method: str, site: str) -> pd.DataFrame:
        """The rows of a site in the file of a method."""
        parts = []
        for finding in dict.fromkeys(one for name in self.training for one in self.sites[name][1]):
            rows = self.images[site][["site", "image", "patient", "subset"]]
            label = self.images[site].get(f"label_{finding}", pd.Series(np.nan, rows.index))
            scores: dict[str, np.ndarray] = {}
            for head in self.heads(method, site, finding):
                key = "-".join([method, site, finding, head])
                logit = np.random.default_rng([*key.encode()]).normal(1.3 * label.fillna(0) - 0.5)
                scores[head] = 1 / (1 + np.exp(-logit))
            if MEAN in scores and len(scores) > 1:
                scores[MEAN] = np.mean([scores[one] for one in scores if one != MEAN], axis=0)
            for head, score in scores.items():
                part = {"finding": finding, "label": label, "head": head, "score": score}
                parts.append(rows.assign(**part))
        return pd.concat(parts)

    def rows(self, method: str, site: str, finding: str, head: str) -> pd.DataFrame:
        """What a head says of the images with a known label."""
        table = self.tables[method]
        chosen = (table["site"] == site) & (table["finding"] == finding) & (table["head"] == head)
        return table[chosen & table["label"].notna()]

    def predictions(self) -> list[list[str]]:
        """Architecture, method, seed and file of each model, as the files are written."""
        found = []
        for method, table in self.tables.items():
            file = self.folder / f"{method}.csv"
            table.to_csv(file, index=False)
            found.append(["standard", method, "7", str(file)])
        return found

    def findings(self) -> list[list[str]]:
        return [[site, role, *findings] for site, (role, findings) in self.sites.items()]

    def models(self) -> list[Model]:
        return read_models(self.predictions(), self.findings())

    def run(self, main, *outputs: str, options=(), **settings) -> list[pd.DataFrame]:
        """The tables that an entry point writes, each named by its option."""
        words = [word for one in self.predictions() for word in ("--prediction", *one)]
        words += [word for one in self.findings() for word in ("--findings", *one)]
        words += [*options, "--settings", json.dumps(SETTINGS | settings)]
        files = {name: self.folder / f"{name}.out.csv" for name in outputs}
        for name, file in files.items():
            words += [f"--{name}", str(file)]
        main(words)
        return [
            pd.read_csv(file, float_precision="round_trip", keep_default_na=False, na_values=[""])
            for file in files.values()
        ]
