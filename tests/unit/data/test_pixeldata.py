"""Files whose header and pixels contradict each other, lack a part, or would be too large."""

import tracemalloc

import numpy as np
import pytest
from pydicom import dcmread, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
)

from chexviz.base.errors import Unreadable
from chexviz.data.decoding.plain_jpeg import plain_jpeg
from made_dicoms import SIZED, chest, compress, read_radiograph, tagged, write_dicom


def read(tmp_path, pixels, **tags):
    return read_radiograph(write_dicom(tmp_path / "x.dcm", pixels, **tags))


# --- header and pixels that contradict each other ---


def with_tags(path, **tags):
    """The file with other tags; None removes one."""
    tagged(path, **tags).save_as(path)
    return path


@pytest.mark.parametrize("rows", [32, 60])
def test_pixel_data_longer_than_the_header_says_are_refused(tmp_path, rows):
    path = with_tags(write_dicom(tmp_path / "x.dcm", chest(1)), Rows=rows)
    found = f"^4096 bytes of pixel data, more than expected: {rows * 64}$"
    with pytest.raises(Unreadable, match=found):
        read_radiograph(path)


@pytest.mark.parametrize(
    ("excess", "whole"), [(bytes(8), True), (bytes(10), False), (b"\0\1", False)]
)
@pytest.mark.filterwarnings("ignore:The pixel data is:UserWarning")
def test_pixel_data_may_end_with_a_few_zeros(tmp_path, excess, whole):
    path = write_dicom(tmp_path / "x.dcm", chest(1))
    with_tags(path, PixelData=dcmread(path).PixelData + excess)
    if whole:
        assert np.array_equal(read_radiograph(path).pixels, chest(1))
    else:
        with pytest.raises(Unreadable, match="more than expected: 4096"):
            read_radiograph(path)


@pytest.mark.parametrize("syntax", SIZED)
def test_compressed_pixels_of_another_size_than_the_header_are_refused(tmp_path, syntax):
    path = compress(write_dicom(tmp_path / "x.dcm", chest(1, (48, 96))), syntax)
    assert np.array_equal(read_radiograph(path).pixels, chest(1, (48, 96)))
    with_tags(path, Rows=96, Columns=48)
    found = "is 96 x 48 pixels of 1 components, the header says 48 x 96 of 1$"
    with pytest.raises(Unreadable, match=found):
        read_radiograph(path)


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        (48, "^RLE of more than the 3072 pixels that the header says$"),
        (80, "^cannot be decoded: damaged RLE Lossless$"),
    ],
)
def test_rle_of_another_length_than_the_header_says_is_refused(tmp_path, rows, found):
    path = compress(write_dicom(tmp_path / "x.dcm", chest(1)), "RLELossless")
    with pytest.raises(Unreadable, match=found):
        read_radiograph(with_tags(path, Rows=rows))


@pytest.mark.parametrize("kind", [np.uint16, np.int16])
@pytest.mark.parametrize("syntax", [None, *SIZED, "RLELossless"])
def test_bits_that_are_not_stored_are_ignored_in_every_compression(tmp_path, syntax, kind):
    stored = chest(1).astype(np.uint16) << 4
    tags = {"WindowCenter": "2048", "WindowWidth": "4096"}
    if kind == np.int16:
        stored, tags["WindowCenter"] = (stored - 2048) & 0xFFF, "0"
    path = write_dicom(tmp_path / "x.dcm", (stored | 0xA000).view(kind), **tags)
    if syntax:
        compress(path, syntax)
    with_tags(path, BitsStored=12, HighBit=11)
    assert np.allclose(read_radiograph(path).pixels, chest(1) * (16 / 4095 * 255), atol=1e-3)


def test_more_bits_in_the_pixels_than_the_header_has_room_for_are_refused(tmp_path):
    path = write_dicom(tmp_path / "x.dcm", chest(1).astype(np.uint16) << 8)
    compress(path, "JPEG2000Lossless")
    with_tags(path, BitsAllocated=8, BitsStored=8, HighBit=7)
    with pytest.raises(Unreadable, match=r"is of 16 bits, the header says 8 allocated$"):
        read_radiograph(path)


