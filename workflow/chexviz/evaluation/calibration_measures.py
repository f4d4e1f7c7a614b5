"""How far to believe probabilities: ECE, temperature, slope, intercept (docs/calibration.md)."""

import math
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit
from scipy.special import logit as log_odds

from chexviz.evaluation.cases import require_both_classes
from chexviz.evaluation.metrics import cross_entropy
from chexviz.evaluation.temperature import logits, scale

TEMPERATURES = (0.01, 100.0)  # beyond, scores are labels or carry nothing


def fit_temperature(labels: np.ndarray, scores: np.ndarray) -> float:
    """The temperature within TEMPERATURES of the lowest cross-entropy (Guo et al., ICML 2017).

    labels: 0 or 1 (n,). scores: probabilities (n,), of images that do not evaluate.
    Raises ValueError unless both classes are present.
    """
    require_both_classes(labels == 1, "images")
    # The loss is convex in 1 / temperature, so over its logarithm it has one minimum.
    best = minimize_scalar(
        lambda log: cross_entropy(labels, scale(scores, math.exp(log))).mean(),
        bounds=np.log(TEMPERATURES),
        method="bounded",
        options={"xatol": 1e-6},
    )
    return math.exp(best.x)


def assign_bins(scores: np.ndarray, bins: int) -> np.ndarray:
    """The bin of equal mass of each score (n,), from 0 without gaps.

    Edges are quantiles, as in scikit-learn's calibration_curve(strategy="quantile"). Equal scores
    share a bin, so bins may be uneven and fewer than asked for.
    """
    edges = np.quantile(scores, np.linspace(0, 1, bins + 1)[1:-1])
    return np.unique(np.searchsorted(edges, scores), return_inverse=True)[1]


def expected_calibration_error(positives: np.ndarray, predicted: np.ndarray, images: int) -> float:
    """ECE: mean over images of their bin's |observed - predicted| rate (Naeini et al., AAAI 2015).

    positives: positive images of each bin (bins,). predicted: sum of its scores (bins,). The
    probability is that of the finding, not of the more likely class as in Guo et al. 2017.
    """
    return float(np.abs(positives - predicted).sum() / images)


def chance_calibration_error(scores: np.ndarray, bin: np.ndarray) -> float:
    """ECE to be expected of these scores if they were the true probabilities of their images.

    ECE cannot be negative, so that of a perfect model is not 0 (Bröcker and Smith 2007). A bin's
    error is then nearly normal with variance sum p (1 - p), and E|x| = sqrt(2 variance / pi).
    """
    variance = np.bincount(bin, scores * (1 - scores))
    return float(np.sqrt(2 / math.pi * variance).sum() / len(scores))


class Recalibration(NamedTuple):
    """Intercept and slope of the log odds of a label on the logit of its score, with errors.

    Perfect probabilities have intercept 0 and slope 1; a slope below 1 says they are too extreme.
    """

    intercept: float
    slope: float
    intercept_error: float
    slope_error: float


def recalibrate(labels: np.ndarray, scores: np.ndarray, unit: np.ndarray) -> Recalibration:
    """Unpenalised logistic regression of the labels on the logits (Cox, Biometrika 1958).

    labels: 0 or 1 (n,). scores: (n,). unit: index of each image's unit (n,); standard errors are
    robust to the dependence of images within a unit (Liang and Zeger 1986). All are NaN where
    there is no maximum, or none that float64 can tell: scores that separate the classes or nearly
    do, or that are all equal.
    """
    x = logits(scores)
    positive, negative = x[labels == 1], x[labels == 0]
    overlap = positive.min() < negative.max() and negative.min() < positive.max()
    if not overlap:
        return Recalibration(*[math.nan] * 4)
    centre, spread = x.mean(), x.std()
    design = np.stack([np.ones(len(x)), (x - centre) / spread], axis=1)
    try:
        weights, hessian = fit_logistic(labels, design)
    except (ValueError, np.linalg.LinAlgError):
        return Recalibration(*[math.nan] * 4)
    residuals = (labels - expit(design @ weights))[:, np.newaxis] * design
    scored = np.stack([np.bincount(unit, column) for column in residuals.T])
    bread = np.linalg.inv(hessian)
    covariance = bread @ (scored @ scored.T) @ bread
    back = np.array([[1, -centre / spread], [0, 1 / spread]])
    errors = np.sqrt(np.diag(back @ covariance @ back.T))
    return Recalibration(*map(float, (*(back @ weights), *errors)))


def fit_logistic(labels: np.ndarray, design: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The weights (k,) of the highest likelihood and the Hessian (k, k) before the last step.

    design: standardised, its first column 1 (n, k). Newton's steps from the mean rate, each halved
    until it gains: of few positives a whole one can go so far that no image has a variance left.
    Raises ValueError if they do not settle, LinAlgError if a Hessian is singular.
    """
    weights = np.array([log_odds(labels.mean()), *[0.0] * (design.shape[1] - 1)])

    def loss(weights: np.ndarray) -> float:
        return float(np.logaddexp(0, (1 - 2 * labels) * (design @ weights)).sum())

    for _ in range(100):
        fitted = expit(design @ weights)
        hessian = np.einsum("n,ni,nj->ij", fitted * (1 - fitted), design, design)
        step = np.linalg.solve(hessian, design.T @ (labels - fitted))
        highest = loss(weights) * (1 + 1e-12)  # what is more is no rounding
        while loss(weights + step) > highest:
            step /= 2
        weights += step
        if np.abs(step).max() < 1e-10:
            return weights, hessian
    raise ValueError("the likelihood has no maximum that Newton's steps reach")
