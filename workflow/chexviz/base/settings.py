"""A job's slice of the configuration: from the JSON on its command line to a typed object."""

import re
from typing import Annotated, TypeVar

import msgspec

from chexviz.base.errors import InputError

Kind = TypeVar("Kind")
Share = Annotated[float, msgspec.Meta(gt=0, lt=1)]
Positive = Annotated[int, msgspec.Meta(ge=1)]


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a job is told, or a section of it: a subclass names each value with its type.

    A value that is missing, unknown, of another type or out of its bounds is refused by `read`.
    """


def read(text: str, kind: type[Kind], option: str = "--settings") -> Kind:
    """The settings that a JSON text holds. Raises InputError that names the value at fault.

    option: of the command line, whose text this is.
    """
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.DecodeError as error:
        message, _, place = str(error).replace("`", "").partition(" - at $")
        place = place.removeprefix(".")
        expected, _, found = message.removeprefix("Expected ").partition(", got ")
        said = message.startswith("Expected")
        raise InputError(
            f"{option}: {place}" if place else option,
            expected=expected if said else "JSON of what the section of the configuration holds",
            found=(found or value(text, place)) if said else message,
            fix="correct the configuration; config/README.md says what it holds",
        ) from None


def value(text: str, place: str) -> str:
    """The value at a place such as 'bootstrap.replicates' or 'ages[1]'."""
    found = msgspec.json.decode(text)
    for key in re.findall(r"[^.\[\]]+", place):
        found = found[int(key)] if isinstance(found, list) else found[key]
    return msgspec.json.encode(found).decode()
