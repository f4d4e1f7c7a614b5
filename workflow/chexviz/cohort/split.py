"""Which images train, choose thresholds and evaluate, by either protocol."""

from collections.abc import Mapping
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run
from chexviz.base.files import replacing_all
from chexviz.base.randomness import stream
from chexviz.base.settings import Settings, Share, read
from chexviz.base.tables.study import DUPLICATES, PAIR, SPLIT
from chexviz.cohort.leakage import positions, prove_disjoint, read_samples


class ImageSplit(Settings, frozen=True):
    """evaluation: the fraction of each site's n images that evaluates, floor(fraction x n)."""

    seed: int
    evaluation: Share


class PatientSplit(Settings, frozen=True):
    """evaluation, validation: fractions of all images, met as nearly as whole groups allow."""

    seed: int
    evaluation: Share
    validation: Share


def by_image(images: pd.DataFrame, settings: ImageSplit) -> pd.Series:
    """The paper's protocol: a random fraction of each site's images evaluates, the rest trains.

    images: columns site, image. The draw of one site depends on the seed and its own images alone.
    """
    subset = pd.Series("train", index=images.index)
    for site, rows in images.groupby("site", sort=True):
        draws = np.random.default_rng(stream(settings.seed, "split", "paper", str(site)))
        order = draws.permutation(rows.sort_values("image").index)
        subset[order[: int(settings.evaluation * len(rows))]] = "evaluation"
    return subset


def by_patient(images: pd.DataFrame, settings: PatientSplit) -> pd.Series:
    """The patient protocol: no group is in two subsets; sites and classes are balanced.

    images: columns site, label, group. Fractions are taken as 1 / round(1 / fraction).
    """
    seed = settings.seed
    subset = pd.Series("train", index=images.index)
    evaluation = fold(images, settings.evaluation, stream(seed, "split", "evaluation"))
    subset[evaluation] = "evaluation"
    rest = images[subset == "train"]
    share = settings.validation / (1 - settings.evaluation)
    subset[fold(rest, share, stream(seed, "split", "validation"))] = "validation"
    return subset


def fold(images: pd.DataFrame, fraction: float, seed: int) -> pd.Index:
    """One fold of whole groups with about `fraction` of the images of each site and class."""
    # Imported here because it takes seconds, and the other protocol needs none of it.
    from sklearn.model_selection import StratifiedGroupKFold

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
    images: pd.DataFrame, files: Mapping[str, Path], subsets: list[str]
) -> None:
    """Refuse a split that no AUROC can be computed on, or no threshold chosen on.

    files: where the split of each site will be.
    """
    for (site, path), subset in product(files.items(), subsets):
        own = images[images["site"] == site]
        labels = own.loc[own["subset"] == subset, "label"]
        positive = int(labels.sum())
        if positive in (0, len(labels)):
            raise InputError(
                f"{path}: site {site}, subset {subset}",
                expected="images of both classes",
                found=f"{positive} positive and {len(labels) - positive} negative images; "
                f"patients of the site: {own['patient'].nunique()}",
                fix="add images of the missing class and of other patients to the site, "
                "or change split: seed",
            )


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--protocol", required=True, choices=("paper", "patient"))
    parser.add_argument("--site", nargs="+", required=True)
    parser.add_argument("--samples", nargs="+", required=True, type=Path, help="a file per site")
    parser.add_argument("--duplicates", type=Path, help="protocol patient keeps them together")
    parser.add_argument("--settings", required=True, help="JSON, see ImageSplit, PatientSplit")
    parser.add_argument("--split", nargs="+", required=True, type=Path, help="a file per site")
    arguments = parser.parse_args(argv)
    images = read_samples(arguments.site, arguments.samples)
    if arguments.protocol == "paper":
        images["subset"] = by_image(images, read(arguments.settings, ImageSplit))
        used = ["evaluation", "train"]
    else:
        pairs = DUPLICATES.read(arguments.duplicates, *PAIR)
        images["group"] = groups(images, pairs)
        images["subset"] = by_patient(images, read(arguments.settings, PatientSplit))
        used = ["evaluation", "validation", "train"]
        prove_disjoint(images, pairs)
    files = dict(zip(arguments.site, arguments.split, strict=True))
    require_both_classes(images, files, used)
    with replacing_all(files) as temporaries:
        for site, temporary in temporaries.items():
            SPLIT.write(images.loc[images["site"] == site, SPLIT.names], temporary)


if __name__ == "__main__":
    run(main)
