"""Calibration and decisions: known answers of scikit-learn and by hand, and what must hold."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from chexviz.evaluation.calibration_measures import (
    assign_bins,
    chance_calibration_error,
    expected_calibration_error,
    fit_temperature,
    recalibrate,
)
from chexviz.evaluation.operating_points import Outcomes, net_benefit, rates, sensitivity_threshold
from chexviz.evaluation.temperature import logits, scale


def draw(seed: int, images: int = 400, temperature: float = 1.0):
    """Labels drawn from probabilities, and the probabilities made too extreme by a temperature."""
    rng = np.random.default_rng(seed)
    z = rng.normal(-1, 1.5, images)
    return (rng.random(images) < expit(z)).astype(int), expit(z * temperature)


def error(labels, scores, bins):
    bin = assign_bins(scores, bins)
    sums = np.bincount(bin, labels), np.bincount(bin, scores)
    return expected_calibration_error(*sums, len(scores))


@pytest.mark.parametrize("seed", range(5))
def test_bins_are_those_of_scikit_learn(seed):
    labels, scores = draw(seed)
    scores = scores.round(2) if seed % 2 else scores  # with ties
    bin = assign_bins(scores, 10)
    images = np.bincount(bin)
    observed, predicted = calibration_curve(labels, scores, n_bins=10, strategy="quantile")
    np.testing.assert_allclose(np.bincount(bin, labels) / images, observed)
    np.testing.assert_allclose(np.bincount(bin, scores) / images, predicted)
    expected = np.sum(images / len(scores) * np.abs(observed - predicted))
    assert error(labels, scores, 10) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(5))
def test_intercept_and_slope_are_those_of_scikit_learn(seed):
    labels, scores = draw(seed, temperature=2.5)
    found = recalibrate(labels, scores, np.arange(len(labels)))
    fit = LogisticRegression(C=np.inf, tol=1e-10).fit(logits(scores)[:, np.newaxis], labels)
    assert found.intercept == pytest.approx(fit.intercept_[0], abs=1e-5)
    assert found.slope == pytest.approx(fit.coef_[0, 0], abs=1e-5)


def test_errors_of_the_slope_cover_the_truth_and_know_of_dependent_images():
    truth, errors, twice = [], [], []
    for seed in range(200):
        labels, scores = draw(seed)
        alone = recalibrate(labels, scores, np.arange(400))
        doubled = recalibrate(np.tile(labels, 2), np.tile(scores, 2), np.tile(np.arange(400), 2))
        truth.append(alone.slope)
        errors.append(alone.slope_error)
        twice.append(doubled.slope_error / alone.slope_error)
    assert np.mean(errors) == pytest.approx(np.std(truth), rel=0.15)
    assert np.allclose(twice, 1)  # an image that is there twice says nothing new
    covered = np.abs(np.array(truth) - 1) < 1.96 * np.array(errors)
    assert 0.90 < covered.mean() < 0.99


def test_no_slope_without_overlap():
    labels = np.array([0, 0, 1, 1])
    for scores in ([0.1, 0.2, 0.7, 0.9], [0.5] * 4):
        assert np.isnan(recalibrate(labels, np.array(scores), np.arange(4))).all()


def test_few_positives_have_the_slope_of_scikit_learn_too():
    """29 images, 2 positive: whole steps of Newton's end at a Hessian of zeros."""
    labels = (np.arange(29) < 2).astype(int)
    scores = expit(np.random.default_rng(6148).normal(-1, 3, 29) + 2 * labels)
    found = recalibrate(labels, scores, np.arange(29))
    fit = LogisticRegression(C=np.inf, tol=1e-10).fit(logits(scores)[:, np.newaxis], labels)
    assert found.intercept == pytest.approx(fit.intercept_[0], abs=1e-5)
    assert found.slope == pytest.approx(fit.coef_[0, 0], abs=1e-5)


