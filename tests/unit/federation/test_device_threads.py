"""Sites side by side: the same bytes as one after another, and all at rest when paused."""

import threading
import time

import pytest
import torch
from safetensors.torch import load_file

from chexviz.federation import train
from chexviz.federation.device_threads import Crew
from chexviz.models import device
from trainings import arguments

CPU = torch.device("cpu")


def counting(counts: list[int], number: int, steps: int = 200):
    for _ in range(steps):
        counts[number] += 1
        time.sleep(0.001)
        yield


def test_all_jobs_are_done_side_by_side():
    counts, threads = [0, 0, 0], set()

    def job(number):
        threads.add(threading.get_ident())
        yield from counting(counts, number, 50)

    with Crew([CPU, CPU]) as crew:
        crew.work([[job(0), job(1)], [job(2)]], lambda: None)
    assert counts == [50, 50, 50]
    assert len(threads) == 2


def test_nothing_moves_while_paused():
    counts, seen = [0, 0], []

    def meanwhile():
        with crew.paused():
            before = list(counts)
            time.sleep(0.05)
            seen.append(before == counts)

    with Crew([CPU, CPU]) as crew:
        crew.work([[counting(counts, 0)], [counting(counts, 1)]], meanwhile)
    assert counts == [200, 200]
    assert len(seen) > 1
    assert all(seen)


def test_a_failing_job_ends_the_work_of_all():
    def failing():
        yield
        raise ValueError("diverged")

    counts = [0]
    with pytest.raises(ValueError, match="diverged"), Crew([CPU, CPU]) as crew:
        crew.work([[failing()], [counting(counts, 0, 100_000)]], lambda: None)
    assert counts[0] < 100_000


def test_two_devices_give_the_bytes_of_one(federation, monkeypatch):
    """Two devices, both of them this CPU: sites train at the same time, in two threads."""
    train.main(arguments(federation, ["north", "south"], "one"))
    pair = [torch.device("cpu"), torch.device("cpu", 0)]
    monkeypatch.setattr(device, "choose_all", lambda threads: pair)
    used = set()
    step = train.LocalSite.step

    def watched(self, *words):
        used.add((threading.get_ident(), self.device.index))
        return step(self, *words)

    monkeypatch.setattr(train.LocalSite, "step", watched)
    train.main(arguments(federation, ["north", "south"], "two"))
    assert len({thread for thread, _ in used}) == 2
    one, two = (load_file(federation / f"{name}.safetensors") for name in ("one", "two"))
    assert all(torch.equal(two[key], tensor) for key, tensor in one.items())
    histories = [(federation / f"{name}.history.csv").read_bytes() for name in ("one", "two")]
    assert histories[0] == histories[1]
