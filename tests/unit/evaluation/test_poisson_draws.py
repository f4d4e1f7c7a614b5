from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, chisquare, multinomial, poisson

from chexviz.evaluation import poisson_draws
from chexviz.evaluation.poisson_draws import LARGEST, Draws, poisson_table


@given(st.floats(1e-3, 1))
def test_a_byte_and_its_remainder_make_a_poisson_count(mean):
    thresholds, remainder = poisson_table(mean)
    bytes_of = np.zeros(LARGEST + 1)
    bytes_of[: len(thresholds)] = np.diff([0, *thresholds])
    probability = (bytes_of + (256 - thresholds[-1]) * np.diff(remainder, prepend=0)) / 256
    expected = poisson.pmf(np.arange(LARGEST + 1), mean)
    np.testing.assert_allclose(probability, expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("spare", [0, 3, 30])
@pytest.mark.parametrize("size", [2, 3, 4])
def test_resamples_are_multinomial(monkeypatch, size, spare):
    """All outcomes of a few units, also where many draws are taken back (0) or missing (30)."""
    monkeypatch.setattr(poisson_draws, "SPARE", spare)
    counts = Draws(size, np.random.default_rng(size)).take(2500)
    outcomes = [one for one in product(range(size + 1), repeat=size) if sum(one) == size]
    seen = [(one == counts.T).all(axis=1).sum() for one in outcomes]
    expected = multinomial.pmf(outcomes, size, np.full(size, 1 / size)) * counts.shape[1]
    assert sum(seen) == counts.shape[1]
    assert chisquare(seen, expected).pvalue > 1e-4


def test_a_single_unit_is_always_drawn():
    assert (Draws(1, np.random.default_rng(0)).take(5) == 1).all()


@pytest.mark.parametrize("spare", [0, 3])
def test_many_units_are_drawn_as_often_as_single_draws_would(monkeypatch, spare):
    monkeypatch.setattr(poisson_draws, "SPARE", spare)
    size = 1205
    counts = Draws(size, np.random.default_rng(spare)).take(25)
    assert (counts.sum(axis=0, dtype=int) == size).all()
    # The draws of all resamples together are draws of one unit out of `size` too.
    assert chisquare(counts.sum(axis=1, dtype=int)).pvalue > 1e-4
    seen = np.bincount(counts.ravel(), minlength=LARGEST)[:7]
    expected = binom.pmf(np.arange(7), size, 1 / size) * counts.size
    expected *= seen.sum() / expected.sum()
    assert chisquare(seen, expected).pvalue > 1e-4


def test_resamples_are_independent_of_each_other():
    counts = Draws(5000, np.random.default_rng(1)).take(4)
    correlations = np.corrcoef(counts.T)[np.triu_indices(counts.shape[1], 1)]
    # 496 pairs of 5,000 units: standard deviation 1 / sqrt(5,000) each.
    assert np.abs(correlations).max() < 5 / np.sqrt(5000)
    assert np.abs(correlations).mean() == pytest.approx(np.sqrt(2 / np.pi / 5000), rel=0.2)


@pytest.mark.parametrize("spare", [0, 3])
@pytest.mark.parametrize("size", [1, 7, 101])
def test_resamples_do_not_depend_on_how_many_are_taken_at_a_time(monkeypatch, size, spare):
    monkeypatch.setattr(poisson_draws, "SPARE", spare)
    whole = Draws(size, np.random.default_rng(2)).take(12)
    monkeypatch.setattr(poisson_draws, "CACHED_BYTES", 5 * 8 * size)
    parts = Draws(size, np.random.default_rng(2))
    taken = [parts.take(octets) for octets in (1, 3, 8)]
    np.testing.assert_array_equal(np.hstack(taken), whole)
