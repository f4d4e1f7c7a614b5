"""Polygons as masks."""

import numpy as np


def fill(corners: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The pixels whose centres lie in a polygon (even-odd rule), bool of `shape` (height, width).

    corners: x and y (n, 2), in pixels; those beyond the image are cut off. Raises ValueError unless
    they are three at least.
    """
    if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3:
        raise ValueError("a polygon has three corners at least, each with x and y")
    height, width = shape
    # Where an edge crosses a row, all pixels to its right change sides.
    changes = np.zeros((height, width + 1), dtype=bool)
    for (x, y), (next_x, next_y) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        low, high = np.clip(np.ceil(np.sort([y, next_y]) - 0.5), 0, height).astype(int)
        rows = np.arange(low, high)
        if len(rows):
            crossings = x + (rows + 0.5 - y) * (next_x - x) / (next_y - y)
            columns = np.clip(np.ceil(crossings - 0.5), 0, width).astype(int)
            changes[rows, columns] ^= True
    return np.logical_xor.accumulate(changes, axis=1)[:, :-1]
