"""A PNG file of grey levels to pixels; whatever is damaged is refused."""

import struct
import sys
import zlib
from collections.abc import Iterator

import numpy as np

from chexviz.base.allocator import require_room
from chexviz.base.errors import InputError, Unreadable
from chexviz.data.decoding.limits import check_size, common_channel

SIGNATURE = 8  # bytes
CHUNK = struct.Struct(">I4s")  # length of the content, name
CHECKSUM = struct.Struct(">I")  # of name and content
HEADER = struct.Struct(">IIBBBBB")  # width, height, bits, colour type, how it is stored
# What a pixel of each colour type holds: grey or red, green, blue, and how opaque it is.
GREY, COLOUR, PALETTE, GREY_OPACITY, COLOUR_OPACITY = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, COLOUR: 3, GREY_OPACITY: 2, COLOUR_OPACITY: 4}
MODES = {GREY: "mono", COLOUR: "rgb", COLOUR_OPACITY: "rgba"}  # by the names of the decoder
REFUSED = {
    b"IHDR": "a PNG of two headers",
    b"acTL": "an animated PNG",
    b"tRNS": "a PNG with a transparent level",
}


def read_png(
    data: bytes, enough: int | None, max_pixels: int | None
) -> tuple[np.ndarray, tuple[int, int], dict]:
    """Decode a PNG file's bytes: grey, or in colours that all are grey, and opaque.

    Returns pixels, uint8, or float32 of a file of 16 bits (see `levels`); the file's height and
    width; and nothing else (see radiograph.READERS), since the size of a pixel in a PNG is that on
    a screen or on paper. enough: has no effect. Raises Unreadable if it is no grey-level image or
    damaged.
    """
    chunks = read_chunks(data)
    name, header = next(chunks)
    if name != b"IHDR":
        raise Unreadable("damaged PNG: it does not start with its header")
    width, height, bits, colour, *_ = HEADER.unpack(header)
    check_size((height, width), max_pixels)
    check_kind(bits, colour)
    stated = 0
    for name, content in chunks:
        if name in REFUSED:
            raise Unreadable(f"not a grey-level image: {REFUSED[name]}")
        if name == b"sBIT":
            stated = content[0]
    require_room(height, width)
    values = only_channel(decoded(data, (height, width), bits, colour))
    return (levels(values, stated) if bits == 16 else values), (height, width), {}


def read_chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """The name and the content of each chunk of a PNG file, up to the one that ends it.

    Raises Unreadable if the file ends before, or a chunk is not what its checksum says; that of
    the pixels is left to the decoder.
    """
    view, start, name = memoryview(data), SIGNATURE, b""
    while name != b"IEND":
        try:
            length, name = CHUNK.unpack_from(view, start)
            start += CHUNK.size
            content = view[start : start + length]
            (checksum,) = CHECKSUM.unpack_from(view, start + length)
        except struct.error:
            raise Unreadable("truncated: the PNG ends before its last chunk") from None
        if name != b"IDAT" and zlib.crc32(content, zlib.crc32(name)) != checksum:
            raise Unreadable(f"damaged PNG: wrong checksum of its chunk {name.decode('latin-1')!r}")
        yield name, content
        start += length + CHECKSUM.size


def check_kind(bits: int, colour: int) -> None:
    """Raise Unreadable unless a PNG is of 8 bits, or of 16 and one channel, without a palette."""
    if colour == PALETTE:
        raise Unreadable("not a grey-level image: a PNG with a palette")
    if colour not in CHANNELS or bits not in (1, 2, 4, 8, 16):
        raise Unreadable(f"damaged PNG: colour type {colour} of {bits} bits")
    if bits < 8:
        raise Unreadable(f"not a radiograph: {bits} bits per pixel")
    if bits == 16 and CHANNELS[colour] > 1:
        raise Unreadable(f"a PNG of {CHANNELS[colour]} channels of 16 bits, where 8 are read")


def decoded(data: bytes, shape: tuple[int, int], bits: int, colour: int) -> np.ndarray:
    """The values (H, W, channels) of a PNG, uint8 or uint16. Raises Unreadable if it is damaged."""
    if colour == GREY_OPACITY:
        # Unknown to the decoder, but stored as the high and the low byte of 16 bits are.
        both = decoded(as_deep_grey(data), shape, 16, GREY)
        return both.astype(">u2").view(np.uint8)
    try:
        # Not before the first PNG: a study without any needs no decoder of them.
        from kornia_rs.io import decode_image_png_u8, decode_image_png_u16
    except ImportError as error:
        raise InputError(
            sys.executable,
            expected="kornia-rs >= 0.2, which decodes PNG files",
            found=str(error),
            fix=f"{sys.executable} -m pip install 'kornia-rs>=0.2'",
        ) from error
    decode = decode_image_png_u16 if bits == 16 else decode_image_png_u8
    try:
        return decode(data, shape, MODES[colour])
    # All that it raises is of this class.
    except Exception as error:
        detail = str(error).removeprefix("Failed to decode the png image. ")
        raise Unreadable(f"damaged PNG: {detail}") from error


def as_deep_grey(data: bytes) -> bytes:
    """A PNG under the header of one of 16 bits and grey."""
    start = SIGNATURE + CHUNK.size
    width, height, _, _, *stored = HEADER.unpack_from(data, start)
    header = HEADER.pack(width, height, 16, GREY, *stored)
    checksum = CHECKSUM.pack(zlib.crc32(b"IHDR" + header))
    end = start + len(header)
    return data[:start] + header + checksum + data[end + len(checksum) :]


def only_channel(values: np.ndarray) -> np.ndarray:
    """The one channel (H, W) of values (H, W, channels). Raises Unreadable if there are several."""
    channels = values.shape[-1]
    if channels % 2 == 0:
        if (values[..., -1] != 255).any():
            raise Unreadable("not a grey-level image: it is transparent in parts")
        values = values[..., :-1]
    return values[..., 0] if values.shape[-1] == 1 else common_channel(values)


def levels(values: np.ndarray, stated: int) -> np.ndarray:
    """Values of up to 16 bits, uint16 (H, W), to grey levels in [0, 255], float32.

    stated: significant bits that the file states (sBIT), 0 if none. Values of fewer bits should be
    scaled up to all 16 (PNG 12.4), but most programs write them as they are. They are shown over
    the stated bits if they fit in them, else over all 16; where nothing is stated, over the fewest
    bits, 8 or more, that hold the largest of them.
    """
    needed = int(values.max()).bit_length()
    bits = stated or max(8, needed)
    if not needed <= bits <= 16:
        bits = 16
    grey = values.astype(np.float32)
    grey *= 255 / (2**bits - 1)
    return grey
