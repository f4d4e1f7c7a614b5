"""Checkpoints: a run that is stopped or killed goes on from its last one, to the same bytes."""

import hashlib
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import torch

from chexviz.base import source_code
from chexviz.base.errors import InputError
from chexviz.base.files import replacing, sha256

SECONDS_BETWEEN = 60  # what a kill loses at most, where saving is quick
SHARE = 0.02  # of the time that saving may take; large federations save less often
DIGEST = hashlib.sha256().digest_size


class Checkpoint:
    """The state of one run: the last save and the one before it, both removed when the run is done.

    A file is a SHA-256 and what torch.save wrote. fingerprint: of everything that decides the
    result; a checkpoint of another one is of no use.
    """

    def __init__(self, path: Path, fingerprint: str):
        self.path, self.fingerprint = Path(path), fingerprint
        self.previous = self.path.with_name(f"{self.path.name}.previous")
        self.saved, self.cost = time.monotonic(), 0.0

    def load(self, like: Mapping) -> dict | None:
        """The state that was saved last, or None if there is none of this run.

        like: a state of this run; a saved one has the same names, shapes and types. A damaged file
        is named on stderr and the one before it is used. Raises InputError if all that there are
        are damaged, or if one is whole and no such state.
        """
        damaged = []
        for path in filter(Path.is_file, (self.path, self.previous)):
            state = read(path)
            if state is None:
                damaged.append(str(path))
                print(f"{path} is damaged and not used", file=sys.stderr, flush=True)
            elif state.pop("fingerprint", None) != self.fingerprint:
                return None
            else:
                check_like(path, state, like)
                return state
        if damaged:
            raise InputError(
                " and ".join(damaged),
                expected="a checkpoint",
                found="damaged files alone",
                fix="delete them; the run then starts from the beginning",
            )
        return None

    def due(self) -> bool:
        """Whether the last save is long enough ago."""
        return time.monotonic() - self.saved >= max(SECONDS_BETWEEN, self.cost / SHARE)

    def save(self, state: Mapping) -> None:
        """Save the state; a full disk is said, and the last saves stay."""
        start = time.monotonic()
        try:
            with replacing(self.path) as temporary:
                write({**state, "fingerprint": self.fingerprint}, temporary)
                if self.path.exists():
                    self.path.replace(self.previous)
        except OSError as error:
            print(f"no checkpoint at {self.path}: {error}; the run goes on", file=sys.stderr)
        self.saved = time.monotonic()
        self.cost = self.saved - start

    def remove(self) -> None:
        """Forget the run: its result is written."""
        self.path.unlink(missing_ok=True)
        self.previous.unlink(missing_ok=True)


class Hashed:
    """A file for torch.save that hashes what is written to it."""

    def __init__(self, file: BinaryIO):
        self.file, self.digest, self.flush = file, hashlib.sha256(), file.flush
        self.error: OSError | None = None

    def write(self, data: bytes | memoryview) -> int:
        self.digest.update(data)
        try:
            return self.file.write(data)
        except OSError as error:
            self.error = error  # torch.save reports it as something else
            raise


def write(state: Mapping, path: Path) -> None:
    """Write a state after its digest, without a second copy of it in memory."""
    with path.open("wb") as file:
        file.write(bytes(DIGEST))
        hashed = Hashed(file)
        try:
            # Of a file it needs no more than write and flush.
            torch.save(state, hashed)  # type: ignore[arg-type]
        except RuntimeError as error:
            raise hashed.error or error from None
        file.seek(0)
        file.write(hashed.digest.digest())


def read(path: Path) -> dict | None:
    """The state in a file; None if the file is damaged.

    Nothing in it is run. Raises InputError if it is whole, but holds something else.
    """
    with path.open("rb") as file:
        expected = file.read(DIGEST)
        if hashlib.file_digest(file, "sha256").digest() != expected:
            return None
        file.seek(DIGEST)
        try:
            return dict(torch.load(file, map_location="cpu", weights_only=True))
        except MemoryError:
            raise
        except Exception as error:
            raise foreign(path, f"{type(error).__name__}: {error}") from error


def foreign(path: Path, found: str) -> InputError:
    """The error of a whole file that no checkpoint of this run can be."""
    return InputError(
        path,
        expected="a checkpoint that this training saved",
        found=found,
        fix="delete it; the run then starts from the beginning",
    )


def check_like(path: Path, saved: object, like: object, where: str = "state") -> None:
    """Raise InputError at the first entry whose names, shape or type are not those of `like`."""
    described = [described_as(one) for one in (saved, like)]
    if described[0] != described[1]:
        raise foreign(path, f"{where} is {described[0]}, not {described[1]}")
    if isinstance(saved, Mapping) and isinstance(like, Mapping):
        for name in like:
            check_like(path, saved[name], like[name], f"{where}: {name}")
    if isinstance(saved, list | tuple) and isinstance(like, list | tuple):
        # Lists of other things than tensors grow with the run.
        for number, (one, other) in enumerate(zip(saved, like, strict=False)):
            check_like(path, one, other, f"{where}: {number}")


def described_as(value: object) -> str:
    """The kind of an entry of a state, with its names or shape."""
    if isinstance(value, torch.Tensor):
        return f"a tensor {tuple(value.shape)} of {value.dtype}"
    if isinstance(value, Mapping):
        return f"entries {', '.join(map(str, value))}"
    if isinstance(value, list | tuple):
        tensors = sum(isinstance(one, torch.Tensor) for one in value)
        return f"a list of {tensors} tensors" if tensors else "a list without tensors"
    return "a number" if isinstance(value, int | float) else f"a {type(value).__name__}"


def fingerprint(entry: str, settings: Mapping, inputs: list[Path]) -> str:
    """SHA-256 of an entry point's code, its settings and the contents of its input files."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for path in [*source_code.files(entry), *inputs]:
        digest.update(sha256(path).encode())
    return digest.hexdigest()
