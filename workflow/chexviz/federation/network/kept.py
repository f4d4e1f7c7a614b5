"""What a site keeps on its disk of what it has done: it answers the same when asked again."""

import secrets
import sys
from pathlib import Path

from chexviz.federation import checkpoint
from chexviz.federation.network import credentials

NOISE = "noise.secret"


def read_kept(path: Path) -> dict | None:
    """A state that checkpoint.write wrote; None if there is none, or it is damaged (said)."""
    state = checkpoint.read(path) if path.is_file() else None
    if state is None and path.is_file():
        print(f"{path} is damaged and not used", file=sys.stderr, flush=True)
    return state


def noise_secret(folder: Path) -> int:
    """What the noise of a private training is drawn from: 256 bits that never leave the folder.

    They are made once, so that a training that was stopped goes on to the same bytes; another
    folder has others. Raises InputError if others can read the file.
    """
    path = folder / NOISE
    if not path.exists():
        credentials.create({path: str(secrets.randbits(256)).encode()})
    return int(credentials.read_secret(path))
