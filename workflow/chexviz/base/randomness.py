"""Random streams keyed by what they are for, so that no stream depends on who else draws."""

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def stream(seed: int, *key: str | int) -> int:
    """A seed in [0, 2**63) for one purpose, e.g. stream(2022, "order", "rsna", 12).

    Equal arguments give equal seeds on every machine; others give independent ones.
    """
    digest = hashlib.blake2b(repr((seed, *key)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def generator(seed: int, *key: str | int) -> "np.random.Generator":
    """Draws for one purpose that nobody can repeat without knowing all bits of the seed.

    `stream` keeps 63 of them, and PyTorch's generator of a CPU 32 of these.
    """
    import numpy as np

    digest = hashlib.blake2b(repr((seed, *key)).encode(), digest_size=32).digest()
    return np.random.Generator(np.random.PCG64DXSM(int.from_bytes(digest, "big")))
