"""Paired tests of two models on the same images: bootstrap, DeLong's, and what to make of them."""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import stdtr, stdtrit

from chexviz.evaluation.cases import require_both_classes
from chexviz.evaluation.intervals import mean_spread, normal_quantile, standard_deviation


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


def compare(difference: float, replicates: np.ndarray, confidence: float) -> Comparison:
    """Test a difference of two AUROCs against 0 by its paired bootstrap replicates (B,), B >= 2.

    z = difference / standard deviation of the replicates, p from the normal distribution: the test
    of pROC's roc.test(method="bootstrap", paired=TRUE) (Robin et al., BMC Bioinformatics 2011).
    It does not reject more often for larger B, as a t-test over the replicates does.
    """
    return normal_comparison(difference, standard_deviation(replicates), confidence)


def normal_comparison(difference: float, spread: float, confidence: float) -> Comparison:
    """A difference of standard error `spread`: where its test rejects 0, its interval has none."""
    half = normal_quantile(confidence) * spread
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


def delong(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AUROC of each of k models on the same images, and the covariance of their errors.

    labels: 0 or 1 (n,). scores: (k, n), higher means more likely positive; ties count half.
    Returns the areas (k,) and DeLong's covariance (k, k) (DeLong et al., Biometrics 1988), from
    midranks (Sun and Xu, IEEE Signal Processing Letters 2014). It takes images for independent:
    with several images of a patient the covariance is too small.
    Raises ValueError unless both classes have two images or more.
    """
    positive = labels == 1
    require_both_classes(positive, "images")
    positives, negatives = int(positive.sum()), int((~positive).sum())
    if min(positives, negatives) < 2:
        raise ValueError(f"two images of each class are needed: {positives} positive, {negatives}")
    among_all = midranks(scores)
    # The share of negatives below each positive, and of positives above each negative.
    below = (among_all[:, positive] - midranks(scores[:, positive])) / negatives
    above = 1 - (among_all[:, ~positive] - midranks(scores[:, ~positive])) / positives
    covariance = np.cov(below) / positives + np.cov(above) / negatives
    return below.mean(axis=1), np.atleast_2d(covariance)


def midranks(scores: np.ndarray) -> np.ndarray:
    """Ranks from 1 (k, n) of the scores (k, n) of each model; ties share their mean."""
    return pd.DataFrame(scores).rank(axis=1).to_numpy()
