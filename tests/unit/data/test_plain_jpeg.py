"""The fast path: it takes what it knows, agrees with pydicom on it, and leaves all else."""

import base64
import io
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.uid import ExplicitVRLittleEndian, JPEGBaseline8Bit, JPEGExtended12Bit

from chexviz.base.errors import Unreadable
from chexviz.data.decoding import dicom
from chexviz.data.decoding.plain_jpeg import REQUIRED, TAGS, plain_jpeg
from chexviz.data.decoding.radiograph import radiograph
from made_dicoms import chest, read_radiograph, tagged, write_dicom

WRITTEN = {
    "ViewPosition": "AP",
    "PatientSex": "M",
    "PatientAge": "62",
    "PixelSpacing": ["0.14", "0.14"],
}


@pytest.fixture
def path(tmp_path):
    return write_dicom(tmp_path / "x.dcm", chest(3, (256, 256)), jpeg=True, **WRITTEN)


def changed(path, **tags):
    """The file's bytes with other or further tags; None removes one."""
    return saved(tagged(path, **tags))


def saved(dataset):
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def frame(path):
    return next(generate_frames(dcmread(path).PixelData, number_of_frames=1))


def with_frames(path, *fragments):
    """The file's bytes with other fragments as its only frame."""
    dataset = dcmread(path)
    items = [len(one).to_bytes(4, "little") + one for one in (b"", *fragments)]
    dataset.PixelData = b"".join(b"\xfe\xff\x00\xe0" + item for item in items)
    dataset["PixelData"].is_undefined_length = True
    return saved(dataset)


