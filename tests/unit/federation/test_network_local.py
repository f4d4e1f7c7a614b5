"""A federation of processes on this machine, encrypted and with registered keys, whole."""

import pandas as pd
import pytest
import torch

from chexviz.federation import train
from chexviz.federation.network import local
from trainings import METHODS, arguments, changes_of

NAMES = ["north", "south"]


def test_a_federation_of_processes_writes_the_files_of_the_one_in_a_process(federation):
    changes = changes_of(METHODS["fedbn"], rounds=2)
    train.main(arguments(federation, NAMES, "one", **changes))
    local.main(arguments(federation, NAMES, "many", **changes))
    for suffix in (".safetensors", ".history.csv"):
        one, many = ((federation / f"{name}{suffix}").read_bytes() for name in ("one", "many"))
        assert one == many, suffix
    assert len(pd.read_csv(federation / "many.history.csv")) == 4
    assert not list(federation.glob("many.checkpoint*"))


@pytest.mark.parametrize(
    ("count", "visible", "seen"),
    [
        (0, None, [None] * 3),
        (1, "3", [None] * 3),
        (2, None, ["0", "1", "0"]),
        (2, "GPU-5,7", ["GPU-5", "7", "GPU-5"]),
    ],
)
def test_processes_take_the_gpus_in_turn(monkeypatch, count, visible, seen):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [local.one_gpu(number).get("CUDA_VISIBLE_DEVICES") for number in range(3)] == seen
