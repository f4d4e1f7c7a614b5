"""Head warm-up on features that are computed once."""

import json

import msgspec
import torch

from chexviz.base.methods import DEFAULTS
from chexviz.federation import warmup
from chexviz.federation.settings import Method
from chexviz.federation.site import masked_loss
from chexviz.models.dataset import share
from chexviz.models.files import initial, load
from chexviz.models.model import build
from trainings import dataset, files, learning

PLAIN = DEFAULTS | {"algorithm": "fedavg"}
NORTH = {"north": ["pneumonia"]}


def settings_of(**changes) -> warmup.Warmup:
    values = {"batch": 8, "threads": 1, "epochs": 2, "learning_rate": 1e-3, "method": PLAIN}
    values |= changes
    return warmup.Warmup(**values | {"method": Method(**values["method"])})


def test_warm_up_trains_the_task_block_on_exact_features(federation):
    data = dataset(federation, "north", "train")
    model = build("densenet121", NORTH, seed=1)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    features = warmup.frozen_features(model, data)
    with torch.no_grad():
        alone = torch.cat([model.features(image[None, None] / 255) for image in data.images.pixels])
    torch.testing.assert_close(features, alone, rtol=1e-4, atol=1e-5)
    settings = settings_of()
    warmup.warm_up([warmup.Party(model, data, settings, seed=1)], settings)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]) == name.startswith("representation"), name


def test_a_shared_head_is_averaged_after_every_epoch(federation):
    """One epoch by hand: hidden layers are the mean of both, a logit is that of who labels it."""
    data = share([dataset(federation, site, "train") for site in ("north", "south")])
    settings = settings_of(epochs=1, method=PLAIN | {"heads": "shared", "weights": "uniform"})

    def parties() -> list[warmup.Party]:
        models = [build("standard", one.heads, seed=1) for one in data]
        pairs = zip(models, data, strict=True)
        return [warmup.Party(model, one, settings, seed=1) for model, one in pairs]

    alone, made = parties(), parties()
    for one in alone:
        one.epoch()
    warmup.warm_up(made, settings)
    first, second = (one.task.state_dict() for one in alone)
    for one in made:
        for name, tensor in one.task.state_dict().items():
            expected = (first[name] + second[name]) / 2
            if name.startswith("layers.3."):
                expected = torch.stack([first[name][0], second[name][1]])
            torch.testing.assert_close(tensor, expected, msg=name)


def test_warm_up_of_shared_heads_writes_one_task_block_of_all_findings(federation):
    settings = settings_of(method=PLAIN | {"heads": "shared"})
    path = federation / "shared.safetensors"
    warmup.main(
        [
            *learning(["north", "south"]),
            *files(federation, ["north", "south"]),
            "--architecture=standard",
            "--seed=1",
            f"--settings={json.dumps(msgspec.to_builtins(settings))}",
            f"--task={path}",
        ]
    )
    tensors, about = load(path)
    assert tensors["layers.3.bias"].shape == (2,)
    assert about["heads"] == {"shared": ["pneumonia", "pneumothorax"]}


def test_warm_up_lowers_the_loss_and_is_the_same_twice(federation):
    settings = {"batch": 8, "epochs": 20, "learning_rate": 1e-2, "threads": 1, "method": PLAIN}
    for name in ("once", "again"):
        warmup.main(
            [
                *learning(["north"]),
                *files(federation, ["north"]),
                "--architecture=standard",
                "--seed=1",
                f"--settings={json.dumps(settings)}",
                f"--task={federation / name}.safetensors",
            ]
        )
    assert (federation / "once.safetensors").read_bytes() == (
        federation / "again.safetensors"
    ).read_bytes()
    data = dataset(federation, "north", "train")
    cold = initial("standard", NORTH, 1, None)
    warm = initial("standard", NORTH, 1, None, {"north": federation / "once.safetensors"})
    losses = [
        masked_loss(model.eval().tasks["north"](warmup.frozen_features(model, data)), data.labels)
        for model in (cold, warm)
    ]
    assert losses[1] < losses[0]