def by_pydicom(data, enough, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(dicom, "plain_jpeg", lambda data: None)
        return radiograph(data, enough)


def test_tags_are_those_of_the_standard():
    assert {keyword: tag_for_keyword(keyword) for keyword in TAGS} == TAGS
    assert REQUIRED[TAGS["TransferSyntaxUID"]] == JPEGBaseline8Bit.encode()


def test_plain_files_need_no_pydicom(path):
    program = (
        "import sys; from chexviz.data import preprocess\n"
        "from chexviz.data.decoding.radiograph import radiograph\n"
        "assert radiograph(open(sys.argv[1], 'rb').read()).view == 'AP'\n"
        "assert 'pydicom' not in sys.modules"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", program, path], check=True, env=environment)


@pytest.mark.parametrize("enough", [None, 64, 200])
def test_it_agrees_with_the_general_path(path, enough, monkeypatch):
    data = path.read_bytes()
    assert plain_jpeg(data)
    quick, general = radiograph(data, enough), by_pydicom(data, enough, monkeypatch)
    assert np.array_equal(quick.pixels, general.pixels)
    quick.pixels = general.pixels = None
    assert quick == general
    assert (quick.view, quick.sex, quick.age, quick.spacing) == ("AP", "M", 62, 0.14)


def sequence():
    item = Dataset()
    item.ViewPosition, item.PatientSex = "LL", "F"
    return [item]


@pytest.mark.parametrize(
    "tags",
    [
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"RescaleSlope": "2", "RescaleIntercept": "0"},
        {"WindowCenter": "100", "WindowWidth": "50"},
        {"PixelPaddingValue": 3},
        {"NumberOfFrames": "1"},
        {"BitsStored": 7},
        {"PixelRepresentation": 1},
    ],
)
def test_what_needs_a_transform_is_left_to_the_general_path(tmp_path, path, tags):
    other = write_dicom(tmp_path / "y.dcm", chest(3, (256, 256)), jpeg=True, **WRITTEN, **tags)
    assert plain_jpeg(other.read_bytes()) is None
    assert plain_jpeg(changed(path, BitsStored=None)) is None


def test_tags_within_sequences_are_not_those_of_the_image(path, monkeypatch):
    data = changed(path, ViewPosition=None, PatientSex=None, RequestAttributesSequence=sequence())
    assert plain_jpeg(data)
    assert radiograph(data).view == radiograph(data).sex == ""
    dataset = dcmread(io.BytesIO(data))
    dataset["RequestAttributesSequence"].is_undefined_length = True
    assert plain_jpeg(saved(dataset)) is None
    assert radiograph(saved(dataset)).view == ""


def test_fragments_are_left_to_the_general_path(path):
    whole = frame(path)
    parts = with_frames(path, whole[:1000], whole[1000:])
    assert plain_jpeg(parts) is None
    assert np.array_equal(radiograph(parts).pixels, read_radiograph(path).pixels)
    assert plain_jpeg(path.read_bytes() + b"\0\0") is None


def test_no_part_of_a_file_is_taken_for_the_whole(path):
    data = path.read_bytes()
    for end in [*range(0, 1200, 7), *range(1200, len(data), 487), len(data) - 9, len(data) - 1]:
        assert plain_jpeg(data[:end]) is None
    for end in range(0, len(data) - 8, 997):
        with pytest.raises(Unreadable):
            radiograph(data[:end])


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_damaged_headers_are_refused_or_read_as_pydicom_does(path, monkeypatch):
    data, draws = path.read_bytes(), np.random.default_rng(0)
    start = data.index(frame(path)[:20])
    agreed = 0
    for _ in range(400):
        damaged = bytearray(data)
        damaged[draws.integers(128, start)] = draws.integers(256)
        outcomes = []
        for read in (radiograph, lambda data: by_pydicom(data, None, monkeypatch)):
            try:
                found = read(bytes(damaged))
                outcomes.append((found.pixels.tobytes(), found.age, found.view, found.spacing))
            except Unreadable:
                outcomes.append(None)
        # Where the fast path reads, pydicom reads the same; or it refuses what does not matter
        # here, such as a wrong length of the file's own meta group.
        assert outcomes[0] == outcomes[1] or outcomes[1] is None
        agreed += outcomes[0] == outcomes[1]
    assert agreed > 350


@pytest.mark.parametrize(
    "damage",
    [
        lambda jpeg: jpeg[:-2],
        lambda jpeg: jpeg[: len(jpeg) // 2],
        lambda jpeg: jpeg[: len(jpeg) // 2] + b"\xff\xd9",
        lambda jpeg: jpeg[:5000] + bytes(200) + jpeg[5200:],
        lambda jpeg: b"",
        lambda jpeg: bytes(len(jpeg)),
    ],
)
@pytest.mark.parametrize("enough", [None, 64])
def test_a_damaged_jpeg_is_refused_on_both_paths(path, damage, enough, monkeypatch):
    broken = damage(frame(path))
    data = with_frames(path, broken + b"\0" * (len(broken) % 2))
    assert plain_jpeg(data)
    for read in (radiograph, lambda *arguments: by_pydicom(*arguments, monkeypatch)):
        with pytest.raises(Unreadable, match=r"JPEG|decoded"):
            read(data, enough)


def as_jpeg(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue() + b"\0" * (buffer.tell() % 2)


def test_a_jpeg_that_is_not_what_the_header_says_is_refused(path):
    colour = np.stack([chest(1, (256, 256))] * 3, axis=-1)
    for pixels, found in ((chest(1, (128, 256)), "256 x 128 Gray"), (colour, "256 x 256 YCbCr")):
        with pytest.raises(Unreadable, match=f"the JPEG is {found}, the header says"):
            radiograph(with_frames(path, as_jpeg(pixels)))


# The numbers 0 to 255 in 16 rows, by `cjpeg -arithmetic -quality 95` of libjpeg-turbo.
ARITHMETIC = """
/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAIBAQEBAQIBAQECAgICAgQDAgICAgUEBAMEBgUGBgYFBgYGBwkIBgcJBwYGCAsI
CQoKCgoKBggLDAsKDAkKCgr/yQALCAAQABABAREA/8wABgAQEAX/2gAIAQEAAD8A/wDsme47CQOanpJD8G6f1H5jDd8fBj9+
i0qoLbwqFQoQ/9k=
"""


def test_a_jpeg_of_arithmetic_coding_is_read(tmp_path):
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    path = write_dicom(tmp_path / "x.dcm", ramp, jpeg=True)
    jpeg = base64.b64decode(ARITHMETIC)
    padded = jpeg + b"\0" * (len(jpeg) % 2)
    for fragments in ([padded], [padded[:100], padded[100:]]):
        data = with_frames(path, *fragments)
        assert bool(plain_jpeg(data)) == (len(fragments) == 1)
        assert np.abs(radiograph(data).pixels - ramp.astype(int)).max() <= 3


@pytest.mark.parametrize("bits", [8, 12])
def test_a_jpeg_of_12_bits_has_no_decoder(path, bits):
    start = frame(path).index(b"\xff\xc0")
    twelve = frame(path)[:start] + b"\xff\xc1\0\x0b\x0c" + frame(path)[start + 5 :]
    path.write_bytes(with_frames(path, twelve + b"\0" * (len(twelve) % 2)))
    with pytest.raises(Unreadable, match=r"^no decoder for this JPEG: .* precision 12$"):
        read_radiograph(path)
    found = "^no decoder for JPEG Extended of 12 bits is installed$"
    dataset = dcmread(path)
    dataset.file_meta.TransferSyntaxUID = JPEGExtended12Bit
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, bits, bits - 1
    with pytest.raises(Unreadable, match=found):
        radiograph(saved(dataset))


def test_extended_jpeg_of_8_bits_is_read_as_baseline_is(path):
    dataset = dcmread(path)
    dataset.file_meta.TransferSyntaxUID = JPEGExtended12Bit
    assert plain_jpeg(saved(dataset)) is None
    assert np.array_equal(radiograph(saved(dataset)).pixels, read_radiograph(path).pixels)


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ({"BitsStored": 12, "HighBit": 11}, "12 bits stored in 8 are not possible"),
        ({"BitsStored": 17, "HighBit": 16}, "17 bits stored in 8 are not possible"),
        ({"BitsStored": 255}, "255 bits stored in 8 are not possible"),
        ({"BitsAllocated": 12, "BitsStored": 12}, "12 bits stored in 12 are not possible"),
        ({"PixelRepresentation": 7}, "a pixel representation of 7, not 0 or 1"),
        ({"PixelRepresentation": 1}, "a lossy JPEG of 8 unsigned bits, the header says 8 signed"),
        (
            {"BitsAllocated": 16, "BitsStored": 12, "HighBit": 11},
            "a lossy JPEG of 8 unsigned bits, the header says 12 unsigned",
        ),
        ({"BitsStored": None}, "no BitsStored"),
        ({"Rows": 0}, "no pixels: 256 x 0"),
    ],
)
def test_tags_that_a_jpeg_cannot_have_are_refused(path, tags, found):
    with pytest.raises(Unreadable, match=f"^{found}$"):
        radiograph(changed(path, **tags))


def test_other_encodings_are_left_to_the_general_path(tmp_path):
    plain = write_dicom(tmp_path / "x.dcm", chest(3))
    assert dcmread(plain).file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    for data in (plain.read_bytes(), b"", b"DICM", bytes(1000), b"\0" * 128 + b"DICM"):
        assert plain_jpeg(data) is None
