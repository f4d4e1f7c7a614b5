"""Zip archives to folders, without trust: no path out of the folder, no links, a bounded size."""

import errno
import lzma
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from chexviz.base.errors import InputError
from chexviz.base.progress import Progress

# Text packs to a tenth and radiographs to a third; what packs to less than a hundredth is a bomb.
SMALLEST_RATIO = 100
SURELY_SMALL = 10**9  # bytes that are unpacked however well they were packed
DEEPEST = 100  # folders within folders
# How archives of other kinds begin; a tar says so further on.
OTHER_KINDS = {
    b"\x1f\x8b": "a gzip archive",
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive",
    b"\xfd7zXZ": "an xz archive",
    b"BZh": "a bzip2 archive",
    b"\x28\xb5\x2f\xfd": "a Zstandard archive",
    b"Rar!": "a RAR archive",
}
TAR, TAR_AT = b"ustar", 257


class DamagedArchive(InputError):
    """An archive that was cut off or changed: fetched again it may be whole."""


class NoSpace(InputError):
    """A disk that is too small for what is to come: the archive is not to blame."""


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip archive to a folder, and the archives in it to folders of their own names.

    Raises DamagedArchive if it is no whole archive; NoSpace if it does not fit on the disk;
    InputError if it would write outside of the folder, holds links, is encrypted, a bomb, or no
    zip. Archives within archives within archives stay packed, which bounds the work.
    """
    with saying_why(archive):
        check_kind(archive)
        allowed = max(SURELY_SMALL, SMALLEST_RATIO * archive.stat().st_size)
        extract(archive, folder, allowed)


def extract(archive: Path, folder: Path, allowed: int, outer: Path | None = None) -> int:
    """Unpack `archive`, which was in `outer` if that is given: then what is in it stays packed.

    allowed: the most bytes that it may hold. Gives what is left of them.
    """
    where = f"{outer}: {archive.name}" if outer else str(archive)
    with saying_why(where), zipfile.ZipFile(archive) as opened:
        # Not by `is_dir`, which fails where there is no name.
        entries = [entry for entry in opened.infolist() if not entry.filename.endswith("/")]
        check_entries(where, entries)
        left = allowed - sum(entry.file_size for entry in entries)
        check_ratio(where, allowed - left, allowed)
        folder.mkdir(parents=True, exist_ok=True)
        sizes = {entry.filename: entry.file_size for entry in entries}
        inner = {} if outer else {name: sizes[name] for name in sizes if is_archive(name)}
        folders = folders_for(inner, sizes) if inner else {}
        # Each inner archive is removed once it is unpacked, before the next one comes.
        check_space(where, allowed - left + max(inner.values(), default=0), folder)
        with Progress(f"unpack {archive.name}", total=len(entries), unit="file") as progress:
            for entry in entries:
                # Reading stops at the announced size, so the checks above hold; and it ends with
                # the checksum, so damage is noticed.
                path = Path(opened.extract(entry, folder))
                if entry.filename in inner:
                    left = extract(path, folder / folders[entry.filename], left, archive)
                    path.unlink()
                progress.step()
    return left


def folders_for(archives: Iterable[str], names: Iterable[str]) -> dict[str, str]:
    """The folder of each inner archive: as it is called, and no other one, among all `names`."""
    paths = [PurePosixPath(name) for name in names]
    taken = {str(path) for name in paths for path in (name, *name.parents)}
    folders = {}
    for archive in archives:
        folder = str(PurePosixPath(archive).with_suffix(""))
        while folder in taken:
            folder += ".unpacked"
        taken.add(folder)
        folders[archive] = folder
    return folders


def is_archive(name: str) -> bool:
    """Whether a name is an archive's; those that macOS hides beside files ('._x.zip') are none."""
    path = PurePosixPath(name)
    return path.suffix.lower() == ".zip" and not path.name.startswith(".")


@contextmanager
def saying_why(archive: str | Path) -> Iterator[None]:
    """Turn what the zip module raises about an archive into InputError; a full disk stays one."""
    try:
        yield
    except InputError:
        raise
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, ValueError) as error:
        raise damaged(archive, error) from error
    except (NotImplementedError, OSError) as error:
        number = getattr(error, "errno", None)
        if number in (errno.ENOSPC, errno.EDQUOT):
            raise
        # Of the archive's content, not of a file: offsets and bzip2 data that make no sense.
        if isinstance(error, OSError) and not error.filename and number in (None, errno.EINVAL):
            raise damaged(archive, error) from error
        raise InputError(
            archive,
            expected="a zip archive that can be unpacked here",
            found=f"{type(error).__name__}: {error}",
            fix="get it and unpack it by hand, and name the folder: `source: [local:FOLDER]`",
        ) from error


def damaged(archive: str | Path, error: Exception) -> DamagedArchive:
    """The error of an archive that `error` shows to be damaged."""
    return DamagedArchive(
        archive,
        expected="a whole zip archive",
        found=f"{type(error).__name__}: {error}",
        fix="get it again",
    )


def check_kind(archive: Path) -> None:
    """Raise InputError if a file is an archive of another kind than zip."""
    with archive.open("rb") as file:
        start = file.read(TAR_AT + len(TAR))
    kinds = [kind for magic, kind in OTHER_KINDS.items() if start.startswith(magic)]
    if start.endswith(TAR):
        kinds.append("a tar archive")
    if kinds:
        raise InputError(
            archive,
            expected="a zip archive, or a folder",
            found=kinds[0],
            fix="unpack it, and name the folder: `source: [local:FOLDER]`",
        )


def check_entries(archive: str, entries: list[zipfile.ZipInfo]) -> None:
    """Raise InputError at the first entry of an archive that must not be unpacked."""
    seen = set()
    for entry in entries:
        path = PurePosixPath(entry.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in str(path).partition("/")[0]:
            problem = "leads out of the archive"
        elif stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG):
            problem = "is a link or device"
        elif entry.flag_bits & 1:
            problem = "is encrypted"
        elif not path.parts:
            problem = "has no name"
        elif "\0" in entry.orig_filename:
            problem = f"is a part of the name {entry.orig_filename!r}"
        elif len(path.parts) > DEEPEST:
            problem = f"lies in more than {DEEPEST} folders"
        elif path in seen:
            problem = "is there twice"
        else:
            seen.add(path)
            continue
        raise InputError(
            archive,
            expected="plain files with relative paths, each once",
            found=f"{entry.filename[:200]!r}, which {problem}",
            fix="do not trust this archive; get it from its publisher",
        )


def check_ratio(archive: str, size: int, allowed: int) -> None:
    """Raise InputError if the `size` bytes in an archive are more than allowed: a bomb."""
    if size > allowed:
        raise InputError(
            archive,
            expected=f"files of at most {SMALLEST_RATIO} times its own size, nested archives' too",
            found=f"{gigabytes(size)} of files, where {gigabytes(allowed)} are allowed",
            fix="do not trust this archive; get it from its publisher",
        )


def check_space(what: str | Path, needed: int, folder: Path) -> None:
    """Raise NoSpace if `needed` more bytes do not fit on the disk of `folder`, which exists."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise NoSpace(
            what,
            expected=f"{gigabytes(needed)} of free space in {folder}",
            found=f"{gigabytes(free)} free",
            fix="free some space, or set `pathvars: resources` in the config to a larger disk",
        )


def gigabytes(size: int) -> str:
    """A size in bytes as a person says it."""
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
