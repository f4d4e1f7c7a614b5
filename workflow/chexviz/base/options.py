"""Numbers that reach an entry point on its command line: finite, and within bounds."""

import math
from argparse import ArgumentTypeError
from collections.abc import Callable

SEED = 2**32 - 1  # the largest, as in the schema of the configuration


def finite(text: str) -> float:
    """A number from its text. Raises ValueError for NaN and infinity, which no bound would stop."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no finite number")
    return value


def whole(low: int, high: int) -> Callable[[str], int]:
    """The type of an option that takes an integer from low to high."""

    def read(text: str) -> int:
        if not low <= int(text) <= high:
            raise ArgumentTypeError(f"{text} is not between {low} and {high}")
        return int(text)

    return read


def fraction(text: str) -> float:
    """The type of an option that takes a number between 0 and 1, both excluded."""
    if not 0 < finite(text) < 1:
        raise ArgumentTypeError(f"{text} is not between 0 and 1")
    return float(text)
