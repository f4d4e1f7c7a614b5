"""Whether the files of a site are still those of its manifest."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from chexviz.base.errors import InputError
from chexviz.base.files import sha256
from chexviz.data.convert import Done, Task, unreachable
from chexviz.data.decoding.signature import is_named_radiograph


def check_files(folder: Path, files: pd.DataFrame) -> None:
    """Raise InputError unless every file of a manifest is there, with the size it had."""
    for file, size in zip(files["file"], files["bytes"], strict=True):
        path = folder / file
        try:
            found = f"{path.stat().st_size} bytes"
        except FileNotFoundError as error:
            found = str(error.strerror)
        except OSError as error:
            raise unreachable(path, error) from error
        if found != f"{size} bytes":
            raise changed(path, f"{size} bytes, as in the manifest", found)


def check_tables(folder: Path, files: pd.DataFrame, images: set[str]) -> None:
    """Raise InputError if a file that is no image, such as a label table, has other bytes now.

    images: files whose bytes are compared when they are decoded.
    """
    for file, expected in zip(files["file"], files["sha256"], strict=True):
        if file not in images and not is_named_radiograph(file):
            compare(folder / file, expected, sha256(folder / file))


def unchanged(results: Iterator[Done], tasks: list[Task], expected: list[str]) -> Iterator[Done]:
    """Pass results on; raise InputError at the first file whose bytes are not the expected ones.

    expected: SHA-256 of every task's file.
    """
    for done, task, digest in zip(results, tasks, expected, strict=True):
        if done.sha256:
            compare(task.path, digest, done.sha256)
        yield done


def compare(path: Path, expected: str, found: str) -> None:
    """Raise InputError if two checksums of a file differ."""
    if found != expected:
        raise changed(path, f"SHA-256 {expected}, as in the manifest", f"SHA-256 {found}")


def changed(path: Path, expected: str, found: str) -> InputError:
    """The error of a file that is not the one in the manifest."""
    return InputError(
        path,
        expected=expected,
        found=found,
        fix="the file changed since it was downloaded: remove manifest.csv of its site and run "
        "again, which downloads it again",
    )
