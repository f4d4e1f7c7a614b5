"""DICOM files of any kind to the grey levels that they are meant to be seen with, by pydicom."""

import io
import math
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import gdcm  # noqa: F401, which pydicom does without where the memory does not suffice for it
import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.errors import InvalidDicomError
from pydicom.pixels import get_decoder
from pydicom.uid import UID, JPEGBaseline8Bit, JPEGExtended12Bit

from chexviz.errors import Unreadable
from chexviz.jpeg import decode_jpeg
from chexviz.malloc import require_room


def shown(
    data: bytes, enough: int | None
) -> tuple[np.ndarray, tuple[int, int], Callable[[str], str]]:
    """A file's grey levels as displayed, its height and width, and what gives a keyword's text.

    The grey levels are (H, W), uint8 if stored so, else float32 in [0, 255]; of a baseline JPEG
    that needs no transform only as many as are `enough` (see jpeg.decode_jpeg).
    Raises Unreadable, and what pydicom raises on damage.
    """
    dataset = read_dataset(data)
    check(dataset)
    pixels = displayed(dataset, enough)
    return pixels, (int(dataset.Rows), int(dataset.Columns)), partial(text, dataset)


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
    """Raise Unreadable unless the dataset holds a single grey-level image, as pydicom reads one."""
    if "PixelData" not in dataset:
        raise Unreadable("no pixel data")
    colour = text(dataset, "PhotometricInterpretation")
    if colour not in ("MONOCHROME1", "MONOCHROME2") or dataset.SamplesPerPixel != 1:
        raise Unreadable(f"not a grey-level image: {colour or 'no photometric interpretation'}")
    frames = text(dataset, "NumberOfFrames") or "1"
    if not frames.isdecimal() or int(frames) != 1:
        raise Unreadable(f"not a single image: {frames} frames")
    if dataset.BitsStored < 2:
        raise Unreadable("not a radiograph: one bit per pixel")
    high = dataset.get("HighBit", dataset.BitsStored - 1)
    if dataset.BitsStored < dataset.BitsAllocated and high != dataset.BitsStored - 1:
        raise Unreadable(f"its {dataset.BitsStored} bits end at bit {high} (PS3.3 C.7.6.3)")
    if colour == "MONOCHROME2" and text(dataset, "PresentationLUTShape") == "INVERSE":
        raise Unreadable("contradicts itself: MONOCHROME2, but a presentation of INVERSE")


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
    """Slope and intercept from stored to modality values; (1, 0) if absent.

    Raises Unreadable if all values would become one, or none.
    """
    slope = float(text(dataset, "RescaleSlope") or 1)
    intercept = float(text(dataset, "RescaleIntercept") or 0)
    if not (slope and math.isfinite(slope) and math.isfinite(intercept)):
        raise Unreadable(f"rescale slope {slope:g} and intercept {intercept:g} are not possible")
    return slope, intercept


def stored_values(dataset: Dataset, enough: int | None) -> np.ndarray:
    """The values in the file, (H, W); an 8-bit JPEG possibly at reduced scale."""
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax == JPEGExtended12Bit and dataset.BitsStored != 8:
        raise Unreadable(f"no decoder for JPEG Extended of {dataset.BitsStored} bits is installed")
    if syntax in (JPEGBaseline8Bit, JPEGExtended12Bit):
        frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
        values = decode_jpeg(frame, (int(dataset.Rows), int(dataset.Columns)), enough)
        return values.view(np.int8) if dataset.PixelRepresentation else values
    if not syntax.is_encapsulated:
        return dataset.pixel_array
    if not has_decoder(syntax):
        raise Unreadable(f"no decoder for {syntax.name} is installed")
    require_room(int(dataset.Rows), int(dataset.Columns))
    try:
        return dataset.pixel_array
    # What the decoders say of damage is about their own insides.
    except Exception as error:
        raise Unreadable(f"cannot be decoded: damaged {syntax.name}") from error


def has_decoder(syntax: UID) -> bool:
    """Whether a decoder for a transfer syntax is installed."""
    try:
        return get_decoder(syntax).is_available
    except NotImplementedError:
        return False


def displayed(dataset: Dataset, enough: int | None) -> np.ndarray:
    """Grey levels (H, W) as displayed: uint8 if stored so, else float32 in [0, 255]."""
    if displays_itself(dataset):
        return stored_values(dataset, enough)
    # Windows and tables are no straight lines: reduced values would give other levels.
    stored = stored_values(dataset, None)
    padding = padded(stored, dataset)
    grey = window(modality(stored, dataset), dataset, padding)
    np.clip(grey, 0, 1, out=grey)
    if text(dataset, "PhotometricInterpretation") == "MONOCHROME1":
        # MONOCHROME1 stores bone dark; invert so that every site shares one polarity.
        np.subtract(1, grey, out=grey)
    grey[padding] = 0
    grey *= 255
    return grey


