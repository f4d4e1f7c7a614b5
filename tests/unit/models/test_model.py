"""A model: its shapes, and the weights that it is built with."""

import pytest
import torch

from chexviz.models.model import build


@pytest.mark.parametrize(
    ("architecture", "channels", "stride"), [("standard", 128, 8), ("densenet121", 1024, 32)]
)
def test_shapes(architecture, channels, stride):
    model = build(architecture, {"north": ["a"], "south": ["a", "b"]}, seed=1).eval()
    images = torch.rand(2, 1, 64, 64)
    assert model.representation(images).shape == (2, channels, 64 // stride, 64 // stride)
    assert model.features(images).shape == (2, channels)
    logits = model(images, ["north", "south"])
    assert logits.shape == (2, 3)
    assert torch.equal(logits[:, :1], model(images, ["north"]))
    assert not torch.equal(logits[:, 0], logits[:, 1])


def test_the_start_does_not_depend_on_who_else_takes_part():
    alone = build("standard", {"north": ["a"]}, seed=1).state_dict()
    both = build("standard", {"south": ["a"], "north": ["a"]}, seed=1).state_dict()
    other = build("standard", {"north": ["a"]}, seed=2).state_dict()
    assert all(torch.equal(both[name], tensor) for name, tensor in alone.items())
    assert not torch.equal(
        alone["representation.layers.0.weight"], other["representation.layers.0.weight"]
    )
    assert not torch.equal(both["tasks.north.layers.0.weight"], both["tasks.south.layers.0.weight"])


def test_building_leaves_the_global_generator_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    build("standard", {"north": ["a"]}, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
