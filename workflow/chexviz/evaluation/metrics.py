"""Thresholds, and the metrics of Table 1: how each is computed, and how sure it is."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array

from chexviz.base.tables.evaluation import METRICS
from chexviz.evaluation.cases import require_both_classes
from chexviz.evaluation.intervals import (
    mean_interval,
    newcombe,
    percentile_interval,
    rate_interval,
    wilson,
)
from chexviz.evaluation.roc import Curve, Ranking, aupr, auroc, sensitivity_at

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


# --- metrics -------------------------------------------------------------------------------------


class Resampled(NamedTuple):
    """A model on a block of resamples, as its metrics see it.

    curve: its ROC curves. loss: sum of the cross-entropies (block,). true_positives,
    true_negatives: weight of the images of each class that are called so (block,).
    """

    curve: Curve
    loss: np.ndarray
    true_positives: np.ndarray
    true_negatives: np.ndarray

    @property
    def images(self) -> np.ndarray:
        """The total weight (block,)."""
        return self.curve.positives + self.curve.negatives


class Metric(NamedTuple):
    """How a metric is computed, and how sure it is.

    values: of a block of resamples (block,). interval: low and high, from the value, its bootstrap
    replicates (B,), how many units (patients) have a positive and a negative image, and the
    confidence.
    """

    values: Callable[[Resampled], np.ndarray]
    interval: Callable[[float, np.ndarray, tuple[int, int], float], tuple[float, float]]


def loss_interval(
    value: float, replicates: np.ndarray, cases: tuple[int, int], confidence: float
) -> tuple[float, float]:
    """Percentiles of the replicates (B,); of the loss."""
    low, high = percentile_interval(replicates, confidence)
    return float(low), float(high)


def sensitivity_interval(
    value: float, replicates: np.ndarray, cases: tuple[int, int], confidence: float
) -> tuple[float, float]:
    """That of a share of the positive images, see `rate_interval`."""
    return rate_interval(value, replicates, cases[0], confidence)


def specificity_interval(
    value: float, replicates: np.ndarray, cases: tuple[int, int], confidence: float
) -> tuple[float, float]:
    """That of a share of the negative images, see `rate_interval`."""
    return rate_interval(value, replicates, cases[1], confidence)


def aupr_interval(
    value: float, replicates: np.ndarray, cases: tuple[int, int], confidence: float
) -> tuple[float, float]:
    """As `auroc_interval`; Wilson's of as many trials as positive cases where nothing varies."""
    if varies(value, replicates, cases):
        return mean_interval(value, replicates, min(cases), confidence)
    return wilson(value, cases[0], confidence)


def auroc_interval(
    value: float, replicates: np.ndarray, cases: tuple[int, int], confidence: float
) -> tuple[float, float]:
    """Symmetric on the scale of the logit, where an AUROC is closer to normal.

    With the spread and Student's t of as many units as the smaller class has (`mean_interval`); the
    simulation of `coverage` shows how often it holds the truth. Where all replicates agree, at 0
    or 1, an interval of the number of cases, since a bootstrap cannot tell that from certainty.
    """
    if varies(value, replicates, cases):
        return mean_interval(value, replicates, min(cases), confidence)
    return newcombe(value, *cases, confidence)


def varies(value: float, replicates: np.ndarray, cases: tuple[int, int]) -> bool:
    """Whether the replicates (B,) tell how sure a value in [0, 1] is."""
    return bool(min(cases) > 1 and 0 < value < 1 and np.ptp(replicates))


MEASURED: dict[str, Metric] = {  # all of METRICS, in any order
    "loss": Metric(lambda found: found.loss / found.images, loss_interval),
    "sensitivity": Metric(
        lambda found: found.true_positives / found.curve.positives, sensitivity_interval
    ),
    "specificity": Metric(
        lambda found: found.true_negatives / found.curve.negatives, specificity_interval
    ),
    "aupr": Metric(lambda found: aupr(found.curve), aupr_interval),
    "auroc": Metric(lambda found: auroc(found.curve), auroc_interval),
}


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
        """METRICS (metrics, block) and sensitivity on the grid (ROC_POINTS, block) of resamples.

        weights: how often each unit was drawn (units, block); one column of ones is the data.
        """
        curve = self.ranking.curve(weights)
        loss, *correct = self.sums @ weights
        true_positives, true_negatives = correct or youden_counts(curve)
        found = Resampled(curve, loss, true_positives, true_negatives)
        metrics = [MEASURED[name].values(found) for name in METRICS]
        return np.stack(metrics), sensitivity_at(curve, ROC_POINTS)
