"""Bad input, said in a way that the reader can act on."""

import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path


class InputError(ValueError):
    """An input that cannot be used: which file, what was expected, what was found, what to do."""

    def __init__(self, where: str | Path, *, expected: str, found: str, fix: str):
        self.where, self.expected, self.found, self.fix = str(where), expected, found, fix
        super().__init__(f"{where}\n  expected: {expected}\n  found:    {found}\n  fix:      {fix}")

    def __reduce__(self) -> tuple:
        """How it comes out of a worker process: exceptions are made anew from positions alone."""
        said = {"expected": self.expected, "found": self.found, "fix": self.fix}
        return partial(type(self), **said), (self.where,)


class Unreadable(ValueError):
    """A file that is no usable radiograph; its text says why, on one line."""


FULL = ("No space left on device", "Disk quota exceeded")


def run(main: Callable[[], None]) -> None:
    """Run an entry point as a program: bad input, a full disk and Ctrl-C end it in a few words."""
    try:
        main()
    except InputError as error:
        sys.exit(f"ERROR {error}")
    except KeyboardInterrupt:
        print("stopped by Ctrl-C", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    except Exception as error:
        # By its text, since the libraries that write files wrap the error and drop its number.
        if not any(words in str(error) for words in FULL):
            raise
        reason = str(error).splitlines()[0]
        sys.exit(f"ERROR the disk is full: {reason}\n  fix:      free some space and run again")
