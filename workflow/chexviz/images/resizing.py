"""From a file's pixels to a square image: padding or cropping, resizing, and where boxes land."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.sparse import csr_array

SPARE = 32  # columns, see `resized`
SHARED = 8  # bits: what the shares of one pixel add up to in whole numbers, see `resized`


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


@lru_cache(maxsize=8)
def whole_weights(count: int, length: int, added: int, side: int, size: int) -> csr_array:
    """The same weights in 256ths: (size, count) uint16.

    Rounded as running sums, so that those of one pixel still add up to 256: what is uniform stays
    what it is.
    """
    shares = weights(count, length, added, side, size).toarray()
    sums = np.rint(2**SHARED * shares.cumsum(axis=1, dtype=float))
    return csr_array(np.diff(sums, axis=1, prepend=0).astype(np.uint16))


def resized(pixels: np.ndarray, shape: tuple[int, int], place: Square, size: int) -> np.ndarray:
    """Cut or pad pixels to `place` and resize to (size, size), antialiased; the type stays.

    pixels: uint8 or float32, all of a file's `shape` (height, width), possibly at reduced scale.
    Those of 8 bits are computed in whole numbers of 16 bits, 255 * 256 at most, and rounded after
    each axis: in two thirds of the time of float32, and to the same bytes on every machine.
    """
    height, width = pixels.shape
    share = whole_weights if pixels.dtype == np.uint8 else weights
    rows = share(height, shape[0], place.top, place.side, size)
    columns = share(width, shape[1], place.left, place.side, size)
    # Rows of 2^k bytes put a whole column into one set of the cache, which makes the transposed
    # copy four times slower; spare columns spread it.
    spread = np.empty((height, width + SPARE), dtype=rows.dtype)
    spread[:, :width], spread[:, width:] = pixels, 0
    lines = levels(rows @ spread)
    image = levels(columns @ lines[:, :width].T)
    return np.ascontiguousarray(image.astype(pixels.dtype, copy=False).T)


def levels(sums: np.ndarray) -> np.ndarray:
    """Sums of weighted pixels as grey levels, in place: whole numbers are rounded 256ths."""
    if sums.dtype == np.uint16:
        sums += 2 ** (SHARED - 1)
        sums >>= SHARED
    return sums


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
