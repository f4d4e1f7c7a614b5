"""Random streams keyed by what they are for, so that no stream depends on who else draws."""

import hashlib


def stream(seed: int, *key: str | int) -> int:
    """A seed in [0, 2**63) for one purpose, e.g. stream(2022, "order", "rsna", 12).

    Equal arguments give equal seeds on every machine; others give independent ones.
    """
    digest = hashlib.blake2b(repr((seed, *key)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
