"""DICOM files of every kind: their tags, every compression, and refusals."""

import fnmatch
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.data import DATA_ROOT, get_testdata_file
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import (
    MPEG2MPML,
    HTJ2KLossless,
)

from chexviz.base.errors import Unreadable
from chexviz.data.decoding.dicom import age
from made_dicoms import SIZED, chest, compress, read_radiograph, write_dicom


def read(tmp_path, pixels, **tags):
    return read_radiograph(write_dicom(tmp_path / "x.dcm", pixels, **tags))


def test_tags(tmp_path):
    found = read(
        tmp_path,
        chest(1, (40, 48)),
        ViewPosition="pa",
        PatientSex="f",
        PatientAge="062Y",
        PixelSpacing=["0.14", "0.14"],
    )
    assert (found.height, found.width) == (40, 48)
    assert (found.view, found.sex, found.age, found.spacing) == ("PA", "F", 62, 0.14)


def test_missing_tags_are_empty(tmp_path):
    found = read(tmp_path, chest(1))
    assert (found.view, found.sex, found.age, found.spacing) == ("", "", None, None)


def test_spacing_of_the_detector_counts_where_the_patient_has_none(tmp_path):
    tags = {"PixelSpacing": ["0", "0"], "ImagerPixelSpacing": ["0.2", "0.2"]}
    assert read(tmp_path, chest(1), **tags).spacing == 0.2


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ({"PixelSpacing": ["0.1", "0.2"]}, "0.1 x 0.2 mm"),
        ({"ImagerPixelSpacing": ["0.2", "0.1"]}, "0.2 x 0.1 mm"),
        ({"PixelAspectRatio": ["1", "2"]}, "1 x 2"),
    ],
)
@pytest.mark.parametrize("jpeg", [True, False])
def test_pixels_that_are_not_square_are_refused(tmp_path, tags, found, jpeg):
    with pytest.raises(Unreadable, match=f"not square: {found}$"):
        read(tmp_path, chest(1), jpeg=jpeg, **tags)
    assert read(tmp_path, chest(1), jpeg=jpeg, PixelAspectRatio=["1", "1"]).spacing is None


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("062Y", 62),
        ("62", 62),
        ("018M", 1.5),
        ("026W", 26 * 7 / 365.25),
        ("000Y", 0),
        ("120Y", 120),
        ("155", None),
        ("155Y", None),
        ("", None),
        ("Y", None),
        ("62X", None),
        ("-5", None),
        ("6 2", None),
    ],
)
def test_ages(text, years):
    assert age(text) == (years if years is None else pytest.approx(years))


def test_an_age_that_breaks_the_standard_is_read_without_a_warning(tmp_path):
    path = write_dicom(tmp_path / "x.dcm", chest(1), PatientAge="62")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_radiograph(path).age == 62


def mean_difference(one, other, size):
    """Mean absolute grey level between two radiographs, reduced to `size` pixels."""
    small = [
        np.asarray(Image.fromarray(found.pixels).resize((size, size), Image.Resampling.BILINEAR))
        for found in (one, other)
    ]
    return np.abs(small[0].astype(float) - small[1]).mean()


def test_reduced_decoding_agrees_with_the_whole(tmp_path):
    path = write_dicom(tmp_path / "x.dcm", chest(3, (512, 512)), jpeg=True)
    whole, reduced = read_radiograph(path), read_radiograph(path, enough=128)
    assert whole.pixels.shape == (512, 512)
    assert reduced.pixels.shape == (128, 128)
    assert (reduced.height, reduced.width) == (512, 512)
    assert mean_difference(whole, reduced, 64) < 0.5


def test_a_jpeg_that_needs_a_transform_is_decoded_as_a_whole(tmp_path):
    path = write_dicom(
        tmp_path / "x.dcm", chest(3), jpeg=True, PhotometricInterpretation="MONOCHROME1"
    )
    plain = write_dicom(tmp_path / "y.dcm", chest(3), jpeg=True)
    inverted = read_radiograph(path, enough=16).pixels
    assert np.allclose(inverted, 255.0 - read_radiograph(plain).pixels)


def test_a_jpeg_of_odd_size_is_decoded_as_a_whole(tmp_path):
    path = write_dicom(tmp_path / "x.dcm", chest(3, (100, 99)), jpeg=True)
    assert read_radiograph(path, enough=16).pixels.shape == (100, 99)


