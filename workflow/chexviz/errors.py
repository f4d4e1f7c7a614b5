"""Bad input, said in a way that the reader can act on."""

import sys
from collections.abc import Callable


class InputError(ValueError):
    """An input that cannot be used: which file, what was expected, what was found, what to do."""

    def __init__(self, where, *, expected: str, found: str, fix: str):
        self.where, self.expected, self.found, self.fix = str(where), expected, found, fix
        super().__init__(f"{where}\n  expected: {expected}\n  found:    {found}\n  fix:      {fix}")


def run(main: Callable[[], None]) -> None:
    """Run an entry point as a program: bad input ends it with its message alone and status 1."""
    try:
        main()
    except InputError as error:
        sys.exit(f"ERROR {error}")
