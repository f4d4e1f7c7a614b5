"""Head warm-up on features that are computed once."""

import json

import torch

from chexviz.federation import warmup
from chexviz.federation.site import masked_loss
from chexviz.models.files import initial
from chexviz.models.model import build
from trainings import dataset, files


def test_warm_up_trains_the_task_block_on_exact_features(federation):
    data = dataset(federation, "north", "train")
    model = build("densenet121", ["north"], seed=1)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    features = warmup.frozen_features(model, data)
    with torch.no_grad():
        alone = torch.cat([model.features(image[None, None] / 255) for image in data.images.pixels])
    torch.testing.assert_close(features, alone, rtol=1e-4, atol=1e-5)
    settings = warmup.Warmup(batch=8, threads=1, epochs=2, learning_rate=1e-3)
    warmup.warm_up(model, data, settings, seed=1)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]) == name.startswith("representation"), name


def test_warm_up_lowers_the_loss_and_is_the_same_twice(federation):
    settings = {"batch": 8, "epochs": 20, "learning_rate": 1e-2, "threads": 1}
    for name in ("once", "again"):
        warmup.main(
            [
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
    cold = initial("standard", ["north"], 1, None)
    tasks = {"north": federation / "once.safetensors"}
    warm = initial("standard", ["north"], 1, None, tasks)
    losses = [
        masked_loss(
            model.eval().tasks["north"](warmup.frozen_features(model, data)), data.labels[:, 0]
        )
        for model in (cold, warm)
    ]
    assert losses[1] < losses[0]
