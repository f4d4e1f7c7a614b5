"""Grad-CAM in closed form."""

import pytest
import torch

from chexviz.models.gradcam import gradcam
from chexviz.models.model import build


def mapped(model, images):
    """The maps (n, h, w) of the site north."""
    with torch.no_grad():
        maps = model.representation(images[:, None] / 255)
        return gradcam(maps, lambda features: model.tasks["north"](features)[:, 0])


@pytest.mark.parametrize(("architecture", "size"), [("standard", 32), ("densenet121", 64)])
def test_gradcam_is_that_of_hooks_and_a_backward_pass_through_the_whole_model(architecture, size):
    model = build(architecture, {"north": ["a"], "south": ["a"]}, seed=3)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (5, size, size), dtype=torch.uint8, generator=generator)
    model(images[:, None] / 255, ["north"])  # BatchNorm's statistics: else nothing is left to map
    model.eval()
    found = []
    for _ in range(2):
        expected, terms = gradcam_by_hooks(model, images)
        found.append(mapped(model, images))
        # Channels that cancel leave the rounding of what was added.
        assert ((found[-1] - expected).abs() <= 4 * torch.finfo(torch.float32).eps * terms).all()
        assert not found[-1].requires_grad
        model.tasks["north"].layers[-1].weight.data.neg_()  # what was cut is now shown
    assert torch.cat(found).any()
    assert all(parameter.grad is None for parameter in model.parameters())


def gradcam_by_hooks(model, images):
    """The maps (n, h, w), and the sums of the absolute values that were added to each."""
    kept = []
    hook = model.representation.register_forward_hook(lambda *call: kept.append(call[-1]))
    logits = model(images[:, None] / 255, ["north"])
    hook.remove()
    (gradients,) = torch.autograd.grad(logits.sum(), kept)
    terms = (gradients.mean(dim=(2, 3), keepdim=True) * kept[0]).detach()
    return torch.relu(terms.sum(dim=1)), terms.abs().sum(dim=1)


def test_gradcam_is_after_the_last_relu():
    """So its sum before the cut is the gradient times the features: what the task block saw."""
    model = build("standard", {"north": ["a"]}, seed=1).eval()
    linear = torch.nn.Linear(128, 1, bias=False)
    torch.nn.init.uniform_(linear.weight)  # not negative: nothing is cut
    model.tasks["north"] = linear
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8, generator=generator)
    with torch.no_grad():
        logits = model(images[:, None] / 255, ["north"])[:, 0]
    torch.testing.assert_close(mapped(model, images).sum(dim=(1, 2)), logits)


def test_gradcam_is_its_closed_form_for_a_linear_head():
    """With pooling and a linear head, the importance of a channel is its weight over the area."""
    model = build("standard", {"north": ["a"]}, seed=1).eval()
    linear = torch.nn.Linear(128, 1)
    model.tasks["north"] = linear
    images = torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        maps = model.representation(images[:, None] / 255)
        expected = torch.relu((maps * linear.weight.view(1, 128, 1, 1) / 16).sum(1))
    torch.testing.assert_close(mapped(model, images), expected)
    assert (mapped(model, images) >= 0).all()
