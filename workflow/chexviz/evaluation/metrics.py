"""Thresholds, point metrics, intervals and the paired comparison of two models."""

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

# scipy.stats takes longer to import than most stages run.
from scipy.special import expit, logit, stdtr, stdtrit

from chexviz.evaluation.delong import delong
from chexviz.evaluation.roc import Curve, Ranking, aupr, auroc, require_both_classes, sensitivity_at

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


def youden_counts(curve: Curve) -> tuple[np.ndarray, np.ndarray]:
    """Weight of true positives and of true negatives at each resample's own Youden threshold.

    Both (block,). Of several thresholds the lowest, as in `youden_threshold`.
    """
    true, false = curve.true.astype(np.float64), curve.false.astype(np.float64)
    j = true * curve.negatives - false * curve.positives
    lowest = (len(j) - 1 - j[::-1].argmax(axis=0))[np.newaxis]
    false_positives = np.take_along_axis(false, lowest, axis=0)[0]
    return np.take_along_axis(true, lowest, axis=0)[0], curve.negatives - false_positives


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
    from 0 without gaps (n,). threshold: an image is called positive if its score >= threshold;
    None: Youden's, which each resample chooses anew, as another sample would.
    Raises ValueError unless both classes are present.
    """

    def __init__(
        self, labels: np.ndarray, scores: np.ndarray, unit: np.ndarray, threshold: float | None
    ):
        self.ranking = Ranking(labels, scores, unit)
        summands = [cross_entropy(labels, scores)]
        if threshold is not None:
            called = scores >= threshold
            summands += [(labels == 1) & called, (labels == 0) & ~called]
        rows, images = np.nonzero(summands)
        # A sparse product adds in a fixed order; a BLAS may not, and the loss would change its last
        # digit with the number of threads.
        self.sums = csr_array(
            (np.stack(summands)[rows, images], (rows, unit[images])),
            shape=(len(summands), unit.max() + 1),
        )

    def __call__(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """METRICS (5, block) and sensitivity on the ROC_POINTS grid (101, block) of each resample.

        weights: how often each unit was drawn (units, block); one column of ones is the data.
        """
        curve = self.ranking.curve(weights)
        loss, *correct = self.sums @ weights
        true_positives, true_negatives = correct or youden_counts(curve)
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


def metric_interval(
    metric: str, value: float, replicates: np.ndarray, cases: tuple[int, int], confidence: float
) -> tuple[float, float]:
    """Low and high of one of METRICS, from its bootstrap replicates (B,).

    cases: how many units (patients) have a positive and a negative image. AUROC and AUPR: symmetric
    on the scale of the logit, where they are closer to normal, with the spread and Student's t of
    as many units as the smaller class has (`mean_interval`); the simulation of `coverage` shows how
    often these hold the truth. Sensitivity and specificity: `rate_interval`. Loss: percentiles.
    Where all replicates agree, at 0 or 1, an interval of the number of cases, since a bootstrap
    cannot tell that from certainty.
    """
    positive, negative = cases
    if metric == "loss":
        low, high = interval(replicates, confidence)
        return float(low), float(high)
    if metric in ("sensitivity", "specificity"):
        count = positive if metric == "sensitivity" else negative
        return rate_interval(value, replicates, count, confidence)
    if min(cases) > 1 and 0 < value < 1 and np.ptp(replicates):
        return mean_interval(value, replicates, min(cases), confidence)
    if metric == "aupr":
        return wilson(value, positive, confidence)
    return newcombe(value, positive, negative, confidence)


def rate_interval(
    value: float, replicates: np.ndarray, units: int, confidence: float
) -> tuple[float, float]:
    """Low and high of a share in [0, 1], from its bootstrap replicates (B,).

    Wilson's interval of as many images as would vary so much, which is the design effect of units
    (patients) with several images; of the number of units where the replicates do not vary.
    """
    spread = standard_deviation(replicates)
    varies = spread > 0 and 0 < value < 1
    return wilson(value, value * (1 - value) / spread**2 if varies else units, confidence)


def ratio_interval(value: float, replicates: np.ndarray, confidence: float) -> tuple[float, float]:
    """Low and high of a ratio or expected count > 0: symmetric on the scale of the logarithm.

    Its standard error there is that of the replicates (B,) divided by the value (delta method).
    """
    reach = math.exp(normal_quantile(confidence) * standard_deviation(replicates) / value)
    return value / reach, value * reach


def correlation_interval(
    value: float, replicates: np.ndarray, confidence: float
) -> tuple[float, float]:
    """Low and high of a correlation in (-1, 1): symmetric on Fisher's scale, its arctanh."""
    spread = standard_deviation(replicates) / (1 - value**2)  # delta method
    center, half = math.atanh(value), normal_quantile(confidence) * spread
    return math.tanh(center - half), math.tanh(center + half)


