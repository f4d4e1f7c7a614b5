"""What precision and power a number of images gives, before anything is measured.

Both models are taken to be equally good and binormal, as in `simulation`: within a class their
scores are normal with variance 1 and a correlation. The variance of an AUROC is then that of
Hanley and McNeil (1982) with exact probabilities of pairs, and the covariance of two models' AUROC
follows by the same sums (Hoeffding 1948). Images are taken for independent.
"""

from math import sqrt
from typing import NamedTuple

from scipy.special import ndtr, ndtri
from scipy.stats import multivariate_normal

POWER = 0.8  # of the smallest difference that is called detectable


class Precision(NamedTuple):
    """half_width: of the AUROC's interval. detectable: the smallest true difference of two models
    that a two-sided test finds with POWER. non_inferior: the power to rule out a loss of the margin
    if there is no difference.
    """

    half_width: float
    detectable: float
    non_inferior: float


def covariance(positives: int, negatives: int, auroc: float, correlation: float) -> float:
    """Of the AUROC of two models on the same images; with correlation 1 the variance of one."""
    shift = float(ndtri(auroc))  # of the difference of a pair of images, in its own SD

    def both(shared: float) -> float:
        """That both models rank a pair rightly, beyond chance, if their differences share this."""
        if shared == 1:
            return float(ndtr(shift)) - auroc**2
        law = multivariate_normal([0, 0], [[1, shared], [shared, 1]])
        return float(law.cdf([shift, shift])) - auroc**2

    one_shared, same_pair = both(correlation / 2), both(correlation)
    total = (positives + negatives - 2) * one_shared + same_pair
    return total / (positives * negatives)


def precision(
    positives: int,
    negatives: int,
    auroc: float,
    correlation: float,
    margin: float,
    confidence: float,
) -> Precision:
    """What so many images give. auroc, correlation: that are planned with.

    confidence: of intervals. Raises ValueError without an image of each class.
    """
    if min(positives, negatives) < 1:
        raise ValueError(f"{positives} positive and {negatives} negative images")
    variance = covariance(positives, negatives, auroc, 1)
    shared = covariance(positives, negatives, auroc, correlation)
    error = sqrt(2 * (variance - shared))
    quantile = float(ndtri(0.5 + confidence / 2))
    return Precision(
        half_width=quantile * sqrt(variance),
        detectable=(quantile + float(ndtri(POWER))) * error,
        non_inferior=float(ndtr(margin / error - quantile)),
    )
