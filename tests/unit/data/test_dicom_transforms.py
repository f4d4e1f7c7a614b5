"""Stored values to displayed grey levels: the standard's transforms, and what they cannot be."""

import numpy as np
import pytest
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset
from pydicom.pixels import apply_windowing
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from chexviz.base.errors import Unreadable
from made_dicoms import read_radiograph, write_dicom

RAMP8 = np.arange(256, dtype=np.uint8).reshape(16, 16)


def read(tmp_path, pixels, **tags):
    return read_radiograph(write_dicom(tmp_path / "x.dcm", pixels, **tags))


def table(start, levels, bits, kind="US"):
    """A lookup table as a sequence of one item. kind: how its levels are written."""
    item = Dataset()
    item.LUTDescriptor = [len(levels) % 2**16, start, bits]
    item["LUTDescriptor"].VR = "US" if start >= 0 else "SS"
    if kind in ("US", "SS"):
        numbers = np.asarray(levels).astype("u2" if kind == "US" else "i2").tolist()
        item.add_new("LUTData", kind, numbers)
    else:
        item.add_new("LUTData", "OW", np.asarray(levels).astype(kind).tobytes())
    return [item]


def saved_as(path, syntax):
    """The file, not compressed, in another transfer syntax."""
    dataset = dcmread(path)
    dataset.file_meta.TransferSyntaxUID = syntax
    if not syntax.is_little_endian:
        dataset.PixelData = dataset.pixel_array.byteswap().tobytes()
    encoding = {"implicit_vr": syntax.is_implicit_VR, "little_endian": syntax.is_little_endian}
    dcmwrite(path, dataset, force_encoding=True, **encoding)
    return path


def test_plain_8_bit_values_are_taken_as_they_are(tmp_path):
    pixels = read(tmp_path, RAMP8).pixels
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, RAMP8)


def test_monochrome1_is_inverted(tmp_path):
    pixels = read(tmp_path, RAMP8, PhotometricInterpretation="MONOCHROME1").pixels
    assert np.allclose(pixels, 255 - RAMP8.astype(float))


