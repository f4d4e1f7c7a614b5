"""DICOM files of any kind to the grey levels that they are meant to be seen with, by pydicom."""

import io
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.errors import InvalidDicomError
from pydicom.uid import JPEGBaseline8Bit, JPEGExtended12Bit

from chexviz.errors import Unreadable
from chexviz.jpeg import decode_jpeg


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
