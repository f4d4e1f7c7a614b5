"""The search for near-identical images: our growth with their number, against comparing all pairs.

The hashes are as alike as those of real radiographs (tests/unit/made_hashes.py).
"""

import sys
import time
from collections.abc import Callable
from math import comb
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "unit"))
from chexviz.cohort.duplicates import THUMBNAIL, close_pairs, differences
from made_hashes import made_hashes, pairs_compared

RADIUS = 8
COUNTS = (10_000, 20_000, 40_000, 80_000)
BOUND_COUNT, BOUND_SECONDS = 40_000, 60.0
BOUND_GROWTH = 0.6  # from the first to the last of COUNTS, of the growth of the number of all pairs
ROWS = 64  # compared with all others at once: what fits in the cache
SIZE = 224  # pixels of the images that are confirmed
REPEATS = 3  # of each measurement; the fastest counts
DISTINCT = 512  # images that are drawn; the time to read and reduce one does not depend on which


def all_pairs(hashes: np.ndarray) -> int:
    """How many pairs differ in at most RADIUS bits, by comparing all with all."""
    found = 0
    for start in range(0, len(hashes), ROWS):
        rows = hashes[start : start + ROWS]
        later = hashes[start + 1 :]
        near = np.bitwise_count(rows[:, None] ^ later[None, :]) <= RADIUS
        # Row r of the block starts at the hash after its own.
        found += int(np.count_nonzero(np.triu(near)))
    return found


def fastest(work: Callable, *arguments) -> tuple[object, float]:
    """What `work` gives, and the CPU seconds of its fastest run: others may use the machine."""
    seconds = []
    for _ in range(REPEATS):
        start = time.process_time()
        result = work(*arguments)
        seconds.append(time.process_time() - start)
    return result, min(seconds)


def confirm(count: int, pairs: np.ndarray) -> np.ndarray:
    """Confirm the pairs on images of noise."""
    stack = np.random.default_rng(0).integers(0, 256, (DISTINCT, SIZE, SIZE), dtype=np.uint8)
    where = np.column_stack([np.zeros(count, dtype=int), np.arange(count) % DISTINCT])
    return differences([stack], where, pairs)


def verdict(kept: bool) -> str:
    return "kept" if kept else "BROKEN"


def grown(now: float, before: float | None) -> str:
    return f"{now / before:.1f}x" if before else "-"


def main() -> None:
    rows, before, work = [], (None, None), []
    for count in COUNTS:
        hashes = made_hashes(count, seed=0)
        pairs, ours = fastest(close_pairs, hashes, RADIUS)
        expected, compared = fastest(all_pairs, hashes)
        if len(pairs) != expected:
            sys.exit(f"{count} hashes: {len(pairs)} pairs found, {expected} exist")
        looked_at = pairs_compared(close_pairs, hashes, RADIUS)
        work.append((ours, looked_at))
        _, confirmed = fastest(confirm, count, pairs)
        if count == BOUND_COUNT:
            bound = ours + confirmed
        row = [f"{count:,}", f"{compared:.2f} s", grown(compared, before[1]), f"{ours:.2f} s"]
        row += [grown(ours, before[0]), f"{compared / ours:.1f}x"]
        row += [f"{100 * looked_at / comb(count, 2):.1f} %", f"{len(pairs):,}"]
        rows.append([*row, f"{confirmed:.1f} s"])
        before = ours, compared
    print(
        f"### Near-identical images\n\nPairs of hashes that differ in at most {RADIUS} of 64 bits, "
        f"in CPU seconds of one thread, the fastest of {REPEATS} runs; growth is against half as "
        f"many hashes. Both find the same pairs; ours compares a part of all. Confirming "
        f"reduces images of {SIZE} pixels to {THUMBNAIL} and compares those of each pair.\n"
    )
    print(
        "| hashes | all with all | growth | ours | growth | ratio | compared | pairs "
        "| confirming them |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        print("|", " | ".join(row), "|")
    in_time = bound <= BOUND_SECONDS
    print(
        f"\nBound of {BOUND_SECONDS:.0f} s for {BOUND_COUNT:,} images on two cores: "
        f"{verdict(in_time)} ({bound:.1f} s on one)."
    )
    square = (COUNTS[-1] / COUNTS[0]) ** 2
    growths = [last / first for first, last in zip(work[0], work[-1], strict=True)]
    below_square = max(growths) <= BOUND_GROWTH * square
    print(
        f"Bound of {BOUND_GROWTH * square:.0f}x for {COUNTS[-1]:,} hashes against {COUNTS[0]:,} "
        f"({square:.0f}x is quadratic): {verdict(below_square)} ({growths[0]:.0f}x the time, "
        f"{growths[1]:.0f}x the pairs compared)."
    )
    if not (in_time and below_square):
        sys.exit(1)


if __name__ == "__main__":
    main()