def padded(stored: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Where pixels are padding and no part of the image (PS3.3 C.7.5.1.1.2), bool (H, W)."""
    value = dataset.get("PixelPaddingValue")
    if value is None:
        return np.zeros(stored.shape, dtype=bool)
    ends = np.array([value, dataset.get("PixelPaddingRangeLimit", value)])
    # Of 16 bits always; many files have them signed where the pixels are not, or the other way.
    low, high = np.sort(ends.astype(f"{stored.dtype.kind}2"))
    return (stored >= low) & (stored <= high)


def modality(stored: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Stored values to modality values (PS3.3 C.11.1), float32: a table, or slope and intercept."""
    if dataset.get("ModalityLUTSequence"):
        signed = dataset.PixelRepresentation == 1
        return lookup(stored, dataset.ModalityLUTSequence[0], dataset, signed)[0]
    slope, intercept = rescale(dataset)
    values = stored.astype(np.float32)
    values *= slope
    values += intercept
    return values


def possible(dataset: Dataset) -> tuple[float, float]:
    """The lowest and the highest modality value that the bits of a file can give."""
    if dataset.get("ModalityLUTSequence"):
        return 0, 2**16 - 1
    span = 2**dataset.BitsStored
    start = -span // 2 if dataset.PixelRepresentation else 0
    slope, intercept = rescale(dataset)
    low, high = sorted((slope * start + intercept, slope * (start + span - 1) + intercept))
    return low, high


def window(values: np.ndarray, dataset: Dataset, padding: np.ndarray) -> np.ndarray:
    """Modality values to [0, 1] by the file's first VOI table or window (PS3.3 C.11.2), float32.

    values: float32 (H, W), which are overwritten. Without a table or window, values of up to 8
    bits are shown over all that they could be. Deeper ones are shown over the range that the image
    uses, since many detectors use a fraction of the bits they store.
    """
    low, high = possible(dataset)
    if dataset.get("VOILUTSequence"):
        levels, bits = lookup(values, dataset.VOILUTSequence[0], dataset, signed=low < 0)
        levels /= 2**bits - 1
        return levels
    if dataset.get("WindowCenter") is not None and dataset.get("WindowWidth") is not None:
        function = text(dataset, "VOILUTFunction") or "LINEAR"
        return apply_window(
            values, first(dataset.WindowCenter), first(dataset.WindowWidth), function
        )
    if dataset.BitsStored > 8 or dataset.get("ModalityLUTSequence"):
        low = values.min(where=~padding, initial=np.inf)
        high = values.max(where=~padding, initial=-np.inf)
    values -= low
    values /= max(high - low, 1e-12)
    return values


def apply_window(values: np.ndarray, center: float, width: float, function: str) -> np.ndarray:
    """Map values to [0, 1] by a VOI function (PS3.3 C.11.2.1.2 and C.11.2.1.3), in place.

    What is beyond the window may be beyond [0, 1]. values: float32. center, width: their unit.
    Raises Unreadable on an unknown function or a width that the standard forbids (below 1 for
    LINEAR, 0 or less for the others).
    """
    enough = width >= 1 if function == "LINEAR" else width > 0
    if not (enough and math.isfinite(width) and math.isfinite(center)):
        raise Unreadable(f"a window of {center:g} +- {width:g} is not possible for {function}")
    if function == "LINEAR":
        center, width = center - 0.5, width - 1
    elif function not in ("LINEAR_EXACT", "SIGMOID"):
        raise Unreadable(f"unknown VOI LUT function {function}")
    values -= center
    # A linear window of width 1 is a threshold.
    values /= max(width, 1e-12)
    if function == "SIGMOID":
        # 1 / (1 + exp(-4 (x - c) / w)), in a form that cannot overflow.
        values *= 2
        np.tanh(values, out=values)
        values *= 0.5
    values += 0.5
    return values


def lookup(
    values: np.ndarray, item: Dataset, dataset: Dataset, signed: bool
) -> tuple[np.ndarray, int]:
    """Values through a modality or VOI table (PS3.3 C.11.1.1.1): levels, float32, and their bits.

    Values below the first entry get the first level, values above the last one the last.
    signed: whether values below 0 are possible, so that the table may start there.
    """
    entries, start, bits = (int(number) for number in item.LUTDescriptor)
    entries = entries or 2**16  # the standard writes 65536 as 0
    if not 8 <= bits <= 16:
        raise Unreadable(f"a lookup table of {bits} bits, not 8 to 16")
    if signed and start >= 2**15:  # written as unsigned, or read so for want of a type in the file
        start -= 2**16
    data = item.LUTData
    if isinstance(data, bytes):
        order = "<" if dataset.original_encoding[1] else ">"
        data = np.frombuffer(data, dtype=np.uint8 if len(data) == entries else f"{order}u2")
    levels = np.asarray(data, dtype=np.uint16).astype(np.float32)
    if len(levels) < entries:
        raise Unreadable(f"a lookup table has {len(levels)} of {entries} entries")
    index = np.rint(values).astype(np.int32)
    index -= start
    np.clip(index, 0, entries - 1, out=index)
    return levels[index], bits


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
