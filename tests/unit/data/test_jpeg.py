"""JPEG files of every kind: those that are read, at which scale, and refusals."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from chexviz.base.errors import Unreadable
from chexviz.data.decoding.radiograph import radiograph
from made_dicoms import chest
from made_rasters import encoded

GREY = chest(1, (40, 56))
LARGE = chest(3, (512, 512))
KINDS = {
    "grey": {},
    "progressive": {"progressive": True},
    "in colours that are grey": {"mode": "RGB", "subsampling": "4:4:4"},
    "of halved colours": {"mode": "RGB", "subsampling": "4:2:0"},
    "in red, green and blue": {"mode": "RGB", "keep_rgb": True},
    "progressive, in colours that are grey": {"mode": "RGB", "progressive": True},
}


def jpeg(pixels, **options):
    return encoded(pixels, "JPEG", quality=92, **options)


def refusal(data, *limits):
    """Why a file is refused."""
    with pytest.raises(Unreadable) as caught:
        radiograph(data, *limits)
    return str(caught.value)


def by_pillow(data, side=None):
    """The image in grey as Pillow decodes it, all of it or reduced to `side` pixels."""
    whole = Image.open(io.BytesIO(data)).convert("L")
    small = whole.resize((side, side), Image.Resampling.BILINEAR) if side else whole
    return np.asarray(small).astype(int)


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
def test_whole(options):
    data = jpeg(GREY, **options)
    found = radiograph(data)
    assert found.pixels.dtype == np.uint8
    assert (found.height, found.width) == found.pixels.shape == GREY.shape
    assert np.array_equal(found.pixels, by_pillow(data))


@pytest.mark.parametrize("options", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize(("enough", "side"), [(200, 256), (128, 128), (64, 64), (10, 64)])
def test_reduced_decoding_agrees_with_the_whole(options, enough, side):
    data = jpeg(LARGE, **options)
    found = radiograph(data, enough)
    assert (found.height, found.width) == LARGE.shape
    assert found.pixels.shape == (side, side)
    small = Image.fromarray(found.pixels).resize((64, 64), Image.Resampling.BILINEAR)
    assert np.abs(np.asarray(small) - by_pillow(data, 64)).mean() < 0.5


def test_a_jpeg_of_odd_size_is_decoded_as_a_whole():
    assert radiograph(jpeg(chest(3, (100, 99))), enough=16).pixels.shape == (100, 99)


@pytest.mark.parametrize("enough", [None, 64])
@pytest.mark.parametrize("channel", range(3))
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0"])
def test_a_jpeg_with_colours_anywhere_is_refused(enough, channel, subsampling):
    colours = np.repeat(LARGE[..., np.newaxis], 3, axis=2)
    colours[100:124, 200:224, channel] = 0
    data = jpeg(colours, subsampling=subsampling)
    assert refusal(data, enough) == "not a grey-level image: it has colours"


def with_frame(data, marker=None, **said):
    """A baseline JPEG whose frame header (ISO/IEC 10918-1 B.2.2) says something else."""
    changed, at = bytearray(data), data.index(b"\xff\xc0")
    changed[at + 1] = marker or 0xC0
    for name, start, length in (("bits", 4, 1), ("height", 5, 2), ("width", 7, 2)):
        if name in said:
            changed[at + start : at + start + length] = said[name].to_bytes(length, "big")
    return bytes(changed)


REFUSALS = {
    "12 bits": (with_frame(jpeg(GREY), bits=12), "no decoder for a file of JPEG of 12 bits"),
    "lossless": (
        with_frame(jpeg(GREY), marker=0xC3),
        "no decoder for a file of JPEG Lossless of 8 bits",
    ),
    "JPEG-LS": (with_frame(jpeg(GREY), marker=0xF7), "no decoder for a file of JPEG-LS of 8 bits"),
    "CMYK": (
        jpeg(GREY, mode="CMYK"),
        "not a grey-level image: a JPEG of 4 components, as CMYK has",
    ),
    "no height": (with_frame(jpeg(GREY), height=0), "no pixels: 56 x 0"),
    "one level": (
        jpeg(np.full((16, 16), 90, np.uint8)),
        "shows nothing: its grey levels are 90 to 90 of 255",
    ),
    "no frame": (b"\xff\xd8\xff\xd9", "damaged JPEG: it does not say its size"),
    "start": (b"\xff\xd8\xff", "damaged JPEG: it does not say its size"),
}


@pytest.mark.parametrize(("data", "reason"), REFUSALS.values(), ids=REFUSALS)
def test_a_jpeg_that_is_no_grey_level_image_is_refused(data, reason):
    assert refusal(data) == reason


@given(st.integers(0, 10_000), st.sampled_from(["L", "RGB"]))
def test_a_jpeg_that_ends_early_is_refused(end, mode):
    data = jpeg(GREY, mode=mode)
    assert refusal(data[: 3 + end % (len(data) - 5)]).startswith("damaged JPEG: ")


def test_a_jpeg_of_more_rows_than_it_holds_is_refused():
    assert refusal(with_frame(jpeg(GREY), height=400)).startswith("damaged JPEG: ")


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_jpeg_with_any_byte_changed_is_read_or_refused(place, change):
    data = bytearray(jpeg(GREY))
    data[3 + place % (len(data) - 3)] ^= change
    try:
        found = radiograph(bytes(data), None, 10_000)
    except Unreadable:
        return
    assert found.pixels.shape == (found.height, found.width)
    assert found.pixels.dtype == np.uint8
