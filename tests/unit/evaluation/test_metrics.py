import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from scipy.stats import t as student
from sklearn.metrics import (
    average_precision_score,
    confusion_matrix,
    log_loss,
    roc_auc_score,
    roc_curve,
)

from chexviz.base.tables.evaluation import METRICS
from chexviz.evaluation.intervals import (
    newcombe,
    wilson,
)
from chexviz.evaluation.metrics import (
    MEASURED,
    ROC_POINTS,
    Measures,
    cross_entropy,
    youden_threshold,
)
from chexviz.evaluation.resamples import positive_units, resamples
from chexviz.evaluation.roc import Ranking, auroc
from made_scores import drawn

EXACT = {"rtol": 0, "atol": 1e-12}


def test_youden_by_hand():
    # J at >= 0.9: 1/2; >= 0.6: 1/2 - 1/3; >= 0.5: 1 - 1/3; >= 0.2: 1 - 2/3; >= 0.1: 0.
    labels, scores = np.array([1, 0, 1, 0, 0]), np.array([0.9, 0.6, 0.5, 0.2, 0.1])
    assert youden_threshold(labels, scores) == 0.5


def test_youden_takes_the_lowest_of_equal_thresholds():
    # J is 1/2 at >= 0.8 (1 of 2, none of 2) and again at >= 0.3 (2 of 2, 1 of 2).
    labels, scores = np.array([1, 0, 1, 0]), np.array([0.8, 0.5, 0.3, 0.1])
    assert youden_threshold(labels, scores) == 0.3
    # J is 0 everywhere: chance calls every image positive.
    assert youden_threshold(np.array([1, 0]), np.array([0.4, 0.4])) == 0.4


@given(st.integers(0, 10_000), st.sampled_from([None, 3, 20]))
def test_youden_reaches_the_maximum_of_scikit_learns_curve(seed, levels):
    labels, scores, _ = drawn(50, seed, levels)
    labels[:2] = 0, 1
    called = scores >= youden_threshold(labels, scores)
    reached = called[labels == 1].mean() - called[labels == 0].mean()
    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    assert reached == pytest.approx((tpr - fpr).max(), abs=1e-12)


def test_youden_refuses_one_class():
    with pytest.raises(ValueError, match="2 are positive, 0 negative"):
        youden_threshold(np.array([1, 1]), np.array([0.1, 0.2]))


def test_cross_entropy_is_log_loss_and_finite_for_certain_scores():
    labels, scores, _ = drawn()
    assert cross_entropy(labels, scores).mean() == pytest.approx(
        log_loss(labels, scores), abs=1e-12
    )
    labels, scores = np.array([0, 1, 0, 1]), np.array([1.0, 0.0, 0.0, 1.0])
    losses = cross_entropy(labels, scores)
    np.testing.assert_allclose(losses[:2], -np.log(np.finfo(float).eps), rtol=1e-12)
    np.testing.assert_allclose(losses[2:], 0, atol=1e-15)


@pytest.mark.parametrize("levels", [None, 10])
def test_measures_are_scikit_learns_on_each_resample(levels):
    labels, scores, unit = drawn(levels=levels)
    threshold = youden_threshold(labels, scores)
    positive = positive_units(labels, unit)
    weights = next(resamples(positive, 25, np.random.default_rng(1)))
    weights[:, 0] = 1
    measured, sensitivities = Measures(labels, scores, unit, threshold)(weights)
    assert measured.shape == (len(METRICS), 25)
    assert sensitivities.shape == (ROC_POINTS, 25)
    for column in range(25):
        repeated = np.repeat(np.arange(len(labels)), weights[unit, column].astype(int))
        truth, score = labels[repeated], scores[repeated]
        (tn, fp), (fn, tp) = confusion_matrix(truth, score >= threshold)
        expected = {
            "loss": log_loss(truth, score),
            "sensitivity": tp / (tp + fn),
            "specificity": tn / (tn + fp),
            "aupr": average_precision_score(truth, score),
            "auroc": roc_auc_score(truth, score),
        }
        np.testing.assert_allclose(measured[:, column], [expected[m] for m in METRICS], **EXACT)


@pytest.mark.parametrize("levels", [None, 7])
def test_without_a_threshold_each_resample_chooses_its_own(levels):
    labels, scores, patient = drawn(200, 3, levels)
    weights = next(resamples(positive_units(labels, patient), 40, np.random.default_rng(0)))
    metrics, _ = Measures(labels, scores, patient, None)(weights)
    for column, times in enumerate(weights.T):
        repeated = np.repeat(np.arange(200), np.repeat(times, 2))
        threshold = youden_threshold(labels[repeated], scores[repeated])
        fixed = Measures(labels, scores, patient, threshold)(times[:, np.newaxis])[0][:, 0]
        np.testing.assert_allclose(metrics[:, column], fixed, **EXACT)


