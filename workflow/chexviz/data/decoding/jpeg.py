"""An 8-bit grey JPEG to pixels, as small as suffices; whatever is damaged is refused."""

import numpy as np
import simplejpeg

from chexviz.base.allocator import require_room
from chexviz.base.errors import Unreadable


def decode_jpeg(data: bytes | memoryview, shape: tuple[int, int], enough: int | None) -> np.ndarray:
    """An 8-bit grey JPEG, uint8, at the smallest scale of 1/2^k that has `enough` pixels.

    shape: height and width that the header of the file promises.
    Raises Unreadable if the JPEG is damaged in any way that libjpeg notices, or not as promised,
    and MemoryError if there is too little memory.
    """
    require_room(*shape)
    try:
        height, width, colour, _ = simplejpeg.decode_jpeg_header(data)
        if (height, width, colour) != (*shape, "Gray"):
            found = f"the JPEG is {width} x {height} {colour}"
            raise Unreadable(f"{found}, the header says {shape[1]} x {shape[0]} Gray")
        height, width = (side // reduction(shape, enough) for side in shape)
        # Pillow and GDCM fill up what a damaged JPEG lacks without a word; this one refuses.
        return simplejpeg.decode_jpeg(data, "GRAY", min_height=height, min_width=width)[..., 0]
    except ValueError as error:
        if isinstance(error, Unreadable):
            raise
        what = "no decoder for this" if "Unsupported" in str(error) else "damaged"
        raise Unreadable(f"{what} JPEG: {error}") from error


def reduction(shape: tuple[int, int], enough: int | None) -> int:
    """The largest of 1, 2, 4, 8 that leaves `enough` pixels (None: all) along both sides.

    1 if a side is not in whole blocks of 8 pixels: a scaled image would cover what is beyond it.
    """
    if not enough or any(side % 8 for side in shape):
        return 1
    return next((factor for factor in (8, 4, 2) if min(shape) // factor >= enough), 1)
