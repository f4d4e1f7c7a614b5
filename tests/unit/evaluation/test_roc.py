import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from chexviz.evaluation.resamples import positive_units, resamples
from chexviz.evaluation.roc import Ranking, aupr, auroc, sensitivity_at

EXACT = {"rtol": 0, "atol": 1e-12}


@st.composite
def scored_images(draw):
    """Labels with both classes, and scores: from few values (heavy ties) or from all floats."""
    count = draw(st.integers(2, 40))
    labels = draw(hnp.arrays(int, count, elements=st.integers(0, 1)))
    labels[draw(st.permutations(range(count)))[:2]] = 0, 1
    few = st.integers(0, 4).map(lambda step: step / 4)
    every = st.floats(0, 1, allow_subnormal=False)
    return labels, draw(hnp.arrays(float, count, elements=draw(st.sampled_from([few, every]))))


@st.composite
def weighted_images(draw):
    """Scored images in units of one or more, and a weight for each unit that keeps both classes."""
    labels, scores = draw(scored_images())
    unit = np.sort(draw(hnp.arrays(int, len(labels), elements=st.integers(0, len(labels) - 1))))
    unit = np.unique(unit, return_inverse=True)[1]
    weights = draw(hnp.arrays(int, int(unit.max()) + 1, elements=st.integers(0, 5)))
    weights[unit[[labels.argmin(), labels.argmax()]]] += 1
    return labels, scores, unit, weights


def measured(labels, scores, unit=None, weights=None):
    """AUROC, AUPR and the sensitivities of one weight vector, by our code."""
    unit = np.arange(len(labels)) if unit is None else unit
    weights = np.ones(unit.max() + 1) if weights is None else weights
    curve = Ranking(labels, scores, unit).curve(weights[:, np.newaxis].astype(float))
    return auroc(curve).item(), aupr(curve).item(), sensitivity_at(curve, 101)[:, 0]


@given(weighted_images())
def test_a_weight_is_a_repetition(case):
    labels, scores, unit, weights = case
    repeated = np.repeat(np.arange(len(labels)), weights[unit])
    area, precision, _ = measured(labels, scores, unit, weights)
    np.testing.assert_allclose(area, roc_auc_score(labels[repeated], scores[repeated]), **EXACT)
    expected = average_precision_score(labels[repeated], scores[repeated])
    np.testing.assert_allclose(precision, expected, **EXACT)


@given(weighted_images())
def test_sensitivities_lie_on_scikit_learns_curve(case):
    labels, scores, unit, weights = case
    repeated = np.repeat(np.arange(len(labels)), weights[unit])
    fpr, tpr, _ = roc_curve(labels[repeated], scores[repeated], drop_intermediate=False)
    sensitivities = measured(labels, scores, unit, weights)[2]
    negatives = (labels[repeated] == 0).sum()
    # In hundredths of negatives both are integers: a vertical rise is met exactly or not at all.
    hundredths = np.rint(fpr * negatives) * 100
    expected = np.interp(np.arange(101) * negatives, hundredths, tpr)
    np.testing.assert_allclose(sensitivities, expected, **EXACT)


@given(scored_images())
def test_strictly_increasing_transforms_change_nothing(case):
    labels, scores = case
    ranks = np.unique(scores, return_inverse=True)[1]
    for one, other in zip(measured(labels, scores), measured(labels, ranks**3 - 7.0), strict=True):
        np.testing.assert_array_equal(one, other)


@given(scored_images())
def test_reversed_scores_mirror_the_area(case):
    labels, scores = case
    mirrored = 1 - measured(labels, -scores)[0]
    np.testing.assert_allclose(measured(labels, scores)[0], mirrored, **EXACT)


@given(scored_images(), st.integers(2, 4))
def test_repeating_every_image_changes_nothing(case, times):
    labels, scores = case
    repeated = measured(labels, scores, weights=np.full(len(labels), times))
    for one, other in zip(measured(labels, scores), repeated, strict=True):
        np.testing.assert_allclose(one, other, **EXACT)


def test_known_answers_by_hand():
    # Pairs: 0.8 beats 0.6 and 0.2; 0.6 ties 0.6 and beats 0.2; so (2 + 1.5) / 4.
    labels, scores = np.array([1, 1, 0, 0]), np.array([0.8, 0.6, 0.6, 0.2])
    area, precision, sensitivities = measured(labels, scores)
    assert area == 3.5 / 4
    # Recall 1/2 at precision 1, then 1/2 more at precision 2/3.
    assert precision == pytest.approx(1 / 2 + 1 / 3, abs=1e-15)
    # Straight up to (0, 1/2), then across the tie to (1/2, 1), then along the top.
    np.testing.assert_allclose(
        sensitivities[[0, 10, 25, 50, 51, 100]], [0.5, 0.6, 0.75, 1, 1, 1], **EXACT
    )