def test_a_score_equal_to_the_threshold_is_called_positive():
    labels, scores = np.array([1, 1, 0, 0]), np.array([0.5, 0.4, 0.5, 0.4])
    measured, _ = Measures(labels, scores, np.arange(4), 0.5)(np.ones((4, 1)))
    assert measured[[*METRICS].index("sensitivity"), 0] == 0.5
    assert measured[[*METRICS].index("specificity"), 0] == 0.5


def test_intervals_of_rates_are_wilsons():
    """Newcombe (Stat. Med. 1998), table I, method 3."""
    for cases, trials, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605)):
        assert wilson(cases / trials, trials, 0.95) == pytest.approx((low, high), abs=5e-5)
    assert wilson(0.0, 20, 0.95) == pytest.approx((0, 0.1611), abs=5e-5)
    assert wilson(1.0, 29, 0.95) == pytest.approx((0.8830, 1), abs=5e-5)


def test_the_interval_of_a_rate_is_that_of_as_many_images_as_would_vary_so_much():
    """Of independent images those that there are; of pairs that agree half of them."""
    draws = np.random.default_rng(0)
    for each in (1, 2):
        replicates = draws.binomial(100 // each, 0.8, 20_000) * each / 100
        found = MEASURED["sensitivity"].interval(0.8, replicates, (100 // each, 50), 0.95)
        assert found == pytest.approx(wilson(0.8, 100 / each, 0.95), abs=2e-3)
    certain = MEASURED["specificity"].interval(1.0, np.ones(50), (10, 40), 0.95)
    assert certain == wilson(1.0, 40, 0.95)


def test_areas_are_symmetric_on_the_scale_of_the_logit():
    replicates = np.array([0.85, 0.95])
    for metric in ("auroc", "aupr"):
        low, high = MEASURED[metric].interval(0.9, replicates, (10, 90), 0.95)
        both = np.log([low / (1 - low), high / (1 - high)])
        assert both.mean() == pytest.approx(math.log(9))
        # Student's t of the 10 positives, whose resampled spread lacks sqrt(9 / 10).
        half = student.ppf(0.975, 9) * math.sqrt(0.005 * 10 / 9) / 0.09
        assert both[1] - both[0] == pytest.approx(2 * half)


@pytest.mark.parametrize("cases", [(2, 2), (10, 90), (40, 110), (460, 1663), (3, 100_000)])
def test_no_perfect_area_is_a_point(cases):
    low, high = newcombe(1.0, *cases, 0.95)
    assert high == 1
    # With both classes of m units the lowest area is about 1 - z^2 / (2 m) or below.
    assert 0 < low < 1 - 0.5 / max(cases)
    assert newcombe(0.0, *cases, 0.95) == pytest.approx((0, 1 - low))


def test_one_case_of_a_class_has_the_interval_of_its_number():
    found = MEASURED["auroc"].interval(0.9, np.array([0.85, 0.95]), (1, 90), 0.95)
    assert 0 < found[0] < 0.5 < found[1] < 1
    assert found == MEASURED["auroc"].interval(0.9, np.full(2, 0.9), (1, 90), 0.95)


def test_a_perfect_model_is_not_certain():
    low, high = MEASURED["auroc"].interval(1.0, np.ones(50), (10, 90), 0.95)
    # The lowest area whose own standard error (Hanley and McNeil 1982) reaches to 1.
    q1, q2 = low / (2 - low), 2 * low**2 / (1 + low)
    shared = 49 * (q1 + q2 - 2 * low**2)  # both classes as large as their mean
    error = math.sqrt((low * (1 - low) + shared) / 900)
    assert (low + norm.ppf(0.975) * error, high) == pytest.approx((1, 1))
    assert MEASURED["auroc"].interval(0.0, np.zeros(50), (10, 90), 0.95) == pytest.approx(
        (0, 1 - low)
    )
    assert MEASURED["aupr"].interval(1.0, np.ones(50), (10, 90), 0.95) == wilson(1.0, 10, 0.95)


@pytest.mark.parametrize("area", [0.82, 0.95])
def test_areas_of_few_positives_are_covered(area):
    """100 images, 10 of them positive: percentiles hold the truth in 90 and 84 % of samples."""
    draws, repetitions, separation = np.random.default_rng(1), 400, math.sqrt(2) * norm.ppf(area)
    labels, covered = np.repeat([1, 0], [10, 90]), 0
    for _ in range(repetitions):
        scores = draws.normal(separation * labels)
        ranking = Ranking(labels, scores, np.arange(100))
        values = np.hstack([auroc(ranking.curve(w)) for w in resamples(labels == 1, 200, draws)])
        value = auroc(ranking.curve(np.ones((100, 1))))[0]
        low, high = MEASURED["auroc"].interval(value, values, (10, 90), 0.95)
        covered += low <= area <= high
    # 95 %, 4 standard errors of 1.1 points below; percentiles would fail.
    assert 0.905 * repetitions <= covered <= 0.99 * repetitions
