"""One DICOM file as it is meant to be seen: bone white, grey levels 0 to 255, and its tags."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from chexviz.base.errors import Unreadable
from chexviz.data.decoding.jpeg import decode_jpeg
from chexviz.data.decoding.limits import check_levels, check_size
from chexviz.data.decoding.plain_jpeg import plain_jpeg

OLDEST = 120  # years; ages beyond are typing errors (the RSNA files hold five over 100, up to 155)
YEARS = {"Y": 1, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}


@dataclass
class Radiograph:
    """A radiograph and what its header says about it.

    pixels: (H, W), uint8 or float32 in [0, 255], white is bone; possibly a reduced version of
    the `height` x `width` pixels of the file. view: 'AP', 'PA', ... or ''. sex: 'F', 'M' or ''.
    age: years or None. age_stated: the age as the file has it, or ''. spacing: mm per pixel of
    the file or None.
    """

    pixels: np.ndarray
    height: int
    width: int
    view: str
    sex: str
    age: float | None
    age_stated: str
    spacing: float | None


def radiograph(data: bytes, enough: int | None = None, max_pixels: int | None = None) -> Radiograph:
    """Decode a DICOM file's bytes; apply its modality, VOI and polarity transforms (PS3.4 N.2).

    enough: pixels along the shorter side that suffice; baseline JPEG that needs no transform is
    then decoded at the smallest scale of 1/2^k that has them. max_pixels: that a file may have;
    None: any number.
    Raises Unreadable if it is not one grey-level image to be displayed, or is damaged, and
    MemoryError if there is too little memory.
    """
    try:
        plain = plain_jpeg(data)
        if plain:
            text: Callable[[str], str] = plain.text
            shape = plain.number("Rows"), plain.number("Columns")
            check_size(shape, max_pixels)
            pixels = decode_jpeg(plain.jpeg, shape, enough)
        else:
            # Not before the first such file: to import pydicom takes as long as 100 plain ones.
            from chexviz.data.decoding import dicom_transforms

            pixels, shape, text = dicom_transforms.read_displayed(data, enough, max_pixels)
        if text("PresentationIntentType") == "FOR PROCESSING":
            raise Unreadable("not to be displayed: its PresentationIntentType is FOR PROCESSING")
        check_levels(pixels)
        return Radiograph(pixels, *shape, **described(text))
    # No file is at fault for a lack of memory, which can end an import too.
    except (Unreadable, MemoryError, ImportError):
        raise
    # Damaged headers make decoders fail in ways that no list of exceptions covers.
    except Exception as error:
        detail = " ".join(str(error).split())[:200]
        raise Unreadable(f"cannot be decoded: {type(error).__name__}: {detail}") from error


def described(text: Callable[[str], str]) -> dict:
    """What the header says beside the pixels. text: gives the text of a keyword, or ''."""
    return {
        "view": text("ViewPosition").upper(),
        "sex": sex(text("PatientSex")),
        "age": age(text("PatientAge")),
        "age_stated": text("PatientAge"),
        "spacing": spacing(text),
    }


def sex(value: str) -> str:
    """'F', 'M' or '' (other and unknown)."""
    return value.upper() if value.upper() in ("F", "M") else ""


def age(value: str) -> float | None:
    """Years from an age string (PS3.5 6.2: '062Y', '018M') or a bare number of years.

    None if it is neither, or more than anyone's age.
    """
    number, unit = (value[:-1], value[-1:].upper()) if value[-1:].isalpha() else (value, "Y")
    if unit not in YEARS or not (number.isascii() and number.isdigit()):
        return None
    years = int(number) * YEARS[unit]
    return years if years <= OLDEST else None


def spacing(text: Callable[[str], str]) -> float | None:
    """mm per pixel, from the patient or else the detector plane; None if absent.

    Raises Unreadable if pixels are not square, since the image would be distorted.
    """
    for keyword, unit in (
        ("PixelSpacing", " mm"),
        ("ImagerPixelSpacing", " mm"),
        ("PixelAspectRatio", ""),
    ):
        try:
            down, across = (float(word) for word in text(keyword).split("\\"))
        except ValueError:
            continue
        if not (0 < down < math.inf and 0 < across < math.inf):
            continue
        if not math.isclose(down, across, rel_tol=0.01):
            raise Unreadable(f"pixels are not square: {down:g} x {across:g}{unit}")
        return down if unit else None
    return None
