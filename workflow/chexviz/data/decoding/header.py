"""The header of a DICOM file of any kind, by pydicom, and whether it is that of a radiograph."""

import io
import warnings
import zlib

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_dataset as read_elements
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from chexviz.base.errors import Unreadable
from chexviz.data.decoding.limits import check_size

# How a file starts that lacks the 128 bytes and the DICM of PS3.10 7.1, as old ones do: with an
# element of group 2 or 8.
BARE = (b"\x02\x00", b"\x08\x00", b"\x00\x08")
INFLATED = 4  # bytes a pixel of the limit that a deflated file may become, its header included
SHAPES = {"MONOCHROME1": "INVERSE", "MONOCHROME2": "IDENTITY"}  # PS3.3 C.8.11.3.1.2


def read_dataset(data: bytes, max_pixels: int | None) -> Dataset:
    """Parse a file's bytes. max_pixels: see limits.check_size.

    Raises Unreadable if it is not DICOM, ends within the pixels, inflates to more than the limit
    or does not say how its pixels are compressed.
    """
    try:
        if max_pixels is not None:
            check_inflated(data, INFLATED * max_pixels)
        with warnings.catch_warnings():
            # pydicom drops the pixel data that the end of the file cuts short, and only warns.
            warnings.filterwarnings("error", message="End of file reached")
            dataset = pydicom.dcmread(io.BytesIO(data), force=data[:2] in BARE)
    except InvalidDicomError:
        raise Unreadable("not a DICOM file") from None
    except (EOFError, UserWarning):
        raise Unreadable("truncated: the file ends before its pixel data does") from None
    if "TransferSyntaxUID" not in dataset.file_meta and "PixelData" in dataset:
        dataset.file_meta.TransferSyntaxUID = guessed_syntax(dataset)
    return dataset


def check_inflated(data: bytes, most: int) -> None:
    """Raise Unreadable if a file is deflated, and would become more than `most` bytes."""
    stream = io.BytesIO(data)
    stream.seek(132 if data[128:132] == b"DICM" else 0)
    meta = read_elements(stream, False, True, stop_when=lambda tag, vr, length: tag.group != 2)
    if meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        inflater.decompress(data[stream.tell() :], most)
        if inflater.unconsumed_tail:
            limit = f"more than {INFLATED} x preprocess: max_pixels, {most} bytes"
            raise Unreadable(f"too large: it inflates to {limit}")


def guessed_syntax(dataset: Dataset) -> UID:
    """The transfer syntax of a file that does not say it, by how pydicom could read it."""
    if dataset["PixelData"].is_undefined_length:
        raise Unreadable("its pixels are compressed, but no transfer syntax says how")
    implicit, little = dataset.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little else ExplicitVRBigEndian


def check(dataset: Dataset, max_pixels: int | None) -> None:
    """Raise Unreadable unless the dataset is that of one grey-level image, to be displayed.

    What holds for every compression is checked here, before anything is decoded: PS3.3 C.7.6.3.
    """
    if "PixelData" not in dataset:
        raise Unreadable("no pixel data")
    colour = text(dataset, "PhotometricInterpretation")
    if colour not in SHAPES or number(dataset, "SamplesPerPixel") != 1:
        raise Unreadable(f"not a grey-level image: {colour or 'no photometric interpretation'}")
    frames = text(dataset, "NumberOfFrames") or "1"
    if not frames.isdecimal() or int(frames) != 1:
        raise Unreadable(f"not a single image: {frames} frames")
    check_size((number(dataset, "Rows"), number(dataset, "Columns")), max_pixels)
    check_bits(dataset)
    shape = text(dataset, "PresentationLUTShape")
    if shape not in ("", SHAPES[colour]):
        raise Unreadable(f"contradicts itself: {colour}, but a presentation of {shape}")


def check_bits(dataset: Dataset) -> None:
    """Raise Unreadable unless the bits of a pixel are as the standard lets them be."""
    keywords = ("BitsAllocated", "BitsStored", "PixelRepresentation")
    allocated, stored, signed = (number(dataset, keyword) for keyword in keywords)
    if stored == 1:
        raise Unreadable("not a radiograph: one bit per pixel")
    if allocated not in (8, 16, 32) or not 1 < stored <= allocated:
        raise Unreadable(f"{stored} bits stored in {allocated} are not possible")
    high = number(dataset, "HighBit") if "HighBit" in dataset else stored - 1
    if stored < allocated and high != stored - 1:
        raise Unreadable(f"its {stored} bits end at bit {high} (PS3.3 C.7.6.3)")
    if signed not in (0, 1):
        raise Unreadable(f"a pixel representation of {signed}, not 0 or 1")


def number(dataset: Dataset, keyword: str) -> int:
    """A tag that has to be one whole number. Raises Unreadable if it is not, or absent."""
    value = dataset.get(keyword)
    if not isinstance(value, int):
        raise Unreadable(f"no {keyword}" if value is None else f"its {keyword} is {value}")
    return value


def text(dataset: Dataset, keyword: str) -> str:
    """A tag's text as it is in the file, '' if absent; of the transfer syntax too.

    Taken raw, since pydicom warns on every access to what breaks the standard, such as the age
    '62' in all files of the RSNA challenge.
    """
    holder = dataset.file_meta if keyword == "TransferSyntaxUID" else dataset
    element = holder.get_item(keyword)
    value = "" if element is None or element.value is None else element.value
    return (value.decode("latin-1") if isinstance(value, bytes) else str(value)).strip(" \0")
