"""Checkpoints: a killed run goes on from its last one and ends with the same bytes."""

import hashlib
import json
import time
from collections.abc import Mapping
from pathlib import Path

import torch

from chexviz import closure
from chexviz.errors import InputError
from chexviz.files import replacing, sha256

SECONDS_BETWEEN = 60  # a kill loses a minute of work; saving costs a fraction of a second


class Checkpoint:
    """The state of one run in one file, saved at most once a minute, removed when the run is done.

    fingerprint: of everything that decides the result; a checkpoint of another one is of no use.
    """

    def __init__(self, path: Path, fingerprint: str):
        self.path, self.fingerprint, self.saved = Path(path), fingerprint, time.monotonic()

    def load(self) -> dict | None:
        """The state that was saved last, or None if there is none of this run."""
        if not self.path.exists():
            return None
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception as error:  # whatever the unpickler stumbles over in a damaged file
            raise InputError(
                self.path,
                expected="a checkpoint",
                found=f"a damaged file ({type(error).__name__})",
                fix="delete it; the run then starts from the beginning",
            ) from error
        return state if state["fingerprint"] == self.fingerprint else None

    def save_if_due(self, state: Mapping) -> None:
        """Save the state if the last save is long enough ago."""
        if time.monotonic() - self.saved < SECONDS_BETWEEN:
            return
        with replacing(self.path) as temporary:
            torch.save({**state, "fingerprint": self.fingerprint}, temporary)
        self.saved = time.monotonic()

    def remove(self) -> None:
        """Forget the run: its result is written."""
        self.path.unlink(missing_ok=True)


def fingerprint(entry: str, settings: Mapping, inputs: list[Path]) -> str:
    """SHA-256 of an entry point's code, its settings and the contents of its input files."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    for path in [*closure.files(entry), *inputs]:
        digest.update(sha256(path).encode())
    return digest.hexdigest()
