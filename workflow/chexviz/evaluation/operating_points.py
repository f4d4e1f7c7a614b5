"""What follows from a prediction: operating points at a wanted sensitivity, and net benefit."""

from typing import NamedTuple

import numpy as np

THRESHOLDS = np.arange(1, 100) / 100  # probabilities at which one would act


def sensitivity_threshold(labels: np.ndarray, scores: np.ndarray, sensitivity: float) -> float:
    """The highest score t at which the rule `score >= t` finds that fraction of the positives.

    labels: 0 or 1 (n,). scores: (n,). sensitivity: in (0, 1]; what is reached may be higher, by
    less than one positive image or by ties. Raises ValueError if there is no positive.
    """
    positive = np.sort(scores[labels == 1])[::-1]
    if len(positive) == 0:
        raise ValueError("a threshold for a sensitivity needs positive images")
    # The tolerance takes 0.95 x 20 as 19, which floating point may miss.
    wanted = int(np.ceil(sensitivity * len(positive) - 1e-9))
    return float(positive[wanted - 1])


class Outcomes(NamedTuple):
    """Counts of a rule's right and wrong calls; any shape, also weighted."""

    true_positives: np.ndarray
    false_positives: np.ndarray
    false_negatives: np.ndarray
    true_negatives: np.ndarray


def rates(outcomes: Outcomes) -> np.ndarray:
    """RATES (4, ...) of a rule; NaN where there is nothing to take a rate of."""
    tp, fp, fn, tn = outcomes
    with np.errstate(invalid="ignore"):
        return np.stack([tp / (tp + fn), tn / (tn + fp), tp / (tp + fp), tn / (tn + fn)])


def net_benefit(
    true_positives: np.ndarray | float,
    false_positives: np.ndarray | float,
    images: np.ndarray | float,
    threshold: np.ndarray,
) -> np.ndarray:
    """Net benefit of acting where the probability is >= threshold (Vickers and Elkin 2006).

    TP / n - FP / n x threshold / (1 - threshold): true positives per image, less false positives at
    the price that acting at this threshold (in (0, 1)) implies. Arrays that broadcast.
    """
    return (true_positives - false_positives * threshold / (1 - threshold)) / images
