"""What else a representation knows: a linear model that tells view, sex and attributes from it.

It learns from images that training did not see, of other patients than those that it is asked
about (docs/subgroups.md). An untrained representation is the control.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run
from chexviz.base.files import replacing
from chexviz.base.randomness import stream
from chexviz.base.settings import read as read_settings
from chexviz.base.tables.evaluation import REPRESENTATION
from chexviz.base.tables.models import UNTRAINED
from chexviz.evaluation.cases import count_cases, too_few
from chexviz.evaluation.resamples import unit_cases, units
from chexviz.evaluation.samples import add_samples, attributes_in, read_samples, samples_of
from chexviz.evaluation.shortcuts import matched_auroc
from chexviz.evaluation.subgroups import (
    TAGS,
    Group,
    Settings,
    age_bands,
    area,
    attributes_of,
    change,
    measure,
)

FOLDS = 5  # of patients, each asked about by the linear model of the others

Name = tuple[str, str, int]  # of a model: architecture, method, seed


class Seen(NamedTuple):
    """What a model makes of images of a site: their features (n, C) by its representation block."""

    name: Name
    features: np.ndarray


def read_features(files: list[list[str]]) -> dict[str, tuple[np.ndarray, list[Seen]]]:
    """By site, its images (n,) and what each model makes of them, untrained ones last.

    files: lists of architecture, method, seed and a file that `models.predict` wrote. Raises
    InputError if two are of different images.
    """
    found: dict[str, tuple[np.ndarray, list[Seen]]] = {}
    for kind, method_of in (("features", lambda method: method), (UNTRAINED, lambda _: UNTRAINED)):
        for architecture, method, seed, file in files:
            with np.load(file) as archive:
                sites = [key.removeprefix(f"{kind}_") for key in archive if key.startswith(kind)]
                for site in sites:
                    images, seen = found.setdefault(site, (archive[f"image_{site}"], []))
                    if not np.array_equal(images, archive[f"image_{site}"]):
                        raise InputError(
                            file,
                            expected=f"the same images of {site} as of every other model",
                            found="others",
                            fix="remove the predictions of this site and run again",
                        )
                    name = (architecture, method_of(method), int(seed))
                    seen.append(Seen(name, archive[f"{kind}_{site}"]))
    return found


def fold_of(patients: pd.Series, site: str, seed: int) -> np.ndarray:
    """The fold of each image (n,): all images of a patient are in one, which chance decides."""
    number = pd.factorize(patients, sort=True)[0]
    order = np.random.default_rng(stream(seed, "folds", site)).permutation(number.max() + 1)
    return order[number] % FOLDS


def told(features: np.ndarray, targets: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """How much each image looks like each target (n, k), by ridge regression on the other folds.

    features: (n, C). targets: 0 or 1 (n, k). Features are standardised on those folds; the penalty
    is C, so that all weights together vary as much as one target does.
    """
    scores = np.empty(targets.shape)
    for number in range(FOLDS):
        asked = fold == number
        mean, spread = features[~asked].mean(axis=0), features[~asked].std(axis=0)
        known = (features - mean) / np.where(spread > 0, spread, 1)
        learned = known[~asked]
        middle = targets[~asked].mean(axis=0)
        inner = learned.T @ learned + learned.shape[1] * np.eye(learned.shape[1])
        weights = np.linalg.solve(inner, learned.T @ (targets[~asked] - middle))
        scores[asked] = known[asked] @ weights
    return scores


def values_of(samples: pd.DataFrame, ages: list[int]) -> Iterator[tuple[str, pd.Series]]:
    """The value of each attribute of each image, NaN where it is unknown; ages in their bands."""
    for name, column in attributes_of(samples).items():
        yield name, age_bands(samples["age"], ages)[0] if name == "age" else samples[column]


def site_rows(
    site: str, images: np.ndarray, seen: list[Seen], samples: str, settings: Settings
) -> Iterator[list]:
    """Yield the rows of a site: each value of each attribute, of two values the second alone."""
    table = read_samples(
        samples, pd.Series(images), "patient", *TAGS, *attributes_in(samples)
    ).assign(image=images)
    for name, values in values_of(table, settings.subgroups.ages):
        known = values.notna().to_numpy()
        groups = sorted(set(values[known]))
        if len(groups) < 2:
            continue
        asked = groups[1:] if len(groups) == 2 else groups
        rows = table[known].reset_index(drop=True)
        targets = np.stack([values[known] == group for group in asked], axis=1).astype(float)
        fold = fold_of(rows["patient"], site, settings.bootstrap.seed)
        scores = [told(one.features[known].astype(float), targets, fold) for one in seen]
        for column, group in enumerate(asked):
            labelled = rows.assign(label=targets[:, column].astype(int))
            own = np.stack([one[:, column] for one in scores])
            found = judged(own, seen, labelled, fold, site, settings)
            for one, numbers in zip(seen, found, strict=True):
                yield [site, *one.name, name, group, *numbers]


def judged(
    scores: np.ndarray,
    seen: list[Seen],
    rows: pd.DataFrame,
    fold: np.ndarray,
    site: str,
    settings: Settings,
) -> Iterator[list]:
    """Yield of each model how well it tells the images of a group: counts, AUROC and difference.

    scores: (k, n). Pairs of images of one fold are compared, as linear models of different folds
    differ by an offset.
    """
    bootstrap, labels = settings.bootstrap, rows["label"].to_numpy()
    found = count_cases(labels, units(rows, bootstrap.unit))
    note = too_few(found, settings.minimum_cases)
    counts = [len(rows), rows["patient"].nunique(), int(labels.sum())]
    if note:
        yield from ([*counts, *[np.nan] * 6, note] for _ in seen)
        return
    folds = [Group("fold", str(number), fold == number, "") for number in range(FOLDS)]
    aurocs, pairs = measure(scores, folds, rows, site, bootstrap)
    matched = [matched_auroc(one, pairs) for one in aurocs]
    controls = {one.name: values for one, values in zip(seen, matched, strict=True)}
    cases = unit_cases(rows, bootstrap.unit)
    for one, values in zip(seen, matched, strict=True):
        architecture, method, seed = one.name
        control = controls.get((architecture, UNTRAINED, seed))
        gained = [np.nan] * 3
        if control is not None and method != UNTRAINED:
            gained = change(values - control, bootstrap.confidence, "")
        yield [*counts, *area(values, cases, bootstrap.confidence, ""), *gained, ""]


def rows_of(
    found: Mapping[str, tuple[np.ndarray, list[Seen]]], samples: dict[str, str], settings: Settings
) -> Iterator[list]:
    """Yield the rows of all sites."""
    for site, (images, seen) in found.items():
        yield from site_rows(site, images, seen, samples_of(site, samples), settings)


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument(
        "--features",
        nargs=4,
        action="append",
        required=True,
        metavar=("ARCHITECTURE", "METHOD", "SEED", "FILE"),
        help="of a model (repeated)",
    )
    add_samples(parser)
    parser.add_argument(
        "--settings", required=True, metavar="JSON", help="a Resampling with its subgroups"
    )
    parser.add_argument("--output", required=True, type=Path, metavar="OUT")
    arguments = parser.parse_args(argv)
    settings = read_settings(arguments.settings, Settings)
    found = read_features(arguments.features)
    rows = [*rows_of(found, dict(arguments.samples), settings)]
    with replacing(arguments.output) as temporary:
        REPRESENTATION.write(rows, temporary)


if __name__ == "__main__":
    run(main)
