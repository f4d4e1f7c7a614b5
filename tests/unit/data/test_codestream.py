"""What compressed pixels say of themselves, against encoders of others."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import generate_frames

from chexviz.data.decoding.codestream import (
    J2K,
    LOSSLESS,
    LOSSY,
    LS,
    Stream,
    describe,
    rle_lengths,
    unpacked,
)
from made_dicoms import chest, compress, write_dicom

KINDS = {
    "JPEGLosslessProcess14": LOSSLESS,
    "JPEGLosslessProcess14_1": LOSSLESS,
    "JPEGLSLossless": LS,
    "JPEG2000Lossless": J2K,
}


@pytest.mark.parametrize("syntax", KINDS)
@pytest.mark.parametrize(("kind", "bits"), [(np.uint8, 8), (np.uint16, 16)])
def test_streams_of_gdcm(tmp_path, syntax, kind, bits):
    path = write_dicom(tmp_path / "x.dcm", chest(1, (40, 56)).astype(kind) << (bits - 8))
    frame = next(generate_frames(dcmread(compress(path, syntax)).PixelData, number_of_frames=1))
    assert describe(frame) == Stream(KINDS[syntax], (40, 56), bits, 1)
    for end in range(12):
        assert describe(frame[:end]) is None


def encoded(mode, name, **options):
    """An image of 40 x 56 pixels as Pillow writes it."""
    buffer = io.BytesIO()
    Image.fromarray(chest(1, (40, 56))).convert(mode).save(buffer, name, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("options", "kind", "components"),
    [
        ({"mode": "L", "name": "JPEG"}, LOSSY, 1),
        ({"mode": "RGB", "name": "JPEG", "progressive": True}, LOSSY, 3),
        ({"mode": "L", "name": "JPEG2000", "no_jp2": True}, J2K, 1),
        ({"mode": "RGB", "name": "JPEG2000", "no_jp2": True}, J2K, 3),
        ({"mode": "L", "name": "JPEG2000", "no_jp2": False}, J2K, 1),
    ],
)
def test_streams_of_pillow(options, kind, components):
    assert describe(encoded(**options)) == Stream(kind, (40, 56), 8, components)


def test_a_jpeg_2000_may_lie_anywhere_on_its_grid():
    """ISO/IEC 15444-1 B.2: from 16, 8 to 72, 49 with every second row of the grid."""
    sides = [72, 49, 16, 8, 72, 49, 0, 0]
    numbers = b"".join(side.to_bytes(4, "big") for side in sides)
    siz = b"\xff\x4f\xff\x51\0\x29\0\0" + numbers + b"\0\1\x8b\1\2"
    assert describe(siz) == Stream(J2K, (21, 56), 12, 1)
    assert describe(siz[:-1] + b"\0") is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xd8",
        b"\xff\xd8" + bytes(99),
        b"\xff\xd8\xff\xda\0\x02" + bytes(99),
        b"\0\0\0\x0cjP  " + bytes(99),
        b"\xff\x4f\xff\x51" + bytes(99),
        b"text",
    ],
)
def test_what_is_none_of_them_says_nothing(data):
    assert describe(data) is None


literal = st.binary(min_size=1, max_size=128).map(lambda run: bytes([len(run) - 1]) + run)
repeated = st.tuples(st.integers(129, 255), st.integers(0, 255)).map(bytes)


@given(st.lists(st.one_of(literal, repeated, st.just(b"\x80")), max_size=20))
def test_the_length_of_rle_is_what_its_runs_add_up_to(runs):
    lengths = [run[0] + 1 if run[0] < 128 else (257 - run[0]) % 129 for run in runs]
    segment = b"".join(runs)
    assert unpacked(segment, 10_000) == sum(lengths)
    for cut_short in (b"\0", b"\xff"):  # a run without its bytes, or what pads to even length
        assert unpacked(segment + cut_short, 10_000) == sum(lengths)


def test_lengths_of_rle_are_counted_to_the_limit_only():
    header = np.array([2, 64, 68, *[0] * 13], "<u4").tobytes()
    assert rle_lengths(header + b"\x02abc" + b"\x81x" * 9, 200) == [3, 256]


def test_segments_of_gdcms_rle(tmp_path):
    path = write_dicom(tmp_path / "x.dcm", chest(1, (40, 56)).astype(np.uint16) * 257)
    dataset = dcmread(compress(path, "RLELossless"))
    frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    assert rle_lengths(frame, 10_000) == [2240, 2240]
