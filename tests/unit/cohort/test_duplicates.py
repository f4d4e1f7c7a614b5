"""Near-identical images are found, and others are not."""

import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chexviz.base.tables.study import DUPLICATES
from chexviz.cohort import duplicates
from chexviz.cohort.duplicates import close_pairs, equalised, thumbnail
from made_hashes import made_hashes, pairs_compared


def brute_force(hashes: np.ndarray, radius: int) -> set[tuple[int, int]]:
    distance = np.bitwise_count(hashes[:, None] ^ hashes[None, :])
    return {(int(a), int(b)) for a, b in np.argwhere(distance <= radius) if a < b}


@settings(max_examples=50)
@given(
    st.lists(st.integers(0, 2**64 - 1), max_size=12),
    st.lists(st.lists(st.integers(0, 63), max_size=10), max_size=6),
    st.integers(0, 10),
)
def test_close_pairs_are_those_of_comparing_all_with_all(values, flips, radius):
    changed = [
        values[number % len(values)] ^ sum(1 << bit for bit in set(bits))
        for number, bits in enumerate(flips)
        if values
    ]
    hashes = np.array(values + changed, dtype=np.uint64)
    found = close_pairs(hashes, radius)
    assert {tuple(pair) for pair in found.tolist()} == brute_force(hashes, radius)
    assert len(found) == len({tuple(pair) for pair in found.tolist()})


@pytest.mark.parametrize("count", [500, 3000])
@pytest.mark.parametrize("radius", [0, 4, 8, 12])
def test_close_pairs_of_chests_are_those_of_comparing_all_with_all(count, radius):
    hashes = made_hashes(count, seed=0)
    hashes = np.r_[hashes, hashes[:20] ^ np.uint64(0b1001)]
    found = close_pairs(hashes, radius)
    expected = brute_force(hashes, radius)
    assert (len(expected) >= 20) == (radius > 0)
    assert {tuple(pair) for pair in found.tolist()} == expected
    assert len(found) == len(expected)


@pytest.mark.parametrize("chosen", range(5))
def test_every_number_of_agreeing_groups_finds_the_same_pairs(monkeypatch, chosen):
    hashes = np.r_[made_hashes(2000, seed=1), np.zeros(5, dtype=np.uint64)]
    monkeypatch.setattr(duplicates, "agreeing_groups", lambda count, radius: chosen)
    found = close_pairs(hashes, 8)
    assert {tuple(pair) for pair in found.tolist()} == brute_force(hashes, 8)
    assert len(found) == len(brute_force(hashes, 8)) > 20


def test_forty_thousand_chests_take_less_than_a_minute():
    """Ten that are there a hundred times each, as black images would be, do no harm."""
    hashes = np.r_[made_hashes(39_000, seed=2), np.repeat(made_hashes(10, seed=3), 100)]
    start = time.process_time()
    found = close_pairs(hashes, 8)
    assert time.process_time() - start < 60
    assert (np.bitwise_count(hashes[found[:, 0]] ^ hashes[found[:, 1]]) <= 8).all()
    assert len(found) > 40_000


def test_a_small_and_shrinking_share_of_all_pairs_is_compared():
    """Four times as many hashes have 16 times as many pairs: less than 10 times are looked at.

    From 20,000 to 40,000 as many groups agree, so all of the gain comes after that.
    """
    compared = {
        count: pairs_compared(close_pairs, made_hashes(count, seed=0), 8)
        for count in (20_000, 40_000, 80_000)
    }
    assert compared[20_000] < 20_000**2 / 2 / 10
    assert compared[40_000] < 40_000**2 / 2 / 10
    assert compared[80_000] < 80_000**2 / 2 / 20
    assert compared[80_000] < 10 * compared[20_000]


def test_comparing_all_with_all_is_counted_as_that(monkeypatch):
    monkeypatch.setattr(duplicates, "agreeing_groups", lambda count, radius: 0)
    hashes = made_hashes(300, seed=0)
    assert pairs_compared(close_pairs, hashes, 8) >= 300 * 299 / 2


def test_equalised_ignores_brightness_and_contrast():
    draws = np.random.default_rng(0)
    image, other = draws.integers(60, 180, (2, 96, 96)).astype(np.uint8)
    changed = (image * 0.7 + 30).astype(np.uint8)
    black = np.full((64, 64), 7, dtype=np.uint8)
    small = equalised(np.stack([thumbnail(one) for one in (image, changed, other, black)]))
    assert np.abs(small[0] - small[1]).mean() < 2
    assert np.abs(small[0] - small[2]).mean() > 30
    assert np.isfinite(small).all()


@pytest.fixture
def sites():
    """Two sites: image b of `south` is a copy of a of `north`; c has the hash of a only."""
    draws = np.random.default_rng(1)
    north = draws.integers(0, 255, (2, 64, 64)).astype(np.uint8)
    south = draws.integers(0, 255, (2, 64, 64)).astype(np.uint8)
    south[0] = north[0]
    samples = [
        pd.DataFrame({"image": ["a", "z"], "phash": ["0f" * 8, "f0" * 8], "sha256": ["1", "2"]}),
        pd.DataFrame(
            {"image": ["b", "c"], "phash": ["0f" * 7 + "0e", "0f" * 8], "sha256": ["1", "4"]}
        ),
    ]
    return ["north", "south"], samples, [north, south]


def test_a_pair_needs_the_hash_and_the_pixels(sites):
    found = duplicates.find(*sites, duplicates.Nearness(hamming=8, difference=6.0))
    assert found.values.tolist() == [["north", "a", "south", "b", 1, 0.0, True]]


def test_no_pair_is_an_empty_table_with_its_header(sites):
    found = duplicates.find(*sites, duplicates.Nearness(hamming=0, difference=6.0))
    assert list(found.columns) == DUPLICATES.names
    assert found.empty
