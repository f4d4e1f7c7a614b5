"""What two heads of a model have in common on resamples of the same images, and how sure it is."""

from collections.abc import Callable

import numpy as np

from chexviz.evaluation.cases import class_units
from chexviz.evaluation.intervals import rate_interval, ratio_interval, wilson
from chexviz.evaluation.metrics import auroc_interval
from chexviz.evaluation.roc import Ranking, auroc

# Weights of units (units, block) to a number for each resample (block,).
Statistic = Callable[[np.ndarray], np.ndarray]
# A value, its replicates (B,) and the confidence to low and high.
Interval = Callable[[float, np.ndarray, float], tuple[float, float]]
# Of an array of 4 bytes a value that, with a few more, stays in the second-level cache of a core.
CACHED_VALUES = 1 << 16


# --- statistics ----------------------------------------------------------------------------------


def total(chosen: np.ndarray, unit: np.ndarray) -> Statistic:
    """How many of the drawn images are chosen, bool (n,). Integers, so exact in any order."""
    counts = np.bincount(unit, chosen)
    return lambda weights: counts @ weights


def rate(part: np.ndarray, whole: np.ndarray, unit: np.ndarray) -> Statistic:
    """The share of `part` among the drawn images of `whole`, bool (n,) each."""
    over, under = total(part & whole, unit), total(whole, unit)
    return lambda weights: over(weights) / under(weights)


def expected(one: np.ndarray, two: np.ndarray, unit: np.ndarray) -> Statistic:
    """How many of the drawn images would be in both if the two were independent."""
    first, second = total(one, unit), total(two, unit)
    images = total(np.ones_like(one), unit)
    return lambda weights: first(weights) * second(weights) / images(weights)


def ratio(one: np.ndarray, two: np.ndarray, unit: np.ndarray) -> Statistic:
    """Images in both, by how many are expected."""
    observed, independent = total(one & two, unit), expected(one, two, unit)
    return lambda weights: observed(weights) / independent(weights)


def area(labels: np.ndarray, scores: np.ndarray, unit: np.ndarray) -> Statistic:
    """AUROC of the images with a label; labels: 1, 0 or NaN (n,)."""
    known = ~np.isnan(labels)
    members, own = np.unique(unit[known], return_inverse=True)
    ranking = Ranking(labels[known], scores[known], own)
    return lambda weights: auroc(ranking.curve(weights[members]))


def rank_correlation(one: np.ndarray, two: np.ndarray, unit: np.ndarray) -> Statistic:
    """Spearman's correlation of two scores (n,): Pearson's of the ranks, ties at their mean rank.

    The ranks are those within each resample. All is counted in whole numbers, which are exact up
    to 200,000 images.
    """
    first, second = Ranks(one, unit), Ranks(two, unit)
    # Where the images that the first score orders stand in the order of the second.
    place = np.argsort(second.order)[first.order]

    def part(weights: np.ndarray) -> np.ndarray:
        weighted, ranks = first(weights)
        other_weighted, others = second(weights)
        squares = dot(weighted, ranks) * dot(other_weighted, others)
        return dot(weighted, others.take(place, axis=1)) / np.sqrt(squares)

    def correlation(weights: np.ndarray) -> np.ndarray:
        # A few resamples at a time: gathering their counts then stays within the cache.
        most = max(CACHED_VALUES // len(unit), 1)
        starts = range(0, weights.shape[1], most)
        columns = (weights[:, start : start + most] for start in starts)
        return np.concatenate([part(some.T.astype(np.int32, order="C")) for some in columns])

    return correlation


class Ranks:
    """The images of one head by score, ready for any number of resamples; order: that (n,)."""

    def __init__(self, scores: np.ndarray, unit: np.ndarray):
        self.order = np.argsort(scores, kind="stable")
        self.unit, ordered = unit[self.order], scores[self.order]
        first = np.searchsorted(ordered, ordered, side="left")
        last = np.searchsorted(ordered, ordered, side="right") - 1
        # Only images that share their score take more than a cumulative sum.
        self.tied = np.flatnonzero(first < last)
        self.first, self.last = first[self.tied], last[self.tied]

    def __call__(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The ranks of the images in this order, and the same times how often each was drawn.

        weights: of units, int32 (block, units). A rank is twice its distance from the mean rank, a
        whole number. Both (block, n), the first of them float64.
        """
        drawn = weights.take(self.unit, axis=1)
        upto = np.cumsum(drawn, axis=1, dtype=np.int32)
        ranks = 2 * upto - drawn - upto[:, -1:]
        if len(self.tied):
            below = upto[:, self.first] - drawn[:, self.first]
            ranks[:, self.tied] = below + upto[:, self.last] - upto[:, -1:]
        return np.multiply(drawn, ranks, dtype=np.float64), ranks


def dot(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The scalar products of the rows of two matrices (block, n), in float64."""
    return np.einsum("bi,bi->b", one, other, dtype=np.float64)


# --- intervals -----------------------------------------------------------------------------------


def rate_bounds(unit: np.ndarray) -> Interval:
    """That of a share of images of these units (n,)."""
    units = len(np.unique(unit))
    return lambda value, replicates, confidence: rate_interval(value, replicates, units, confidence)


def count_bounds(unit: np.ndarray) -> Interval:
    """That of a number of images among all (n,): of their share, times n."""
    images, share = len(unit), rate_bounds(unit)

    def interval(value: float, replicates: np.ndarray, confidence: float) -> tuple[float, float]:
        low, high = share(value / images, replicates / images, confidence)
        return images * low, images * high

    return interval


def ratio_bounds(expected: float, unit: np.ndarray) -> Interval:
    """That of images in both by how many are expected; of none in both, up to Wilson's bound."""
    images, units = len(unit), len(np.unique(unit))

    def interval(value: float, replicates: np.ndarray, confidence: float) -> tuple[float, float]:
        if value:
            return ratio_interval(value, replicates, confidence)
        return 0.0, images * wilson(0.0, units, confidence)[1] / expected

    return interval


def area_bounds(labels: np.ndarray, unit: np.ndarray) -> Interval:
    """That of an AUROC; labels: 1, 0 or NaN (n,)."""
    cases = class_units(labels, unit)
    return lambda value, replicates, confidence: auroc_interval(
        value, replicates, cases, confidence
    )