def test_identity_rescale_changes_nothing(tmp_path):
    pixels = read(tmp_path, RAMP8, RescaleSlope="1.000", RescaleIntercept="0").pixels
    assert np.array_equal(pixels, RAMP8)
    inverted = read(
        tmp_path,
        RAMP8 // 2,
        RescaleSlope="1",
        RescaleIntercept="0",
        PhotometricInterpretation="MONOCHROME1",
    )
    assert np.allclose(inverted.pixels, 255 - (RAMP8 // 2).astype(float))


def test_8_bits_in_16_are_8_bits(tmp_path):
    pixels = read(tmp_path, (RAMP8 // 2).astype(np.uint16), BitsStored=8, HighBit=7).pixels
    assert np.allclose(pixels, RAMP8 // 2)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_windows_agree_with_pydicom(tmp_path, function):
    stored = np.linspace(0, 4095, 400).astype(np.uint16).reshape(20, 20)
    tags = {
        "BitsStored": 12,
        "HighBit": 11,
        "RescaleSlope": "2",
        "RescaleIntercept": "-100",
        "WindowCenter": "3000",
        "WindowWidth": "2500",
        "VOILUTFunction": function,
    }
    path = write_dicom(tmp_path / "x.dcm", stored, **tags)
    low, high = -100.0, 4095 * 2 - 100.0
    theirs = apply_windowing(stored * 2.0 - 100, dcmread(path))
    assert np.allclose(read_radiograph(path).pixels, 255 * (theirs - low) / (high - low), atol=1e-3)


def test_the_linear_window_ends_where_the_standard_says(tmp_path):
    # PS3.3 C.11.2.1.2.1, its own example of the limits: center 2048, width 4096 covers 0 to 4095.
    stored = np.array([[0, 4095], [2047, 2048]], dtype=np.uint16)
    pixels = read(tmp_path, stored, WindowCenter="2048", WindowWidth="4096").pixels
    assert np.allclose(pixels, stored / 4095 * 255, atol=1e-3)


def test_a_window_of_width_1_is_a_threshold(tmp_path):
    stored = np.array([[99, 100]], dtype=np.uint16)
    pixels = read(tmp_path, stored, WindowCenter="100", WindowWidth="1").pixels
    assert pixels.tolist() == [[0, 255]]


def test_the_first_of_several_windows_counts(tmp_path):
    one = read(tmp_path, RAMP8, WindowCenter="100", WindowWidth="50").pixels
    several = read(tmp_path, RAMP8, WindowCenter=["100", "9"], WindowWidth=["50", "3"]).pixels
    assert np.array_equal(one, several)


@pytest.mark.parametrize(
    ("function", "width"),
    [
        ("LINEAR", "0"),
        ("LINEAR", "0.7"),
        ("LINEAR", "nan"),
        ("LINEAR", "inf"),
        ("LINEAR_EXACT", "0"),
        ("SIGMOID", "0"),
        ("CUBIC", "9"),
    ],
)
def test_impossible_windows_are_refused(tmp_path, function, width):
    with pytest.raises(Unreadable, match=function):
        read(tmp_path, RAMP8, WindowCenter="9", WindowWidth=width, VOILUTFunction=function)


def test_a_voi_table_maps_deep_values_to_few_levels(tmp_path):
    # 12-bit values through a table of 8-bit levels; outside of it the ends count.
    levels = np.arange(256)[::-1]
    stored = np.array([[0, 1000, 1001, 1255, 1256, 4095]], dtype=np.uint16)
    pixels = read(tmp_path, stored, VOILUTSequence=table(1000, levels, 8)).pixels
    assert pixels.round().tolist() == [[255, 255, 254, 0, 0, 0]]


@pytest.mark.parametrize("kind", ["US", "SS", "<u2", "u1"])
def test_the_levels_of_a_table_may_be_written_as_numbers_words_or_bytes(tmp_path, kind):
    levels = np.arange(256)[::-1]
    pixels = read(tmp_path, RAMP8, VOILUTSequence=table(0, levels, 8, kind)).pixels
    assert np.allclose(pixels, 255.0 - RAMP8)


def test_an_odd_number_of_bytes_may_be_padded(tmp_path):
    lut = table(0, [*range(255), 0], 8, "u1")
    lut[0].LUTDescriptor = [255, 0, 8]
    pixels = read(tmp_path, RAMP8, VOILUTSequence=lut).pixels
    assert np.allclose(pixels, np.minimum(RAMP8, 254))


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_levels_of_16_bits_may_be_written_as_signed(tmp_path, syntax):
    lut = table(0, np.arange(256) * 257, 16, "SS")
    path = write_dicom(tmp_path / "x.dcm", RAMP8, VOILUTSequence=lut)
    assert np.allclose(read_radiograph(saved_as(path, syntax)).pixels, RAMP8)


@pytest.mark.parametrize(
    ("said", "held", "counts"), [(16, 12, 12), (12, 16, 16), (16, 8, 8), (8, 9, 9), (16, 15, 16)]
)
def test_the_levels_of_a_table_tell_its_bits_where_they_contradict_it(tmp_path, said, held, counts):
    levels = np.linspace(0, 2**held - 1, 256).round().astype(int)
    pixels = read(tmp_path, RAMP8, VOILUTSequence=table(0, levels, said)).pixels
    expected = levels.reshape(16, 16) / (2**counts - 1) * 255
    assert np.allclose(pixels, expected, atol=1e-3)


def test_the_words_of_a_table_have_the_byte_order_of_the_file(tmp_path):
    lut = table(0, np.arange(256)[::-1] * 257, 16, ">u2")
    path = write_dicom(tmp_path / "x.dcm", RAMP8.astype(np.uint16), VOILUTSequence=lut)
    big = read_radiograph(saved_as(path, ExplicitVRBigEndian)).pixels
    assert np.allclose(big, 255.0 - RAMP8)


def test_a_table_of_65536_entries_says_0(tmp_path):
    stored = np.array([[0, 1000, 65535]], dtype=np.uint16)
    lut = table(0, np.arange(2**16)[::-1], 16, "<u2")
    assert lut[0].LUTDescriptor[0] == 0
    pixels = read(tmp_path, stored, VOILUTSequence=lut).pixels
    assert np.allclose(pixels, 255 - stored / 257)


@pytest.mark.parametrize("start", [40000, 40000 - 2**16])
def test_a_table_may_start_beyond_32767_however_that_is_written(tmp_path, start):
    stored = 40000 + np.linspace(73, 225, 64).round().astype(np.uint16).reshape(8, 8)
    lut = table(start, np.arange(256), 8)
    assert np.allclose(read(tmp_path, stored, VOILUTSequence=lut).pixels, stored - 40000.0)


@pytest.mark.parametrize("start", [-100, 65436])
def test_a_table_that_starts_below_what_there_can_be_is_entered_within(tmp_path, start):
    stored = np.arange(100, dtype=np.uint16).reshape(10, 10)
    lut = table(start, np.arange(200), 8)
    tags = {"BitsStored": 12, "HighBit": 11, "VOILUTSequence": lut}
    assert np.allclose(read(tmp_path, stored, **tags).pixels, stored + 100.0)


@pytest.mark.parametrize("start", [-1024, 64512])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_a_table_may_start_below_0_however_that_is_written(tmp_path, start, syntax):
    stored = np.array([[0, 1000, 4095]], dtype=np.uint16)
    tags = {"BitsStored": 12, "HighBit": 11, "RescaleSlope": "1", "RescaleIntercept": "-1024"}
    tags["VOILUTSequence"] = table(start, np.arange(4096) * 16, 16)
    path = saved_as(write_dicom(tmp_path / "x.dcm", stored, **tags), syntax)
    assert np.allclose(read_radiograph(path).pixels, stored * 16 / 65535 * 255, atol=1e-3)


def test_a_table_is_entered_at_the_nearest_whole_number(tmp_path):
    lut = table(0, [0, 60, 240], 8)
    tags = {"RescaleSlope": "0.5", "RescaleIntercept": "0.25", "VOILUTSequence": lut}
    stored = np.array([[0, 1, 2, 3]], dtype=np.uint8)  # become 0.25, 0.75, 1.25, 1.75
    assert read(tmp_path, stored, **tags).pixels.tolist() == [[0, 60, 60, 240]]


@pytest.mark.parametrize("bits", [0, 17])
def test_a_table_of_impossible_levels_is_refused(tmp_path, bits):
    with pytest.raises(Unreadable, match=f"{bits} bits"):
        read(tmp_path, RAMP8, VOILUTSequence=table(0, np.arange(256), bits))


def test_a_voi_table_comes_before_a_window(tmp_path):
    lut = table(0, np.arange(256), 8)
    pixels = read(tmp_path, RAMP8, VOILUTSequence=lut, WindowCenter="1", WindowWidth="1").pixels
    assert np.allclose(pixels, RAMP8)


def test_a_modality_table_comes_before_the_window(tmp_path):
    lut = table(0, np.arange(256) * 16, 16)
    pixels = read(
        tmp_path, RAMP8, ModalityLUTSequence=lut, WindowCenter="2048", WindowWidth="4096"
    ).pixels
    assert np.allclose(pixels, RAMP8 * (16 / 4095 * 255), atol=1e-3)


def test_a_table_shorter_than_it_says_is_refused(tmp_path):
    lut = table(0, np.arange(100), 8)
    lut[0].LUTDescriptor = [256, 0, 8]
    with pytest.raises(Unreadable, match="100 of 256"):
        read(tmp_path, RAMP8, VOILUTSequence=lut)


def test_deep_values_without_window_use_their_own_range(tmp_path):
    stored = np.array([[100, 600], [1100, 100]], dtype=np.uint16)
    assert read(tmp_path, stored).pixels.tolist() == [[0, 127.5], [255, 0]]


def test_signed_values(tmp_path):
    stored = np.array([[-1000, 0], [1000, -1000]], dtype=np.int16)
    assert read(tmp_path, stored).pixels.tolist() == [[0, 127.5], [255, 0]]


def test_unused_high_bits_are_ignored(tmp_path):
    stored = np.array([[0, 4095]], dtype=np.uint16)
    tags = {"BitsStored": 12, "HighBit": 11, "WindowCenter": "2048", "WindowWidth": "4096"}
    dirty = read(tmp_path, stored | 0xF000, **tags).pixels
    assert np.array_equal(dirty, read(tmp_path, stored, **tags).pixels)


@pytest.mark.parametrize("high", [10, 15])
def test_bits_that_end_elsewhere_are_refused(tmp_path, high):
    stored = np.array([[0, 4095]], dtype=np.uint16) << 4
    with pytest.raises(Unreadable, match=f"12 bits end at bit {high}"):
        read(tmp_path, stored, BitsStored=12, HighBit=high)


@pytest.mark.parametrize(
    ("slope", "intercept"),
    [
        *[("0", "0"), ("nan", "0"), ("inf", "0"), ("1", "nan")],
        *[("1e-300", "0"), ("1e308", "0"), ("-1e308", "0"), ("1e-300", "1024"), ("1", "1e9")],
    ],
)
def test_a_rescale_that_leaves_nothing_is_refused(tmp_path, slope, intercept):
    with pytest.raises(Unreadable, match="rescale slope"):
        read(tmp_path, RAMP8, RescaleSlope=slope, RescaleIntercept=intercept)


@pytest.mark.parametrize(("slope", "intercept"), [("2", "0"), ("1", "-10"), ("-1", "0")])
def test_8_bits_are_shown_over_all_that_they_could_be(tmp_path, slope, intercept):
    stored = np.array([[10, 20, 100]], dtype=np.uint8)
    pixels = read(tmp_path, stored, RescaleSlope=slope, RescaleIntercept=intercept).pixels
    assert np.allclose(pixels, 255.0 - stored if slope == "-1" else stored, atol=1e-3)


def test_a_presentation_that_agrees_changes_nothing_and_one_that_does_not_is_refused(tmp_path):
    tags = {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}
    assert np.allclose(read(tmp_path, RAMP8, **tags).pixels, 255.0 - RAMP8)
    for jpeg in (True, False):
        plain = read(tmp_path, RAMP8, jpeg=jpeg).pixels
        same = read(tmp_path, RAMP8, jpeg=jpeg, PresentationLUTShape="IDENTITY").pixels
        assert np.array_equal(plain, same)
        for colour, shape in (("MONOCHROME2", "INVERSE"), ("MONOCHROME1", "IDENTITY")):
            tags = {"PhotometricInterpretation": colour, "PresentationLUTShape": shape}
            with pytest.raises(Unreadable, match=f"{colour}, but a presentation of {shape}$"):
                read(tmp_path, RAMP8, jpeg=jpeg, **tags)


@pytest.mark.parametrize("polarity", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black_and_does_not_stretch_the_range(tmp_path, polarity):
    stored = np.array([[65535, 0], [500, 1000]], dtype=np.uint16)
    pixels = read(
        tmp_path, stored, PixelPaddingValue=65535, PhotometricInterpretation=polarity
    ).pixels
    expected = [255, 127.5, 0] if polarity == "MONOCHROME1" else [0, 127.5, 255]
    assert pixels.ravel().tolist() == [0, *expected]


def test_padding_may_be_a_range(tmp_path):
    stored = np.array([[0, 3, 500, 1000]], dtype=np.uint16)
    pixels = read(tmp_path, stored, PixelPaddingValue=0, PixelPaddingRangeLimit=3).pixels
    assert pixels.tolist() == [[0, 0, 0, 255]]


@pytest.mark.parametrize(
    ("kind", "stored", "written"),
    [
        (np.uint16, [65535, 0, 500, 1000], ("SS", -1)),
        (np.int16, [-2000, 0, 500, 1000], ("US", 63536)),
        (np.int16, [-2000, 0, 500, 1000], ("SS", -2000)),
    ],
)
def test_padding_counts_however_its_sign_is_written(tmp_path, kind, stored, written):
    path = write_dicom(tmp_path / "x.dcm", np.array([stored], dtype=kind))
    dataset = dcmread(path)
    dataset.add_new("PixelPaddingValue", *written)
    dataset.save_as(path)
    assert read_radiograph(path).pixels.tolist() == [[0, 0, 127.5, 255]]


def test_padding_that_8_bits_cannot_hold_is_no_pixel(tmp_path):
    path = write_dicom(tmp_path / "x.dcm", np.array([[0, 48, 255]], dtype=np.uint8))
    dataset = dcmread(path)
    dataset.add_new("PixelPaddingValue", "SS", -2000)  # of which the lower 8 bits are 48
    dataset.save_as(path)
    assert read_radiograph(path).pixels.tolist() == [[0, 48, 255]]


NOTHING = r"^shows nothing: its grey levels are {} to {} of 255$"


@pytest.mark.parametrize(
    ("stored", "tags", "low", "high"),
    [
        (np.full((4, 4), 9, np.uint16), {"PixelPaddingValue": 9}, 0, 0),
        (np.full((4, 4), 700, np.uint16), {}, 0, 0),
        (np.zeros((4, 4), np.uint8), {}, 0, 0),
        (np.array([[3, 200, 205]], np.uint8), {"PixelPaddingValue": 3}, 200, 205),
        (RAMP8, {"WindowCenter": "1e308", "WindowWidth": "256"}, 0, 0),
        (RAMP8, {"WindowCenter": "-1e308", "WindowWidth": "256"}, 255, 255),
        (
            RAMP8.astype(np.uint16),
            {"BitsStored": 12, "HighBit": 11, "WindowCenter": "2048", "WindowWidth": "4096"},
            0,
            16,
        ),
    ],
)
def test_an_image_of_nearly_one_level_is_refused(tmp_path, stored, tags, low, high):
    with pytest.raises(Unreadable, match=NOTHING.format(low, high)):
        read(tmp_path, stored, **tags)


@pytest.mark.parametrize("jpeg", [True, False])
def test_the_levels_of_plain_files_count_too(tmp_path, jpeg):
    flat = np.full((16, 16), 100, np.uint8)
    flat[:8] += 31
    with pytest.raises(Unreadable, match=NOTHING.format(100, 131)):
        read(tmp_path, flat, jpeg=jpeg)
    flat[:8] += 1
    assert np.ptp(read(tmp_path, flat, jpeg=jpeg).pixels) == 32
