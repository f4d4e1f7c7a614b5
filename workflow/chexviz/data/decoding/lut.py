"""Lookup tables of DICOM files (PS3.3 C.11.1.1.1), with what many of them have wrong."""

import numpy as np
from pydicom.dataset import Dataset

from chexviz.base.errors import Unreadable


def lookup(
    values: np.ndarray, item: Dataset, little: bool, possible: tuple[float, float]
) -> tuple[np.ndarray, int]:
    """Values through a modality or VOI table: levels, float32, and their bits.

    Values below the first entry get the first level, values above the last one the last.
    little: byte order of the file. possible: the lowest and the highest value that there can be.
    Raises Unreadable if the table is none of the standard's, or shorter than it says.
    """
    entries, start, bits = (int(number) for number in item.LUTDescriptor)
    entries = entries % 2**16 or 2**16  # the standard writes 65536 as 0
    if not 8 <= bits <= 16:
        raise Unreadable(f"a lookup table of {bits} bits, not 8 to 16")
    levels = table(item.LUTData, entries, little)
    if len(levels) < entries:
        raise Unreadable(f"a lookup table has {len(levels)} of {entries} entries")
    index = np.rint(values)
    index -= first(start, entries, possible)
    np.clip(index, 0, entries - 1, out=index)
    return levels[index.astype(np.int32)], depth(levels[:entries], bits)


def table(data: object, entries: int, little: bool) -> np.ndarray:
    """The levels of a table of `entries`, float32, whether written as numbers, words or bytes."""
    if isinstance(data, bytes):
        kind = "u1" if len(data) == entries + entries % 2 else "<u2" if little else ">u2"
        return np.frombuffer(data, dtype=kind).astype(np.float32)
    # Some write them as signed, which changes the sign of half of them.
    return (np.atleast_1d(np.asarray(data, dtype=np.int64)) % 2**16).astype(np.float32)


def first(start: int, entries: int, possible: tuple[float, float]) -> int:
    """The value that the first entry is for, of 16 bits whose sign is often written wrongly.

    Of both readings the one under which the table covers more of the possible values; if that
    does not tell, the one with the sign that they have.
    """
    low, high = possible
    unsigned = start % 2**16
    readings = [unsigned, unsigned - 2**16 if unsigned >= 2**15 else unsigned]
    if low < 0:
        readings.reverse()
    return max(readings, key=lambda value: min(value + entries - 1, high) - max(value, low))


def depth(levels: np.ndarray, bits: int) -> int:
    """The bits of a table's levels: as said, unless some need more, or all leave two unused.

    Files say 16 bits over 12, and 12 over 16: their images would be nearly black, or white.
    """
    needed = int(levels.max()).bit_length()
    return bits if needed <= bits < needed + 2 else max(needed, 1)
