"""What a method with `privacy` may not be: the config is refused for it, and so is a study."""

from collections.abc import Mapping
from typing import Any

from chexviz.base.errors import InputError
from chexviz.base.methods import private_unit

FROZEN = (["frozen"], "running statistics would be of images, without noise")
# By unit and setting: what it may be, and what were else.
ALLOWED: dict[str, dict[str, tuple[list, str]]] = {
    "patient": {
        "algorithm": (["fedavg", "fedadam"], "sites would tell or use gradients without noise"),
        "batchnorm": FROZEN,
        "compile": ([False], "gradients of each image are taken layer by layer"),
        "precision": (["auto", "float32"], "what is clipped would not be exact"),
    },
    "site": {
        "algorithm": (["fedavg", "fedprox", "fedadam"], "sites would tell more than their step"),
        "heads": (["shared"], "each site's own task block would be in the model, without noise"),
        "batchnorm": FROZEN,
        "combine": (["mean"], "a site could change more than the length of its step"),
        "weights": (["uniform"], "a large site could change more than the others"),
    },
}


def check_private(where: str, said: Mapping[str, Any]) -> None:
    """Raise InputError if a training would tell more than privacy promises, or could not be.

    where: of the method. said: the settings of the method and of the training, by name.
    """
    unit = private_unit(said)
    for name, (allowed, otherwise) in ALLOWED[unit].items():
        if said[name] not in allowed:
            raise InputError(
                where,
                expected=f"{name}: {' or '.join(map(word, allowed))}, with `unit: {unit}`: "
                f"{otherwise}",
                found=f"{name}: {word(said[name])}",
                fix="change it, or leave `privacy` out",
            )


def word(value: Any) -> str:
    """A value as the config writes it."""
    return str(value).lower()


def check_delta(delta: float, whose: str, records: int, of: str) -> None:
    """Raise InputError unless delta is less than the share that one record is of all.

    whose: the records are. of: what they are, in the plural.
    """
    if delta >= 1 / records:
        raise InputError(
            "methods: privacy: delta",
            expected=f"less than 1 / {records}, since {whose} has as many {of} that train: with "
            "more, one of them might be published as a whole",
            found=f"{delta:g}",
            fix="lower delta",
        )
