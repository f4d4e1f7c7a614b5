"""What a user names, files, folders and archives, as single radiographs that are still to be read.

Nothing is unpacked: what is in an archive is read where it lies, so that no path in it leads
anywhere.
"""

import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from chexviz.base.errors import InputError
from chexviz.data.decoding.signature import (
    LENGTH,
    RADIOGRAPHS,
    is_named_radiograph,
    is_radiograph,
    kind,
)
from chexviz.data.sources.archives import (
    SMALLEST_RATIO,
    SURELY_SMALL,
    check_entries,
    check_kind,
    check_ratio,
    is_archive,
    saying_why,
)

ZIP = (b"PK\x03\x04", b"PK\x05\x06")  # how an archive begins; the second one is empty
INDEX = "DICOMDIR"  # of the files on a disc, without pixels of its own
HIDDEN = "._"  # how macOS calls what it keeps beside a file


class Source(NamedTuple):
    """A radiograph to be read. name: for the user. member: its name in the archive `path`; ''."""

    name: str
    path: Path
    member: str = ""


class Refused(NamedTuple):
    """What cannot be read, and why, on one line."""

    name: str
    reason: str


class Inputs(NamedTuple):
    """What was found, in order. others: files that are no radiographs, which nobody asked for."""

    found: list[Source | Refused]
    others: int


def find(paths: Iterable[Path]) -> Inputs:
    """All radiographs that these paths stand for, each once.

    A file is what the user says it is; in a folder or an archive, radiographs are the files with a
    suffix or first bytes of one. Raises InputError for a path where nothing is.
    """
    found: dict[str, Source | Refused] = {}
    others = 0
    for path in paths:
        for one in named(path):
            if one is None:
                others += 1
            else:
                found.setdefault(one.name, one)
    return Inputs([*found.values()], others)


def named(path: Path) -> Iterator[Source | Refused | None]:
    """What one path stands for; None for each file that is no radiograph."""
    if path.is_dir():
        yield from in_folder(path)
    elif path.is_file():
        yield from (in_archive(path) if begins_as_archive(path) else [Source(str(path), path)])
    elif path.exists():
        yield Refused(str(path), "not a file, but a pipe or a device")
    else:
        raise InputError(
            path,
            expected="a file, a folder or a zip archive",
            found="nothing",
            fix="correct the path",
        )


def in_folder(folder: Path) -> Iterator[Source | Refused | None]:
    """What is in a folder and all folders below, sorted; links to folders are not followed."""
    unread: list[OSError] = []
    for place, folders, names in os.walk(folder, onerror=unread.append):
        folders.sort()
        for name in sorted(names):
            path = Path(place, name)
            try:
                if name.startswith(HIDDEN) or name.upper() == INDEX or not path.is_file():
                    yield None
                elif is_archive(name):
                    yield from in_archive(path)
                else:
                    yield Source(str(path), path) if is_radiograph(path.parent, name) else None
            except OSError as error:
                yield Refused(str(path), unreadable(error))
    for failure in unread:
        yield Refused(str(failure.filename), unreadable(failure))


def unreadable(error: OSError) -> str:
    """Why a system does not let a file be read."""
    return f"cannot be read: {error.strerror or error}"


def begins_as_archive(path: Path) -> bool:
    """Whether a file is called or begins as a zip archive; one that cannot be opened is none."""
    try:
        with path.open("rb") as file:
            return file.read(4) in ZIP or is_archive(path.name)
    except OSError:
        return False


def in_archive(path: Path) -> Iterator[Source | Refused | None]:
    """What is in a zip archive, in its order; the archive itself if it is not to be trusted."""
    try:
        with saying_why(path):
            check_kind(path)
            with zipfile.ZipFile(path) as opened:
                entries = [one for one in opened.infolist() if not one.filename.endswith("/")]
                check_entries(str(path), entries)
                allowed = max(SURELY_SMALL, SMALLEST_RATIO * path.stat().st_size)
                check_ratio(str(path), sum(one.file_size for one in entries), allowed)
                members = [member(path, opened, one) for one in entries]
    except InputError as error:
        yield Refused(str(path), one_line(error))
        return
    yield from members


def member(path: Path, opened: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Source | Refused | None:
    """A file in an archive. Whether it is damaged is found when it is read."""
    name = entry.filename
    last = name.rpartition("/")[2]
    shown = f"{path}:{name}"
    if last.startswith(HIDDEN) or last.upper() == INDEX:
        return None
    if is_archive(name):
        return Refused(shown, "an archive within an archive: unpack it first")
    if is_named_radiograph(name):
        return Source(shown, path, name)
    try:
        with opened.open(entry) as file:
            start = file.read(LENGTH)
    except (zipfile.BadZipFile, zlib.error, EOFError):
        return None
    return Source(shown, path, name) if kind(start) in RADIOGRAPHS else None


def one_line(error: InputError) -> str:
    """What is wrong with a file, without its name and what to do."""
    return f"expected {error.expected}; found {error.found}".replace("\n", " ")
