"""Progress of long work: a bar on a terminal, plain lines with time left anywhere else."""

import sys
import time
from typing import Self

from tqdm import tqdm

SECONDS_BETWEEN_LINES = 10.0


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
        self.next_line = self.began + SECONDS_BETWEEN_LINES
        self.bar = (
            tqdm(desc=label, total=total, unit=unit, initial=start, dynamic_ncols=True)
            if sys.stderr.isatty()
            else None
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def step(self, steps: int = 1, **values: float) -> None:
        """Count `steps` more; `values` (a loss, a learning rate) are shown beside the count."""
        self.done += steps
        if self.bar is not None:
            shown = {name: f"{value:.4g}" for name, value in values.items()}
            self.bar.set_postfix(shown, refresh=False)
            self.bar.update(steps)
        elif self.done == self.total or time.monotonic() >= self.next_line:
            self.next_line = time.monotonic() + SECONDS_BETWEEN_LINES
            print(self.line(**values), file=sys.stderr, flush=True)

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
