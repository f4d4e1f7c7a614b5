"""A JPEG of grey levels to pixels, as small as suffices; whatever is damaged is refused."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import simplejpeg

from chexviz.base.allocator import require_room
from chexviz.base.errors import Unreadable
from chexviz.data.decoding.codestream import LOSSY, describe
from chexviz.data.decoding.limits import check_size, common_channel


def read_jpeg(
    data: bytes, enough: int | None, max_pixels: int | None
) -> tuple[np.ndarray, tuple[int, int], dict]:
    """Decode a JPEG file's bytes: of 8 bits, grey or in colours that all are grey.

    Returns uint8 pixels, the file's height and width, and that it is lossy: see radiograph.READERS.
    Raises Unreadable if it is in colour, of another kind or damaged.
    """
    stream = describe(data)
    if stream is None:
        raise Unreadable("damaged JPEG: it does not say its size")
    if stream.kind != LOSSY or stream.bits != 8:
        raise Unreadable(f"no decoder for a file of {stream.kind} of {stream.bits} bits")
    check_size(stream.shape, max_pixels)
    if stream.components == 1:
        return decode_grey(data, stream.shape, enough), stream.shape, {"lossy": True}
    if stream.components != 3:
        found = f"a JPEG of {stream.components} components, as CMYK has"
        raise Unreadable(f"not a grey-level image: {found}")
    require_room(*stream.shape)
    with refusing_damage():
        colours = decoded(data, stream.shape, enough, "RGB")
    return common_channel(colours), stream.shape, {"lossy": True}


def decode_grey(data: bytes | memoryview, shape: tuple[int, int], enough: int | None) -> np.ndarray:
    """An 8-bit grey JPEG, uint8, at the smallest scale of 1/2^k that has `enough` pixels.

    shape: height and width that the header of the file promises.
    Raises Unreadable if the JPEG is damaged in any way that libjpeg notices, or not as promised,
    and MemoryError if there is too little memory.
    """
    require_room(*shape)
    with refusing_damage():
        height, width, colour, _ = simplejpeg.decode_jpeg_header(data)
        if (height, width, colour) != (*shape, "Gray"):
            found = f"the JPEG is {width} x {height} {colour}"
            raise Unreadable(f"{found}, the header says {shape[1]} x {shape[0]} Gray")
        return decoded(data, shape, enough, "GRAY")[..., 0]


@contextmanager
def refusing_damage() -> Iterator[None]:
    """Raise Unreadable where libjpeg finds damage, or a kind of JPEG that it does not decode."""
    try:
        yield
    except ValueError as error:
        if isinstance(error, Unreadable):
            raise
        what = "no decoder for this" if "Unsupported" in str(error) else "damaged"
        raise Unreadable(f"{what} JPEG: {error}") from error


def decoded(
    data: bytes | memoryview, shape: tuple[int, int], enough: int | None, space: str
) -> np.ndarray:
    """The pixels of a JPEG in a colour space, (H, W, channels), reduced as decode_grey says."""
    height, width = (side // reduction(shape, enough) for side in shape)
    # Pillow and GDCM fill up what a damaged JPEG lacks without a word; this one refuses.
    return simplejpeg.decode_jpeg(data, space, min_height=height, min_width=width)


def reduction(shape: tuple[int, int], enough: int | None) -> int:
    """The largest of 1, 2, 4, 8 that leaves `enough` pixels (None: all) along both sides.

    1 if a side is not in whole blocks of 8 pixels: a scaled image would cover what is beyond it.
    """
    if not enough or any(side % 8 for side in shape):
        return 1
    return next((factor for factor in (8, 4, 2) if min(shape) // factor >= enough), 1)
