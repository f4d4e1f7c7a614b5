"""The precision that a size gives: against Hanley and McNeil, DeLong's variance, and simulation."""

from math import sqrt

import numpy as np
import pytest
from scipy.special import ndtri
from scipy.stats import norm

from chexviz.evaluation.planning import POWER, covariance, precision
from chexviz.evaluation.simulation import Simulation, draw_study

PLANNED = {"auroc": 0.85, "correlation": 0.75, "margin": 0.05, "confidence": 0.95}


def areas(positives: int, negatives: int, auroc: float, correlation: float, studies: int):
    """AUROC of two binormal models in simulated studies (studies, 2)."""
    images = positives + negatives
    settings = Simulation(
        **{"repetitions": 1, "images": images, "prevalence": positives / images},
        **{"auroc": auroc, "correlation": correlation, "seed": 1},
    )
    generator = np.random.default_rng(11)
    found = []
    for _ in range(studies):
        labels, scores = draw_study(settings, generator)
        above = scores[:, labels == 1][:, :, None] > scores[:, labels == 0][:, None, :]
        found.append(above.mean(axis=(1, 2)))
    return np.array(found)


def test_variance_and_covariance_are_those_of_simulated_studies():
    found = areas(40, 120, 0.85, 0.75, 4000)
    expected = covariance(40, 120, 0.85, 1), covariance(40, 120, 0.85, 0.75)
    covariances = np.cov(found.T)
    # The Monte Carlo error of a variance of 4,000 is 2.2 %.
    assert covariances[0, 0] == pytest.approx(expected[0], rel=0.07)
    assert covariances[1, 1] == pytest.approx(expected[0], rel=0.07)
    assert covariances[0, 1] == pytest.approx(expected[1], rel=0.07)
    difference = found[:, 0] - found[:, 1]
    assert difference.var() == pytest.approx(2 * (expected[0] - expected[1]), rel=0.07)


def test_the_standard_error_is_near_the_published_example():
    """Hanley and McNeil 1982: 0.893 of 51 and 58 images has 0.032 by their exponential model."""
    assert sqrt(covariance(51, 58, 0.893, 1)) == pytest.approx(0.032, abs=0.0025)


def test_an_auroc_of_a_half_has_the_variance_of_mann_and_whitney():
    """(P + N + 1) / (12 P N), whatever the distribution."""
    for positives, negatives in ((3, 7), (20, 80), (460, 1663)):
        exact = (positives + negatives + 1) / (12 * positives * negatives)
        assert covariance(positives, negatives, 0.5, 1) == pytest.approx(exact, rel=1e-4)


def test_the_power_of_a_difference_is_that_of_simulated_studies():
    """460 of 2,123 images, AUROC 0.82: 71 % of 400 simulated studies found a difference of 0.02."""
    error = sqrt(2 * (covariance(460, 1663, 0.82, 1) - covariance(460, 1663, 0.82, 0.75)))
    power = norm.cdf(0.02 / error - norm.ppf(0.975))
    assert power == pytest.approx(0.71, abs=3 * sqrt(0.71 * 0.29 / 400))


def test_interval_detectable_difference_and_power_follow_from_the_standard_errors():
    found = precision(460, 1663, **PLANNED | {"auroc": 0.82})
    error = sqrt(2 * (covariance(460, 1663, 0.82, 1) - covariance(460, 1663, 0.82, 0.75)))
    assert found.half_width == pytest.approx(1.96 * sqrt(covariance(460, 1663, 0.82, 1)), rel=1e-4)
    assert found.detectable / error == pytest.approx(1.96 + 0.8416, rel=1e-3)
    # A loss of the margin that is detectable with POWER is ruled out with POWER if there is none.
    exact = precision(460, 1663, **PLANNED | {"auroc": 0.82, "margin": found.detectable})
    assert exact.non_inferior == pytest.approx(POWER, abs=1e-6)


def test_more_images_are_more_precise_and_equal_scores_differ_by_nothing():
    few, many = precision(20, 80, **PLANNED), precision(200, 800, **PLANNED)
    assert many.half_width < few.half_width / 3
    assert many.detectable < few.detectable / 3
    assert few.non_inferior < many.non_inferior
    alike = [precision(20, 80, **PLANNED | {"correlation": one}) for one in (0.5, 0.9)]
    assert alike[1].detectable < alike[0].detectable
    assert alike[1].half_width == alike[0].half_width
    assert float(ndtri(0.5 + 0.95 / 2)) == pytest.approx(1.96, abs=1e-3)


def test_a_class_without_images_is_refused():
    with pytest.raises(ValueError, match="0 positive and 5 negative"):
        precision(0, 5, **PLANNED)
