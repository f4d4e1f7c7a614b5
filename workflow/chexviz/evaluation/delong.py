"""DeLong's test of two correlated AUROCs, in O(n log n)."""

import numpy as np
import pandas as pd

from chexviz.evaluation.roc import require_both_classes


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
