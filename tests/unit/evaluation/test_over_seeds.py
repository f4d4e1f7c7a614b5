"""Several trainings: what is expected of another one."""

import math

import numpy as np
import pytest
from scipy.stats import norm, t

from chexviz.evaluation.over_seeds import bounds, expected


def of(differences, error=0.008):
    return expected(np.array(differences), np.full(len(differences), error))


def test_one_training_is_tested_as_it_is():
    one = of([0.01], 0.004)
    assert one.p() == pytest.approx(2 * norm.sf(2.5))
    assert one.p_non_inferior(0.02) == pytest.approx(norm.sf(7.5))
    assert one.interval(0.95) == pytest.approx((0.01 - 0.00784, 0.01 + 0.00784), abs=1e-6)


def test_one_bad_training_is_not_outvoted():
    """Two of three lose nothing: a rule that takes the middle p value says 'not inferior'."""
    bad = of([0.001, -0.005, -0.261])
    assert bad.p_non_inferior(0.05) > 0.5
    assert bad.p() > 0.3


def test_trainings_that_contradict_each_other_show_no_difference():
    """Each alone is significant, in opposite directions."""
    assert of([0.043]).p() < 0.001
    assert of([-0.046]).p() < 0.001
    assert of([0.043, -0.046]).p() > 0.9


def test_by_hand():
    found = of([-0.03, -0.05, -0.04], 0.006)
    variance = 0.006**2 + 0.01**2 / 3
    freedom = 2 * (variance / (0.01**2 / 3)) ** 2
    assert found == pytest.approx((-0.04, math.sqrt(variance), freedom))
    statistic = -0.04 / math.sqrt(variance)
    assert found.p() == pytest.approx(2 * t.sf(-statistic, freedom))
    low, high = found.interval(0.95)
    assert (low + high) / 2 == pytest.approx(-0.04)
    assert high - low == pytest.approx(2 * t.ppf(0.975, freedom) * math.sqrt(variance))


def test_trainings_that_agree_leave_the_error_of_the_images():
    assert of([-0.02, -0.02]) == pytest.approx((-0.02, 0.008, math.inf))


def test_a_training_that_could_not_be_tested_leaves_no_test():
    found = expected(np.array([0.1, 0.2]), np.array([0.01, np.nan]))
    assert np.isnan([found.p(), found.p_non_inferior(0.05), *found.interval(0.95)]).all()


def test_models_that_rank_alike_do_not_differ_and_are_not_called_inferior():
    alike = of([0.0], 0.0)
    assert alike.p() == 1
    assert math.isnan(alike.p_non_inferior(0.05))
    assert of([-0.1], 0.0).p() == 0


def test_the_test_keeps_its_size_where_trainings_vary():
    """Of two equally good methods, with noise of images and of trainings, about 5 % differ."""
    draws, rejected = np.random.default_rng(0), 0
    for _ in range(2000):
        differences = draws.normal(0, 0.01) + draws.normal(0, 0.02, 3)
        rejected += expected(differences, np.full(3, 0.01)).p() < 0.05
    # The Monte Carlo standard error is 10. The normal distribution would reject 13 %.
    assert 70 <= rejected <= 135


def test_bounds_of_a_mean_are_those_of_the_expected_value():
    """Symmetric intervals as `expected` has them; an interval's own sides with one training."""
    values, error = np.array([-0.03, -0.05, -0.04]), 0.006
    half = norm.ppf(0.975) * error
    runs = np.column_stack([values, values - half, values + half])
    assert bounds(runs, 0.95) == pytest.approx(of(values, error).interval(0.95))
    assert bounds(np.array([[0.8, 0.7, 0.85]]), 0.95) == pytest.approx((0.7, 0.85))
    assert np.isnan(bounds(np.array([[0.8, np.nan, np.nan]]), 0.95)).all()


def test_bounds_hold_the_expected_value_where_trainings_vary():
    """95 of 100; without the variance between trainings 62. The standard error is 0.5 points."""
    draws, held = np.random.default_rng(2), 0
    for _ in range(2000):
        values = draws.normal(0, 0.01) + draws.normal(0, 0.02, 3)
        runs = np.column_stack([values, values - 0.0196, values + 0.0196])
        low, high = bounds(runs, 0.95)
        held += low <= 0 <= high
    assert 0.93 < held / 2000 < 0.975