def normal_quantile(confidence: float) -> float:
    """How many standard errors a two-sided interval reaches on either side."""
    return NormalDist().inv_cdf((1 + confidence) / 2)


def logit_interval(value: float, spread: float, quantile: float) -> tuple[float, float]:
    """An interval of a value in (0, 1) that is symmetric on the scale of the logit.

    spread: its standard error, > 0. quantile: standard errors on either side.
    """
    center, half = logit(value), quantile * spread / (value * (1 - value))
    return float(expit(center - half)), float(expit(center + half))


def wilson(share: float, count: float, confidence: float) -> tuple[float, float]:
    """Wilson's interval of a share of `count` trials (JASA 1927), which may be no whole number."""
    z = normal_quantile(confidence)
    middle = share + z**2 / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2)
    scale = 1 + z**2 / count
    # Of 0 and 1 the near end is the share itself, which rounding could miss.
    low, high = min(share, (middle - half) / scale), max(share, (middle + half) / scale)
    return max(0.0, low), min(1.0, high)


def newcombe(area: float, positive: int, negative: int, confidence: float) -> tuple[float, float]:
    """An interval of an AUROC that is also one of 0 or 1 (Newcombe, Stat. Med. 2006, method 5).

    It holds all areas whose standard error, by the variance of Hanley and McNeil (Radiology 1982)
    with both classes' numbers averaged, reaches to the one that was found. Images are independent.
    """
    from scipy.optimize import brentq  # which takes long to import, for what is rare

    z, mean = normal_quantile(confidence), (positive + negative) / 2 - 1

    def excess(true: float) -> float:
        shape = 1 + mean * ((1 - true) / (2 - true) + true / (1 + true))
        return (true - area) ** 2 - z**2 * true * (1 - true) * shape / (positive * negative)

    # 0 and 1 are solutions too, of an area that is 0 or 1; the other one is wanted.
    low = brentq(excess, 0, min(area, 1 - 1e-9)) if area > 0 else 0.0
    return float(low), float(brentq(excess, max(area, 1e-9), 1) if area < 1 else 1.0)


class Comparison(NamedTuple):
    """A paired comparison: the difference, its interval, standard error, test statistic and p."""

    difference: float
    low: float
    high: float
    standard_error: float
    statistic: float
    p: float


def untested(compared: Comparison) -> Comparison:
    """The difference alone, where too few cases tell how sure it is."""
    return Comparison(compared.difference, *[math.nan] * 5)


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
    return normal_comparison(difference, standard_deviation(replicates), confidence)


def normal_comparison(difference: float, spread: float, confidence: float) -> Comparison:
    """A difference of standard error `spread`: where its test rejects 0, its interval has none."""
    half = NormalDist().inv_cdf((1 + confidence) / 2) * spread
    z, p = normal_test(difference, spread)
    return Comparison(difference, difference - half, difference + half, spread, z, p)


def compare_delong(
    difference: float, labels: np.ndarray, scores: np.ndarray, confidence: float
) -> Comparison:
    """DeLong's paired test of two models; labels: 0 or 1 (n,), scores: (2, n), see `delong`."""
    _, covariance = delong(labels, scores)
    # Of models that rank alike the terms cancel, up to rounding that may be negative.
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    spread = math.sqrt(variance) if variance > 1e-15 * covariance.trace() else 0.0
    return normal_comparison(difference, spread, confidence)


def compare_means(
    difference: float, replicates: np.ndarray, units: int, confidence: float
) -> Comparison:
    """Test a mean difference of few units (patients) against 0 by its bootstrap replicates (B,).

    Student's t with units - 1 degrees of freedom: of one image a unit the paired t-test, up to the
    Monte Carlo error. The normal distribution rejects 9 % of true null hypotheses at 10 units.
    """
    spread, quantile = mean_spread(replicates, units, confidence)
    half = quantile * spread
    t, p = normal_test(difference, spread)
    if spread:
        p = 2 * float(stdtr(units - 1, -abs(t)))
    return Comparison(difference, difference - half, difference + half, spread, t, p)


def mean_interval(
    value: float, replicates: np.ndarray, units: int, confidence: float
) -> tuple[float, float]:
    """Low and high of a value in (0, 1) that averages few units, of which not all are alike."""
    return logit_interval(value, *mean_spread(replicates, units, confidence))


def mean_spread(replicates: np.ndarray, units: int, confidence: float) -> tuple[float, float]:
    """The standard error of a mean of units, and how many of them an interval reaches.

    replicates: bootstrap means (B,), which vary less than the mean does by sqrt(1 - 1 / units).
    """
    spread = standard_deviation(replicates) * math.sqrt(units / (units - 1))
    return spread, float(stdtrit(units - 1, (1 + confidence) / 2))


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
    if not compared.standard_error > 0:  # NaN neither
        return math.nan
    z = (compared.difference + margin) / compared.standard_error
    return math.erfc(z / math.sqrt(2)) / 2