def test_text_is_not_dicom(tmp_path):
    path = tmp_path / "x.dcm"
    path.write_text("not an image")
    with pytest.raises(Unreadable, match="not a DICOM file"):
        read_radiograph(path)


@pytest.mark.parametrize("jpeg", [True, False])
@pytest.mark.parametrize("fraction", [0.5, 0.9, 0.99])
def test_a_truncated_file_is_refused(tmp_path, jpeg, fraction):
    path = write_dicom(tmp_path / "x.dcm", chest(3), jpeg=jpeg)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * fraction)])
    with pytest.raises(Unreadable, match=r"truncated|less than expected|no pixel data"):
        read_radiograph(path)


def test_a_jpeg_that_ends_within_a_whole_file_is_refused(tmp_path):
    path = write_dicom(tmp_path / "x.dcm", chest(3, (256, 256)), jpeg=True)
    dataset = dcmread(path)
    frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    dataset.PixelData = encapsulate([frame[: len(frame) // 2]])
    dataset.save_as(path)
    for enough in (None, 64):
        with pytest.raises(Unreadable, match="Premature end"):
            read_radiograph(path, enough)


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}, "grey-level image: RGB"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "grey-level image: PALETTE COLOR"),
        ({"NumberOfFrames": 2}, "2 frames"),
        ({"NumberOfFrames": 0}, "0 frames"),
        ({"Rows": 65}, "^4096 bytes of pixel data, less than expected: 4160$"),
    ],
)
def test_what_is_no_radiograph_is_refused(tmp_path, tags, reason):
    with pytest.raises(Unreadable, match=reason):
        read(tmp_path, chest(1), **tags)


# Every file that pydicom ships, by pattern: how it ends.
SHOWN = "shown"
BUNDLED = {
    "693_J2KI.dcm": SHOWN,
    "CT_small.dcm": SHOWN,
    "J2K_pixelrep_mismatch.dcm": SHOWN,
    "JPEG2000.dcm": SHOWN,
    "JPEGLSNearLossless_*.dcm": SHOWN,
    "MR_small.dcm": SHOWN,
    "MR_small_*[!d].dcm": SHOWN,
    "MR_small_padded.dcm": "8320 bytes of pixel data, more than expected: 8192",
    "dicomdirtests/*/CR[123]/*": SHOWN,
    "dicomdirtests/*/CT2/17106": SHOWN,
    "dicomdirtests/*/CT2/171[!0]6": "shows nothing: its grey levels are 25[05] to 255",
    "dicomdirtests/*/CT5N/*": SHOWN,
    "dicomdirtests/*/CT2N/*": "pixels are not square: 0.545455 x 0.596847 mm",
    "dicomdirtests/*/MR[12]/*": SHOWN,
    "dicomdirtests/*/MR700/4[56]*": SHOWN,
    "dicomdirtests/*/MR700/4467": "shows nothing: its grey levels are 56 to 79",
    "examples_overlay.dcm": SHOWN,
    "image_dfl.dcm": SHOWN,
    "rtdose*_1frame.dcm": SHOWN,
    "JPEG-lossy.dcm": "no decoder for JPEG Extended of 12 bits is installed",
    "JPGExtended.dcm": "no decoder for JPEG Extended of 12 bits is installed",
    "JPEG2000-embedded-sequence-delimiter.dcm": "3722445056 x 1024 pixels",  # damaged there
    "MR_truncated.dcm": "less than expected",
    "rtdose.dcm": "15 frames",
    "rtdose_expb.dcm": "15 frames",
    "rtdose_rle.dcm": "15 frames",
    "badVR.dcm": "1A frames",
    "liver_*.dcm": "one bit per pixel",
    "GDCMJ2K_TextGBR.dcm": "not a grey-level image: YBR_RCT",
    "ExplVR_BigEnd.dcm": "not a grey-level image: RGB",
    "SC_jpeg_*.dcm": "not a grey-level image: RGB",
    "SC_rgb_*.dcm": "not a grey-level image: (RGB|YBR_FULL)",
    "SC_ybr_*.dcm": "not a grey-level image: YBR_FULL_422",
    "examples_jpeg2k.dcm": "not a grey-level image: YBR_RCT",
    "examples_palette.dcm": "not a grey-level image: PALETTE COLOR",
    "examples_*_color.dcm": "not a grey-level image: (RGB|YBR_FULL_422)",
    "meta_missing_tsyntax.dcm": "no photometric interpretation",
    "nested_priv_SQ.dcm": "no photometric interpretation",
    "UN_sequence.dcm": "no pixel data",
    "dicomdirtests/DICOMDIR*": "no pixel data",
    "dicomdirtests/TINY_ALPHA/DICOMDIR": "no pixel data",
    "dicomdirtests/TINY_ALPHA/*/*/*/IM*": "no pixel data",
    "empty_charset_LEI.dcm": "no pixel data",
    "no_meta_group_length.dcm": "no pixel data",
    "priv_SQ.dcm": "no pixel data",
    "reportsi*.dcm": "no pixel data",
    "rtplan*.dcm": "no pixel data",
    "test-SR.dcm": "no pixel data",
    "waveform_ecg.dcm": "no pixel data",
    "ExplVR_*NoMeta.dcm": "no pixel data",
    "no_meta.dcm": "not a DICOM file",
    "rtstruct.dcm": "no pixel data",
    "*.dump": "not a DICOM file",
    "*.json": "not a DICOM file",
    "*README*": "not a DICOM file",
    "crayons.icc": "not a DICOM file",
    "zipMR.gz": "not a DICOM file",
    "charset_files/FileInfo.txt": "not a DICOM file",
    "charset_files/chr[AFGHIRX]*[!i].dcm": SHOWN,
    "charset_files/chrFrenMulti.dcm": SHOWN,
    "charset_files/chr[JKS]*.dcm": "no pixel data",
    "palettes/*.dcm": "no pixel data",
}
FILES = {
    path.relative_to(DATA_ROOT).as_posix().removeprefix("test_files/"): path
    for folder in ("test_files", "charset_files", "palettes")
    for path in sorted((Path(DATA_ROOT) / folder).rglob("*"))
    if path.is_file()
}


