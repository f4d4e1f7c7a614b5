"""Weighted AUROC, average precision and ROC curves for many resamples at once.

A bootstrap resample is a vector of integer weights: how often each unit (a patient or an image)
was drawn. All that a resample needs to know of a model's scores is, for each distinct score of a
positive image, which positives have that score and which negatives lie between it and the next.
Those are two sparse matrices, made once per model; a block of resamples is then a sparse product
and a cumulative sum for each. All counts are exact: small integers, because moving them is what
takes the time, and float64 below 2**53 where they are multiplied.

Weights lie as (units, resamples): a sparse product then adds contiguous rows, which is several
times as fast as gathering and accumulating each resample by itself.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import DTypeLike
from scipy.sparse import csr_array

from chexviz.evaluation.cases import require_both_classes

# np.cumsum goes down one column after another, past the cache. Adding rows is as fast from about
# 128 columns on, and 3 times as fast at 400.
LONG_ROW = 128


@dataclass(frozen=True)
class Curve:
    """A block of resampled ROC curves, at each distinct score of a positive image, from the top.

    gained: weight of the positives with this score (steps, block). true: weight of the positives
    with this score or above (steps, block). false: the same of the negatives (steps, block).
    ties: the steps that negatives share (ties,); tied: weight of those negatives (ties, block).
    positives, negatives: total weights (block,), float64; the others may be unsigned.
    """

    gained: np.ndarray
    false: np.ndarray
    ties: np.ndarray
    tied: np.ndarray
    positives: np.ndarray
    negatives: np.ndarray

    @cached_property
    def true(self) -> np.ndarray:
        return accumulate(self.gained.copy())


class Ranking:
    """The images of one model ranked by score, ready for any number of resamples.

    labels: 0 or 1 (n,). scores: (n,), higher means more likely positive; ties are exact.
    unit: index of each image's unit, from 0 without gaps (n,).
    Raises ValueError unless both classes are present.
    """

    def __init__(self, labels: np.ndarray, scores: np.ndarray, unit: np.ndarray):
        positive = labels == 1
        require_both_classes(positive, "images")
        units = unit.max() + 1
        steps, step = np.unique(-scores[positive], return_inverse=True)
        above = np.searchsorted(steps, -scores[~positive])
        is_tied = np.append(steps, np.nan)[above] == -scores[~positive]
        self.ties, tie = np.unique(above[is_tied], return_inverse=True)
        # A resample of these units has as many draws as units; of a part of all units, some more.
        largest = np.min_scalar_type(2 * units * np.bincount(unit).max())
        self.gained = count_matrix(step, unit[positive], (len(steps), units), largest)
        # The last row takes the negatives below every positive: they only count in the total.
        self.false = count_matrix(above, unit[~positive], (len(steps) + 1, units), largest)
        self.tied = count_matrix(tie, unit[~positive][is_tied], (len(self.ties), units), largest)

    def curve(self, weights: np.ndarray) -> Curve:
        """The ROC curves of a block of resamples.

        weights: how often each unit was drawn (units, block), from `resamples` of these units or of
        more. Other weights must be int64 or float64, since they may sum to anything.
        """
        gained = self.gained @ weights
        false = accumulate(self.false @ weights)
        totals = np.stack([gained.sum(axis=0, dtype=gained.dtype), false[-1]]).astype(np.float64)
        return Curve(gained, false[:-1], self.ties, self.tied @ weights, *totals)


def count_matrix(
    rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int], dtype: DTypeLike
) -> csr_array:
    """How often each (row, column) occurs, as a sparse matrix."""
    return csr_array((np.ones(len(rows), dtype), (rows, columns)), shape=shape)


def accumulate(rows: np.ndarray) -> np.ndarray:
    """Cumulative sums along axis 0, in place."""
    if rows.shape[1] < LONG_ROW:
        return np.cumsum(rows, axis=0, dtype=rows.dtype, out=rows)
    for above, row in pairwise(rows):
        row += above
    return rows


def auroc(curve: Curve) -> np.ndarray:
    """Area under each ROC curve (block,): P(positive above negative) + P(tie) / 2."""
    pairs = curve.positives * curve.negatives
    lost = dot(curve.gained, curve.false)
    halved = dot(curve.gained[curve.ties], curve.tied)
    return (pairs - lost + halved / 2) / pairs


def aupr(curve: Curve) -> np.ndarray:
    """Average precision of each resample (block,): the sum of precision times gain in recall.

    As scikit-learn's average_precision_score, without interpolation between operating points.
    """
    # Before the first drawn image nothing is called positive; the step gains nothing there.
    called = np.maximum(curve.true + curve.false, 1)
    precision = np.divide(curve.true, called, dtype=np.float64)
    return dot(curve.gained, precision) / curve.positives


def dot(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The scalar products of the columns of two matrices (steps, block), in float64."""
    return np.einsum("sb,sb->b", one, other, dtype=np.float64)


def sensitivity_at(curve: Curve, points: int) -> np.ndarray:
    """Sensitivity on the grid of `points` equally spaced false positive rates from 0 to 1.

    Linear interpolation of the empirical ROC curve; where it rises vertically, the upper end.
    points: >= 2. Returns (points, block).
    """
    before = curve.false.copy()
    before[curve.ties] -= curve.tied
    # Counts are compared with counts: rounding must not choose between the ends of a vertical rise.
    grid = np.arange(points) * curve.negatives.astype(np.int64)[:, np.newaxis]
    whole = (grid // (points - 1)).astype(before.dtype)
    # How many steps begin at or before each point; the last of them is where it lies.
    rows = zip(before.T.copy(), whole, strict=True)
    begun = np.stack([row.searchsorted(at, side="right") for row, at in rows], axis=1)
    lies = np.maximum(begun - 1, 0)
    true, false, gained, before = (
        np.take_along_axis(values, lies, axis=0).astype(np.float64)
        for values in (curve.true, curve.false, curve.gained, before)
    )
    # Where negatives share the step's score, it rises along their number.
    ahead = np.maximum(false - grid.T / (points - 1), 0) / np.maximum(false - before, 1)
    return np.where(begun, true - gained * ahead, 0) / curve.positives
