"""Zip archives to folders, without trust: no path out of the folder, no links, a bounded size."""

import errno
import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from chexviz.errors import InputError
from chexviz.progress import Progress

# Text packs to a tenth and radiographs to a third; what packs to less than a hundredth is a bomb.
SMALLEST_RATIO = 100
SURELY_SMALL = 10**9  # bytes that are unpacked however well they were packed


class DamagedArchive(InputError):
    """An archive that was cut off or changed: fetched again it may be whole."""


def unpack(archive: Path, folder: Path, nested: bool = True) -> None:
    """Unpack a zip archive to a folder, and the archives in it to folders of their names.

    Raises DamagedArchive if it is no whole archive; InputError if it would write outside of the
    folder, holds links, is encrypted, is a bomb, or does not fit on the disk. Archives within
    archives within archives stay packed, which bounds the work.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = [entry for entry in opened.infolist() if not entry.is_dir()]
            check_entries(archive, entries)
            folder.mkdir(parents=True, exist_ok=True)
            check_size(archive, sum(entry.file_size for entry in entries), folder)
            with Progress(f"unpack {archive.name}", total=len(entries), unit="file") as progress:
                for entry in entries:
                    # Reading stops at the announced size, so the check above holds; and it ends
                    # with the checksum, so damage is noticed.
                    opened.extract(entry, folder)
                    progress.step()
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DamagedArchive(
            archive,
            expected="a whole zip archive",
            found=f"{type(error).__name__}: {error}",
            fix="get it again",
        ) from error
    except (NotImplementedError, OSError) as error:
        if getattr(error, "errno", None) == errno.ENOSPC:
            raise
        raise InputError(
            archive,
            expected="a zip archive that can be unpacked here",
            found=f"{type(error).__name__}: {error}",
            fix="unpack it by hand, and name the folder: `source: [local:FOLDER]`",
        ) from error
    if nested:
        for inner in sorted(path for path in folder.rglob("*.zip") if path.is_file()):
            unpack(inner, inner.with_suffix(""), nested=False)
            inner.unlink()


def check_entries(archive: Path, entries: list[zipfile.ZipInfo]) -> None:
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
        elif path in seen:
            problem = "is there twice"
        else:
            seen.add(path)
            continue
        raise InputError(
            archive,
            expected="plain files with relative paths, each once",
            found=f"{entry.filename!r}, which {problem}",
            fix="do not trust this archive; get it from its publisher",
        )


def check_size(archive: Path, unpacked: int, folder: Path) -> None:
    """Raise InputError if `unpacked` bytes are out of all proportion, or do not fit on the disk."""
    packed = archive.stat().st_size
    if unpacked > max(SURELY_SMALL, SMALLEST_RATIO * packed):
        raise InputError(
            archive,
            expected=f"files of at most {SMALLEST_RATIO} times its own size",
            found=f"{unpacked / 1e9:.1f} GB of files in {packed / 1e6:.1f} MB",
            fix="do not trust this archive; get it from its publisher",
        )
    check_space(archive, unpacked, folder)


def check_space(what: str | Path, needed: int, folder: Path) -> None:
    """Raise InputError if `needed` more bytes do not fit on the disk of `folder`, which exists."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            what,
            expected=f"{gigabytes(needed)} of free space in {folder}",
            found=f"{gigabytes(free)} free",
            fix="free some space, or set `pathvars: resources` in the config to a larger disk",
        )


def gigabytes(size: int) -> str:
    """A size in bytes as a person says it."""
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.1f} MB"
