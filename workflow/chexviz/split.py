"""Which images train, choose thresholds and evaluate, by either protocol."""

import argparse
import json
from collections.abc import Mapping
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import StratifiedGroupKFold

from chexviz.audit import SUBSETS, audit, person, positions, prove_disjoint
from chexviz.errors import InputError, run
from chexviz.files import replacing
from chexviz.randomness import stream


def by_image(images: pd.DataFrame, settings: Mapping, seed: int) -> pd.Series:
    """The paper's protocol: a random fraction of each site's images evaluates, the rest trains.

    images: columns site, image. settings: evaluation (fraction; floor(fraction x n) images).
    The draw of one site depends on the seed and its own images alone.
    """
    subset = pd.Series("train", index=images.index)
    for site, rows in images.groupby("site", sort=True):
        draws = np.random.default_rng(stream(seed, "split", "paper", str(site)))
        order = draws.permutation(rows.sort_values("image").index)
        subset[order[: int(settings["evaluation"] * len(rows))]] = "evaluation"
    return subset


def by_patient(images: pd.DataFrame, settings: Mapping, seed: int) -> pd.Series:
    """The patient protocol: no group is in two subsets; sites and classes are balanced.

    images: columns site, label, group. settings: evaluation, validation (fractions of all images,
    met as nearly as whole groups and 1 / round(1 / fraction) allow).
    """
    subset = pd.Series("train", index=images.index)
    evaluation = fold(images, settings["evaluation"], stream(seed, "split", "evaluation"))
    subset[evaluation] = "evaluation"
    rest = images[subset == "train"]
    share = settings["validation"] / (1 - settings["evaluation"])
    subset[fold(rest, share, stream(seed, "split", "validation"))] = "validation"
    return subset


def fold(images: pd.DataFrame, fraction: float, seed: int) -> pd.Index:
    """One fold of whole groups with about `fraction` of the images of each site and class."""
    strata = images["site"] + " " + images["label"].astype(str)
    count = round(1 / fraction)
    require_as_many(images, strata, count)
    folds = StratifiedGroupKFold(count, shuffle=True, random_state=seed % 2**32)
    _, chosen = next(folds.split(images, strata, images["group"]))
    return images.index[chosen]


def require_as_many(images: pd.DataFrame, strata: pd.Series, folds: int) -> None:
    """Refuse fewer groups than folds, and fewer images than folds in every site and class."""
    largest = strata.value_counts().max() if len(strata) else 0
    if min(images["group"].nunique(), largest) < folds:
        sites = images.groupby("site")["group"].nunique()
        counts = ", ".join(f"{count} at {site}" for site, count in sites.items()) or "none"
        raise InputError(
            "protocol patient, labelled images of all sites",
            expected=f"at least {folds} groups (patients, unless patients share an image), since "
            f"one in {folds} is set aside, and {folds} images of one class at a site",
            found=f"groups to choose from: {counts}; "
            f"at most {largest} images of one class at a site",
            fix="add images of other patients, or raise the fractions in split: patient",
        )


def groups(images: pd.DataFrame, pairs: pd.DataFrame) -> np.ndarray:
    """Numbers (n,) of the groups: images joined by a patient or by near-identity, and so on.

    images: columns site, image, patient. pairs: near-identical images (duplicates.csv).
    """
    patients = pd.factorize(images["patient"])[0]
    first = pd.Series(range(len(images))).groupby(patients).transform("first").to_numpy()
    one, two = positions(images, pairs)
    rows, columns = np.r_[first, one], np.r_[np.arange(len(images)), two]
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(len(images), len(images)))
    return connected_components(graph, directed=False)[1]


def require_both_classes(
    images: pd.DataFrame, sites: list[str], subsets: list[str], output: Path
) -> None:
    """Refuse a split that no AUROC can be computed on, or no threshold chosen on."""
    for site, subset in product(sites, subsets):
        own = images[images["site"] == site]
        labels = own.loc[own["subset"] == subset, "label"]
        positive = int(labels.sum())
        if positive in (0, len(labels)):
            raise InputError(
                f"{output}: site {site}, subset {subset}",
                expected="images of both classes",
                found=f"{positive} positive and {len(labels) - positive} negative images; "
                f"groups of the site (patients): {own['group'].nunique()}",
                fix="add images of the missing class and of other patients to the site, "
                "or change split: seed",
            )


def read_samples(sites: list[str], paths: list[Path]) -> pd.DataFrame:
    """The labelled images: site, image, patient, patient_known, label (0 or 1), sha256, position.

    position: the row of the site's packed images.
    """
    columns = ["image", "patient", "patient_known", "label", "sha256"]
    tables = []
    for site, path in zip(sites, paths, strict=True):
        table = pd.read_csv(path, dtype=str, keep_default_na=False, usecols=columns)
        tables.append(table.assign(site=site, position=range(len(table))))
    images = pd.concat(tables, ignore_index=True)
    images = images[images["label"] != ""].reset_index(drop=True)
    images["patient_known"] = images["patient_known"] == "True"
    images["patient"] = person(images)
    return images.assign(label=images["label"].astype(float).astype(int))


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--protocol", required=True, choices=("paper", "patient"))
    parser.add_argument("--site", nargs="+", required=True)
    parser.add_argument("--samples", nargs="+", required=True, type=Path, help="a file per site")
    parser.add_argument("--duplicates", required=True, type=Path)
    parser.add_argument("--settings", required=True, type=json.loads)
    parser.add_argument("--split", required=True, type=Path)
    parser.add_argument("--audit", required=True, type=Path)
    arguments = parser.parse_args(argv)
    settings = arguments.settings
    images = read_samples(arguments.site, arguments.samples)
    pairs = pd.read_csv(arguments.duplicates, dtype=str, keep_default_na=False)
    images["group"] = groups(images, pairs)
    divide = {"paper": by_image, "patient": by_patient}[arguments.protocol]
    images["subset"] = divide(images, settings, settings["seed"])
    subsets = [subset for subset in (*settings, "train") if subset in SUBSETS]
    require_both_classes(images, arguments.site, subsets, arguments.split)
    if arguments.protocol == "patient":
        prove_disjoint(images, pairs)
    leakage = audit(images, pairs, arguments.protocol)
    columns = ["site", "image", "patient", "label", "group", "subset", "position"]
    with replacing(arguments.split) as split, replacing(arguments.audit) as audited:
        images[columns].to_csv(split, index=False, lineterminator="\n")
        leakage.to_csv(audited, index=False, lineterminator="\n")


if __name__ == "__main__":
    run(main)
