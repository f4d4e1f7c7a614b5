"""Radiographs of all kinds: told apart by what they are, and the same whatever they are in."""

import os
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import generate_frames

from chexviz.base.errors import InputError, Unreadable
from chexviz.data.convert import Task, convert
from chexviz.data.decoding.radiograph import READERS, radiograph
from chexviz.data.decoding.signature import LENGTH, RADIOGRAPHS, kind
from made_dicoms import chest, write_dicom
from made_rasters import encoded, made_png

GREY = chest(1, (240, 256))
LIMIT = 36_000_000
OTHERS = {
    "GIF": encoded(GREY, "GIF"),
    "BMP": encoded(GREY, "BMP"),
    "TIFF": encoded(GREY, "TIFF"),
    "BigTIFF": encoded(GREY, "TIFF", big_tiff=True),
    "WebP": encoded(GREY, "WEBP", mode="RGB"),
    "JPEG 2000": encoded(GREY, "JPEG2000"),
}


def image(data, size=64):
    """The image of a file's bytes, uint8 (size, size)."""
    return convert(data, Task(0, None, "a", [], []), size, "pad", LIMIT)[0]


def test_every_kind_has_its_reader():
    assert set(READERS) == set(RADIOGRAPHS)


@pytest.mark.parametrize("name", OTHERS)
def test_other_kinds_are_refused_by_name(name):
    assert kind(OTHERS[name][:LENGTH]) == name
    reason = f"^not a radiograph that can be read: {name}, not DICOM, PNG, JPEG$"
    with pytest.raises(Unreadable, match=reason):
        radiograph(OTHERS[name])


def test_what_nobody_knows_is_no_dicom_file_either():
    assert kind(b"") == kind(b"file,patient\n") == ""
    for data in (b"", b"file,patient\n" * 20):
        with pytest.raises(Unreadable):
            radiograph(data)


def test_a_dicom_file_that_passes_for_a_tiff_is_dicom(tmp_path):
    data = write_dicom(tmp_path / "x.dcm", GREY).read_bytes()
    assert kind(data) == "DICOM"
    disguised = OTHERS["TIFF"][:8] + data[8:]
    assert np.array_equal(radiograph(disguised).pixels, GREY)


def test_the_same_pixels_come_from_dicom_and_png(tmp_path):
    stored = write_dicom(tmp_path / "x.dcm", GREY).read_bytes()
    for data in (encoded(GREY), encoded(GREY, mode="RGBA"), made_png(GREY, interlaced=1)):
        assert np.array_equal(radiograph(data).pixels, radiograph(stored).pixels)
        assert np.array_equal(image(data), image(stored))


@pytest.mark.parametrize("enough", [None, 100, 20])
def test_the_same_pixels_come_from_a_jpeg_in_dicom_and_alone(tmp_path, enough):
    path = write_dicom(tmp_path / "x.dcm", GREY, jpeg=True)
    frame = next(generate_frames(dcmread(path).PixelData, number_of_frames=1))
    stored = path.read_bytes()
    assert np.array_equal(radiograph(frame, enough).pixels, radiograph(stored, enough).pixels)
    assert np.array_equal(image(frame), image(stored))


@pytest.mark.parametrize(
    "data",
    [
        made_png(GREY, width=2**31 - 1, height=2**31 - 1),
        encoded(GREY, "JPEG").replace(b"\x08\x00\xf0\x01\x00", b"\x08\xff\xff\xff\xff"),
    ],
    ids=["PNG", "JPEG"],
)
def test_a_file_that_claims_too_many_pixels_is_refused_before_it_is_decoded(data, monkeypatch):
    for module in ("png", "jpeg"):
        monkeypatch.setattr(f"chexviz.data.decoding.{module}.require_room", None)
    with pytest.raises(Unreadable, match=r"^too large: \d+ x \d+ pixels, more than preprocess: "):
        radiograph(data, None, LIMIT)


def test_as_many_pixels_as_may_be_are_read():
    for name in ("PNG", "JPEG"):
        data = encoded(GREY, name)
        assert radiograph(data, None, GREY.size).pixels.shape == GREY.shape
        with pytest.raises(Unreadable, match=r"^too large"):
            radiograph(data, None, GREY.size - 1)


def test_rasters_need_no_pydicom(tmp_path):
    for name in ("PNG", "JPEG"):
        (tmp_path / name).write_bytes(encoded(GREY, name))
    program = (
        "import sys; from chexviz.data.decoding.radiograph import radiograph\n"
        "for path in sys.argv[1:]: assert radiograph(open(path, 'rb').read()).width == 256\n"
        "assert 'pydicom' not in sys.modules"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    line = [sys.executable, "-c", program, tmp_path / "PNG", tmp_path / "JPEG"]
    subprocess.run(line, check=True, env=environment)


def test_only_png_files_need_their_decoder(monkeypatch):
    """So that a study of DICOM files runs where the decoder is too old, or absent."""
    monkeypatch.setitem(sys.modules, "kornia_rs.io", None)
    assert radiograph(encoded(GREY, "JPEG")).width == 256
    with pytest.raises(InputError) as failure:
        radiograph(encoded(GREY, "PNG"))
    assert failure.value.where == sys.executable
    assert "kornia" in failure.value.found
    assert failure.value.fix == f"{sys.executable} -m pip install 'kornia-rs>=0.2'"
    program = "import sys, chexviz.data.decoding.radiograph; assert 'kornia_rs' not in sys.modules"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)


def test_real_png_files(real_data):
    modes: Counter = Counter()
    for path in sorted((real_data / "nih-mini").rglob("*.png")):
        data, opened = path.read_bytes(), Image.open(path)
        found = radiograph(data, None, LIMIT)
        assert (found.height, found.width, found.spacing) == (1024, 1024, None)
        assert np.array_equal(found.pixels, np.asarray(opened.getchannel(0)))
        whole = Image.fromarray(found.pixels).resize((224, 224), Image.Resampling.BILINEAR)
        assert np.abs(image(data, 224).astype(int) - whole).max() <= 1
        modes[opened.mode] += 1
    assert modes == {"L": 65, "RGBA": 5}
