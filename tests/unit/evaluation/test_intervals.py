"""Intervals from bootstrap replicates: by hand, on their scales, and how often they are right."""

import math

import numpy as np
import pytest
from scipy.stats import norm, pearsonr

from chexviz.evaluation.intervals import (
    correlation_interval,
    percentile_interval,
    ratio_interval,
)
from chexviz.evaluation.resamples import resamples
from chexviz.evaluation.roc import Ranking, auroc


def test_interval_is_the_percentiles_of_the_last_axis():
    replicates = np.stack([np.arange(1001.0), 2 * np.arange(1001.0)])
    low, high = percentile_interval(replicates, 0.9)
    np.testing.assert_allclose(low, [50, 100], rtol=1e-12)
    np.testing.assert_allclose(high, [950, 1900], rtol=1e-12)


def test_intervals_cover_the_true_area():
    """300 data sets of two normal classes one apart, whose AUROC is Phi(1 / sqrt(2)) exactly."""
    truth, covered = norm.cdf(1 / np.sqrt(2)), 0
    draws = np.random.default_rng(8)
    labels, unit = (np.arange(150) < 50).astype(int), np.arange(150)
    for _ in range(300):
        ranking = Ranking(labels, draws.normal(labels), unit)
        blocks = resamples(labels == 1, 400, draws)
        low, high = percentile_interval(np.hstack([auroc(ranking.curve(w)) for w in blocks]), 0.95)
        covered += low <= truth <= high
    # Nominal is 285; the Monte Carlo standard error is 3.8, and percentile intervals of so few
    # positives are known to be a little short. 85 % or 99.7 % coverage would fail.
    assert 272 <= covered <= 297


def test_ratios_and_correlations_have_the_intervals_of_their_scales():
    """A ratio twice and half as large, and Fisher's z as scipy has it of 28 pairs."""
    replicates = np.array([-1.0, 1.0]) / math.sqrt(2)  # of standard deviation 1
    deviation = 3 * math.log(2) / norm.ppf(0.975)
    found = ratio_interval(3.0, deviation * replicates, 0.95)
    assert found == pytest.approx((1.5, 6), rel=1e-12)
    one, two = np.random.default_rng(4).normal(size=(2, 28)) + np.linspace(0, 2, 28)
    expected = pearsonr(one, two)
    spread = (1 - expected.statistic**2) / math.sqrt(28 - 3)
    found = correlation_interval(expected.statistic, spread * replicates, 0.95)
    assert found == pytest.approx(tuple(expected.confidence_interval(0.95)), abs=1e-12)
