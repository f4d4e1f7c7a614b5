"""One DICOM file as it is meant to be seen: bone white, grey levels 0 to 255, and its tags."""

import io
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import simplejpeg
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.errors import InvalidDicomError
from pydicom.uid import JPEGBaseline8Bit, JPEGExtended12Bit

from chexviz.plainjpeg import PlainJpeg, plain_jpeg

OLDEST = 120  # years; ages beyond are typing errors (the RSNA files hold five over 100, up to 155)
YEARS = {"Y": 1, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}


class Unreadable(ValueError):
    """A file that is no usable radiograph; its text says why, on one line."""


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


def read_radiograph(path: str | Path, enough: int | None = None) -> Radiograph:
    """Read a DICOM file as `radiograph` does its bytes."""
    return radiograph(Path(path).read_bytes(), enough)


def radiograph(data: bytes, enough: int | None = None) -> Radiograph:
    """Decode a DICOM file's bytes; apply its modality, VOI and polarity transforms (PS3.4 N.2).

    enough: pixels along the shorter side that suffice; baseline JPEG that needs no transform is
    then decoded at the smallest scale of 1/2^k that has them.
    Raises Unreadable if it is not one grey-level image, or is damaged.
    """
    try:
        plain = plain_jpeg(data)
        return from_plain(plain, enough) if plain else from_dataset(read_dataset(data), enough)
    except Unreadable:
        raise
    # Damaged headers make decoders fail in ways that no list of exceptions covers.
    except Exception as error:
        detail = " ".join(str(error).split())[:200]
        raise Unreadable(f"cannot be decoded: {type(error).__name__}: {detail}") from error


def from_plain(plain: PlainJpeg, enough: int | None) -> Radiograph:
    """A radiograph whose stored values are the displayed ones."""
    shape = plain.number("Rows"), plain.number("Columns")
    return Radiograph(decode_jpeg(plain.jpeg, shape, enough), *shape, **described(plain.text))


def from_dataset(dataset: Dataset, enough: int | None) -> Radiograph:
    """A radiograph of any kind. Raises Unreadable, and what pydicom raises on damage."""
    check(dataset)
    pixels = displayed(dataset, enough)
    shape = int(dataset.Rows), int(dataset.Columns)
    return Radiograph(pixels, *shape, **described(partial(text, dataset)))


def described(text: Callable[[str], str]) -> dict:
    """What the header says beside the pixels. text: gives the text of a keyword, or ''."""
    return {
        "view": text("ViewPosition").upper(),
        "sex": sex(text("PatientSex")),
        "age": age(text("PatientAge")),
        "age_stated": text("PatientAge"),
        "spacing": spacing(text),
    }


def read_dataset(data: bytes) -> Dataset:
    """Parse a file's bytes. Raises Unreadable if it is not DICOM, or ends within the pixels."""
    try:
        with warnings.catch_warnings():
            # pydicom drops the pixel data that the end of the file cuts short, and only warns.
            warnings.filterwarnings("error", message="End of file reached")
            return pydicom.dcmread(io.BytesIO(data))
    except InvalidDicomError:
        raise Unreadable("not a DICOM file") from None
    except (EOFError, UserWarning):
        raise Unreadable("truncated: the file ends before its pixel data does") from None


def check(dataset: Dataset) -> None:
    """Raise Unreadable unless the dataset holds a single grey-level image."""
    if "PixelData" not in dataset:
        raise Unreadable("no pixel data")
    colour = text(dataset, "PhotometricInterpretation")
    if colour not in ("MONOCHROME1", "MONOCHROME2") or dataset.SamplesPerPixel != 1:
        raise Unreadable(f"not a grey-level image: {colour or 'no photometric interpretation'}")
    frames = text(dataset, "NumberOfFrames") or "1"
    if frames != "1":
        raise Unreadable(f"not a single image: {frames} frames")
    if dataset.BitsStored < 2:
        raise Unreadable("not a radiograph: one bit per pixel")