def test_an_overlap_that_floating_point_cannot_tell_has_no_slope():
    scores = expit(np.array([-3, -2, 0.5 + 1e-12, 0.5, 2, 3]))
    assert np.isnan(recalibrate(np.array([0, 0, 0, 1, 1, 1]), scores, np.arange(6))).all()


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 40), st.floats(-3, 2), st.floats(-10, 10))
def test_a_slope_is_a_maximum_or_missing_and_never_an_error(seed, images, spread, distance):
    draws = np.random.default_rng(seed)
    labels = (np.arange(images) <= draws.integers(images - 1)).astype(int)
    scores = expit(draws.standard_cauchy(images) * 10**spread + distance * labels)
    found = recalibrate(labels, scores, np.arange(images))
    if not np.isnan(found.slope):
        x = logits(scores)
        wrong = labels - expit(found.intercept + found.slope * x)
        assert abs(wrong.sum()) < 1e-6 * images
        assert abs((wrong * (x - x.mean()) / x.std()).sum()) < 1e-6 * images


def test_temperature_is_found_and_lowers_the_loss():
    labels, scores = draw(1, 20_000, temperature=3.0)
    temperature = fit_temperature(labels, scores)
    assert temperature == pytest.approx(3, rel=0.05)
    best = log_loss(labels, scale(scores, temperature))
    for other in (0.99, 1.01):
        assert best < log_loss(labels, scale(scores, temperature * other))


def test_temperature_needs_both_classes():
    with pytest.raises(ValueError, match="both classes"):
        fit_temperature(np.zeros(5, dtype=int), np.full(5, 0.2))


@settings(max_examples=50)
@given(st.integers(0, 2**32), st.floats(0.2, 5))
def test_scaling_keeps_the_ranking(seed, temperature):
    labels, scores = draw(seed, 50)
    labels[:2] = 0, 1
    assert roc_auc_score(labels, scale(scores, temperature)) == roc_auc_score(labels, scores)


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), min_size=1, max_size=60),
    st.integers(1, 15),
)
def test_ece_is_between_0_and_1_and_no_less_than_the_error_of_the_whole(images, bins):
    labels, scores = np.array([one[0] for one in images]), np.array([one[1] for one in images])
    found = error(labels, scores, bins)
    assert abs(labels.mean() - scores.mean()) - 1e-12 <= found <= 1 + 1e-12
    bin = assign_bins(scores, bins)
    assert set(bin) == set(range(bin.max() + 1))
    assert bin.max() < bins


def test_ece_of_perfect_probabilities_is_what_chance_alone_gives():
    found, chance = [], []
    for seed in range(200):
        labels, scores = draw(seed, 1000)
        found.append(error(labels, scores, 10))
        chance.append(chance_calibration_error(scores, assign_bins(scores, 10)))
    assert np.mean(found) == pytest.approx(np.mean(chance), rel=0.05)
    assert error(*draw(0, 1_000_000), 10) < 0.002


def test_brier_is_the_mean_square():
    labels, scores = draw(3)
    assert brier_score_loss(labels, scores) == pytest.approx(np.mean((scores - labels) ** 2))


@pytest.mark.parametrize(
    ("sensitivity", "threshold"), [(0.9, 0.2), (0.95, 0.1), (0.5, 0.6), (0.05, 1.0), (1.0, 0.1)]
)
def test_threshold_of_a_sensitivity(sensitivity, threshold):
    scores = np.array([*np.arange(1, 11) / 10, 0.05, 0.95])
    labels = np.array([1] * 10 + [0] * 2)
    assert sensitivity_threshold(labels, scores, sensitivity) == threshold


@settings(max_examples=100)
@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 20))
def test_threshold_is_the_highest_that_reaches_the_sensitivity(seed, positives, twentieths):
    scores = np.random.default_rng(seed).random(positives).round(1)
    sensitivity = twentieths / 20
    threshold = sensitivity_threshold(np.ones(positives, dtype=int), scores, sensitivity)
    assert 20 * np.sum(scores >= threshold) >= twentieths * positives
    assert 20 * np.sum(scores > threshold) < twentieths * positives


def test_threshold_needs_a_positive():
    with pytest.raises(ValueError, match="positive"):
        sensitivity_threshold(np.zeros(3, dtype=int), np.zeros(3), 0.9)


def test_rates_and_net_benefit_by_hand():
    # Vickers and Elkin's definition on 80 true and 30 false positives of 1,000 images.
    found = rates(Outcomes(*map(np.float64, (80, 30, 20, 870))))
    np.testing.assert_allclose(found, [0.8, 870 / 900, 80 / 110, 870 / 890])
    assert net_benefit(80, 30, 1000, 0.2) == pytest.approx(0.08 - 0.03 / 4)
    assert np.isnan(rates(Outcomes(*map(np.float64, (0, 0, 5, 5)))))[2]
