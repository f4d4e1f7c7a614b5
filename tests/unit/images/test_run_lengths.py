"""Run lengths: known answers, round trips, refusals."""

from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from chexviz.images.run_lengths import absolute, from_coco, from_mask, parse, to_mask

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


# --- COCO ---


def coco(counts, height=7, width=1):
    return {"size": [height, width], "counts": counts}


@pytest.mark.parametrize(
    ("counts", "runs"),
    [
        ([2, 3, 1, 1], "2 3 6 1"),
        ([0, 6, 1], "0 6"),
        ([7], ""),
        ([0, 7], "0 7"),
        # 2, 3, 1 as such; the fourth as 1 - 3 = -2: five bits 11110, no letter after it, from '0'.
        ("231N", "2 3 6 1"),
        ("061", "0 6"),
        ("7", ""),
    ],
)
def test_counts_of_pixels_outside_and_inside_in_turn(counts, runs):
    assert from_coco(coco(counts)) == (runs, (7, 1))


def test_numbers_of_several_letters():
    """100 is 3 x 32 + 4: 4 and that another letter follows, then 3. 16 alone would be negative."""
    assert from_coco(coco("T3", 10, 10)) == ("", (10, 10))
    assert from_coco(coco("`0T3", 4, 29)) == ("16 100", (4, 29))


def packed(counts):
    """Counts in COCO's letters, digit by digit in base 32: an independent way to write them."""
    text = ""
    for place, count in enumerate(counts):
        value = count - counts[place - 2] if place > 2 else count
        digits = [value % 32]
        value //= 32
        while value != (-1 if digits[-1] >= 16 else 0):
            digits.append(value % 32)
            value //= 32
        text += "".join(chr(48 + digit + 32) for digit in digits[:-1]) + chr(48 + digits[-1])
    return text


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=9))
def test_packed_and_plain_counts_are_one_mask(counts):
    assert from_coco(coco(packed(counts), sum(counts))) == from_coco(coco(counts, sum(counts)))


@given(masks)
def test_a_mask_in_cocos_order(mask):
    """Its first count is of pixels outside, down the columns."""
    flat = mask.ravel(order="F").tolist()
    counts = [len(list(run)) for _, run in groupby(flat)]
    counts = [0, *counts] if flat[0] else counts
    runs, shape = from_coco(coco(counts, *mask.shape))
    assert shape == mask.shape
    assert np.array_equal(to_mask(runs, shape), mask)


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (coco([2, 3]), "of 5 pixels, its size is 7 x 1"),
        (coco([9, -2]), "whole numbers"),
        (coco([3.5, 3.5]), "whole numbers"),
        (coco("23p"), "'p'"),
        (coco("2T"), "cut off"),
        (coco(None), "counts"),
        ([[1, 1, 2, 2, 3, 3]], "counts"),
        ({"size": [7], "counts": [7]}, "counts"),
    ],
)
def test_what_is_no_mask_of_coco(mask, said):
    with pytest.raises(ValueError, match=said):
        from_coco(mask)