def test_pixels_of_another_compression_than_the_header_says_are_refused(tmp_path):
    path = compress(write_dicom(tmp_path / "x.dcm", chest(1)), "JPEGLSLossless")
    dataset = dcmread(path)
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    dataset.save_as(path)
    with pytest.raises(Unreadable, match=r"\(Lossless Only\), its pixels are JPEG-LS$"):
        read_radiograph(path)


IMPOSSIBLE = [
    ({"BitsStored": 17, "HighBit": 16}, "17 bits stored in 16 are not possible"),
    ({"BitsAllocated": 24}, "16 bits stored in 24 are not possible"),
    ({"BitsStored": None}, "no BitsStored"),
    ({"PixelRepresentation": 7}, "a pixel representation of 7, not 0 or 1"),
    ({"Columns": 0}, "no pixels: 0 x 64"),
    ({"Rows": [64, 64]}, r"its Rows is \[64, 64\]"),
    ({"PresentationIntentType": "FOR PROCESSING"}, "not to be displayed: .* FOR PROCESSING"),
]


@pytest.mark.parametrize(("tags", "found"), IMPOSSIBLE)
@pytest.mark.parametrize("syntax", [None, "JPEGLSLossless", "JPEG2000Lossless", "RLELossless"])
def test_impossible_tags_are_refused_in_every_compression(tmp_path, syntax, tags, found):
    path = write_dicom(tmp_path / "x.dcm", chest(1).astype(np.uint16) << 8)
    if syntax:
        compress(path, syntax)
    with pytest.raises(Unreadable, match=f"^{found}$"):
        read_radiograph(with_tags(path, **tags))


@pytest.mark.parametrize("intent", ["FOR PROCESSING", "FOR PRESENTATION"])
def test_a_plain_file_for_processing_is_refused_too(tmp_path, intent):
    path = write_dicom(tmp_path / "x.dcm", chest(1), jpeg=True, PresentationIntentType=intent)
    assert plain_jpeg(path.read_bytes())
    if intent == "FOR PRESENTATION":
        assert read_radiograph(path).pixels.shape == (64, 64)
    else:
        with pytest.raises(Unreadable, match=r"PresentationIntentType is FOR PROCESSING$"):
            read_radiograph(path)


@pytest.mark.parametrize("bits", [6, 7])
def test_jpeg_ls_of_6_or_7_bits_is_no_damage(tmp_path, bits):
    path = compress(write_dicom(tmp_path / "x.dcm", chest(1)), "JPEGLSLossless")
    found = f"^no decoder for JPEG-LS of {bits} bits is installed$"
    data = path.read_bytes()
    start = data.index(b"\xff\xf7") + 4  # where the pixels say their bits
    path.write_bytes(data[:start] + bytes([bits]) + data[start + 1 :])
    with pytest.raises(Unreadable, match=found):
        read_radiograph(path)
    path.write_bytes(data)
    with pytest.raises(Unreadable, match=found):
        read_radiograph(with_tags(path, BitsStored=bits, HighBit=bits - 1))


@pytest.mark.parametrize("syntax", [*SIZED, "RLELossless"])
def test_8_bits_in_16_are_read_in_every_compression(tmp_path, syntax):
    path = write_dicom(tmp_path / "x.dcm", chest(1).astype(np.uint16), BitsStored=8, HighBit=7)
    assert np.allclose(read_radiograph(compress(path, syntax)).pixels, chest(1))


# --- files without their first part ---


