"""Run lengths of masks: SIIM's relative ones, and the absolute ones that the tables hold.

Both count pixels column by column (top to bottom, then to the right), from zero. SIIM writes
'gap length gap length ...', each gap counted from the end of the run before; the tables hold
'start length start length ...'.
"""

import numpy as np


def parse(text: str) -> np.ndarray:
    """'a b c d ...' to int64 (n, 2). Raises ValueError unless it is pairs of numbers >= 0."""
    try:
        values = np.array([int(word) for word in text.split()], dtype=np.int64)
    except (ValueError, OverflowError) as error:
        raise ValueError("a run length is not a whole number") from error
    if len(values) % 2:
        raise ValueError(f"run lengths come in pairs, but there are {len(values)} values")
    if (values < 0).any():
        raise ValueError(f"a run length is negative: {values.min()}")
    return values.reshape(-1, 2)


def absolute(relative: str) -> str:
    """SIIM's relative run lengths as absolute ones. Raises ValueError as `parse` does."""
    gaps, lengths = parse(relative).T
    starts = np.cumsum(gaps + lengths) - lengths
    return text(np.column_stack([starts, lengths]))


def text(runs: np.ndarray) -> str:
    """Runs (n, 2) as text."""
    return " ".join(map(str, runs.ravel().tolist()))


def to_mask(runs: str, shape: tuple[int, int]) -> np.ndarray:
    """Absolute runs to a bool mask of `shape` (height, width); runs may overlap.

    Raises ValueError if a run ends beyond the last pixel, or as `parse` does.
    """
    height, width = shape
    mask = np.zeros(height * width, dtype=bool)
    for start, length in parse(runs).tolist():
        if start + length > mask.size:
            raise ValueError(f"a run ends at pixel {start + length} of {mask.size}")
        mask[start : start + length] = True
    return mask.reshape(width, height).T


def from_mask(mask: np.ndarray) -> str:
    """A mask (height, width) to absolute runs, in order and neither empty nor touching."""
    flat = np.asarray(mask, dtype=bool).T.ravel()
    edges = np.flatnonzero(np.diff(flat, prepend=False, append=False))
    starts, stops = edges[::2], edges[1::2]
    return text(np.column_stack([starts, stops - starts]))
