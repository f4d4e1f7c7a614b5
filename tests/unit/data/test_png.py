"""PNG files of every kind: those that are read, to which levels, and refusals."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from chexviz.base.errors import Unreadable
from chexviz.data.convert import Task, convert
from chexviz.data.decoding import png
from chexviz.data.decoding.limits import SPAN
from chexviz.data.decoding.radiograph import radiograph
from made_dicoms import chest
from made_rasters import SIGNATURE, chunk, encoded, made_png

GREY = chest(1, (40, 56))
OPAQUE = np.full_like(GREY, 255)
SMALL = arrays.arrays(np.uint8, arrays.array_shapes(min_dims=2, max_dims=2, max_side=9)).filter(
    lambda pixels: int(pixels.max()) - int(pixels.min()) >= SPAN
)
MODES = ["RGB", "RGBA", "LA"]
MANY = 36_000_000


def refusal(data, *limits):
    """Why a file is refused."""
    with pytest.raises(Unreadable) as caught:
        radiograph(data, *limits)
    return str(caught.value)


@given(SMALL)
def test_a_png_of_any_grey_image_comes_back_and_so_does_one_in_colours_that_are_grey(pixels):
    found = radiograph(encoded(pixels))
    assert found.pixels.dtype == np.uint8
    assert np.array_equal(found.pixels, pixels)
    assert (found.height, found.width) == pixels.shape
    for mode in MODES:
        assert np.array_equal(radiograph(encoded(pixels, mode=mode)).pixels, pixels)


@given(SMALL, st.integers(0, 2), st.data())
def test_a_png_with_one_pixel_in_colour_is_refused(pixels, channel, data):
    place = tuple(data.draw(st.integers(0, side - 1)) for side in pixels.shape)
    colours = np.repeat(pixels[..., np.newaxis], 3, axis=2)
    colours[(*place, channel)] ^= 1
    assert refusal(encoded(colours)) == "not a grey-level image: it has colours"


@pytest.mark.parametrize("channels", [2, 4])
def test_a_png_that_is_transparent_anywhere_is_refused(channels):
    pixels = np.stack([GREY] * (channels - 1) + [OPAQUE], axis=2)
    assert np.array_equal(radiograph(encoded(pixels)).pixels, GREY)
    pixels[3, 4, -1] = 254
    assert refusal(encoded(pixels)) == "not a grey-level image: it is transparent in parts"


def test_a_raster_says_nothing_of_its_patient_nor_of_the_size_of_a_pixel():
    sized = encoded(GREY, dpi=(72, 96))
    assert b"pHYs" in sized
    for data in (sized, encoded(GREY, "JPEG", dpi=(72, 96))):
        found = radiograph(data)
        said = (found.view, found.sex, found.age, found.age_stated, found.spacing)
        assert said == ("", "", None, "", None)


@pytest.mark.parametrize("shape", [(40, 56), (5, 3), (1, 9), (2, 1)])
def test_an_interlaced_png_is_read(shape):
    pixels = np.linspace(0, 255, shape[0] * shape[1]).astype(np.uint8).reshape(shape)
    assert np.array_equal(radiograph(made_png(pixels, interlaced=1)).pixels, pixels)


@pytest.mark.parametrize("bits", range(8, 17))
def test_a_deep_png_is_shown_over_the_fewest_bits_that_hold_its_values(bits):
    values = np.round(GREY / 255 * (2**bits - 1)).astype(np.uint16)
    found = radiograph(encoded(values))
    assert found.pixels.dtype == np.float32
    assert np.allclose(found.pixels, values * 255.0 / (2**bits - 1), atol=1e-3)
    assert np.abs(found.pixels - GREY).max() < 0.51


@pytest.mark.parametrize(
    ("largest", "stated", "bits"),
    [
        (100, None, 8),
        (255, None, 8),
        (256, None, 9),
        (1023, None, 10),
        (1024, None, 11),
        (1023, 12, 12),  # as they are, of which none is white
        (4095, 12, 12),
        (4096, 12, 16),  # scaled up as the standard has it
        (65535, 12, 16),
        (1023, 16, 16),
        (1023, 0, 10),  # not possible, as the next one
        (1023, 17, 16),
    ],
)
def test_the_range_of_a_deep_png(largest, stated, bits):
    values = np.linspace(0, largest, 12).round().astype(np.uint16).reshape(3, 4)
    shown = png.levels(values, stated or 0)
    assert shown.max() == pytest.approx(255 * largest / (2**bits - 1))
    if bits < 16 or largest > 10_000:
        others = () if stated is None else (chunk(b"sBIT", bytes([stated])),)
        assert np.array_equal(radiograph(made_png(values, *others)).pixels, shown)


def test_significant_bits_of_a_png_of_8_do_not_count():
    assert np.array_equal(radiograph(made_png(GREY, chunk(b"sBIT", b"\5"))).pixels, GREY)


def test_a_deep_png_becomes_the_image_of_its_8_bits():
    task = Task(0, None, "a", [], [])
    deep = encoded((GREY / 255 * 4095).round().astype(np.uint16))
    images = [convert(data, task, 32, "pad", MANY)[0] for data in (encoded(GREY), deep)]
    assert np.abs(images[0].astype(int) - images[1]).max() <= 1


NO_GREY = "not a grey-level image: "
REFUSALS = {
    "palette": (encoded(GREY, mode="P"), f"{NO_GREY}a PNG with a palette"),
    "1 bit": (encoded(GREY, mode="1"), "not a radiograph: 1 bits per pixel"),
    "2 bits": (made_png(GREY, bits=2, width=4 * 56), "not a radiograph: 2 bits per pixel"),
    "4 bits": (made_png(GREY, bits=4, width=2 * 56), "not a radiograph: 4 bits per pixel"),
    "5 bits": (made_png(GREY, bits=5), "damaged PNG: colour type 0 of 5 bits"),
    "no such type": (made_png(GREY, colour=5), "damaged PNG: colour type 5 of 8 bits"),
    "deep colours": (
        made_png(np.stack([GREY.astype(np.uint16) * 257] * 3, axis=2)),
        "a PNG of 3 channels of 16 bits, where 8 are read",
    ),
    "said to move": (
        made_png(GREY, chunk(b"acTL", struct.pack(">II", 1, 0))),
        f"{NO_GREY}an animated PNG",
    ),
    "moving": (
        encoded(GREY, save_all=True, append_images=[Image.fromarray(255 - GREY)]),
        f"{NO_GREY}an animated PNG",
    ),
    "a clear level": (encoded(GREY, transparency=7), f"{NO_GREY}a PNG with a transparent level"),
    "two headers": (
        made_png(GREY, encoded(np.zeros((9, 9), np.uint8))[8:33]),
        f"{NO_GREY}a PNG of two headers",
    ),
    "no width": (made_png(GREY, width=0), "no pixels: 0 x 40"),
    "one level": (
        made_png(np.full((8, 8), 90, np.uint8)),
        "shows nothing: its grey levels are 90 to 90 of 255",
    ),
    "no header": (
        SIGNATURE + chunk(b"IDAT", b""),
        "damaged PNG: it does not start with its header",
    ),
    "nothing": (SIGNATURE, "truncated: the PNG ends before its last chunk"),
    "a row less": (
        made_png(GREY, height=41),
        "damaged PNG: IDAT or fDAT chunk does not have enough data for image.",
    ),
}


@pytest.mark.parametrize(("data", "reason"), REFUSALS.values(), ids=REFUSALS)
def test_a_png_that_is_no_grey_level_image_is_refused(data, reason):
    assert refusal(data) == reason


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_png_with_any_byte_changed_is_refused_or_the_same(place, change):
    data = bytearray(encoded(GREY, mode="RGB"))
    data[place % len(data)] ^= change
    assert refusal(bytes(data))


@given(st.integers(0, 10_000))
def test_a_png_that_ends_early_is_refused(end):
    data = encoded(GREY)
    assert refusal(data[: 8 + end % (len(data) - 8)])[:9] == "truncated"


def test_what_follows_the_end_of_a_png_is_not_read():
    assert np.array_equal(radiograph(encoded(GREY) + b"more").pixels, GREY)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (b"IDAT", "damaged PNG: Corrupt deflate stream"),
        (b"sBIT", "damaged PNG: wrong checksum of its chunk 'sBIT'"),
        (b"IHDR", "damaged PNG: wrong checksum of its chunk 'IHDR'"),
    ],
)
def test_a_damaged_png_names_its_chunk(name, reason):
    data = bytearray(made_png(GREY.astype(np.uint16), chunk(b"sBIT", b"\x0c")))
    data[data.index(name) + 4] ^= 1
    assert refusal(bytes(data)).startswith(reason)
