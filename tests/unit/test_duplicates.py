"""Near-identical images are found, and others are not."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chexviz import duplicates
from chexviz.duplicates import close_pairs, equalised


def brute_force(hashes: np.ndarray, radius: int) -> set[tuple[int, int]]:
    distance = np.bitwise_count(hashes[:, None] ^ hashes[None, :])
    return {(int(a), int(b)) for a, b in np.argwhere(distance <= radius) if a < b}


@settings(max_examples=50, deadline=None)
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


def test_equalised_ignores_brightness_and_contrast():
    draws = np.random.default_rng(0)
    image = draws.integers(60, 180, (96, 96)).astype(np.uint8)
    changed = (image * 0.7 + 30).astype(np.uint8)
    assert np.abs(equalised(image) - equalised(changed)).mean() < 2
    other = draws.integers(60, 180, (96, 96)).astype(np.uint8)
    assert np.abs(equalised(image) - equalised(other)).mean() > 30
    assert np.isfinite(equalised(np.full((64, 64), 7, dtype=np.uint8))).all()


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
    found = duplicates.find(*sites, {"hamming": 8, "difference": 6.0})
    assert found.values.tolist() == [["north", "a", "south", "b", 1, 0.0, True]]


def test_no_pair_is_an_empty_table_with_its_header(sites):
    found = duplicates.find(*sites, {"hamming": 0, "difference": 6.0})
    assert list(found.columns) == duplicates.COLUMNS
    assert found.empty
