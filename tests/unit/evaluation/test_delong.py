import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import roc_auc_score

from chexviz.evaluation.paired_tests import compare_delong, delong


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
