"""What a browser sends, a file or a zip archive, as single radiographs in memory.

Names are for people: no path of a browser or of an archive is ever opened.
"""

import io
import zipfile
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import NamedTuple

from chexviz.base.errors import InputError, Unreadable
from chexviz.data.decoding.signature import LENGTH, RADIOGRAPHS, is_named_radiograph, kind
from chexviz.data.sources.archives import (
    SMALLEST_RATIO,
    SURELY_SMALL,
    check_entries,
    check_ratio,
    is_archive,
    saying_why,
)
from chexviz.inference.answers import letters, printable
from chexviz.inference.inputs import HIDDEN, INDEX, ZIP, Refused, one_line

NAMED = 200  # letters of a name that the page shows


class Upload(NamedTuple):
    """A radiograph to be opened. name: for the user."""

    name: str
    data: bytes


def begins_as_archive(data: bytes) -> bool:
    """Whether a file is a zip archive, by its first bytes."""
    return data[:4] in ZIP


def plain(name: str) -> str:
    """A name as it is shown: one line of letters, none that a terminal or a page would obey."""
    return letters(printable(name).strip(), NAMED) or "radiograph"


def radiographs(name: str, data: bytes, most: int) -> Iterator[Upload | Refused]:
    """The radiographs in what was sent, one after the other; of an archive its members.

    most: bytes that one of them may have.
    """
    if not begins_as_archive(data):
        yield Upload(plain(name), data)
        return
    try:
        with saying_why(name), zipfile.ZipFile(io.BytesIO(data)) as opened:
            entries = [one for one in opened.infolist() if not one.filename.endswith("/")]
            check_entries(name, entries)
            allowed = max(SURELY_SMALL, SMALLEST_RATIO * len(data))
            check_ratio(name, sum(one.file_size for one in entries), allowed)
            wanted = [one for one in entries if is_wanted(opened, one)]
            if not wanted:
                yield Refused(plain(name), "no radiograph in it: DICOM, PNG or JPEG")
            for entry in wanted:
                yield member(name, opened, entry, most)
    except InputError as error:
        yield Refused(plain(name), one_line(error))


def is_wanted(opened: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bool:
    """Whether a member of an archive is a radiograph, or an archive, which is refused."""
    last = PurePosixPath(entry.filename).name
    if last.startswith(HIDDEN) or last.upper() == INDEX:
        return False
    if is_archive(entry.filename) or is_named_radiograph(entry.filename):
        return True
    try:
        with saying_why(entry.filename), opened.open(entry) as file:
            return kind(file.read(LENGTH)) in RADIOGRAPHS
    except InputError:
        return False


def member(
    name: str, opened: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int
) -> Upload | Refused:
    """One member of an archive, read."""
    shown = plain(f"{name}:{entry.filename}")
    if is_archive(entry.filename):
        return Refused(shown, "an archive within an archive: unpack it first")
    try:
        with saying_why(name), opened.open(entry) as file:
            data = file.read(most + 1)
        if len(data) > most:
            raise Unreadable(f"too large: more than {most} bytes")
    except Unreadable as error:
        return Refused(shown, str(error))
    except InputError as error:
        return Refused(shown, one_line(error))
    return Upload(shown, data)
