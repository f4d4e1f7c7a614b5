"""Work in processes: order, crashes, and what a killed run leaves behind."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from chexviz.workers import Workers

CHUNKS = [[0, 1, 2], [3, 4, 5], [6, 7], [8, 9, 10, 11]]


def double(items):
    return [2 * item for item in items]


def double_or_die(items):
    if 4 in items:
        os._exit(1)
    if 9 in items or 10 in items:
        os.kill(os.getpid(), signal.SIGSEGV)
    return double(items)


def always_die(items):
    os._exit(1)


def run(work, processes):
    with Workers(processes) as workers:
        return list(workers.in_order(work, CHUNKS, crashed=lambda item: f"crashed {item}"))


@pytest.mark.parametrize("processes", [1, 3])
def test_results_come_in_order(processes):
    assert run(double, processes) == [double(chunk) for chunk in CHUNKS]


@pytest.mark.parametrize("processes", [1, 2])
def test_an_item_that_kills_its_process_is_found_and_the_rest_goes_on(processes):
    results = [result for chunk in run(double_or_die, processes) for result in chunk]
    crashed = {4: "crashed 4", 9: "crashed 9", 10: "crashed 10"}
    assert results == [crashed.get(item, 2 * item) for item in range(12)]


def test_processes_that_cannot_work_at_all_are_no_fault_of_the_items():
    with pytest.raises(BrokenProcessPool):
        run(always_die, 2)


def test_an_exception_ends_it_with_all_that_waits():
    with Workers(2) as workers:
        results = workers.in_order(double, [[number] for number in range(1000)], crashed=str)
        next(results)
        start = time.monotonic()
        results.close()
    assert time.monotonic() - start < 30


def say_and_sleep(items):
    os.write(1, b"%d\n" % os.getpid())  # at once, for two processes write here
    time.sleep(60)


def test_workers_end_with_a_killed_parent():
    program = (
        "import test_workers, chexviz.workers as workers\n"
        "list(workers.Workers(2).in_order(test_workers.say_and_sleep, [[1], [2]], str))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        workers = [int(parent.stdout.readline()) for _ in range(2)]
        parent.kill()
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{worker}").exists() for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.1)
