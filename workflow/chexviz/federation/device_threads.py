"""Sites side by side on the devices, and a way to stop them all between two batches."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager

import torch

SECONDS = 0.2  # between two looks at the clock while sites train


class Crew:
    """A thread per device that works through the jobs of that device.

    A job is an iterator that does a little at each step. What a job computes does not depend on
    the others, so any number of devices gives the same.
    """

    def __init__(self, devices: Sequence[torch.device]):
        self.pool = ThreadPoolExecutor(len(devices), thread_name_prefix="device")
        self.busy = [threading.Lock() for _ in devices]
        self.open = threading.Event()
        self.open.set()
        self.dismissed = False

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, *_: object) -> None:
        self.dismissed = True
        self.open.set()
        self.pool.shutdown()

    def work(self, jobs: Sequence[Sequence[Iterator]], meanwhile: Callable[[], None]) -> None:
        """Do all jobs, a sequence of them per device; returns when all are done.

        meanwhile: called in this thread every now and then. Raises what a job or it raises.
        One device is worked for in this thread: a CPU computes slower in any other.
        """
        if len(jobs) == 1:
            for job in jobs[0]:
                for _ in job:
                    meanwhile()
            meanwhile()
            return
        running = {
            self.pool.submit(self.do, number, mine) for number, mine in enumerate(jobs) if mine
        }
        while running:
            done, running = wait(running, SECONDS)
            for future in done:
                future.result()
            meanwhile()

    def do(self, number: int, jobs: Sequence[Iterator]) -> None:
        """Do the jobs of one device, one after another."""
        for job in jobs:
            while not self.dismissed:
                self.open.wait()
                with self.busy[number]:
                    if next(job, self) is self:
                        break

    @contextmanager
    def paused(self) -> Iterator[None]:
        """All devices rest between two steps of their jobs."""
        self.open.clear()
        try:
            with ExitStack() as stack:
                for lock in self.busy:
                    stack.enter_context(lock)
                yield
        finally:
            self.open.set()
