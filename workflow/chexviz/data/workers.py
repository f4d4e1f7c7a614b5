"""Work on many chunks in processes, in order, outliving a process that crashes."""

import os
import signal
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context, parent_process
from threading import Thread
from typing import Self

from chexviz.base.allocator import keep_freed_memory
from chexviz.base.errors import InputError

# Bytes: of freed memory that a worker keeps, and from which an array goes back all the same.
KEPT, LARGE = 2**27, 2**25


class Workers:
    """Processes that work on chunks; they begin to start at once, while the caller prepares.

    with Workers(4) as workers:
        chunks = ...
        for results in workers.in_order(work, chunks, crashed):
            ...
    """

    def __init__(self, processes: int):
        self.processes = processes
        self.pool = started(processes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.shutdown(cancel_futures=True)

    def in_order(self, work: Callable, chunks: list[list], crashed: Callable) -> Iterator:
        """Yield work(chunk) for every chunk, in their order.

        work: takes a list and returns a result for each of its items; picklable. When a process
        dies (a fault in a library, or killed for memory), the chunk that it left unfinished is
        worked on one item at a time, with nothing beside it. An item that ends a new process, which
        has worked on nothing else, results in crashed(item, exitcode), or in what that raises.
        """
        waiting = deque(chunks)
        while waiting:
            try:
                for results in self.pool.map(work, list(waiting)):
                    waiting.popleft()
                    yield results
            except BrokenProcessPool:
                yield one_by_one(work, waiting.popleft(), crashed)
                self.pool = started(self.processes)


def started(processes: int) -> ProcessPoolExecutor:
    """A pool whose processes have begun to start, which takes each of them half a second.

    It shares no locks or open files with this process, as forked ones would.
    """
    workers = ProcessPoolExecutor(processes, get_context("spawn"), initializer=prepare)
    # Ctrl-C reaches all processes: this one ends its workers, without a traceback from each.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    for _ in range(processes):  # one is started for each piece of work that finds none idle
        workers.submit(int)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return workers


def one_by_one(work: Callable, items: list, crashed: Callable) -> list:
    """The results of `work` on single items, with a new process after every crash.

    Raises InputError if a process does not even start.
    """
    results, waiting = [], deque(items)
    while waiting:
        first, others = waiting[0], set(active_children())
        with started(1) as worker:
            [process] = set(active_children()) - others
            try:
                worker.submit(work, []).result()
            except BrokenProcessPool as error:
                raise InputError(
                    "a new process",
                    expected="to start",
                    found="it ended before it had anything to do",
                    fix="give the job more memory, or fewer threads; then run again",
                ) from error
            try:
                while waiting:
                    results += worker.submit(work, [waiting[0]]).result()
                    waiting.popleft()
            except BrokenProcessPool:
                pass
        # One that was not the first may have died of what those before it left.
        if waiting and waiting[0] is first:
            results.append(crashed(waiting.popleft(), process.exitcode))
    return results


def how_ended(exitcode: int) -> str:
    """What ended a process, by its exit code, which is negative if that was a signal."""
    return signal.Signals(-exitcode).name if exitcode < 0 else f"exit status {exitcode}"


def prepare() -> None:
    """What a worker process does first."""
    Thread(target=end_with_parent, daemon=True).start()
    keep_freed_memory(KEPT, LARGE)


def end_with_parent() -> None:
    """Wait for the end of the parent process, then end this one.

    Else a worker of a killed run would go on writing where the next run writes.
    """
    parent = parent_process()
    assert parent is not None  # only workers come here
    parent.join()
    os._exit(1)
