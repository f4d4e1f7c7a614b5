"""Whether the pixels of a DICOM file are as its header says, before and after they are decoded."""

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import (
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSTransferSyntaxes,
    RLELossless,
)

from chexviz.base.errors import Unreadable
from chexviz.data.decoding.codestream import J2K, LOSSLESS, LS, describe, rle_lengths

LOSSY_JPEG = (JPEGBaseline8Bit, JPEGExtended12Bit)
SPARE = 8  # bytes of zero that pixel data may have at their end; the standard pads to 2
KINDS = {
    **dict.fromkeys((JPEGLossless, JPEGLosslessSV1), LOSSLESS),
    **dict.fromkeys(JPEGLSTransferSyntaxes, LS),
    **dict.fromkeys(JPEG2000TransferSyntaxes, J2K),
}


def shape_of(dataset: Dataset) -> tuple[int, int]:
    """Height and width by the header."""
    return dataset.Rows, dataset.Columns


def check_length(dataset: Dataset) -> None:
    """Raise Unreadable unless uncompressed pixel data are as long as the header says.

    What is longer is refused, too: under a header of other rows or columns it would be sheared.
    """
    expected = dataset.Rows * dataset.Columns * dataset.BitsAllocated // 8
    found, excess = len(dataset.PixelData), dataset.PixelData[expected:]
    if found < expected or len(excess) > SPARE or any(excess[1:]):
        side = "less" if found < expected else "more"
        raise Unreadable(f"{found} bytes of pixel data, {side} than expected: {expected}")


def check_frame(frame: bytes, dataset: Dataset) -> None:
    """Raise Unreadable if a compressed image says of itself what the header does not say of it."""
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax in LOSSY_JPEG:
        check_lossy(frame, dataset)
    elif syntax == RLELossless:
        check_rle(frame, dataset)
    else:
        check_stream(frame, dataset)


def check_lossy(frame: bytes, dataset: Dataset) -> None:
    """Raise Unreadable unless a lossy JPEG and its header are of 8 unsigned bits (PS3.5 8.2.1)."""
    stream, stored = describe(frame), dataset.BitsStored
    if stream and stream.bits != 8:
        raise Unreadable(f"no decoder for JPEG Extended of {stream.bits} bits is installed")
    if stored != 8 or dataset.PixelRepresentation:
        sign = "signed" if dataset.PixelRepresentation else "unsigned"
        raise Unreadable(f"a lossy JPEG of 8 unsigned bits, the header says {stored} {sign}")


def check_rle(frame: bytes, dataset: Dataset) -> None:
    """Raise Unreadable if RLE holds more than the header says; the decoder would fill memory."""
    pixels = dataset.Rows * dataset.Columns
    if max(rle_lengths(frame, pixels + SPARE), default=0) > pixels + SPARE:
        raise Unreadable(f"RLE of more than the {pixels} pixels that the header says")


def check_stream(frame: bytes, dataset: Dataset) -> None:
    """Raise Unreadable unless JPEG-LS and the like have the header's size and room for its bits."""
    syntax, stream = dataset.file_meta.TransferSyntaxUID, describe(frame)
    if stream is None:
        raise Unreadable(f"cannot be decoded: damaged {syntax.name}")
    if stream.kind != KINDS[syntax]:
        raise Unreadable(f"its transfer syntax is {syntax.name}, its pixels are {stream.kind}")
    if (stream.shape, stream.components) != (shape_of(dataset), 1):
        height, width = stream.shape
        found = f"{width} x {height} pixels of {stream.components} components"
        said = f"{dataset.Columns} x {dataset.Rows} of 1"
        raise Unreadable(f"the {stream.kind} is {found}, the header says {said}")
    if stream.bits > dataset.BitsAllocated:
        said = f"the header says {dataset.BitsAllocated} allocated"
        raise Unreadable(f"the {stream.kind} is of {stream.bits} bits, {said}")
    if stream.kind == LS and (few := {6, 7}.intersection((stream.bits, dataset.BitsStored))):
        # GDCM ends the process.
        raise Unreadable(f"no decoder for JPEG-LS of {min(few)} bits is installed")


def checked(values: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Decoded values (H, W), from which the bits that are not stored go (PS3.5 8.1.1).

    Raises Unreadable unless they are the whole numbers of one image of the header's size.
    """
    if values.shape != shape_of(dataset) or values.dtype.kind not in "iu":
        sides = " x ".join(map(str, values.shape))
        raise Unreadable(f"decoded to {sides} of {values.dtype}, not to what the header says")
    unused = 8 * values.itemsize - dataset.BitsStored
    values <<= unused
    values >>= unused
    return values
