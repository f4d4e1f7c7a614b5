import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm, pearsonr, sem, ttest_1samp
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
    correlation_interval,
    newcombe,
    percentile_interval,
    ratio_interval,
    wilson,
)
from chexviz.evaluation.metrics import (
    MEASURED,
    ROC_POINTS,
    Measures,
    cross_entropy,
    youden_threshold,
)
from chexviz.evaluation.paired_tests import (
    Comparison,
    compare,
    compare_delong,
    compare_means,
    compare_replicates,
    non_inferiority,
)
from chexviz.evaluation.resamples import positive_units, resamples
from chexviz.evaluation.roc import Ranking, auroc

EXACT = {"rtol": 0, "atol": 1e-12}


def drawn(count=400, seed=0, levels=None):
    """Labels, probabilities (on `levels` distinct values if given) and patients of two images."""
    draws = np.random.default_rng(seed)
    labels = (draws.random(count) < 0.3).astype(int)
    scores = 1 / (1 + np.exp(-draws.normal(1.2 * labels - 1)))
    if levels:
        scores = np.round(scores * levels) / levels
    return labels, scores, np.arange(count) // 2


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


def test_comparison_by_hand():
    replicates = np.array([0.01, 0.02, 0.03, 0.04, 0.05])
    result = compare(0.03, replicates, 0.5)
    assert result.standard_error == pytest.approx(math.sqrt(2.5e-4), rel=1e-12)
    assert result.statistic == pytest.approx(0.03 / math.sqrt(2.5e-4), rel=1e-12)
    assert result.p == pytest.approx(2 * norm.sf(result.statistic), rel=1e-12)
    half = norm.ppf(0.75) * math.sqrt(2.5e-4)
    assert (result.low, result.high) == pytest.approx((0.03 - half, 0.03 + half), rel=1e-12)


@given(
    st.floats(-0.5, 0.5),
    st.lists(st.floats(-0.5, 0.5), min_size=2, max_size=30),
    st.sampled_from([0.9, 0.95, 0.99]),
)
def test_an_interval_excludes_zero_where_its_test_rejects_it(difference, replicates, confidence):
    found = compare(difference, np.array(replicates), confidence)
    if abs(found.p - (1 - confidence)) > 1e-9:
        assert (found.p < 1 - confidence) == (not found.low <= 0 <= found.high)


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


def test_a_mean_of_few_is_tested_as_the_paired_t_test_does():
    draws, rejected = np.random.default_rng(2), 0
    for _ in range(1000):
        values = draws.normal(size=10)
        replicates = values[draws.integers(10, size=(400, 10))].mean(axis=1)
        found = compare_means(values.mean(), replicates, 10, 0.95)
        rejected += found.p < 0.05
        assert found.standard_error == pytest.approx(sem(values), rel=0.2)
    # Nominal is 50, the standard error 7; the normal distribution would reject 96.
    assert 30 <= rejected <= 70


def test_comparison_is_antisymmetric():
    replicates = np.random.default_rng(0).normal(0.01, 0.02, 500)
    one, other = compare(0.012, replicates, 0.95), compare(-0.012, -replicates, 0.95)
    assert other.statistic == -one.statistic
    assert other.p == one.p
    assert (other.low, other.high) == pytest.approx((-one.high, -one.low), rel=1e-12)


def test_comparison_without_spread():
    same = compare(0.0, np.zeros(100), 0.95)
    assert same == (0, 0, 0, 0, 0, 1)
    # 0.1 has no exact mean over 100 replicates; the spread is 0 all the same.
    constant = compare(-0.1, np.full(100, -0.1), 0.95)
    assert (constant.standard_error, constant.statistic, constant.p) == (0, -math.inf, 0)


def test_the_test_keeps_its_size_whatever_the_number_of_replicates():
    """Two models that are equally good: about 5 % of tests reject, for few and many replicates."""
    draws = np.random.default_rng(9)
    labels, unit = (np.arange(200) < 60).astype(int), np.arange(200)
    rejected = {100: 0, 1000: 0}
    for _ in range(300):
        shared = draws.normal(labels)
        models = [Ranking(labels, shared + draws.normal(size=200) / 2, unit) for _ in range(2)]
        areas = [
            np.stack([auroc(model.curve(weights)) for model in models])
            for weights in [np.ones((200, 1)), *resamples(labels == 1, 1000, draws)]
        ]
        difference, *replicates = np.subtract(*np.hstack(areas))
        for count in rejected:
            rejected[count] += compare(difference, np.array(replicates[:count]), 0.95).p < 0.05
    # Nominal is 15 of 300 with a standard error of 3.8; the t-test over the replicates rejects
    # more than 200 of them.
    assert all(4 <= count <= 28 for count in rejected.values()), rejected


def test_delong_of_models_that_rank_alike_finds_no_difference():
    labels = np.arange(40) % 2
    score = np.random.default_rng(5).random(40)
    found = compare_delong(0.0, labels, np.stack([score, score**3]), 0.95)
    assert found == (0, 0, 0, 0, 0, 1)


def test_the_literal_t_test_is_scipys_and_shrinks_with_the_number_of_replicates():
    replicates = np.random.default_rng(6).normal(0.01, 0.02, 500)
    found = compare_replicates(0.01, replicates, 0.95)
    expected = ttest_1samp(replicates, 0)
    bounds = expected.confidence_interval(0.95)
    assert (found.statistic, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert (found.low, found.high) == pytest.approx((bounds.low, bounds.high))
    more = compare_replicates(0.01, np.tile(replicates, 4), 0.95)
    assert more.standard_error == pytest.approx(found.standard_error / 2, rel=0.01)
    assert compare_replicates(0, np.zeros(9), 0.95).p == 1


def test_non_inferiority_by_hand():
    """A loss of 0.01 with standard error 0.02, margin 0.05: z = 2."""
    compared = Comparison(-0.01, -0.05, 0.03, 0.02, -0.5, 0.6)
    assert non_inferiority(compared, 0.05) == pytest.approx(norm.sf(2), rel=1e-12)
    assert math.isnan(non_inferiority(Comparison(0, 0, 0, 0, 0, 1), 0.05))


@given(st.floats(-0.2, 0.2), st.floats(1e-4, 0.1), st.floats(0.001, 0.2))
def test_non_inferiority_is_what_a_normal_interval_says(difference, error, margin):
    low = difference + norm.ppf(0.025) * error
    p = non_inferiority(Comparison(difference, low, np.nan, error, np.nan, np.nan), margin)
    if abs(low + margin) > 1e-9:
        assert (p < 0.025) == (low > -margin)
