"""One radiograph's file of any kind as it is meant to be seen: bone white, grey levels 0 to 255."""

from dataclasses import dataclass

import numpy as np

from chexviz.base.errors import InputError, Unreadable
from chexviz.data.decoding.dicom import read_dicom
from chexviz.data.decoding.jpeg import read_jpeg
from chexviz.data.decoding.limits import check_levels
from chexviz.data.decoding.png import read_png
from chexviz.data.decoding.signature import DICOM, JPEG, PNG, RADIOGRAPHS, kind

# Each takes a file's bytes, `enough` and `max_pixels` (see `radiograph`), and gives the pixels,
# the height and width of the file, and what it says beside the pixels: fields of Radiograph.
READERS = {DICOM: read_dicom, PNG: read_png, JPEG: read_jpeg}


@dataclass
class Radiograph:
    """A radiograph and what its header says about it: PNG and JPEG files say nothing.

    pixels: (H, W), uint8 or float32 in [0, 255], white is bone; possibly a reduced version of
    the `height` x `width` pixels of the file. view: 'AP', 'PA', ... or ''. sex: 'F', 'M' or ''.
    age: years or None. age_stated: the age as the file has it, or ''. spacing: mm per pixel of
    the file or None. lossy: whether it was compressed with a loss.
    """

    pixels: np.ndarray
    height: int
    width: int
    view: str = ""
    sex: str = ""
    age: float | None = None
    age_stated: str = ""
    spacing: float | None = None
    lossy: bool = False


def radiograph(data: bytes, enough: int | None = None, max_pixels: int | None = None) -> Radiograph:
    """Decode a file's bytes: DICOM, PNG or JPEG, by what they are.

    enough: pixels along the shorter side that suffice; JPEG that needs no transform is then
    decoded at the smallest scale of 1/2^k that has them. max_pixels: that a file may have; None:
    any number.
    Raises Unreadable if it is not one grey-level image to be displayed, or is damaged, and
    MemoryError if there is too little memory.
    """
    found = kind(data) or DICOM  # old ones have no mark
    if found not in RADIOGRAPHS:
        raise Unreadable(f"not a radiograph that can be read: {found}, not {', '.join(READERS)}")
    try:
        pixels, shape, said = READERS[found](data, enough, max_pixels)
        check_levels(pixels)
        return Radiograph(pixels, *shape, **said)
    # No file is at fault for a lack of memory, which can end an import too, or of a decoder.
    except (Unreadable, InputError, MemoryError, ImportError):
        raise
    # Damaged headers make decoders fail in ways that no list of exceptions covers.
    except Exception as error:
        detail = " ".join(str(error).split())[:200]
        raise Unreadable(f"cannot be decoded: {type(error).__name__}: {detail}") from error
