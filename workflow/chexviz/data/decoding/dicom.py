"""One DICOM file as it is meant to be seen: bone white, grey levels 0 to 255, and its tags."""

import math
from collections.abc import Callable

import numpy as np

from chexviz.base.errors import Unreadable
from chexviz.data.decoding.jpeg import decode_grey
from chexviz.data.decoding.limits import check_size
from chexviz.data.decoding.plain_jpeg import plain_jpeg

OLDEST = 120  # years; ages beyond are typing errors (the RSNA files hold five over 100, up to 155)
# Transfer syntaxes that lose something, whatever the header says (PS3.5 10.9): baseline and
# extended JPEG, near-lossless JPEG-LS. JPEG 2000 may, which its header says.
LOSSY = tuple(f"1.2.840.10008.1.2.4.{number}" for number in (50, 51, 81))
YEARS = {"Y": 1, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}


def read_dicom(
    data: bytes, enough: int | None, max_pixels: int | None
) -> tuple[np.ndarray, tuple[int, int], dict]:
    """Decode a DICOM file's bytes; apply its modality, VOI and polarity transforms (PS3.4 N.2).

    Returns the pixels, the file's height and width, and what its header says: see
    radiograph.READERS. Raises Unreadable, and what decoders raise on damage.
    """
    plain = plain_jpeg(data)
    if plain:
        text: Callable[[str], str] = plain.text
        shape = plain.number("Rows"), plain.number("Columns")
        check_size(shape, max_pixels)
        pixels = decode_grey(plain.jpeg, shape, enough)
    else:
        # Not before the first such file: to import pydicom takes as long as 100 plain ones.
        from chexviz.data.decoding import dicom_transforms

        pixels, shape, text = dicom_transforms.read_displayed(data, enough, max_pixels)
    if text("PresentationIntentType") == "FOR PROCESSING":
        raise Unreadable("not to be displayed: its PresentationIntentType is FOR PROCESSING")
    return pixels, shape, described(text)


def described(text: Callable[[str], str]) -> dict:
    """What the header says: fields of Radiograph. text: gives the text of a keyword, or ''."""
    return {
        "view": text("ViewPosition").upper(),
        "sex": sex(text("PatientSex")),
        "age": age(text("PatientAge")),
        "age_stated": text("PatientAge"),
        "spacing": spacing(text),
        "lossy": text("LossyImageCompression") == "01" or text("TransferSyntaxUID") in LOSSY,
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
