"""What compressed pixels say of themselves at their start, before anything is decoded."""

import struct
from dataclasses import dataclass
from itertools import pairwise

SIZE = struct.Struct(">BHHB")  # precision, height, width, components (ISO/IEC 10918-1 B.2.2)
SIZ = struct.Struct(">4xHHIIII16xHBBB")  # ISO/IEC 15444-1 A.5.1, from the start of the codestream
JP2 = b"\0\0\0\x0cjP  "  # a file around the codestream, which DICOM forbids and some write
LOSSY, LOSSLESS, LS, J2K = "JPEG", "JPEG Lossless", "JPEG-LS", "JPEG 2000"
FRAMES = dict.fromkeys((0xC0, 0xC1, 0xC2, 0xC9, 0xCA), LOSSY)  # the last two arithmetic
FRAMES |= {0xC3: LOSSLESS, 0xCB: LOSSLESS, 0xF7: LS}
ALONE = frozenset([0x01, *range(0xD0, 0xD9)])  # markers without a segment


@dataclass(frozen=True)
class Stream:
    """The kind of a compressed image, its shape (height, width), bits and components."""

    kind: str
    shape: tuple[int, int]
    bits: int
    components: int


def describe(data: bytes | memoryview) -> Stream | None:
    """What the start of a JPEG, JPEG-LS or JPEG 2000 says; None if it is none, or ends early."""
    data = bytes(data)
    try:
        if data[:2] == b"\xff\xd8":
            return jpeg(data)
        return jpeg2000(data)
    except (struct.error, IndexError, ZeroDivisionError):
        return None


def jpeg(data: bytes) -> Stream | None:
    """What the first frame header of a JPEG or JPEG-LS says, past the segments before it."""
    position = 2
    while True:
        if data[position] != 0xFF:
            return None
        marker, start = data[position + 1], position + 2
        if marker in FRAMES:
            bits, height, width, components = SIZE.unpack_from(data, start + 2)
            return Stream(FRAMES[marker], (height, width), bits, components)
        if marker == 0xFF:  # fills
            position += 1
        elif marker in ALONE:
            position += 2
        else:
            position = start + int.from_bytes(data[start : start + 2], "big")


def jpeg2000(data: bytes) -> Stream | None:
    """What the SIZ segment of a JPEG 2000 says of its first component."""
    start = 0
    if data.startswith(JP2):
        while data[start + 4 : start + 8] != b"jp2c":
            length = int.from_bytes(data[start : start + 4], "big")
            if length < 8 or start + length > len(data):
                return None
            start += length
        start += 8
    if data[start : start + 4] != b"\xff\x4f\xff\x51":
        return None
    _, _, right, bottom, left, top, components, depth, across, down = SIZ.unpack_from(data, start)
    shape = -(-bottom // down) + -top // down, -(-right // across) + -left // across
    return Stream(J2K, shape, (depth & 0x7F) + 1, components)


def rle_lengths(data: bytes, most: int) -> list[int]:
    """How many bytes each segment of an RLE frame gives (PS3.5 G), counted until beyond `most`."""
    count, *starts = struct.unpack_from("<16L", data)
    bounds = [*starts[:count], len(data)]
    return [unpacked(data[a:b], most) for a, b in pairwise(bounds)]


def unpacked(segment: bytes, most: int) -> int:
    """How many bytes a PackBits segment gives (PS3.5 G.3.2), counted until beyond `most`."""
    position, count, end = 0, 0, len(segment)
    while position < end and count <= most:
        head = segment[position]
        if head < 128:
            count += min(head + 1, end - position - 1)
            position += head + 2
        else:
            count += 257 - head if head > 128 and position + 1 < end else 0
            position += 2 if head > 128 else 1
    return count
