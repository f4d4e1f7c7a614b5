"""Resamples of units (patients, or images): which are drawn, and how often."""

import math
from collections.abc import Iterator
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from msgspec import Meta

from chexviz.base.progress import Progress
from chexviz.base.randomness import stream
from chexviz.base.settings import Settings, Share
from chexviz.evaluation.cases import class_units, count_cases, require_both_classes, too_few
from chexviz.evaluation.poisson_draws import OCTET, Draws

# 2**21 weights are 4 MB. Longer rows cost fewer calls, larger blocks more cache: measured fastest
# of 2**19 to 2**22.
BLOCK_VALUES = 1 << 21

Unit = Literal["patient", "image"]


class Bootstrap(Settings, frozen=True):
    """replicates: resamples. unit: what is drawn. confidence: of intervals. seed: of the draws."""

    replicates: Annotated[int, Meta(ge=2)]
    unit: Unit
    confidence: Share
    seed: int


class Resampling(Settings, frozen=True):
    """How sure a number is, is found by resampling, if there are enough cases.

    minimum_cases: units of each class, for an interval or a p value (see cases.too_few).
    """

    bootstrap: Bootstrap
    minimum_cases: Annotated[int, Meta(ge=5)]


# --- units ---------------------------------------------------------------------------------------


def units(rows: pd.DataFrame, unit: str) -> np.ndarray:
    """The index of each row's resampled unit, in order of appearance (n,)."""
    return pd.factorize(rows["patient"])[0] if unit == "patient" else np.arange(len(rows))


def positive_units(labels: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Which units are positive: those with at least one positive image.

    labels: 0 or 1 (n,). unit: index of each image's unit, from 0 without gaps (n,).
    Returns bool (units,).
    """
    positive = np.zeros(unit.max(initial=-1) + 1, dtype=bool)
    positive[unit[labels == 1]] = True
    return positive


def unit_cases(rows: pd.DataFrame, unit: str) -> tuple[int, int]:
    """How many resampled units of some images have a positive one, and how many a negative one."""
    return class_units(rows["label"].to_numpy(), units(rows, unit))


def why_no_interval(rows: pd.DataFrame, settings: Resampling) -> str:
    """Why nothing is said of how sure the numbers of these images are; '' if something is."""
    found = count_cases(rows["label"].to_numpy(), units(rows, settings.bootstrap.unit))
    return too_few(found, settings.minimum_cases)


# --- draws ---------------------------------------------------------------------------------------


def draws(
    rows: pd.DataFrame, site: str, settings: Bootstrap, label: str
) -> Iterator[tuple[slice, np.ndarray]]:
    """The evaluation images of a site as they are (column 0), then resampled (columns 1 to B).

    rows: of a table of predictions. Yields the columns of a block and how often each unit is in it
    (units, block). Whoever resamples a site draws the same, so that the tables agree. label: of
    the progress.
    """
    positive = positive_units(rows["label"].to_numpy(), units(rows, settings.unit))
    yield slice(0, 1), np.ones((len(positive), 1))
    generator = np.random.default_rng(stream(settings.seed, "bootstrap", site))
    with Progress(label, total=settings.replicates, unit="resample") as progress:
        done = 1
        for weights in resamples(positive, settings.replicates, generator):
            yield slice(done, done + weights.shape[1]), weights
            done += weights.shape[1]
            progress.step(weights.shape[1])


def blocks(units: int, replicates: int) -> Iterator[int]:
    """How many resamples of so many units are made at a time; all together `replicates`."""
    block = max(BLOCK_VALUES // (OCTET * units), 1) * OCTET
    return (min(block, replicates - first) for first in range(0, replicates, block))


def resamples(
    positive: np.ndarray, replicates: int, generator: np.random.Generator
) -> Iterator[np.ndarray]:
    """Stratified bootstrap resamples of units, in blocks.

    positive: bool (units,). In each resample both classes keep their number of units, as in pROC's
    stratified bootstrap, so no resample lacks a class. Yields uint16 (units, block): how often
    each unit was drawn. The resamples do not depend on the size of the blocks, and those of a
    smaller number of replicates are the first of a larger one.
    Raises ValueError if there is no unit of one class.
    """
    require_both_classes(positive, "units")
    strata = [np.flatnonzero(positive), np.flatnonzero(~positive)]
    # One stream a stratum: otherwise the size of a block would decide who draws which number.
    streams = generator.spawn(len(strata))
    draws = [Draws(len(one), stream) for one, stream in zip(strata, streams, strict=True)]
    for wanted in blocks(len(positive), replicates):
        weights = np.empty((len(positive), wanted), np.uint16)
        for members, drawn in zip(strata, draws, strict=True):
            weights[members] = drawn.take(math.ceil(wanted / OCTET))[:, :wanted]
        yield weights


def unstratified_resamples(
    units: int, replicates: int, generator: np.random.Generator
) -> Iterator[np.ndarray]:
    """The same of units that are all of one kind, or whose classes shall vary in number too.

    Yields uint8 (units, block).
    """
    draws = Draws(units, generator)
    for wanted in blocks(units, replicates):
        yield draws.take(math.ceil(wanted / OCTET))[:, :wanted]


def resamples_drawn_singly(
    units: int, replicates: int, generator: np.random.Generator
) -> Iterator[np.ndarray]:
    """The same, with a random number for every unit of a resample, which takes longer.

    Of calibration, whose intervals keep their digits by it. Yields int64 (units, block).
    """
    for wanted in blocks(units, replicates):
        drawn = generator.integers(units, size=(wanted, units))
        places = drawn + units * np.arange(wanted)[:, np.newaxis]
        yield np.bincount(places.ravel(), minlength=units * wanted).reshape(wanted, units).T


def defined(replicates: np.ndarray) -> np.ndarray:
    """The replicates (B,) of a number that not every resample has: those that are not NaN."""
    return replicates[~np.isnan(replicates)]
