"""What every radiograph keeps to, however it is stored: its size, no colours, several levels."""

import numpy as np

from chexviz.base.errors import Unreadable

# Grey levels of 255 that an image has to span. The narrowest of 734 real radiographs spans 160;
# 8 bits shown over the range of 12 span 16.
SPAN = 32


def check_size(shape: tuple[int, int], max_pixels: int | None) -> None:
    """Raise Unreadable unless an image (height, width) has pixels, and not too many.

    max_pixels: how many it may have; None: any number. Asked before anything is decoded, since a
    small file may claim gigabytes.
    """
    height, width = shape
    if height < 1 or width < 1:
        raise Unreadable(f"no pixels: {width} x {height}")
    if max_pixels is not None and height * width > max_pixels:
        limit = f"more than preprocess: max_pixels, {max_pixels}"
        raise Unreadable(f"too large: {width} x {height} pixels, {limit}")


def check_levels(pixels: np.ndarray, seen: np.ndarray | bool = True) -> None:
    """Raise Unreadable unless grey levels (H, W) as displayed, in [0, 255], show something.

    seen: which of them count, bool (H, W), not none of them.
    """
    low = float(pixels.min(where=seen, initial=255))
    high = float(pixels.max(where=seen, initial=0))
    if not high - low >= SPAN:  # nor where there is no number
        raise Unreadable(f"shows nothing: its grey levels are {low:.0f} to {high:.0f} of 255")


def common_channel(colours: np.ndarray) -> np.ndarray:
    """The channel (H, W) of colours (H, W, 3) that all are grey.

    Raises Unreadable if the three differ anywhere: such an image may be a photograph, or have
    drawings on it.
    """
    red, green, blue = np.moveaxis(colours, -1, 0)
    if not (np.array_equal(red, green) and np.array_equal(red, blue)):
        raise Unreadable("not a grey-level image: it has colours")
    return np.ascontiguousarray(red)
