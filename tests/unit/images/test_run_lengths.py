"""Run lengths: known answers, round trips, refusals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from chexviz.images.run_lengths import absolute, from_mask, parse, to_mask

masks = arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=12))


def relative(mask):
    """SIIM's run lengths of a mask, pixel by pixel: an independent way to write them."""
    height, width = mask.shape
    values, gap, length = [], 0, 0
    for x in range(width):
        for y in range(height):
            if mask[y, x]:
                length += 1
            elif length:
                values += [gap, length]
                gap, length = 1, 0
            else:
                gap += 1
    values += [gap, length] if length else []
    return " ".join(map(str, values))


def test_relative_runs_count_gaps_down_the_columns():
    mask = to_mask(absolute("1 2 2 1"), (3, 2))
    assert mask.tolist() == [[False, False], [True, False], [True, True]]


@given(masks)
def test_relative_runs_and_masks_round_trip(mask):
    assert np.array_equal(to_mask(absolute(relative(mask)), mask.shape), mask)
    assert absolute(relative(mask)) == from_mask(mask)


@given(masks)
def test_absolute_runs_and_masks_round_trip(mask):
    assert np.array_equal(to_mask(from_mask(mask), mask.shape), mask)


@given(masks, st.data())
def test_runs_of_two_masks_together_are_their_union(mask, data):
    other = data.draw(arrays(bool, mask.shape))
    both = f"{from_mask(mask)} {from_mask(other)}"
    assert np.array_equal(to_mask(both, mask.shape), mask | other)


def test_no_runs_are_an_empty_mask():
    assert not to_mask("", (2, 2)).any()
    assert from_mask(np.zeros((2, 2), bool)) == ""


def test_a_run_may_end_at_the_last_pixel_and_no_further():
    assert to_mask("3 1", (2, 2)).sum() == 1
    with pytest.raises(ValueError, match="ends at pixel 5 of 4"):
        to_mask("3 2", (2, 2))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("1 2 3", "3 values"),
        ("1 x", "not a whole number"),
        ("1 -2", "negative"),
        ("1.5 2", "not a whole number"),
        ("99999999999999999999 1", "not a whole number"),
    ],
)
def test_what_is_no_run_length_is_refused(text, problem):
    with pytest.raises(ValueError, match=problem):
        parse(text)
