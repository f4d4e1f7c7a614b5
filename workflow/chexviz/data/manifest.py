"""The raw files of a site, and the table that lists them with their checksums."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from chexviz.base.errors import InputError
from chexviz.base.files import replacing, sha256
from chexviz.base.progress import Progress
from chexviz.base.tables.sites import MANIFEST


def list_files(data: Path) -> list[str]:
    """The files of a site, relative to `data`, sorted; without hidden ones and hidden folders.

    Links to files count as files; links to folders within `data` are not entered. Raises InputError
    if a folder cannot be read; one that is not there has no files.
    """
    files = []
    for folder, folders, names in os.walk(data, onerror=refuse_unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = [Path(folder, name) for name in names if not name.startswith(".")]
        files += [path.relative_to(data).as_posix() for path in paths if path.is_file()]
    return sorted(files)


def refuse_unreadable(error: OSError) -> None:
    """Raise InputError for a folder that cannot be listed, unless it is not there."""
    if not isinstance(error, FileNotFoundError):
        raise InputError(
            error.filename,
            expected="a folder whose files can be listed",
            found=error.strerror or type(error).__name__,
            fix="give this user the right to read it, or remove it",
        ) from None


def check_names(data: Path, files: list[str]) -> None:
    """Raise InputError at the first name that is no UTF-8, which no table could hold."""
    for file in files:
        try:
            file.encode()
        except UnicodeEncodeError:
            raise InputError(
                data.resolve(),
                expected="file names in UTF-8",
                found=repr(os.fsencode(file)),
                fix="rename the file",
            ) from None


def write_manifest(site: str, data: Path, threads: int, manifest: Path) -> None:
    """List the files of `data` with size and SHA-256, computed by `threads` threads.

    Raises InputError if a folder cannot be read, or a name is no UTF-8.
    """
    files = list_files(data)
    check_names(data, files)
    paths = [data / file for file in files]
    rows = []
    with (
        ThreadPoolExecutor(threads) as pool,
        Progress(f"checksums {site}", total=len(files), unit="file") as progress,
    ):
        for name, path, digest in zip(files, paths, pool.map(sha256, paths), strict=True):
            rows.append([name, path.stat().st_size, digest])
            progress.step()
    with replacing(manifest) as temporary:
        MANIFEST.write(rows, temporary)


def print_changes(site: str, old: Path, new: Path) -> None:
    """Say in how many files a manifest differs from the one that it replaces, if there is one."""
    if not old.exists():
        return
    before, after = read_manifest(old), read_manifest(new)
    if before != after:
        changed = sum(after[file] != before[file] for file in before.keys() & after.keys())
        print(
            f"download {site}: the source has changed: {len(after.keys() - before.keys())} files "
            f"added, {len(before.keys() - after.keys())} removed, {changed} with other content",
            file=sys.stderr,
        )


def read_manifest(path: Path) -> dict[str, str]:
    """The checksums of a manifest by file."""
    table = MANIFEST.read(path, "file", "sha256")
    return dict(zip(table["file"], table["sha256"], strict=True))
