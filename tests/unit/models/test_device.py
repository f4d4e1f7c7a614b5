"""How many threads a job computes with, and what it says if it has fewer cores."""

import os

import pytest
import torch

from chexviz.models import device


@pytest.fixture(autouse=True)
def threads_of_the_tests():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.skipif(torch.cuda.is_available(), reason="threads matter to a CPU only")
@pytest.mark.parametrize(("cores", "warned"), [({0}, True), ({0, 1}, False), ({0, 1, 2}, False)])
def test_fewer_cores_than_threads_are_said_and_change_nothing(monkeypatch, capsys, cores, warned):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: cores)
    assert device.choose(2) == torch.device("cpu")
    assert torch.get_num_threads() == 2
    said = capsys.readouterr().err
    assert ("WARNING 2 threads on 1 cores" in said) == warned
    assert bool(said) == warned
