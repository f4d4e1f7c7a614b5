"""Made scores of a model, as tests of statistics need them."""

import numpy as np


def drawn(count=400, seed=0, levels=None):
    """Labels, probabilities (on `levels` distinct values if given) and patients of two images."""
    draws = np.random.default_rng(seed)
    labels = (draws.random(count) < 0.3).astype(int)
    scores = 1 / (1 + np.exp(-draws.normal(1.2 * labels - 1)))
    if levels:
        scores = np.round(scores * levels) / levels
    return labels, scores, np.arange(count) // 2
