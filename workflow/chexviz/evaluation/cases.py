"""Independent cases: whether a number rests on enough of them to say how sure it is."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

TOO_FEW = "too few"


def class_units(labels: np.ndarray, unit: np.ndarray) -> tuple[int, int]:
    """How many units have a positive image, and how many a negative one.

    labels: 0, 1 or NaN (n,). unit: index of each image's unit (n,).
    """
    positive, negative = (len(np.unique(unit[labels == label])) for label in (1, 0))
    return positive, negative


def require_both_classes(positive: np.ndarray, what: str) -> None:
    """Raise ValueError, with both counts, unless `positive` (bool) holds True and False."""
    if positive.all() or not positive.any():
        raise ValueError(
            f"{what} of both classes are needed: "
            f"{positive.sum()} are positive, {(~positive).sum()} negative"
        )


def count_cases(labels: np.ndarray, unit: np.ndarray) -> dict[str, int]:
    """How many units (patients, or images) have an image of each class.

    labels: 0, 1 or NaN (n,). unit: index of each image's unit (n,).
    """
    positive, negative = class_units(labels, unit)
    return {"positive": positive, "negative": negative}


def too_few(found: Mapping[str, int], minimum: int) -> str:
    """'too few cases: 3 positive of at least 20'; '' if there are enough of each kind.

    found: how many independent cases there are, by kind. minimum: `evaluation: minimum_cases`, of
    each kind. Of fewer a value is shown, but neither an interval nor a p value.
    """
    short = [f"{count} {kind}" for kind, count in found.items() if count < minimum]
    if not short:
        return ""
    return (
        f"{TOO_FEW} cases: {' and '.join(short)} of at least {minimum}{' each' * (len(short) > 1)}"
    )


def is_too_few(note: object) -> bool:
    """Whether a table's note says that there are too few cases; it may be missing (NaN)."""
    return isinstance(note, str) and note.startswith(TOO_FEW)


def enough(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of a table whose note does not say that there are too few cases."""
    return table[~table["note"].map(is_too_few).astype(bool)]  # of no rows, map gives objects


def first_note(notes: pd.Series) -> str:
    """The first note of a table's rows that says so; '' if none does."""
    return next((note for note in notes if is_too_few(note)), "")
