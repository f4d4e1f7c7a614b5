"""What a process says that runs for days: every line with the time, on the stream of errors.

Whoever starts it keeps that stream: a file, journald, the log of a container.
"""

import io
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TextIO

from chexviz.base.progress import CLEAR

FORM, TIME = "{time} {level} {text}", "%Y-%m-%d %H:%M:%S"
TALKATIVE = ("flwr", "alembic", "httpx", "httpcore")  # they log every message


class Stamped(io.TextIOBase):
    """A stream that begins each line with the time; a line that changes on a terminal stays so.

    The latter is overwritten by the next whole line, and comes again with its next change.
    """

    def __init__(self, stream: TextIO):
        self.stream, self.begun = stream, ""

    def isatty(self) -> bool:
        return self.stream.isatty()

    def write(self, text: str) -> int:
        if text.startswith(CLEAR):
            self.stream.write(text)
        else:
            *lines, self.begun = (self.begun + text).split("\n")
            for line in lines:
                self.line("INFO", line)
        return len(text)

    def line(self, level: str, text: str) -> None:
        """Write a whole line; an empty one only ends what stands on a terminal."""
        stamped = FORM.format(time=f"{datetime.now():{TIME}}", level=level, text=text)
        before = CLEAR if text and self.isatty() else ""
        self.stream.write(before + (stamped if text else "") + "\n" * bool(text or self.isatty()))
        self.stream.flush()

    def flush(self) -> None:
        self.stream.flush()


class Lines(logging.Handler):
    """Puts what modules log among the lines of a stream."""

    def __init__(self, stream: Stamped):
        super().__init__()
        self.stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        for line in self.format(record).splitlines():
            self.stream.line(record.levelname, line)


@contextmanager
def kept() -> Iterator[None]:
    """Stamp all that this process prints to the stream of errors or logs, but for debugging."""
    before, root = sys.stderr, logging.getLogger()
    stamped = Stamped(before)
    handler, level = Lines(stamped), root.level
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    sys.stderr = stamped
    try:
        yield
    finally:
        sys.stderr = before
        root.removeHandler(handler)
        root.setLevel(level)
