"""One file to its square: geometry, annotations that follow the image, perceptual hash."""

import io
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from chexviz.base.errors import InputError
from chexviz.data.convert import Task, annotate, perceptual_hashes
from chexviz.images.resizing import Square, resized, square, weights, whole_weights
from chexviz.images.run_lengths import from_mask, to_mask
from made_dicoms import chest

# --- geometry ---


def test_squares():
    assert square(100, 60, "pad") == Square(100, 20, 0)
    assert square(60, 101, "pad") == Square(101, 0, 20)
    assert square(100, 60, "crop") == Square(60, 0, -20)
    assert square(60, 101, "crop") == Square(60, -20, 0)


@pytest.mark.parametrize("fit", ["pad", "crop"])
@pytest.mark.parametrize("shape", [(96, 64), (64, 96), (64, 64), (65, 90)])
def test_a_box_follows_its_image(fit, shape):
    """A bright block in the file is found where its box says it is in the image."""
    pixels = np.zeros(shape, np.uint8)
    x, y, width, height = 24, 28, 16, 12
    pixels[y : y + height, x : x + width] = 255
    place = square(*shape, fit)
    image = resized(pixels, shape, place, 256).astype(float)
    [[_, finding, left, top, across, down, _]] = annotate(
        Task(0, None, "a", [["mass", x, y, width, height]], []), shape, place, 256
    )
    rows, columns = np.mgrid[:256, :256] + 0.5
    assert np.average(columns, weights=image) == pytest.approx(left + across / 2, abs=0.1)
    assert np.average(rows, weights=image) == pytest.approx(top + down / 2, abs=0.1)
    assert image.sum() / 255 == pytest.approx(across * down, rel=0.02)
    assert finding == "mass"


def test_padding_is_black_and_on_both_sides():
    image = resized(np.full((40, 20), 200, np.uint8), (40, 20), square(40, 20, "pad"), 40)
    assert not image[:, :10].any()
    assert not image[:, 30:].any()
    assert np.allclose(image[:, 10:30], 200)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    fit=st.sampled_from(["pad", "crop"]),
    size=st.sampled_from([1, 7, 32, 64]),
    seed=st.integers(0, 2**32 - 1),
)
def test_whole_numbers_are_weighted_as_float32_to_a_512th_and_rounded_once_an_axis(
    shape, fit, size, seed
):
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    place = square(*shape, fit)
    axes = [
        (side, side, added, place.side, size)
        for side, added in zip(shape, (place.top, place.left), strict=True)
    ]
    whole = [whole_weights(*axis).toarray() / 256 for axis in axes]
    for shares, axis in zip(whole, axes, strict=True):
        exact = weights(*axis).toarray()
        assert np.abs(shares.cumsum(axis=1) - exact.cumsum(axis=1)).max() <= 1 / 512 + 1e-6
    image = resized(pixels, shape, place, size)
    assert image.dtype == np.uint8
    assert np.abs(image - whole[0] @ pixels @ whole[1].T).max() <= 1.01
    by_floats = resized(pixels.astype(np.float32), shape, place, size)
    exact = weights(*axes[0]) @ pixels.astype(float) @ weights(*axes[1]).toarray().T
    assert by_floats.dtype == np.float32
    assert np.abs(by_floats - exact).max() < 0.01


@pytest.mark.parametrize("level", [1, 100, 255])
@pytest.mark.parametrize("sides", [(64, 64), (65, 90), (10, 10), (1000, 997)])
def test_what_is_uniform_stays_what_it_is(level, sides):
    pixels = np.full(sides, level, np.uint8)
    assert (resized(pixels, sides, square(*sides, "crop"), 64) == level).all()


def test_reduced_pixels_land_where_whole_ones_do():
    whole = chest(1, (256, 192))
    reduced = np.asarray(Image.fromarray(whole).reduce(2))
    place = square(256, 192, "pad")
    images = [resized(pixels, (256, 192), place, 32).astype(float) for pixels in (whole, reduced)]
    assert np.abs(images[0] - images[1]).mean() < 1


@pytest.mark.parametrize("size", [32, 64, 128])
def test_a_mask_follows_its_image(size):
    mask = np.zeros((64, 96), bool)
    mask[20:40, 30:70] = True
    [[_, _, *box, runs]] = annotate(
        Task(0, None, "a", [], [["mass", from_mask(mask)]]), (64, 96), square(64, 96, "pad"), size
    )
    scale = size / 96
    assert box == pytest.approx([30 * scale, 36 * scale, 40 * scale, 20 * scale], abs=1e-3)
    found = to_mask(runs, (size, size))
    assert found.sum() == pytest.approx(mask.sum() * scale**2, rel=0.15)
    rows, columns = np.nonzero(found)
    assert rows.mean() + 0.5 == pytest.approx(46 * scale, abs=0.5)
    assert columns.mean() + 0.5 == pytest.approx(50 * scale, abs=0.5)