def patterns(name):
    """The patterns of the table that a file matches."""
    return [pattern for pattern in BUNDLED if fnmatch.fnmatchcase(name, pattern)]


def as_pydicom_shows(path):
    """Grey levels by pydicom's own functions, float64 (H, W) in [0, 255]."""
    dataset = dcmread(path)
    stored = dataset.pixel_array
    values = apply_modality_lut(stored, dataset).astype(float)
    padding = np.zeros(stored.shape, bool)
    if "PixelPaddingValue" in dataset:
        padding = stored == dataset.PixelPaddingValue
    low, high = values[~padding].min(), values[~padding].max()
    if "WindowCenter" in dataset:
        values = apply_voi_lut(values, dataset, index=0)
        # pydicom stretches a window over all that the stored bits can hold.
        low, high = 0, 2**dataset.BitsStored - 1
        if dataset.PixelRepresentation:
            low, high = -(2 ** (dataset.BitsStored - 1)), 2 ** (dataset.BitsStored - 1) - 1
        slope, intercept = dataset.get("RescaleSlope", 1), dataset.get("RescaleIntercept", 0)
        low, high = (float(end) * float(slope) + float(intercept) for end in (low, high))
    elif dataset.BitsStored == 8:
        low, high = 0, 255
    grey = (values - low) / (high - low)
    grey = 1 - grey if dataset.PhotometricInterpretation == "MONOCHROME1" else grey
    return np.where(padding, 0, 255 * grey)


def test_the_table_names_every_bundled_file_once():
    assert len(FILES) > 150
    assert {name: patterns(name) for name in FILES if len(patterns(name)) != 1} == {}
    assert {pattern for name in FILES for pattern in patterns(name)} == set(BUNDLED)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", FILES)
def test_bundled_files_are_shown_rightly_or_refused(name):
    [pattern] = patterns(name)
    if BUNDLED[pattern] == SHOWN:
        shown = read_radiograph(FILES[name]).pixels
        assert np.allclose(shown, as_pydicom_shows(FILES[name]), atol=1e-3)
    else:
        with pytest.raises(Unreadable, match=BUNDLED[pattern]) as caught:
            read_radiograph(FILES[name])
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "MR_small_RLE.dcm",
        "MR_small_bigendian.dcm",
        "MR_small_implicit.dcm",
        "MR_small_jp2klossless.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
    ],
)
def test_one_image_looks_the_same_in_every_transfer_syntax(name):
    plain = read_radiograph(get_testdata_file("MR_small.dcm")).pixels
    assert np.array_equal(read_radiograph(get_testdata_file(name)).pixels, plain)


