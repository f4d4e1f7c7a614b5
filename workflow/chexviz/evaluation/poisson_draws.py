"""How often each unit is drawn in a bootstrap resample, for many resamples at once.

Drawing one by one costs a random number and a scattered addition for every unit of a resample. Here
each unit gets a Poisson count from one random byte instead. Given their sum, independent Poisson
counts of equal means are that many draws with replacement (Johnson, Kotz & Balakrishnan, Discrete
Multivariate Distributions, 1997, chapter 35). Their mean is a little below 1: a resample then
lacks a few draws, which are made one by one. The distribution is exact, whatever the sum.
"""

import math
from functools import reduce

import numpy as np

# What is drawn at once at least: a word of 64 random bits is one unit's byte in 8 resamples.
OCTET = 8
# Random bytes at a time: with their counts they stay in the second-level cache of a core.
CACHED_BYTES = 1 << 19
# By how many standard deviations the Poisson counts' expected sum is below the size. One sum in 700
# is larger all the same; draws of that resample are taken back.
SPARE = 3
# The largest Poisson count: for a mean of 1 a larger one has a probability of 4e-19.
LARGEST = 19


class Draws:
    """Resamples of `size` units: `size` draws with replacement each.

    They do not depend on how many are taken at a time. Bytes hold them: that a resample has 256
    draws of one unit has a probability below 1 / 255!.
    """

    def __init__(self, size: int, generator: np.random.Generator):
        self.size = size
        # One stream a purpose: otherwise the number taken at a time would decide which purpose gets
        # which random number.
        self.bytes, self.remainders, self.missing, self.kept = generator.spawn(4)
        # The square root of the mean m that solves size m + SPARE sqrt(size m) = size.
        root = (math.sqrt(SPARE**2 + 4 * size) - SPARE) / (2 * math.sqrt(size))
        self.thresholds, self.remainder = poisson_table(root**2)

    def take(self, octets: int) -> np.ndarray:
        """The next 8 * octets resamples: uint8 (size, 8 * octets)."""
        words = np.empty((self.size, octets), np.uint64)
        step = max(CACHED_BYTES // (OCTET * self.size), 1)
        for first in range(0, octets, step):
            part = words[:, first : first + step]
            part[:] = self.poisson(part.shape[1]).view(np.uint64).T
        counts = words.view(np.uint8)
        missing = self.size - counts.sum(axis=0, dtype=np.int32)
        for full in np.flatnonzero(missing < 0):
            counts[:, full] = self.kept.multivariate_hypergeometric(
                counts[:, full].astype(np.int64), self.size, method="count"
            )
        resample = np.repeat(np.arange(len(missing)), np.maximum(missing, 0))
        unit = self.missing.integers(self.size, size=len(resample))
        # A byte, and one index: what NumPy adds without conversion, 10 times as fast.
        np.add.at(counts.reshape(-1), unit * len(missing) + resample, np.uint8(1))
        return counts

    def poisson(self, octets: int) -> np.ndarray:
        """Poisson counts: uint8 (octets, 8 * size), a unit's 8 resamples side by side."""
        words = self.bytes.integers(2**64, size=(octets, self.size), dtype=np.uint64)
        byte = words.view(np.uint8)
        reached = ((byte >= threshold).view(np.uint8) for threshold in self.thresholds)
        counts = reduce(np.add, reached)
        rest = np.flatnonzero(byte >= self.thresholds[-1])
        drawn = self.remainders.random(len(rest))
        counts.reshape(-1)[rest] = np.searchsorted(self.remainder, drawn, side="right")
        return counts


def poisson_table(mean: float) -> tuple[list[int], np.ndarray]:
    """How a random byte becomes a Poisson count (Marsaglia, Tsang & Wang, J. Stat. Softw. 2004).

    mean: in (0, 1]. Of the 256 bytes, count k with the probability p(k) gets the next
    floor(256 p(k)): a byte's count is the number of thresholds that it reaches. Bytes that reach
    the last are left over; for them a count is drawn from what is left of each p(k).
    Returns the thresholds, and the cumulative distribution of that remainder (LARGEST + 1,).
    """
    share = 256 * math.exp(-mean) * np.cumprod(np.append(1, mean / np.arange(1, LARGEST + 1)))
    whole = np.floor(share)
    remainder = np.cumsum(share - whole)
    # Python's integers: those of NumPy would widen the bytes that are compared with them.
    return np.cumsum(whole[whole > 0]).astype(int).tolist(), remainder / remainder[-1]