def displays_itself(dataset: Dataset) -> bool:
    """Whether the stored values are the displayed ones: 8 bits and no transform."""
    transforms = ("ModalityLUTSequence", "VOILUTSequence", "WindowCenter", "PixelPaddingValue")
    return (
        dataset.BitsAllocated == dataset.BitsStored == 8
        and dataset.PixelRepresentation == 0
        and text(dataset, "PhotometricInterpretation") == "MONOCHROME2"
        and rescale(dataset) == (1, 0)
        and not any(keyword in dataset for keyword in transforms)
    )


def rescale(dataset: Dataset) -> tuple[float, float]:
    """Slope and intercept from stored to modality values; (1, 0) if absent."""
    return (
        float(text(dataset, "RescaleSlope") or 1),
        float(text(dataset, "RescaleIntercept") or 0),
    )


def decode_jpeg(data: bytes | memoryview, shape: tuple[int, int], enough: int | None) -> np.ndarray:
    """An 8-bit grey JPEG, uint8, at the smallest scale of 1/2^k that has `enough` pixels.

    shape: height and width that the header of the file promises.
    Raises Unreadable if the JPEG is damaged in any way that libjpeg notices, or not as promised.
    """
    try:
        height, width, colour, _ = simplejpeg.decode_jpeg_header(data)
        if (height, width, colour) != (*shape, "Gray"):
            found = f"the JPEG is {width} x {height} {colour}"
            raise Unreadable(f"{found}, the header says {shape[1]} x {shape[0]} Gray")
        height, width = (side // reduction(shape, enough) for side in shape)
        # Pillow and GDCM fill up what a damaged JPEG lacks without a word; this one refuses.
        return simplejpeg.decode_jpeg(data, "GRAY", min_height=height, min_width=width)[..., 0]
    except ValueError as error:
        if isinstance(error, Unreadable):
            raise
        raise Unreadable(f"damaged JPEG: {error}") from error


def reduction(shape: tuple[int, int], enough: int | None) -> int:
    """The largest of 1, 2, 4, 8 that leaves `enough` pixels (None: all) along both sides.

    1 if a side is not in whole blocks of 8 pixels: a scaled image would cover what is beyond it.
    """
    if not enough or any(side % 8 for side in shape):
        return 1
    return next((factor for factor in (8, 4, 2) if min(shape) // factor >= enough), 1)


def stored_values(dataset: Dataset, enough: int | None) -> np.ndarray:
    """The values in the file, (H, W); an 8-bit JPEG possibly at reduced scale."""
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax == JPEGExtended12Bit and dataset.BitsStored != 8:
        raise Unreadable(f"no decoder for JPEG Extended of {dataset.BitsStored} bits is installed")
    if syntax in (JPEGBaseline8Bit, JPEGExtended12Bit):
        frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
        values = decode_jpeg(frame, (int(dataset.Rows), int(dataset.Columns)), enough)
        return values.view(np.int8) if dataset.PixelRepresentation else values
    return dataset.pixel_array


def displayed(dataset: Dataset, enough: int | None) -> np.ndarray:
    """Grey levels (H, W) as displayed: uint8 if stored so, else float32 in [0, 255]."""
    if displays_itself(dataset):
        return stored_values(dataset, enough)
    # Windows and tables are no straight lines: reduced values would give other levels.
    stored = stored_values(dataset, None)
    padding = padded(stored, dataset)
    grey = window(modality(stored, dataset), dataset, padding)
    if text(dataset, "PhotometricInterpretation") == "MONOCHROME1":
        # MONOCHROME1 stores bone dark; invert so that every site shares one polarity.
        grey = 1 - grey
    grey[padding] = 0
    return (255 * np.clip(grey, 0, 1)).astype(np.float32)


def padded(stored: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Where pixels are padding and no part of the image (PS3.3 C.7.5.1.1.2), bool (H, W)."""
    value = dataset.get("PixelPaddingValue")
    if value is None:
        return np.zeros(stored.shape, dtype=bool)
    low, high = sorted((value, dataset.get("PixelPaddingRangeLimit", value)))
    return (stored >= low) & (stored <= high)


def modality(stored: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Stored values to modality values (PS3.3 C.11.1): a table, or slope and intercept."""
    if dataset.get("ModalityLUTSequence"):
        return lookup(stored, dataset.ModalityLUTSequence[0], dataset)[0]
    slope, intercept = rescale(dataset)
    return stored if (slope, intercept) == (1, 0) else stored * slope + intercept


def window(values: np.ndarray, dataset: Dataset, padding: np.ndarray) -> np.ndarray:
    """Modality values to [0, 1] by the file's first VOI table or window (PS3.3 C.11.2), float64.

    Without one, values of up to 8 bits are shown as they are. Deeper ones are shown over the range
    that the image uses, since many detectors use a fraction of the bits they store.
    """
    if dataset.get("VOILUTSequence"):
        levels, bits = lookup(values, dataset.VOILUTSequence[0], dataset)
        return levels / (2**bits - 1)
    if dataset.get("WindowCenter") is not None and dataset.get("WindowWidth") is not None:
        function = text(dataset, "VOILUTFunction") or "LINEAR"
        return apply_window(
            values, first(dataset.WindowCenter), first(dataset.WindowWidth), function
        )
    if values.dtype.kind == "u" and dataset.BitsStored <= 8:
        return values / (2**dataset.BitsStored - 1)
    seen = values[~padding]
    low, high = (float(seen.min()), float(seen.max())) if seen.size else (0.0, 0.0)
    return np.clip((values - low) / max(high - low, 1e-12), 0, 1)


def apply_window(values: np.ndarray, center: float, width: float, function: str) -> np.ndarray:
    """Map values to [0, 1] by a VOI function (PS3.3 C.11.2.1.2 and C.11.2.1.3), float64.

    center, width: unit of `values`. Raises Unreadable on an unknown function or a width that the
    standard forbids (below 1 for LINEAR, 0 or less for the others).
    """
    if width < 1 if function == "LINEAR" else width <= 0:
        raise Unreadable(f"window width {width:g} is not possible for {function}")
    if function == "LINEAR":
        # A window of width 1 is a threshold at center - 0.5.
        scaled = (values - (center - 0.5)) / max(width - 1, 1e-12) + 0.5
        return np.clip(scaled, 0, 1)
    if function == "LINEAR_EXACT":
        return np.clip((values - center) / width + 0.5, 0, 1)
    if function == "SIGMOID":
        # 1 / (1 + exp(-4 (x - c) / w)), in a form that cannot overflow.
        return 0.5 * (1 + np.tanh(2 * (values - center) / width))
    raise Unreadable(f"unknown VOI LUT function {function}")


def lookup(values: np.ndarray, item: Dataset, dataset: Dataset) -> tuple[np.ndarray, int]:
    """Values through a modality or VOI table (PS3.3 C.11.1.1.1): levels, and their bits.

    Values below the first entry get the first level, values above the last one the last.
    """
    entries, start, bits = (int(number) for number in item.LUTDescriptor)
    entries = entries or 2**16  # the standard writes 65536 as 0
    data = item.LUTData
    if isinstance(data, bytes):
        order = "<" if dataset.original_encoding[1] else ">"
        data = np.frombuffer(data, dtype=np.uint8 if len(data) == entries else f"{order}u2")
    levels = np.asarray(data, dtype=np.uint16)
    if len(levels) < entries:
        raise Unreadable(f"a lookup table has {len(levels)} of {entries} entries")
    index = np.clip(np.rint(values).astype(np.int64) - start, 0, entries - 1)
    return levels[index].astype(np.float64), bits


def first(value: Any) -> float:
    """A number, or the first of several alternatives (PS3.3 C.11.2.1.2.1)."""
    return float(value if isinstance(value, int | float | str) else value[0])


def text(dataset: Dataset, keyword: str) -> str:
    """A tag's text as it is in the file, '' if absent.

    Taken raw, since pydicom warns on every access to what breaks the standard, such as the age
    '62' in all files of the RSNA challenge.
    """
    element = dataset.get_item(keyword)
    value = "" if element is None or element.value is None else element.value
    return (value.decode("latin-1") if isinstance(value, bytes) else str(value)).strip(" \0")


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
    """mm per pixel, from the patient or else the detector plane; None if absent or not square."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        try:
            row, column = (float(word) for word in text(keyword).split("\\"))
        except ValueError:
            continue
        if row > 0 and math.isclose(row, column, rel_tol=0.01):
            return row
    return None
