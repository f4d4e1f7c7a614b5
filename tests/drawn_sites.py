"""Small sites of drawn images, for the tests of all that trains."""

from pathlib import Path

import numpy as np
import pandas as pd

from chexviz.data.list_arrays import main as list_arrays

# By the sites of a federation.
LABELLED = {"north": "pneumonia", "south": "pneumothorax", "east": "effusion"}


def draw_site(folder: Path, site: str, *, count: int = 60, size: int = 32, seed: int = 0) -> None:
    """Write images.npy and samples.csv of a site: noise, and a bright spot where the label is 1.

    The label is of the site's finding in LABELLED.
    """
    draws = np.random.default_rng([seed, *site.encode()])
    labels = (np.arange(count) % 3 == 0).astype(int)
    rows, columns = np.mgrid[:size, :size]
    images = draws.normal(110, 25, (count, size, size))
    for image, label in zip(images, labels, strict=True):
        x, y = draws.integers(size // 4, 3 * size // 4, 2)
        image += 60 * label * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (size / 2))
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "images.npy", images.clip(0, 255).astype(np.uint8))
    samples = pd.DataFrame(
        {
            "image": [f"{site}-{number:03d}" for number in range(count)],
            "file": [f"{site}-{number:03d}.dcm" for number in range(count)],
            "patient": [f"{site}-{number // 2:03d}" for number in range(count)],
            "patient_known": True,
            "subset": None,
            "view": "PA",
            "sex": "F",
            "age": 50.0,
            "age_stated": "050Y",
            "spacing": 1.0,
            "sha256": [f"{site}{number:060d}" for number in range(count)],
            "phash": [f"{value:016x}" for value in draws.integers(0, 2**63, count)],
            f"label_{LABELLED[site]}": labels,
        }
    )
    samples.to_csv(folder / "samples.csv", index=False)


def draw_split(folder: Path, site: str) -> None:
    """Write split.csv of a site: of every five images one evaluates and one validates."""
    samples = pd.read_csv(folder / "samples.csv")
    subset = np.array(["train", "train", "train", "validation", "evaluation"])
    rows = samples.assign(
        site=site, subset=subset[np.arange(len(samples)) % 5], position=range(len(samples))
    )
    columns = ["site", "image", "patient", "subset", "position", f"label_{LABELLED[site]}"]
    rows[columns].to_csv(folder / "split.csv", index=False)


def draw_federation(folder: Path, **counts: int) -> Path:
    """A folder with small sites of so many images, and lists of all: 60 of north, 45 of south."""
    counts = counts or {"north": 60, "south": 45}
    for site, count in counts.items():
        draw_site(folder / site, site, count=count)
        draw_split(folder / site, site)
    splits = [pd.read_csv(folder / site / "split.csv") for site in counts]
    pd.concat(splits).to_csv(folder / "split.csv", index=False)
    images = [str(folder / site / "images.npy") for site in counts]
    list_arrays(["--site", *counts, "--images", *images, "--output", str(folder / "sites.csv")])
    return folder
