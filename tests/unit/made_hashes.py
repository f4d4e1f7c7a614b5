"""Perceptual hashes that are as alike as those of real chest radiographs; how many are compared."""

from collections.abc import Callable

import numpy as np

# Chosen so that 8 of 100,000 pairs differ in at most 8 bits, as of 734 real radiographs. A pair
# differs in 27.4 bits on average, standard deviation 5.5 (real: 27.6 and 4.9; coins: 32 and 4).
COMMON, FACTORS, REST = 0.7, 8, 0.7


def made_hashes(count: int, seed: int) -> np.ndarray:
    """Hashes uint64 (count,): a chest common to all, what a few factors change, and the rest.

    As in perceptual_hashes, the larger half of 64 values are the ones.
    """
    draws = np.random.default_rng(seed)
    common = COMMON * draws.standard_normal(64)
    factors = draws.standard_normal((count, FACTORS)) @ draws.standard_normal((FACTORS, 64))
    values = common + factors / np.sqrt(FACTORS) + REST * draws.standard_normal((count, 64))
    bits = values > np.median(values, axis=1, keepdims=True)
    return np.packbits(bits, axis=1).view(">u8").ravel().astype(np.uint64)


class Counted(np.ndarray):
    """Hashes that count how many pairs of them are compared: XOR tells two hashes apart."""

    pairs = 0

    def __array_ufunc__(self, ufunc, method, *inputs, **options):
        plain = [np.asarray(one) if isinstance(one, Counted) else one for one in inputs]
        result = getattr(ufunc, method)(*plain, **options)
        if ufunc is np.bitwise_xor:
            Counted.pairs += result.size
        return result.view(Counted) if isinstance(result, np.ndarray) else result


def pairs_compared(search: Callable[..., object], hashes: np.ndarray, radius: int) -> int:
    """How many pairs of hashes (n,) a search for those within a radius looks at."""
    Counted.pairs = 0
    search(hashes.view(Counted), radius)
    return Counted.pairs