@pytest.mark.parametrize(
    ("kind", "bits"),
    [(np.uint8, 8), (np.uint16, 12), (np.uint16, 16), (np.int16, 12), (np.int16, 16)],
)
@pytest.mark.parametrize("syntax", [*SIZED, "RLELossless"])
def test_lossless_compression_changes_nothing(tmp_path, syntax, kind, bits):
    values = chest(1).astype(np.int32) << (bits - 8)
    stored = (values - (2 ** (bits - 1) if kind == np.int16 else 0)).astype(kind)
    path = write_dicom(tmp_path / "x.dcm", stored, BitsStored=bits, HighBit=bits - 1)
    expected = read_radiograph(path).pixels
    compress(path, syntax)
    assert np.array_equal(read_radiograph(path).pixels, expected)


@pytest.mark.parametrize("syntax", [HTJ2KLossless, MPEG2MPML])
def test_a_syntax_without_a_decoder_is_named(tmp_path, syntax):
    path = write_dicom(tmp_path / "x.dcm", chest(1), jpeg=True)
    dataset = dcmread(path)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(path)
    with pytest.raises(Unreadable, match=f"^no decoder for {re.escape(syntax.name)} is installed$"):
        read_radiograph(path)


@pytest.mark.parametrize(
    "name",
    [
        "693_J2KI.dcm",
        "JPEG2000.dcm",
        "MR_small_RLE.dcm",
        "MR_small_jp2klossless.dcm",
        "MR_small_jpeg_ls_lossless.dcm",
        "rtdose_rle_1frame.dcm",
    ],
)
@pytest.mark.parametrize("fraction", [0.3, 0.6, 0.9])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_frame_that_ends_early_is_refused_in_every_compression(tmp_path, name, fraction):
    dataset = dcmread(get_testdata_file(name))
    frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    dataset.PixelData = encapsulate([frame[: int(len(frame) * fraction)]])
    dataset.save_as(tmp_path / "x.dcm")
    syntax = dataset.file_meta.TransferSyntaxUID.name
    with pytest.raises(Unreadable, match=f"^cannot be decoded: damaged {re.escape(syntax)}$"):
        read_radiograph(tmp_path / "x.dcm")


def test_a_deflated_file_that_ends_early_is_refused(tmp_path):
    data = Path(get_testdata_file("image_dfl.dcm")).read_bytes()
    for fraction in (0.3, 0.6, 0.9, 0.99):
        (tmp_path / "x.dcm").write_bytes(data[: int(len(data) * fraction)])
        with pytest.raises(Unreadable):
            read_radiograph(tmp_path / "x.dcm")


def test_reduced_decoding_of_real_radiographs(real_data):
    for path in sorted((real_data / "hospital-mini" / "dicom").iterdir())[:20]:
        whole, reduced = read_radiograph(path), read_radiograph(path, enough=448)
        assert reduced.pixels.shape == (512, 512)
        assert mean_difference(whole, reduced, 224) < 0.5


def test_real_polarities(real_data):
    name = "1.2.276.0.7230010.3.1.4.8323329.6904.1517875201.850819.dcm"
    original = read_radiograph(next((real_data / "siim-one").rglob(name)))
    relabelled = read_radiograph(real_data / "dicoms" / "Fake_MONOHR1.dcm")
    assert (original.view, original.age, original.spacing) == ("PA", 62, 0.168)
    assert np.allclose(relabelled.pixels, 255.0 - original.pixels)


def test_real_deep_and_implicit_files(real_data):
    deep = read_radiograph(real_data / "dicoms" / "RG1_J2KI.dcm")
    # MONOCHROME1, 15 bits, window 15000 +- 15000: 26512, its darkest tissue value, ends at 30.
    assert deep.pixels.shape == (1955, 1841)
    assert deep.pixels.min() == pytest.approx(255 * (1 - (26512 - 14999.5) / 29999 - 0.5), abs=0.01)
    assert deep.spacing is None  # written as 0.000
    implicit = read_radiograph(real_data / "dicoms" / "nih-dx-implicit-le.dcm")
    assert implicit.pixels.dtype == np.uint8
    assert (implicit.age, implicit.sex) == (81, "M")
