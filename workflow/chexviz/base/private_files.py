"""Files that their owner alone may read: secrets that sites share, and keys."""

import stat
from pathlib import Path

from chexviz.base.errors import InputError

LENGTH = 32  # bytes of a secret, at least: what nobody can guess


def check_private(path: Path) -> None:
    """Raise InputError unless there is such a file and its owner alone can read it."""
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise InputError(
            path,
            expected="a private file",
            found=str(error.strerror),
            fix="give the path of the right file",
        ) from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise InputError(
            path,
            expected="a file that its owner alone can read (0600)",
            found=f"permissions {mode:04o}",
            fix=f"chmod 600 {path}; if others may have read it, make a new one",
        )


def read_secret(path: Path) -> bytes:
    """The bytes of a secret, without spaces around them.

    Raises InputError if others can read it, or if it is too short to be one.
    """
    check_private(path)
    secret = path.read_bytes().strip()
    if len(secret) < LENGTH:
        raise InputError(
            path,
            expected=f"a secret of at least {LENGTH} random bytes",
            found=f"{len(secret)} bytes",
            fix="make one that nobody can guess, and give the same file to every site",
        )
    return secret
