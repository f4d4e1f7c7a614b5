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


# What systems and libraries say when a machine ends a job, what it means, and what to do.
MACHINE = (
    (
        ("No space left on device", "Disk quota exceeded"),
        "the disk is full",
        "free some space and run again",
    ),
    (
        ("File too large",),
        "a file may not grow any more",
        "raise the limit (ulimit -f), or use a file system that takes larger files",
    ),
    (
        ("Read-only file system", "Permission denied", "Operation not permitted"),
        "a file or folder may not be read or written",
        "change its permissions, or move the path variables of the config elsewhere",
    ),
    (
        ("Input/output error", "Stale file handle", "Transport endpoint is not connected"),
        "a disk or the network to it has failed",
        "see to it and run again",
    ),
    (
        # Of the system, numpy, the dynamic linker and Python's threads.
        (
            "annot allocate memory",
            "an't allocate memory",
            "Unable to allocate",
            "failed to map segment",
            "can't start new thread",
        ),
        "not enough memory",
        "give the job more memory, or fewer threads, and run again",
    ),
)


def run(main: Callable[[], None]) -> None:
    """Run an entry point: bad input, what a machine lacks and Ctrl-C end it in a few words."""
    try:
        main()
    except InputError as error:
        sys.exit(f"ERROR {error}")
    except KeyboardInterrupt:
        print("stopped by Ctrl-C", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
    except Exception as error:
        said = machine(error)
        if not said:
            raise
        sys.exit(f"ERROR {said}")


def machine(error: BaseException | None) -> str:
    """What to tell of an error that a machine is the cause of, and no code; '' of others."""
    while error:
        # By its text, since the libraries that write files wrap the error and drop its number.
        text = str(error) or ("Unable to allocate" if isinstance(error, MemoryError) else "")
        for words, meaning, fix in MACHINE:
            for line in text.splitlines():
                if any(word in line for word in words):
                    doing = "".join(f", {note}" for note in getattr(error, "__notes__", ()))
                    return f"{meaning}: {line.strip()}{doing}\n  fix:      {fix}"
        # Some fail once more while they clear up.
        error = error.__cause__ or error.__context__
    return ""
