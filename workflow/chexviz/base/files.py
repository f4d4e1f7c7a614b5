"""Writing and identifying files: a final name is only ever given to a finished file."""

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it takes the final name, on error it goes.

    The temporary name keeps the suffix, since many writers choose their format by it. The data
    is flushed to disk before the rename, so a power cut leaves the old file or the new one.
    """
    with replacing_all({"": path}) as temporaries:
        yield temporaries[""]


@contextmanager
def replacing_all(paths: Mapping[str, str | Path]) -> Iterator[dict[str, Path]]:
    """The same for several paths: all of them are on the disk before the first is renamed."""
    finals = {key: Path(path) for key, path in paths.items()}
    temporaries = {}
    for key, path in finals.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        # Always the same name, so that what a killed process left is overwritten by the next one.
        temporaries[key] = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        yield temporaries
        for temporary in temporaries.values():
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        for key, temporary in temporaries.items():
            temporary.replace(finals[key])
    except OSError as error:
        # Libraries that write a file seldom say which one it was.
        error.add_note(f"in writing {', '.join(map(str, finals.values()))}")
        raise
    finally:
        for temporary in temporaries.values():
            temporary.unlink(missing_ok=True)


def sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove(path: Path) -> None:
    """Remove a folder, or a link to one (never what it points to); nothing if absent."""
    if path.is_symlink():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)