def test_a_mask_thinner_than_a_pixel_is_kept():
    mask = np.zeros((256, 256), bool)
    mask[100, 50:60] = True
    [[*_, runs]] = annotate(
        Task(0, None, "a", [], [["mass", from_mask(mask)]]), (256, 256), square(256, 256, "pad"), 16
    )
    assert to_mask(runs, (16, 16))[6, 3]


def test_what_a_crop_cuts_off_is_no_annotation():
    mask = np.zeros((64, 32), bool)
    mask[:8] = True
    boxes = [["mass", 0, 0, 32, 16], ["mass", 0, 8, 32, 16]]
    task = Task(0, None, "a", boxes, [["nodule", from_mask(mask)]])
    assert annotate(task, (64, 32), square(64, 32, "crop"), 32) == [["a", "mass", 0, 0, 32, 8, ""]]


@pytest.mark.parametrize(
    ("boxes", "runs", "found"),
    [
        ([["mass", 60, 0, 5.1, 5]], [], "60, 0, 5.1, 5"),
        ([["mass", -2, 0, 5, 5]], [], "-2, 0, 5, 5"),
        ([["mass", 64, 0, 1, 5]], [], "64, 0, 1, 5"),
        ([["mass", 0, 0, math.inf, 5]], [], "inf"),
        ([], [["mass", "4090 10"]], "pixel 4100 of 4096"),
    ],
)
def test_annotations_beyond_the_image_end_the_run_since_negatives_have_none(boxes, runs, found):
    task = Task(0, "a.dcm", "a", boxes, runs)
    with pytest.raises(InputError, match="64 x 64 pixels") as caught:
        annotate(task, (64, 64), square(64, 64, "pad"), 32)
    assert caught.value.where == "a.dcm"
    assert found in caught.value.found


def test_a_box_over_the_edge_by_rounding_is_cut_there():
    """On the image itself, not on the padding beside it."""
    task = Task(0, "a.dcm", "a", [["mass", -0.5, -1, 10, 11], ["", 20, 54.5, 13, 10.2]], [])
    found = annotate(task, (64, 32), square(64, 32, "pad"), 64)
    assert found == [["a", "mass", 16, 0, 9.5, 10, ""], ["a", "", 36, 54.5, 12, 9.5, ""]]


@pytest.mark.parametrize("side", [32, 128])
@pytest.mark.parametrize(
    ("boxes", "runs"), [([["mass", 8, 8, 9, 9]], []), ([], [["mass", "70 9"]])]
)
def test_annotations_of_images_of_another_size_end_the_run(side, boxes, runs):
    """RSNA's boxes and SIIM's masks are of 1024 pixels: elsewhere on a resized copy."""
    task = Task(0, "a.dcm", "a", boxes, runs, (64, 64))
    with pytest.raises(InputError, match="64 x 64 pixels, on which") as caught:
        annotate(task, (side, side), square(side, side, "pad"), 32)
    assert caught.value.found == f"{side} x {side}"
    assert annotate(task, (64, 64), square(64, 64, "pad"), 32)
    without = Task(0, "a.dcm", "a", [], [], (64, 64))
    assert annotate(without, (side, side), square(side, side, "pad"), 32) == []


# --- hash ---


def changed(image):
    """The image darker, flatter, and as a poor JPEG."""
    buffer = io.BytesIO()
    Image.fromarray((image * 0.8 + 10).astype(np.uint8)).save(buffer, "JPEG", quality=50)
    return np.asarray(Image.open(buffer))


def distance(one, other):
    bits, others = (int(digits, 16) for digits in perceptual_hashes(np.stack([one, other])))
    return (bits ^ others).bit_count()


def test_the_hash_survives_small_changes_and_tells_images_apart():
    images = [chest(number, (128, 128)) for number in range(20)]
    assert max(distance(image, changed(image)) for image in images) <= 6
    assert min(distance(images[0], other) for other in images[1:]) > 12


def test_hashes_are_16_digits_and_half_ones():
    [digits, none] = perceptual_hashes(np.stack([chest(5), np.zeros((64, 64), np.uint8)]))
    assert len(digits) == 16
    assert int(digits, 16).bit_count() == 32
    assert none == "0" * 16
