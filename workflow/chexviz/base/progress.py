"""Progress of long work, with the time left: a line that changes on a terminal, else many lines."""

import shutil
import sys
import time
from typing import Self

SECONDS_BETWEEN_LINES = 10.0
SECONDS_ON_A_TERMINAL = 0.1
CLEAR = "\r\x1b[K"  # to the start of the line, and nothing is left on it


class Progress:
    """Count the steps of one piece of work and say how far it is and how long it will take.

    label: what is being done. total: number of steps. unit: what a step is, in the singular.
    start: steps already done by an earlier run, which do not count for the speed.

        with Progress("preprocess rsna", total=len(files), unit="image") as progress:
            for file in files:
                ...
                progress.step(loss=0.41)
    """

    def __init__(self, label: str, *, total: int, unit: str, start: int = 0):
        self.label, self.total, self.unit, self.start, self.done = label, total, unit, start, start
        self.began = time.monotonic()
        self.on_terminal = sys.stderr.isatty()
        self.pause = SECONDS_ON_A_TERMINAL if self.on_terminal else SECONDS_BETWEEN_LINES
        self.next_line = self.began + self.pause
        self.shown = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.on_terminal and self.shown:
            print(file=sys.stderr, flush=True)

    def step(self, steps: int = 1, **values: float) -> None:
        """Count `steps` more; `values` (a loss, a learning rate) are shown beside the count."""
        self.done += steps
        if self.done == self.total or time.monotonic() >= self.next_line:
            self.next_line = time.monotonic() + self.pause
            self.shown = self.line(**values)
            if self.on_terminal:
                fitting = self.shown[: shutil.get_terminal_size().columns - 1]
                print(end=CLEAR + fitting, file=sys.stderr, flush=True)
            else:
                print(self.shown, file=sys.stderr, flush=True)

    def line(self, **values: float) -> str:
        """The state as one plain line."""
        elapsed = time.monotonic() - self.began
        parts = [f"{self.label}: {self.unit} {self.done}/{self.total}"]
        parts += [f"{name} {value:.4g}" for name, value in values.items()]
        if self.done < self.total:
            left = elapsed / max(self.done - self.start, 1) * (self.total - self.done)
            parts.append(f"{duration(left)} left")
        else:
            parts.append(f"done in {duration(elapsed)}")
        return ", ".join(parts)


def duration(seconds: float) -> str:
    """Seconds as a person says them: '48 s', '3 min 20 s', '5 h 02 min'."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"
