"""The architecture and the method that docs/extending.md shows as examples, trained."""

import pytest
import torch
import torchvision
from safetensors.torch import load_file

from chexviz.base.methods import DEFAULTS
from chexviz.federation import train
from chexviz.federation.methods import ALGORITHMS, FedAvg
from chexviz.federation.rounds import Federation
from chexviz.models import predict, weights
from chexviz.models.architectures import ARCHITECTURES
from documented import example
from trainings import arguments, files, local_sites, packed, settings_of, train_round

NAMES = ["north", "south"]


@pytest.fixture
def resnet(monkeypatch):
    """The architecture of the docs, in the registry."""
    block = example("An architecture", "resnet18").ResNet18
    monkeypatch.setitem(ARCHITECTURES, "resnet18", block)
    return block


@pytest.fixture
def momentum():
    """The method of the docs, which registers itself."""
    before = dict(ALGORITHMS)
    yield example("A federated method", "fedavgm").FedAvgM
    ALGORITHMS.clear()
    ALGORITHMS.update(before)


def test_the_architecture_starts_from_published_weights_trains_and_predicts(federation, resnet):
    published = torchvision.models.resnet18(weights=None).state_dict()
    torch.save(published, federation / "resnet18.pth")
    started = federation / "block.safetensors"
    line = ["--architecture=resnet18", f"--source={federation / 'resnet18.pth'}"]
    weights.main([*line, f"--output={started}"])
    assert torch.equal(load_file(started)["layers.conv1.weight"], published["conv1.weight"])
    line = arguments(federation, NAMES, "fed", rounds=1)
    line[line.index("--architecture=standard")] = "--architecture=resnet18"
    train.main([*line, f"--weights={started}"])
    predict.main(
        [
            *files(federation, NAMES),
            f"--model={federation / 'fed.safetensors'}",
            *("--findings", "north", "train", "pneumonia"),
            *("--findings", "south", "train", "pneumothorax", '--settings={"threads": 1}'),
            f"--predictions={federation / 'p.csv'}",
            f"--gradcam={federation / 'p.npz'}",
        ]
    )
    assert (federation / "p.csv").is_file()
    images = torch.rand(2, 1, 64, 64)
    maps = resnet()(images)
    assert maps.shape == (2, resnet.channels, 2, 2)
    assert maps.min() >= 0


def test_the_method_goes_by_momentum(federation, momentum):
    method = DEFAULTS | {"algorithm": "fedavgm", "momentum": 0.5}
    settings = settings_of(method=method)
    sites = local_sites(federation, NAMES, method=method)
    made = Federation(sites, settings, ALGORITHMS["fedavgm"](settings, sites))
    assert type(made.method) is momentum
    count, velocity, shared = made.method.exchange.parameters, 0.0, made.server.shared.clone()
    for number in range(2):
        for site in sites:
            train_round(site, number)
        combined = FedAvg.combine(made.method, [packed(made, site) for site in sites])
        velocity = 0.5 * velocity + combined[:count] - shared[:count]
        shared = torch.cat([shared[:count] + velocity, combined[count:]])
        made.average()
        torch.testing.assert_close(made.server.shared, shared)
    kept = made.method.state()["velocity"].clone()
    other = ALGORITHMS["fedavgm"](settings, sites)
    other.load({"velocity": kept})
    assert torch.equal(other.velocity, kept)


def test_the_method_is_read_from_its_settings_and_trains(federation, momentum):
    method = DEFAULTS | {"algorithm": "fedavgm", "momentum": 0.9}
    train.main(arguments(federation, NAMES, "fed", rounds=1, method=method))
    train.main(arguments(federation, NAMES, "plain", rounds=1))
    made, plain = (load_file(federation / f"{name}.safetensors") for name in ("fed", "plain"))
    for name, tensor in plain.items():  # in the first round there is no momentum yet
        torch.testing.assert_close(made[name], tensor)
