"""From a file's pixels to a square image: padding or cropping, resizing, and where boxes land."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.sparse import csr_array

SPARE = 16  # columns, see `resized`


@dataclass(frozen=True)
class Square:
    """The square of a radiograph that becomes an image: padded around it, or cut out of it.

    side: of the square. left, top: what is added (positive) or cut off (negative) there. All in
    pixels of the file.
    """

    side: int
    left: int
    top: int


def square(height: int, width: int, fit: str) -> Square:
    """The square for an image. fit: 'pad' (black around all of it) or 'crop' (its centre)."""
    side = max(height, width) if fit == "pad" else min(height, width)
    # Truncated towards zero for both, so that the odd pixel goes to the right and the bottom.
    return Square(side, int((side - width) / 2), int((side - height) / 2))


@lru_cache(maxsize=8)
def weights(count: int, length: int, added: int, side: int, size: int) -> csr_array:
    """How much each of `count` pixels along one axis adds to each of `size`: (size, count) float32.

    length: pixels of the file that the `count` stand for. added, side: of the Square, in pixels
    of the file. The filter is the triangle as wide as the reduction (Pillow's BILINEAR): it
    averages over all pixels, and neither rings nor overshoots at edges as sharper ones do. What
    the square has beyond the image is black; what the image has beyond the square does not count.
    """
    scale = count / length
    start, step = -added * scale, side * scale / size
    index = np.arange(math.ceil(start - 0.5), math.floor(start + side * scale - 0.5) + 1)
    centres = start + (np.arange(size) + 0.5) * step
    shares = 1 - np.abs(index + 0.5 - centres[:, np.newaxis]) / max(step, 1)
    shares = shares.clip(min=0) / shares.clip(min=0).sum(axis=1, keepdims=True)
    inside = (index >= 0) & (index < count)
    placed = np.zeros((size, count), dtype=np.float32)
    placed[:, index[inside]] = shares[:, inside]
    return csr_array(placed)


def resized(pixels: np.ndarray, shape: tuple[int, int], place: Square, size: int) -> np.ndarray:
    """Cut or pad pixels to `place` and resize to float32 (size, size), antialiased.

    pixels: uint8 or float32, all of a file's `shape` (height, width), possibly at reduced scale.
    """
    height, width = pixels.shape
    rows = weights(height, shape[0], place.top, place.side, size)
    columns = weights(width, shape[1], place.left, place.side, size)
    # Rows of 2^k bytes put a whole column into one set of the cache, which makes the transposed
    # copy four times slower; spare columns spread it.
    spread = np.empty((height, width + SPARE), dtype=np.float32)
    spread[:, :width], spread[:, width:] = pixels, 0
    lines = rows @ spread
    return (columns @ lines[:, :width].T).T


def on_square(box: Iterable[float], place: Square, size: int) -> tuple[float, ...] | None:
    """A box (x, y, width, height) of file pixels in those of the (size, size) image.

    Clipped to the image; None if nothing is left.
    """
    x, y, width, height = (float(value) for value in box)
    scale = size / place.side
    left, right = np.clip([x + place.left, x + place.left + width], 0, place.side) * scale
    top, bottom = np.clip([y + place.top, y + place.top + height], 0, place.side) * scale
    if right <= left or bottom <= top:
        return None
    return tuple(round(float(value), 4) for value in (left, top, right - left, bottom - top))