def test_all_scores_equal_is_chance():
    labels = np.array([0, 1, 0, 0, 1])
    area, precision, sensitivities = measured(labels, np.full(5, 0.3))
    assert (area, precision) == (0.5, 0.4)
    np.testing.assert_allclose(sensitivities, np.linspace(0, 1, 101), **EXACT)


def test_a_block_is_its_columns():
    draws = np.random.default_rng(5)
    labels, scores = np.arange(300) % 4 == 0, draws.integers(0, 30, 300) / 30
    unit = np.arange(300) // 3
    ranking = Ranking(labels.astype(int), scores, unit)
    weights = draws.integers(0, 4, (100, 17)).astype(float)
    block = ranking.curve(weights)
    for column in range(17):
        single = ranking.curve(weights[:, [column]])
        assert auroc(block)[column] == auroc(single).item()
        np.testing.assert_allclose(aupr(block)[column], aupr(single).item(), **EXACT)
        grid = sensitivity_at(block, 101)[:, [column]]
        np.testing.assert_array_equal(grid, sensitivity_at(single, 101))


@pytest.mark.parametrize("count", [5_336, 50_000, 400_000])
def test_memory_is_bounded(count):
    """40 MB, or 200 bytes for each of very many images."""
    labels = np.arange(count) % 2
    ranking = Ranking(labels, np.random.default_rng(0).random(count), np.arange(count))
    blocks = resamples(labels == 1, 10**9, np.random.default_rng(0))
    tracemalloc.start()
    curve = ranking.curve(next(blocks))
    auroc(curve), aupr(curve)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < max(40e6, 200 * count)


@pytest.mark.parametrize("unit", [np.arange(70_000), np.arange(90_000) // 300])
def test_counts_beyond_16_bits_are_exact(unit):
    draws = np.random.default_rng(2)
    labels = (unit % 3 == 0).astype(int)
    scores = np.round(draws.normal(labels), 1)
    weights = next(resamples(positive_units(labels, unit), 2, draws))
    curve = Ranking(labels, scores, unit).curve(weights)
    for column in range(2):
        repeated = np.repeat(np.arange(len(labels)), weights[unit, column])
        expected = roc_auc_score(labels[repeated], scores[repeated])
        np.testing.assert_allclose(auroc(curve)[column], expected, **EXACT)
        expected = average_precision_score(labels[repeated], scores[repeated])
        np.testing.assert_allclose(aupr(curve)[column], expected, **EXACT)


def test_one_image_per_patient_is_the_image_bootstrap():
    draws = np.random.default_rng(3)
    labels = (draws.random(200) < 0.3).astype(int)
    scores = draws.random(200) + 0.3 * labels

    def areas(unit):
        ranking, positive = Ranking(labels, scores, unit), positive_units(labels, unit)
        return np.hstack(
            [
                auroc(ranking.curve(weights))
                for weights in resamples(positive, 4000, np.random.default_rng(4))
            ]
        )

    image, renumbered = areas(np.arange(200)), areas(draws.permutation(200))
    # Another numbering draws other patients, from the same distribution: 4,000 replicates give the
    # standard error to 1.1 % each, so 5 standard errors of the ratio are 8 %.
    assert (image != renumbered).any()
    assert renumbered.std() / image.std() == pytest.approx(1, abs=0.08)
    assert renumbered.mean() == pytest.approx(image.mean(), abs=5 * image.std() / np.sqrt(2000))


def test_correlated_images_of_a_patient_widen_the_patient_bootstrap():
    draws = np.random.default_rng(6)
    unit = np.repeat(np.arange(100), 5)
    labels = (unit % 4 == 0).astype(int)
    scores = (draws.normal(size=100) + np.arange(100) % 4 / -3)[unit]

    def error(unit):
        ranking, positive = Ranking(labels, scores, unit), positive_units(labels, unit)
        blocks = resamples(positive, 1000, np.random.default_rng(7))
        return np.std(np.hstack([auroc(ranking.curve(weights)) for weights in blocks]))

    # Five equal images of a patient carry the information of one: sqrt(5) = 2.2 times the error.
    assert error(unit) / error(np.arange(500)) == pytest.approx(np.sqrt(5), rel=0.2)


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_is_refused(label):
    labels = np.full(3, label)
    counts = f"{3 * label} are positive, {3 - 3 * label} negative"
    with pytest.raises(ValueError, match=f"images of both classes are needed: {counts}"):
        Ranking(labels, np.array([0.1, 0.2, 0.3]), np.arange(3))
    with pytest.raises(ValueError, match=f"units of both classes are needed: {counts}"):
        next(resamples(labels == 1, 10, np.random.default_rng(0)))
