"""Probabilities and their log odds, divided by a temperature. Light: who applies one fits none."""

import numpy as np
from scipy.special import expit
from scipy.special import logit as log_odds


def logits(scores: np.ndarray) -> np.ndarray:
    """Log odds of probabilities in [0, 1] (n,), clipped as in metrics.cross_entropy."""
    epsilon = np.finfo(np.float64).eps
    return log_odds(np.clip(scores, epsilon, 1 - epsilon))


def scale(scores: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities (n,) with their logits divided by the temperature (Guo et al. 2017)."""
    return expit(logits(scores) / temperature)
