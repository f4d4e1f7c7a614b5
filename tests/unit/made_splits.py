"""Samples of made-up sites, and the entry point that divides them."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from chexviz.base.tables.sites import SAMPLES
from chexviz.base.tables.study import PAIR, SPLIT
from chexviz.cohort import split

FRACTIONS = {"evaluation": 0.2, "validation": 0.1}


def made_samples(
    count: int = 400, patients: int = 150, seed: int = 0, sites=("rsna", "siim")
) -> pd.DataFrame:
    """Images of sites that share patients; about a quarter positive."""
    draws = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "site": np.array(sites)[np.arange(count) * len(sites) // count],
            "image": [f"{number:04d}" for number in range(count)],
            "patient": [f"p{number}" for number in draws.integers(0, patients, count)],
            "patient_known": True,
            "label_pneumonia": (draws.random(count) < 0.25).astype(int),
            "sha256": [f"{number:064x}" for number in range(count)],
        }
    )


def pairs(*rows: list[str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=PAIR)


def run_split(
    folder: Path,
    samples: pd.DataFrame,
    protocol: str = "paper",
    *,
    sites: dict[str, list[str]] | None = None,
    given: tuple[str, ...] = (),
    near: pd.DataFrame | None = None,
    seed: int = 1,
) -> pd.DataFrame:
    """What the entry point writes for these samples, in a file for each site.

    sites: role and findings of each; else all train pneumonia. A label that is NaN in all rows of a
    site is not in its file.
    """
    sites = sites or {site: ["train", "pneumonia"] for site in samples["site"].unique()}
    paths = {site: folder / f"{site}_samples.csv" for site in sites}
    for site, path in paths.items():
        own = samples[samples["site"] == site].drop(columns="site").dropna(axis=1, how="all")
        own.assign(**dict.fromkeys({*SAMPLES.names} - {*own}, "")).to_csv(path, index=False)
    (pairs() if near is None else near).to_csv(folder / "duplicates.csv", index=False)
    fractions = FRACTIONS if protocol == "patient" else {"evaluation": FRACTIONS["evaluation"]}
    settings = json.dumps(fractions | {"seed": seed})
    made = [folder / f"{site}.csv" for site in sites]
    words = ["--protocol", protocol, "--settings", settings, "--given", *given]
    for site, about in sites.items():
        words += ["--findings", site, *about]
    words += ["--duplicates", str(folder / "duplicates.csv")]
    split.main([*words, "--samples", *map(str, paths.values()), "--split", *map(str, made)])
    return pd.concat(map(SPLIT.read, made), ignore_index=True)