@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian]
)
@pytest.mark.parametrize("bare", [True, False])
def test_a_file_that_does_not_say_its_transfer_syntax_is_read(tmp_path, syntax, bare):
    path = write_dicom(tmp_path / "x.dcm", chest(1))
    dataset = dcmread(path)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID
    if bare:
        dataset.preamble, dataset.file_meta = None, FileMetaDataset()
    else:
        del dataset.file_meta.TransferSyntaxUID
    encoding = {"implicit_vr": syntax.is_implicit_VR, "little_endian": syntax.is_little_endian}
    dcmwrite(path, dataset, force_encoding=True, **encoding)
    assert (path.read_bytes()[128:132] != b"DICM") == bare
    assert np.array_equal(read_radiograph(path).pixels, chest(1))


def test_a_compressed_file_that_does_not_say_its_transfer_syntax_is_refused(tmp_path):
    path = write_dicom(tmp_path / "x.dcm", chest(1), jpeg=True)
    dataset = dcmread(path)
    del dataset.file_meta.TransferSyntaxUID
    dcmwrite(path, dataset, force_encoding=True, implicit_vr=False, little_endian=True)
    with pytest.raises(Unreadable, match=r"are compressed, but no transfer syntax says how$"):
        read_radiograph(path)


# --- limits ---


@pytest.mark.parametrize("jpeg", [True, False])
def test_a_file_of_more_pixels_than_the_limit_is_refused(tmp_path, jpeg):
    path = write_dicom(tmp_path / "x.dcm", chest(1), jpeg=jpeg)
    assert read_radiograph(path, max_pixels=4096).pixels.shape == (64, 64)
    with pytest.raises(Unreadable, match=r"^too large: 64 x 64 pixels, .* max_pixels, 4095$"):
        read_radiograph(path, max_pixels=4095)


def allocated(read):
    """The most memory, in MiB, that Python's and numpy's allocations take during a call."""
    tracemalloc.start()
    try:
        read()
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "syntax", [None, "JPEG", "RLELossless", "JPEG2000Lossless", "JPEGLSLossless"]
)
def test_a_header_of_65535_x_65535_pixels_takes_no_memory(tmp_path, syntax):
    path = write_dicom(tmp_path / "x.dcm", chest(1), jpeg=syntax == "JPEG")
    if syntax not in (None, "JPEG"):
        compress(path, syntax)
    with_tags(path, Rows=65535, Columns=65535)

    def read():
        with pytest.raises(Unreadable, match=r"^too large: 65535 x 65535 pixels"):
            read_radiograph(path, max_pixels=36_000_000)

    assert allocated(read) < 4


def test_a_small_header_over_a_huge_jpeg_2000_takes_no_memory(tmp_path):
    path = compress(write_dicom(tmp_path / "x.dcm", np.zeros((3000, 3000), np.uint8)), SIZED[-1])
    with_tags(path, Rows=64, Columns=64)

    def read():
        with pytest.raises(Unreadable, match="is 3000 x 3000 pixels"):
            read_radiograph(path, max_pixels=36_000_000)

    assert allocated(read) < 4


def test_rle_takes_no_more_memory_than_its_header_says(tmp_path):
    path = compress(write_dicom(tmp_path / "x.dcm", chest(1)), "RLELossless")
    header = (1).to_bytes(4, "little") + (64).to_bytes(4, "little") + bytes(56)
    with_tags(path, PixelData=encapsulate([header + b"\x81\xff" * 200_000]))

    def read():
        with pytest.raises(Unreadable, match=r"^RLE of more than the 4096 pixels"):
            read_radiograph(path)

    assert allocated(read) < 4


def test_a_deflated_file_that_inflates_beyond_the_limit_takes_no_memory(tmp_path):
    path = write_dicom(tmp_path / "x.dcm", chest(1), ImageComments=" " * 2**25)
    dataset = dcmread(path)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dcmwrite(path, dataset)
    assert path.stat().st_size < 2**16

    def read():
        found = "^too large: it inflates to more than 4 x preprocess: max_pixels, 40000 bytes$"
        with pytest.raises(Unreadable, match=found):
            read_radiograph(path, max_pixels=10_000)

    assert allocated(read) < 4
    assert np.array_equal(read_radiograph(path, max_pixels=2**24).pixels, chest(1))
