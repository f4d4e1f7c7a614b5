"""Work in processes: order, crashes, and what a killed run leaves behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from chexviz.base.errors import InputError
from chexviz.data.workers import Workers

CHUNKS = [[0, 1, 2], [3, 4, 5], [6, 7], [8, 9, 10, 11]]


def double(items):
    return [2 * item for item in items]


def double_or_die(items):
    if 4 in items:
        os._exit(3)
    if 9 in items or 10 in items:
        os.kill(os.getpid(), signal.SIGSEGV)
    return double(items)


def always_die(items):
    os._exit(1)


def die_together(items):
    """What a lack of memory does: the second item is too much only beside others."""
    global worked
    worked = [*worked, *items]
    if len(worked) > 1 and 4 in worked:
        os.kill(os.getpid(), signal.SIGKILL)
    return double(items)


worked = []


def run(work, processes):
    with Workers(processes) as workers:
        results = workers.in_order(work, CHUNKS, crashed=lambda *what: ("crashed", *what))
        return list(results)


@pytest.mark.parametrize("processes", [1, 3])
def test_results_come_in_order(processes):
    assert run(double, processes) == [double(chunk) for chunk in CHUNKS]


@pytest.mark.parametrize("processes", [1, 2])
def test_an_item_that_kills_its_process_is_found_and_the_rest_goes_on(processes):
    results = [result for chunk in run(double_or_die, processes) for result in chunk]
    crashed = {4: 3, 9: -signal.SIGSEGV, 10: -signal.SIGSEGV}
    expected = [2 * item for item in range(12)]
    for item, exitcode in crashed.items():
        expected[item] = ("crashed", item, exitcode)
    assert results == expected


def test_an_item_that_kills_its_process_only_after_others_is_not_blamed():
    assert run(die_together, 1) == [double(chunk) for chunk in CHUNKS]


def test_processes_that_cannot_work_at_all_are_no_fault_of_the_items():
    with pytest.raises(InputError, match="give the job more memory"):
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
        "import test_workers, chexviz.data.workers as workers\n"
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
