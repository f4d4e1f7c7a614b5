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

    The ranks are those within each resample.
    """
    ranks = [resampled_ranks(scores) for scores in (one, two)]

    def correlation(weights: np.ndarray) -> np.ndarray:
        drawn = weights[unit]
        # The mean of all ranks, also with ties.
        middle = (drawn.sum(axis=0) + 1) / 2
        first, second = (rank(drawn) - middle for rank in ranks)
        spread = np.sqrt(np.sum(drawn * first**2, axis=0) * np.sum(drawn * second**2, axis=0))
        return np.sum(drawn * first * second, axis=0) / spread

    return correlation


def resampled_ranks(scores: np.ndarray) -> Statistic:
    """How often each image was drawn (n, block) to its rank (n, block); undrawn ones have any."""
    order = np.argsort(scores, kind="stable")
    steps, step = np.unique(scores, return_inverse=True)
    last = np.searchsorted(scores[order], steps, side="right") - 1

    def rank(drawn: np.ndarray) -> np.ndarray:
        upto = np.cumsum(drawn[order], axis=0)[last]
        below = np.vstack([np.zeros(drawn.shape[1]), upto[:-1]])
        return ((below + upto + 1) / 2)[step]

    return rank


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
