"""The round loop, from files to files."""

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from chexviz.base.errors import InputError
from chexviz.federation import train
from chexviz.federation.exchange import Exchange, combine
from chexviz.models import files
from chexviz.models.architectures import DenseNet121
from trainings import arguments, local_sites, train_round


def test_training_learns_and_is_the_same_twice(federation):
    for name in ("once", "again"):
        train.main(arguments(federation, ["north", "south"], name, rounds=8))
    once, again = ((federation / f"{n}.safetensors").read_bytes() for n in ("once", "again"))
    assert once == again
    history = pd.read_csv(federation / "once.history.csv")
    assert list(history.columns) == [
        *("round", "site", "learning_rate", "loss", "images", "drift", "sent", "epsilon")
    ]
    assert history["round"].tolist() == [n for n in range(1, 9) for _ in range(2)]
    assert history["loss"].iloc[-2:].mean() < history["loss"].iloc[:2].mean()
    assert not (federation / "once.checkpoint").exists()


def test_one_round_is_the_average_of_the_local_epochs(federation):
    train.main(arguments(federation, ["north", "south"], "fed", rounds=1, schedule="constant"))
    made = load_file(federation / "fed.safetensors")
    sites = local_sites(federation, ["north", "south"], rounds=1, schedule="constant")
    for site in sites:
        train_round(site)
    exchange = Exchange(sites[0].model.representation, "average")
    updates = [exchange.pack(site.model.representation.state_dict(), "x") for site in sites]
    expected = combine(updates, [36, 27], "mean")
    for name, tensor in exchange.tensors(expected).items():
        assert torch.equal(made[f"representation.{name}"], tensor), name
    history = pd.read_csv(federation / "fed.history.csv")
    count = exchange.parameters
    for update, drift in zip(updates, history["drift"], strict=True):
        distance = (update - expected)[:count].norm() / expected[:count].norm()
        assert drift == pytest.approx(distance.item(), rel=1e-6)
    assert history["sent"].tolist() == [4 * len(expected)] * 2
    for site in sites:
        for name, tensor in site.model.tasks.state_dict().items():
            assert torch.equal(made[f"tasks.{name}"], tensor), name


def test_a_baseline_is_plain_training(federation):
    """Averaging one site changes no bit: the baseline is a loop of local epochs."""
    train.main(arguments(federation, ["north"], "base"))
    made = load_file(federation / "base.safetensors")
    (site,) = local_sites(federation, ["north"])
    for epoch in range(3):
        train_round(site, epoch)
    expected = site.model.state_dict()
    assert made.keys() == expected.keys()
    assert all(torch.equal(made[name], tensor) for name, tensor in expected.items())


def test_weights_of_another_architecture_are_refused_and_leave_nothing(federation):
    block = DenseNet121().state_dict()
    files.save(federation / "dense.safetensors", block)
    line = [*arguments(federation, ["north"], "m"), f"--weights={federation / 'dense.safetensors'}"]
    with pytest.raises(InputError, match=r"dense\.safetensors"):
        train.main(line)
    assert not list(federation.glob("m.*"))
