"""DICOM files of any kind to the grey levels that they are meant to be seen with, by pydicom."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import gdcm  # noqa: F401, which pydicom does without where the memory does not suffice for it
import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels import get_decoder
from pydicom.uid import UID

from chexviz.base.allocator import require_room
from chexviz.base.errors import Unreadable
from chexviz.data.decoding.header import check, read_dataset, text
from chexviz.data.decoding.jpeg import decode_grey
from chexviz.data.decoding.limits import check_levels
from chexviz.data.decoding.lut import lookup
from chexviz.data.decoding.pixeldata import LOSSY_JPEG, check_frame, check_length, checked, shape_of
from chexviz.data.decoding.plain_jpeg import AS_DISPLAYED, TRANSFORMS


def read_displayed(
    data: bytes, enough: int | None, max_pixels: int | None
) -> tuple[np.ndarray, tuple[int, int], Callable[[str], str]]:
    """A file's grey levels as displayed, its height and width, and what gives a keyword's text.

    The grey levels are (H, W), uint8 if stored so, else float32 in [0, 255]; of a baseline JPEG
    that needs no transform only as many as are `enough` (see jpeg.decode_grey). max_pixels:
    see limits.check_size. Raises Unreadable, and what pydicom raises on damage.
    """
    dataset = read_dataset(data, max_pixels)
    check(dataset, max_pixels)
    # What is not finite shows nothing, and is refused for that.
    with np.errstate(over="ignore", invalid="ignore"):
        pixels = displayed(dataset, enough)
    return pixels, shape_of(dataset), partial(text, dataset)


def displays_itself(dataset: Dataset) -> bool:
    """Whether the stored values are the displayed ones: 8 bits and no transform."""
    colour = text(dataset, "PhotometricInterpretation")
    found = {keyword: dataset.get(keyword) for keyword in AS_DISPLAYED}
    return (
        found | {"PhotometricInterpretation": colour} == AS_DISPLAYED
        and rescale(dataset) == (1, 0)
        and not any(keyword in dataset for keyword in TRANSFORMS)
    )


def rescale(dataset: Dataset) -> tuple[float, float]:
    """Slope and intercept from stored to modality values; (1, 0) if absent.

    Raises Unreadable unless float32 tells the modality values of up to 16 bits apart.
    """
    slope = float(text(dataset, "RescaleSlope") or 1)
    intercept = float(text(dataset, "RescaleIntercept") or 0)
    ends = [slope * value + intercept for value in stored_ends(dataset)]
    step = abs(ends[1] - ends[0]) / 2 ** min(dataset.BitsStored, 16)
    if not step >= np.spacing(np.abs(ends).max().astype(np.float32)):
        raise Unreadable(f"rescale slope {slope:g} and intercept {intercept:g} are not possible")
    return slope, intercept


def stored_ends(dataset: Dataset) -> tuple[int, int]:
    """The lowest and the highest stored value that the bits of a file can hold."""
    span = 2**dataset.BitsStored
    start = -span // 2 if dataset.PixelRepresentation else 0
    return start, start + span - 1


def stored_values(dataset: Dataset, enough: int | None) -> np.ndarray:
    """The values in the file, (H, W); an 8-bit JPEG possibly at reduced scale."""
    syntax = dataset.file_meta.TransferSyntaxUID
    if not has_decoder(syntax):
        raise Unreadable(f"no decoder for {syntax.name} is installed")
    if not syntax.is_encapsulated:
        check_length(dataset)
        return checked(dataset.pixel_array, dataset)
    frame = next(generate_frames(dataset.PixelData, number_of_frames=1))
    check_frame(frame, dataset)
    if syntax in LOSSY_JPEG:
        return decode_grey(frame, shape_of(dataset), enough)
    require_room(*shape_of(dataset))
    try:
        values = dataset.pixel_array
    # What the decoders say of damage is about their own insides.
    except Exception as error:
        raise Unreadable(f"cannot be decoded: damaged {syntax.name}") from error
    return checked(values, dataset)


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
    grey *= 255
    if padding.any() and not padding.all():
        check_levels(grey, ~padding)
    grey[padding] = 0
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
        little = dataset.file_meta.TransferSyntaxUID.is_little_endian
        return lookup(stored, dataset.ModalityLUTSequence[0], little, stored_ends(dataset))[0]
    slope, intercept = rescale(dataset)
    values = stored.astype(np.float32)
    values *= slope
    values += intercept
    return values


def possible(dataset: Dataset) -> tuple[float, float]:
    """The lowest and the highest modality value that the bits of a file can give."""
    if dataset.get("ModalityLUTSequence"):
        return 0, 2**16 - 1
    slope, intercept = rescale(dataset)
    low, high = sorted(slope * end + intercept for end in stored_ends(dataset))
    return low, high


def window(values: np.ndarray, dataset: Dataset, padding: np.ndarray) -> np.ndarray:
    """Modality values to [0, 1] by the file's first VOI table or window (PS3.3 C.11.2), float32.

    values: float32 (H, W), which are overwritten. Without a table or window, values of up to 8
    bits are shown over all that they could be. Deeper ones are shown over the range that the image
    uses, since many detectors use a fraction of the bits they store.
    """
    low, high = possible(dataset)
    if dataset.get("VOILUTSequence"):
        little = dataset.file_meta.TransferSyntaxUID.is_little_endian
        levels, bits = lookup(values, dataset.VOILUTSequence[0], little, (low, high))
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


def first(value: Any) -> float:
    """A number, or the first of several alternatives (PS3.3 C.11.2.1.2.1)."""
    return float(value if isinstance(value, int | float | str) else value[0])
