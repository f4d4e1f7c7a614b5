"""A federation of processes on this machine, encrypted and with registered keys, whole."""

import pandas as pd

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
