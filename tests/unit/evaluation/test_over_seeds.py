"""Several trainings: what is expected of another one."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm, t

from chexviz.evaluation.over_seeds import (
    INTERVAL,
    SPREAD,
    bounds,
    effect,
    expected,
    holm,
    over_seeds,
    uncertainty,
)


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


def seeds_of(differences, errors):
    """The rows of comparisons.csv of so many seeds, each with its own test."""
    differences, errors = np.array(differences), np.array(errors)
    half = norm.ppf(0.975) * errors
    return pd.DataFrame(
        {
            **{"difference": differences, "low": differences - half, "high": differences + half},
            **{"standard_error": errors, "p": 2 * norm.sf(abs(differences / errors))},
        }
    )


def test_one_seed_has_an_interval_and_several_a_spread():
    runs = pd.DataFrame({"auroc": [0.8, 0.9], "low": [0.7, 0.8], "high": [0.85, 0.95]})
    assert list(over_seeds("auroc", runs[:1]).values())[:3] == [0.8, 0.7, 0.85]
    assert np.isnan(over_seeds("auroc", runs[:1])["auroc_sd"])
    found = over_seeds("auroc", runs)
    assert found["auroc"] == pytest.approx(0.85)
    assert found["auroc_sd"] == pytest.approx(0.1 / math.sqrt(2))
    assert np.isnan([found["auroc_low"], found["auroc_high"]]).all()
    assert [uncertainty(1), uncertainty(2)] == [INTERVAL, SPREAD]


def test_a_seed_without_a_number_leaves_none():
    runs = pd.DataFrame([[0.8, 0.7, 0.85], [np.nan, np.nan, np.nan]])
    assert np.isnan(list(over_seeds("auroc", runs).values())).all()


def test_effect_of_one_seed_is_its_own_and_of_several_the_expected():
    one, several = seeds_of([-0.03], [0.01]), seeds_of([-0.03, -0.05, -0.04], [0.006] * 3)
    assert tuple(effect(one, 0.95)) == pytest.approx((-0.03, *one[["low", "high", "p"]].iloc[0]))
    whole = of([-0.03, -0.05, -0.04], 0.006)
    assert effect(several, 0.95) == pytest.approx((-0.04, *whole.interval(0.95), whole.p()))


def test_effect_of_seeds_of_too_few_cases_is_the_difference_alone():
    few = seeds_of([-0.03, -0.05], [np.nan, np.nan])
    assert effect(few, 0.95).difference == pytest.approx(-0.04)
    assert np.isnan(effect(few, 0.95)[1:]).all()


def test_holm_by_hand():
    """0.01 x 4; 0.02 x 3; 0.03 x 2 = 0.06, raised to nothing; 0.9 x 1."""
    found = holm(np.array([0.03, 0.01, 0.9, 0.02]))
    np.testing.assert_allclose(found, [0.06, 0.04, 0.9, 0.06], rtol=1e-12)
    np.testing.assert_array_equal(holm(np.array([0.6, 0.7])), [1, 1])
    assert len(holm(np.array([]))) == 0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.randoms())
def test_holm_rejects_as_its_procedure_does(values, random):
    """Step down: while the smallest p left is at most level / number left, reject it."""
    p = np.array(values)
    corrected = holm(p)
    for level in (0.01, 0.05, 0.5):
        rejected = set()
        for rank, index in enumerate(np.argsort(p, kind="stable")):
            if p[index] * (len(p) - rank) > level:
                break
            rejected.add(index)
        assert set(np.flatnonzero(corrected <= level)) == rejected
    order = list(range(len(p)))
    random.shuffle(order)
    np.testing.assert_array_equal(holm(p[order]), corrected[order])
