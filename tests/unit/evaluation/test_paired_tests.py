"""Paired tests: DeLong's against every pair of images, the others by hand and against scipy."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import norm, sem, ttest_1samp
from sklearn.metrics import roc_auc_score

from chexviz.evaluation.paired_tests import (
    Comparison,
    compare,
    compare_delong,
    compare_means,
    compare_replicates,
    delong,
    non_inferiority,
)
from chexviz.evaluation.resamples import resamples
from chexviz.evaluation.roc import Ranking, auroc


def literal(labels, scores):
    """DeLong et al. 1988, equations 3 to 6, pair by pair."""
    positives, negatives = scores[:, labels == 1], scores[:, labels == 0]
    above = positives[:, :, np.newaxis] - negatives[:, np.newaxis]
    kernel = np.where(above > 0, 1.0, np.where(above == 0, 0.5, 0.0))
    by_positive, by_negative = kernel.mean(axis=2), kernel.mean(axis=1)
    covariance = np.cov(by_positive) / positives.shape[1] + np.cov(by_negative) / len(negatives.T)
    return kernel.mean(axis=(1, 2)), covariance


def draw(seed, models=2, count=60, levels=None):
    generator = np.random.default_rng(seed)
    labels = (np.arange(count) % 3 == 0).astype(int)
    scores = generator.normal(labels + generator.normal(size=count), size=(models, count))
    return labels, scores if levels is None else np.round(levels * scores) / levels


@pytest.mark.parametrize("levels", [None, 1])
def test_areas_and_covariance_are_those_of_every_pair(levels):
    labels, scores = draw(1, models=3, levels=levels)
    areas, covariance = delong(labels, scores)
    expected_areas, expected = literal(labels, scores)
    np.testing.assert_allclose(areas, expected_areas, rtol=0, atol=1e-14)
    np.testing.assert_allclose(covariance, expected, rtol=0, atol=1e-14)
    sklearn = [roc_auc_score(labels, one) for one in scores]
    np.testing.assert_allclose(areas, sklearn, rtol=0, atol=1e-14)


@settings(max_examples=40)
@given(st.integers(0, 2**32), st.permutations(range(60)))
def test_only_ranks_count(seed, order):
    """Rising transforms and the order of images change nothing; swapped classes give 1 - AUROC."""
    labels, scores = draw(seed, levels=2)
    areas, covariance = delong(labels, scores)
    for found in (
        delong(labels, np.exp(scores) + 7),
        delong(labels[list(order)], scores[:, list(order)]),
    ):
        np.testing.assert_allclose(found[0], areas, atol=1e-13)
        np.testing.assert_allclose(found[1], covariance, atol=1e-13)
    swapped = delong(1 - labels, scores)
    np.testing.assert_allclose(swapped[0], 1 - areas, atol=1e-13)
    np.testing.assert_allclose(swapped[1], covariance, atol=1e-13)


@pytest.mark.parametrize("positives", [0, 1, 3, 4])
def test_too_few_images_of_a_class_are_refused(positives):
    with pytest.raises(ValueError, match="class"):
        delong((np.arange(4) < positives).astype(int), np.ones((2, 4)))


@st.composite
def two_models(draw):
    """Labels with two images or more of both classes, and two models' scores, often tied."""
    count = draw(st.integers(4, 40))
    labels = draw(hnp.arrays(int, count, elements=st.integers(0, 1)))
    labels[draw(st.permutations(range(count)))[:4]] = 0, 1, 0, 1
    few = st.integers(0, 4).map(lambda step: step / 4)
    every = st.floats(0, 1, allow_subnormal=False)
    elements = draw(st.sampled_from([few, every]))
    return labels, draw(hnp.arrays(float, (2, count), elements=elements))


def compared(labels, scores):
    return compare_delong(float(np.subtract(*delong(labels, scores)[0])), labels, scores, 0.95)


@given(two_models())
def test_areas_are_exact_where_ties_are_few_or_many(case):
    labels, scores = case
    areas, covariance = delong(labels, scores)
    expected_areas, expected = literal(labels, scores)
    np.testing.assert_allclose(areas, expected_areas, rtol=0, atol=1e-14)
    np.testing.assert_allclose(covariance, expected, rtol=0, atol=1e-14)


@given(two_models())
def test_swapped_models_or_classes_change_the_sign_alone(case):
    labels, scores = case
    one = compared(labels, scores)
    for other in (compared(labels, scores[::-1]), compared(1 - labels, scores)):
        found = [other.difference, other.low, other.high, other.standard_error]
        expected = [-one.difference, -one.high, -one.low, one.standard_error]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-7)


def test_a_copy_of_every_image_halves_the_variance():
    """Of n - 1 in n: copies tell nothing new, but the test takes them for independent images."""
    labels, scores = draw(3, count=300)
    once = compared(labels, scores)
    twice = compared(np.tile(labels, 2), np.tile(scores, 2))
    assert twice.difference == pytest.approx(once.difference, abs=1e-14)
    assert twice.standard_error**2 == pytest.approx(once.standard_error**2 / 2, rel=0.01)


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
