"""From bootstrap replicates to how sure a number is: the bounds of its interval."""

import math
from statistics import NormalDist

import numpy as np

# scipy.stats takes longer to import than most stages run.
from scipy.special import expit, logit, stdtrit


def standard_deviation(replicates: np.ndarray) -> float:
    """Of replicates (B,), B >= 2; exactly 0 where all are equal, whose mean may round."""
    return float(np.std(replicates, ddof=1)) if np.ptp(replicates) else 0.0


def percentile_interval(replicates: np.ndarray, confidence: float) -> np.ndarray:
    """Percentile bootstrap interval over the last axis (..., B); returns low and high (2, ...)."""
    tail = (1 - confidence) / 2
    return np.quantile(replicates, [tail, 1 - tail], axis=-1)


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
