"""Side by side with OFFIS' dcmtk (Debian: dcmtk): what is displayed, and what it compresses."""

import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.dataset import Dataset

from chexviz.base.errors import Unreadable
from needed import absent
from unit.made_dicoms import chest, read_radiograph, write_dicom

RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)  # 12 bits
DEEP = {"BitsStored": 12, "HighBit": 11}
WINDOW = {"WindowCenter": "1500", "WindowWidth": "2500"}


def dcmtk(tool, *words):
    """Run a program of dcmtk; it has to be installed."""
    program = shutil.which(tool)
    if program is None:
        absent(f"no dcmtk: {tool} is not installed (Debian: apt-get install dcmtk)")
    subprocess.run([program, *map(str, words)], check=True, capture_output=True)


def table(start, levels, bits):
    """A lookup table as a sequence of one item."""
    item = Dataset()
    item.add_new("LUTDescriptor", "SS" if start < 0 else "US", [len(levels), start, bits])
    item.add_new("LUTData", "US", [int(level) for level in levels])
    return [item]


CURVE = np.sqrt(np.linspace(0, 1, 4096))
SHOWN = {  # pixels, tags, and how dcm2pnm is told to do what we do by ourselves
    "8 bits": (chest(1), {}, []),
    "8 bits, MONOCHROME1": (chest(1), {"PhotometricInterpretation": "MONOCHROME1"}, []),
    "the range that is used": (RAMP // 2 + 500, DEEP, ["+Wm"]),
    "window": (RAMP, DEEP | WINDOW, ["+Wi", 1]),
    "window, MONOCHROME1": (
        RAMP,
        DEEP | WINDOW | {"PhotometricInterpretation": "MONOCHROME1"},
        ["+Wi", 1],
    ),
    "window, rescaled": (
        RAMP,
        DEEP | WINDOW | {"RescaleSlope": "0.5", "RescaleIntercept": "300"},
        ["+Wi", 1],
    ),
    "window, signed": (
        (RAMP.astype(np.int16) - 2048),
        DEEP | {"WindowCenter": "-100", "WindowWidth": "3000"},
        ["+Wi", 1],
    ),
    "window, bits above those stored": (RAMP | 0xA000, DEEP | WINDOW, ["+Wi", 1]),
    "sigmoid": (RAMP, DEEP | WINDOW | {"VOILUTFunction": "SIGMOID"}, ["+Wi", 1, "+Wfs"]),
    "VOI table": (RAMP, DEEP | {"VOILUTSequence": table(0, CURVE * 65535, 16)}, ["+Wl", 1]),
    "VOI table of 8 bits": (
        RAMP,
        DEEP | {"VOILUTSequence": table(0, CURVE * 255, 8)},
        ["+Wl", 1],
    ),
    "VOI table of 12 bits that says 16": (
        RAMP,
        DEEP | {"VOILUTSequence": table(0, CURVE * 4095, 16)},
        ["+Wl", 1, "+Mv"],
    ),
    "VOI table from 40000": (
        RAMP + 40000,
        {"VOILUTSequence": table(40000, CURVE * 65535, 16)},
        ["+Wl", 1],
    ),
    "modality table, window": (
        RAMP,
        DEEP | {"ModalityLUTSequence": table(0, CURVE * 4095, 12)} | WINDOW,
        ["+Wi", 1],
    ),
}


@pytest.mark.parametrize("name", SHOWN)
def test_grey_levels_are_dcm2pnms(tmp_path, name):
    pixels, tags, words = SHOWN[name]
    path = write_dicom(tmp_path / "x.dcm", pixels, **tags)
    dcmtk("dcm2pnm", *words, path, tmp_path / "x.pgm")
    theirs = np.asarray(Image.open(tmp_path / "x.pgm")).astype(float)
    # Theirs are cut off to whole levels, some after a table of steps.
    assert np.abs(read_radiograph(path).pixels - theirs).max() <= 1.1
    assert np.ptp(theirs) > 100


COMPRESSIONS = {
    "JPEG lossless": ("dcmcjpeg", "+e1"),
    "JPEG lossless, selection value 6": ("dcmcjpeg", "+el", "+sv", 6),
    "JPEG-LS": ("dcmcjpls",),
    "RLE": ("dcmcrle",),
}


@pytest.mark.parametrize("name", COMPRESSIONS)
@pytest.mark.parametrize(
    ("pixels", "tags"),
    [(chest(1, (48, 96)), {}), (RAMP, DEEP | WINDOW), (RAMP << 4, {})],
    ids=["8 bits", "12 bits", "16 bits"],
)
def test_what_dcmtk_compresses_is_read(tmp_path, name, pixels, tags):
    path = write_dicom(tmp_path / "x.dcm", pixels, SOPClassUID="1.2.840.10008.5.1.4.1.1.1", **tags)
    tool, *words = COMPRESSIONS[name]
    dcmtk(tool, *words, path, tmp_path / "y.dcm")
    assert dcmread(tmp_path / "y.dcm").file_meta.TransferSyntaxUID.is_compressed
    assert np.array_equal(read_radiograph(tmp_path / "y.dcm").pixels, read_radiograph(path).pixels)


def test_lossy_jpeg_of_8_bits_is_read_and_of_12_bits_refused(tmp_path):
    path = write_dicom(tmp_path / "x.dcm", chest(1), SOPClassUID="1.2.840.10008.5.1.4.1.1.1")
    for process in ("+eb", "+ee"):
        dcmtk("dcmcjpeg", process, path, tmp_path / "y.dcm")
        found = read_radiograph(tmp_path / "y.dcm").pixels.astype(float)
        assert np.abs(found - chest(1)).mean() < 3
    write_dicom(path, RAMP, SOPClassUID="1.2.840.10008.5.1.4.1.1.1", **DEEP)
    dcmtk("dcmcjpeg", "+ee", path, tmp_path / "y.dcm")
    with pytest.raises(Unreadable, match=r"^no decoder for JPEG Extended of 12 bits is installed$"):
        read_radiograph(tmp_path / "y.dcm")


def test_real_radiographs_are_dcmtks(tmp_path, real_data):
    files = [real_data / "dicoms" / "nih-dx-implicit-le.dcm"]
    files += sorted((real_data / "hospital-mini" / "dicom").iterdir())[:2]
    for path in files:
        dcmtk("dcmj2pnm", path, tmp_path / "x.pgm")
        theirs = np.asarray(Image.open(tmp_path / "x.pgm")).astype(float)
        # Two decoders of JPEG round differently.
        assert np.abs(read_radiograph(path).pixels - theirs).max() <= 2
