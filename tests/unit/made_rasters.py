"""PNG and JPEG files of small images, for tests: by Pillow, and chunk by chunk."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOURS = {1: 0, 2: 4, 3: 2, 4: 6}  # PNG's colour type of so many channels


def encoded(pixels: np.ndarray, name: str = "PNG", mode: str | None = None, **options) -> bytes:
    """Pixels as Pillow writes them, converted to a mode before."""
    image, buffer = Image.fromarray(pixels), io.BytesIO()
    (image.convert(mode) if mode else image).save(buffer, name, **options)
    return buffer.getvalue()


def chunk(name: bytes, content: bytes) -> bytes:
    """A chunk of a PNG with its checksum."""
    checksum = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)


def made_png(pixels: np.ndarray, *others: bytes, **said: int) -> bytes:
    """A PNG of pixels (H, W) or (H, W, channels), uint8 or uint16, with other chunks before them.

    said: what its header has instead of what is so (width, height, bits, colour, interlaced).
    """
    pixels = pixels.astype(f">u{pixels.itemsize}")
    height, width = pixels.shape[:2]
    header = {"width": width, "height": height, "bits": 8 * pixels.itemsize}
    header |= {"colour": COLOURS[pixels[0, 0].size], "interlaced": 0} | said
    *first, interlaced = header.values()
    start = struct.pack(">IIBBBBB", *first, 0, 0, interlaced)
    parts = passes(pixels) if interlaced else [pixels]
    raw = b"".join(b"\0" + row.tobytes() for part in parts for row in part if row.size)
    chunks = (chunk(b"IHDR", start), *others, chunk(b"IDAT", zlib.compress(raw)))
    return b"".join((SIGNATURE, *chunks, chunk(b"IEND", b"")))


def passes(pixels: np.ndarray) -> list[np.ndarray]:
    """The pixels of each of the seven passes of an interlaced PNG (PNG 8.2)."""
    starts = [(0, 0), (0, 4), (4, 0), (0, 2), (2, 0), (0, 1), (1, 0)]
    steps = [(8, 8), (8, 8), (8, 4), (4, 4), (4, 2), (2, 2), (2, 1)]
    return [pixels[a::c, b::d] for (a, b), (c, d) in zip(starts, steps, strict=True)]
