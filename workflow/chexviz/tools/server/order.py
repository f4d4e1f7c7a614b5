"""A study as a coordinator has ordered it, and its files in the coordinator's folder.

Light: status reads them without PyTorch.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from chexviz.base.errors import InputError
from chexviz.base.files import replacing
from chexviz.base.settings import Settings, read
from chexviz.tools.server.place import STUDIES

ORDER, HISTORY = "study.json", "global.history.csv"
START, ROUNDS = "start.safetensors", "rounds"
BLOCK, MODEL = "representation.safetensors", "global.safetensors"
SHARE = "share"  # what each site has told of its results, in a folder of its own


class Order(Settings, frozen=True):
    """study, rules: see messages.Study and coordinator.Rules.

    method: as the configuration calls it. app: SHA-256 of the code that began it, which sites have
    approved.
    """

    method: str
    study: dict[str, Any]
    rules: dict[str, Any]
    app: str

    @property
    def name(self) -> str:
        """Of its folder: what of it is another one from study to study."""
        study = self.study
        return "_".join(
            [study["protocol"], study["architecture"], self.method, f"seed{study['seed']}"]
        )


class Ordered:
    """A study's folder in that of a coordinator. order: what is to be trained there."""

    def __init__(self, folder: Path, order: Order):
        self.folder, self.order = folder, order

    def path(self, name: str) -> Path:
        return self.folder / name

    @property
    def is_over(self) -> bool:
        return self.path(BLOCK).is_file()

    def write(self) -> None:
        """Keep what is ordered."""
        with replacing(self.path(ORDER)) as temporary:
            temporary.write_bytes(msgspec.json.encode(self.order))


def all_of(coordinator: Path) -> list[Ordered]:
    """The studies of a coordinator's folder, the last one that was ordered at the end."""
    paths = (coordinator / STUDIES).glob(f"*/{ORDER}")
    return [opened(path) for path in sorted(paths, key=lambda path: path.stat().st_mtime)]


def opened(path: Path) -> Ordered:
    """The study of an order's file."""
    return Ordered(path.parent, read(path.read_text(encoding="utf-8"), Order, str(path)))


def placed(coordinator: Path, order: Order) -> Ordered:
    """The folder of a new order.

    Raises InputError if it has another study, or this one is over.
    """
    made = Ordered(coordinator / STUDIES / order.name, order)
    if not made.path(ORDER).is_file():
        return made
    there = opened(made.path(ORDER))
    if there.order != order:
        raise InputError(
            made.folder,
            expected="the same study, or none",
            found=f"one that differs in {', '.join(differences(there.order, order))}",
            fix=f"go on with that (`chexviz server resume {coordinator}`), with the settings that "
            "it began with, or move the folder away and start anew",
        )
    if there.is_over:
        raise over(there)
    return made


def unfinished(coordinator: Path, name: str | None) -> Ordered:
    """The study to go on with; name: of its folder, None: the only one that is not over.

    Raises InputError if there is none, or several are to choose from.
    """
    found = {one.folder.name: one for one in all_of(coordinator)}
    chosen = [found[name]] if name in found else []
    if name is None:
        chosen = [one for one in found.values() if not one.is_over]
    if len(chosen) != 1:
        raise InputError(
            coordinator / STUDIES,
            expected=f"a study {name}" if name else "one study that is not over",
            found=", ".join(one.folder.name for one in chosen or found.values()) or "none",
            fix="name one of them: `--study`" if found else "start one: `chexviz server run`",
        )
    if chosen[0].is_over:
        raise over(chosen[0])
    return chosen[0]


def over(ordered: Ordered) -> InputError:
    """The error of a study that cannot go on."""
    return InputError(
        ordered.folder,
        expected="a study that is not over",
        found=f"one that is: {BLOCK} is there",
        fix="use its results, or move the folder away and start it anew",
    )


def differences(one: Order, other: Order) -> list[str]:
    """The settings in which two orders differ, by their path."""
    pair = [flat(msgspec.to_builtins(order)) for order in (one, other)]
    names = [*pair[0], *(name for name in pair[1] if name not in pair[0])]
    return [name for name in names if pair[0].get(name) != pair[1].get(name)]


def flat(value: Any, where: str = "") -> dict[str, Any]:
    """Nested settings by their path: 'study: settings: rounds'."""
    if not isinstance(value, Mapping):
        return {where: value}
    inner = [flat(one, f"{where}: {key}" if where else key) for key, one in value.items()]
    return {name: one for part in inner for name, one in part.items()}
