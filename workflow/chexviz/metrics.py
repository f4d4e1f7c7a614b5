"""Thresholds, point metrics, intervals and the paired comparison of two models."""

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array
from scipy.special import stdtr, stdtrit  # scipy.stats takes longer to import than most stages run

from chexviz.bootstrap import Ranking, aupr, auroc, require_both_classes, sensitivity_at
from chexviz.delong import delong

ROC_POINTS = 101


def youden_threshold(labels: np.ndarray, scores: np.ndarray) -> float:
    """The score t that maximises Youden's J of the rule `score >= t` (Youden, Cancer 1950).

    J = sensitivity + specificity - 1. labels: 0 or 1 (n,). scores: (n,). Of several t with the same
    J the lowest is taken: it calls more images positive, and of two equally good rules the one
    that misses fewer patients is preferred. Raises ValueError unless both classes are present.
    """
    positive = labels == 1
    require_both_classes(positive, "images")
    candidates, step = np.unique(scores, return_inverse=True)
    true = np.bincount(step, positive, len(candidates))[::-1].cumsum()[::-1]
    false = np.bincount(step, ~positive, len(candidates))[::-1].cumsum()[::-1]
    # J times both class sizes is an integer, so ties are exact.
    j = true * false[0] - false * true[0]
    return float(candidates[np.argmax(j)])


def cross_entropy(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Binary cross-entropy of each image in nats; labels: 0 or 1 (n,), scores: in [0, 1] (n,).

    A score of exactly 0 or 1 is what a saturated sigmoid rounds to, not certainty: scores are
    clipped by the float64 epsilon, as scikit-learn's log_loss does, so that one image cannot make
    the mean infinite.
    """
    epsilon = np.finfo(np.float64).eps
    scores = np.clip(scores, epsilon, 1 - epsilon)
    return -np.log(np.where(labels == 1, scores, 1 - scores))


class Measures:
    """All that is measured of one model on resamples of its images.

    labels: 0 or 1 (n,). scores: probabilities in [0, 1] (n,). unit: index of each image's unit,
    from 0 without gaps (n,). threshold: an image is called positive if its score >= threshold.
    It stays fixed: intervals are those of the rule as it was chosen.
    Raises ValueError unless both classes are present.
    """

    def __init__(self, labels: np.ndarray, scores: np.ndarray, unit: np.ndarray, threshold: float):
        self.ranking = Ranking(labels, scores, unit)
        called = scores >= threshold
        summands = np.stack(
            [cross_entropy(labels, scores), (labels == 1) & called, (labels == 0) & ~called]
        )
        rows, images = np.nonzero(summands)
        # A sparse product adds in a fixed order; a BLAS may not, and the loss would change its last
        # digit with the number of threads.
        self.sums = csr_array(
            (summands[rows, images], (rows, unit[images])), shape=(len(summands), unit.max() + 1)
        )

    def __call__(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """METRICS (5, block) and sensitivity on the ROC_POINTS grid (101, block) of each resample.

        weights: how often each unit was drawn (units, block); one column of ones is the data.
        """
        curve = self.ranking.curve(weights)
        loss, true_positives, true_negatives = self.sums @ weights
        metrics = [
            loss / (curve.positives + curve.negatives),
            true_positives / curve.positives,
            true_negatives / curve.negatives,
            aupr(curve),
            auroc(curve),
        ]
        return np.stack(metrics), sensitivity_at(curve, ROC_POINTS)


def interval(replicates: np.ndarray, confidence: float) -> np.ndarray:
    """Percentile bootstrap interval over the last axis (..., B); returns low and high (2, ...)."""
    tail = (1 - confidence) / 2
    return np.quantile(replicates, [tail, 1 - tail], axis=-1)


class Comparison(NamedTuple):
    """A paired comparison: the difference, its interval, standard error, test statistic and p."""

    difference: float
    low: float
    high: float
    standard_error: float
    statistic: float
    p: float


def normal_test(difference: float, spread: float) -> tuple[float, float]:
    """z = difference / spread and its two-sided p from the normal distribution.

    A spread of 0: without a difference (models that rank alike) z is 0 and p is 1; with one
    (models that separate the classes perfectly and not at all) z is infinite and p is 0.
    """
    if spread:
        z = difference / spread
    else:
        z = math.copysign(math.inf, difference) if difference else 0.0
    return z, math.erfc(abs(z) / math.sqrt(2))


def standard_deviation(replicates: np.ndarray) -> float:
    """Of replicates (B,), B >= 2; exactly 0 where all are equal, whose mean may round."""
    return float(np.std(replicates, ddof=1)) if np.ptp(replicates) else 0.0


def compare(difference: float, replicates: np.ndarray, confidence: float) -> Comparison:
    """Test a difference of two AUROCs against 0 by its paired bootstrap replicates (B,), B >= 2.

    z = difference / standard deviation of the replicates, p from the normal distribution: the test
    of pROC's roc.test(method="bootstrap", paired=TRUE) (Robin et al., BMC Bioinformatics 2011).
    It does not reject more often for larger B, as a t-test over the replicates does.
    """
    low, high = interval(replicates, confidence)
    spread = standard_deviation(replicates)
    return Comparison(difference, float(low), float(high), spread, *normal_test(difference, spread))


def compare_delong(
    difference: float, labels: np.ndarray, scores: np.ndarray, confidence: float
) -> Comparison:
    """DeLong's paired test of two models; labels: 0 or 1 (n,), scores: (2, n), see `delong`."""
    _, covariance = delong(labels, scores)
    # Of models that rank alike the terms cancel, up to rounding that may be negative.
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    spread = math.sqrt(variance) if variance > 1e-15 * covariance.trace() else 0.0
    half = NormalDist().inv_cdf((1 + confidence) / 2) * spread
    z, p = normal_test(difference, spread)
    return Comparison(difference, difference - half, difference + half, spread, z, p)


def compare_replicates(difference: float, replicates: np.ndarray, confidence: float) -> Comparison:
    """The paired t-test over bootstrap replicates (B,) taken as if they were B observations.

    It is anti-conservative: its standard error shrinks with sqrt(B), a number that the analyst
    chooses, so with enough replicates every difference becomes significant. Shown because a reader
    may take it for what a paper's 'bootstrapping and paired t-tests' means.
    """
    count = len(replicates)
    spread = standard_deviation(replicates) / math.sqrt(count)
    mean = float(replicates.mean())
    half = float(stdtrit(count - 1, (1 + confidence) / 2)) * spread
    if not spread:
        return Comparison(difference, mean, mean, spread, *normal_test(mean, spread))
    p = 2 * float(stdtr(count - 1, -abs(mean / spread)))
    return Comparison(difference, mean - half, mean + half, spread, mean / spread, p)


def non_inferiority(compared: Comparison, margin: float) -> float:
    """One-sided p against a difference of -margin or less; NaN without a standard error.

    Below (1 - confidence) / 2 the whole interval of a normal difference lies above -margin.
    """
    if not compared.standard_error:
        return math.nan
    z = (compared.difference + margin) / compared.standard_error
    return math.erfc(z / math.sqrt(2)) / 2


def holm(p: np.ndarray) -> np.ndarray:
    """p values (m,) corrected so that the chance of any false rejection among them is kept.

    Holm's step-down method (Scandinavian Journal of Statistics 1979); whatever their dependence.
    """
    order = np.argsort(p, kind="stable")
    steps = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(steps, 1)
    return corrected
