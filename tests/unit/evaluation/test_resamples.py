"""Resamples of units: how often each is drawn, whatever the size of the blocks."""

import numpy as np
import pytest
from scipy.stats import chisquare

from chexviz.evaluation import resamples as module
from chexviz.evaluation.cases import class_units
from chexviz.evaluation.resamples import (
    positive_units,
    resamples,
    resamples_drawn_singly,
    unstratified_resamples,
)


def collect(positive, replicates, seed=0):
    return np.hstack(list(resamples(positive, replicates, np.random.default_rng(seed))))


def test_resamples_keep_both_strata_and_are_integers():
    positive = np.random.default_rng(1).random(500) < 0.2
    weights = collect(positive, 300)
    assert weights.shape == (500, 300)
    assert (weights == weights.astype(int)).all()
    assert (weights >= 0).all()
    assert (weights[positive].sum(axis=0) == positive.sum()).all()
    assert (weights[~positive].sum(axis=0) == (~positive).sum()).all()


def test_units_are_drawn_alike_and_as_a_multinomial():
    positive = np.arange(40) < 10
    weights = collect(positive, 20_000)
    for stratum in (positive, ~positive):
        size, drawn = stratum.sum(), weights[stratum]
        assert chisquare(drawn.sum(axis=1)).pvalue > 1e-4
        # Multinomial: variance 1 - 1/n, covariance -1/n; the mean of n x 20,000 squares is within
        # 5 standard errors (sqrt(2 / 200,000) each) of it.
        assert drawn.var(axis=1).mean() == pytest.approx(1 - 1 / size, abs=0.02)
        covariance = np.cov(drawn)[~np.eye(size, dtype=bool)].mean()
        assert covariance == pytest.approx(-1 / size, abs=0.005)
    # Strata are drawn from streams of their own.
    assert abs(np.corrcoef(weights[0], weights[10])[0, 1]) < 0.04


def test_resamples_do_not_depend_on_blocks_and_fewer_are_the_first_of_more(monkeypatch):
    positive = np.arange(101) % 3 == 0
    whole = collect(positive, 50)
    np.testing.assert_array_equal(collect(positive, 20), whole[:, :20])
    for values in (1, 101 * 8, 101 * 49):
        monkeypatch.setattr(module, "BLOCK_VALUES", values)
        np.testing.assert_array_equal(collect(positive, 50), whole)


@pytest.mark.parametrize("draw", [unstratified_resamples, resamples_drawn_singly])
def test_without_strata_the_units_alone_are_as_many(monkeypatch, draw):
    def drawn(replicates):
        return np.hstack(list(draw(101, replicates, np.random.default_rng(3))))

    whole = drawn(5000)
    assert whole.shape == (101, 5000)
    assert (whole.sum(axis=0) == 101).all()
    assert chisquare(whole.sum(axis=1)).pvalue > 1e-4
    assert whole.var(axis=1).mean() == pytest.approx(1 - 1 / 101, abs=0.02)
    monkeypatch.setattr(module, "BLOCK_VALUES", 101 * 16)
    np.testing.assert_array_equal(drawn(50), whole[:, :50])


def test_single_draws_are_those_of_one_resample_after_the_other():
    found = np.hstack(list(resamples_drawn_singly(37, 60, np.random.default_rng(3))))
    generator = np.random.default_rng(3)
    for resample in found.T:
        drawn = np.bincount(generator.integers(37, size=37), minlength=37)
        np.testing.assert_array_equal(resample, drawn)


def test_memory_of_a_block_does_not_grow_with_images_or_replicates():
    for count in (1_000, 50_000):
        weights = next(resamples(np.arange(count) % 2 == 0, 10**9, np.random.default_rng(0)))
        assert weights.size <= module.BLOCK_VALUES


def test_seeds_differ():
    positive = np.arange(60) % 2 == 0
    assert (collect(positive, 5, seed=1) != collect(positive, 5, seed=2)).any()


def test_a_patient_is_positive_if_any_of_its_images_is():
    labels, unit = np.array([0, 1, 0, 0, 0, 1]), np.array([0, 0, 1, 1, 2, 3])
    np.testing.assert_array_equal(positive_units(labels, unit), [True, False, False, True])
    # The first patient is a case of both classes; an image without a label is of none.
    assert class_units(labels, unit) == (2, 3)
    assert class_units(np.where(unit == 3, np.nan, labels), unit) == (1, 3)
