"""Run lengths of masks: SIIM's relative ones, COCO's, and the absolute ones that the tables hold.

All count pixels column by column (top to bottom, then to the right), from zero. SIIM writes
'gap length gap length ...', each gap counted from the end of the run before; the tables hold
'start length start length ...'. COCO counts the pixels outside and inside in turn, up to the last.
"""

import numpy as np

FIRST, BITS = ord("0"), 5  # of COCO's letters: the first one, and the bits of a number in each
MORE, NEGATIVE = 1 << BITS, 1 << BITS - 1  # another letter follows; the last one says below zero
LETTERS = 7  # of a number at most: 35 bits
LARGEST = 1 << 28  # pixels of a mask: more than any detector has


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


def from_coco(mask: object) -> tuple[str, tuple[int, int]]:
    """COCO's {'size': [height, width], 'counts': ...} as absolute runs, and its height and width.

    counts: whole numbers, or the text that packs them. Raises ValueError if it is no such mask.
    """
    match mask:
        case {"size": [int(height), int(width)], "counts": str() | list() as counts}:
            counts = unpacked(counts) if isinstance(counts, str) else counts
        case _:
            raise ValueError("it is not {'size': [height, width], 'counts': ...}")
    within_limits(height, width)
    if not all(isinstance(count, int) and count >= 0 for count in counts):
        raise ValueError("its counts are not all whole numbers from zero")
    if sum(counts) != height * width:
        raise ValueError(f"its counts are of {sum(counts)} pixels, its size is {height} x {width}")
    stops = np.cumsum(counts, dtype=np.int64)[1::2]
    lengths = np.array(counts[1::2], dtype=np.int64)
    return text(np.column_stack([stops - lengths, lengths])), (height, width)


def within_limits(height: int, width: int) -> tuple[int, int]:
    """The size of a mask. Raises ValueError unless a radiograph may have it."""
    if min(height, width) < 1 or height * width > LARGEST:
        raise ValueError(f"its size is {height} x {width}")
    return height, width


def to_coco(mask: np.ndarray) -> dict:
    """A mask (height, width) as COCO has it, with plain counts."""
    flat = np.asarray(mask, dtype=bool).T.ravel()
    edges = np.flatnonzero(np.diff(flat, prepend=False))
    counts = np.diff(edges, prepend=0, append=flat.size)
    return {"size": [*mask.shape], "counts": counts.tolist()}


def unpacked(letters: str) -> list[int]:
    """The counts that COCO packs into letters, five bits in each, the lowest first.

    From the fourth on, what is packed is the difference from the last but one. Raises ValueError if
    a letter is none of these, or the last number does not end.
    """
    counts: list[int] = []
    value = shift = 0
    for letter in letters:
        code = ord(letter) - FIRST
        if not 0 <= code < 2 * MORE:
            raise ValueError(f"its counts hold {letter!r}")
        value |= (code % MORE) << shift
        shift += BITS
        if shift > LETTERS * BITS:
            raise ValueError(f"its counts hold a number of more than {LETTERS} letters")
        if code & MORE:
            continue
        if code & NEGATIVE:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("its counts are cut off")
    return counts


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
