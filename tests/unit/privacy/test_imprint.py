"""A server that may change the code reads radiographs off a gradient; one that may not does not."""

import numpy as np
import pytest
import torch
from imprint import Imprint, recovered
from torch import Tensor, nn

from chexviz.base.errors import InputError
from chexviz.data.convert import read_image
from chexviz.federation.exchange import Exchange
from chexviz.federation.network.messages import check_vectors
from chexviz.federation.site import masked_loss
from chexviz.models.dataset import to_unit
from chexviz.models.model import Model, build

SIZE, BATCH, BINS = 64, 64, 256
EXACT = 40  # dB of peak signal to noise, above which a radiograph is the same to the eye


@pytest.fixture(scope="module")
def radiographs(real_data) -> Tensor:
    """A batch of real radiographs, float32 (64, 1, 64, 64) in [0, 1]."""
    files = sorted((real_data / "nih-mini" / "images_001").rglob("*.png"))[:BATCH]
    pixels = [read_image(file.read_bytes(), SIZE, "pad", 36_000_000)[0] for file in files]
    return to_unit(torch.from_numpy(np.stack(pixels)))


def step(model: Model, images: Tensor) -> None:
    """One batch's gradients, as a site's training computes them."""
    labels = (torch.arange(len(images)) % 3 == 0).float()[:, None]
    masked_loss(model.train()(images, ["site"]), labels).backward()


def found(images: Tensor, candidates: Tensor) -> int:
    """How many of the images are among the candidates (n, S * S), exactly but for rounding."""
    errors = torch.cdist(images.flatten(1).double(), candidates.double()) ** 2 / SIZE**2
    best = errors.min(dim=1).values
    return int((10 * torch.log10(1 / best.clamp(min=1e-30)) > EXACT).sum())


def imprinted(images: Tensor) -> Model:
    """A model with the layer of the attack, its levels those of such images' brightness."""
    model = build("standard", {"site": ["pneumonia"]}, seed=1)
    spread = images.mean(dim=(1, 2, 3)).double()
    normal = torch.distributions.Normal(spread.mean(), spread.std())
    levels = normal.icdf((torch.arange(BINS) + 0.5) / BINS).float()
    model.representation = Imprint(model.representation, SIZE, levels)
    return model


def test_changed_code_gives_radiographs_away(radiographs):
    """From one gradient of a batch of 64, most of them: that is why sites approve the code."""
    model = imprinted(radiographs)
    step(model, radiographs)
    assert found(radiographs, recovered(model.representation.layer)) >= BATCH // 2


def test_the_attack_does_not_count_what_it_has_not_seen(radiographs):
    """The control: with the gradients of one half, none of the other half is found."""
    half = BATCH // 2
    model = imprinted(radiographs)
    step(model, radiographs[:half])
    candidates = recovered(model.representation.layer)
    assert found(radiographs[:half], candidates) >= half // 2
    assert found(radiographs[half:], candidates) == 0


@pytest.mark.parametrize("architecture", ["standard", "densenet121"])
def test_no_layer_of_unchanged_code_sees_whole_images(architecture):
    """What travels has no layer over all pixels, whatever numbers a server fills in: convolutions
    share their weights over the image, so that a gradient is a sum over all of its places."""
    model = build(architecture, {"site": ["pneumonia"]}, seed=1)
    exchange = Exchange(model.representation, "average")
    layers = [
        layer
        for layer in model.representation.modules()
        if any(True for _ in layer.parameters(recurse=False))
    ]
    assert {type(layer) for layer in layers} == {nn.Conv2d, nn.BatchNorm2d}
    assert max(max(layer.kernel_size) for layer in layers if isinstance(layer, nn.Conv2d)) <= 7
    assert exchange.parameters == sum(one.numel() for one in model.representation.parameters())


@pytest.mark.parametrize("fill", ["initial", "constant", "brightness"])
def test_an_approved_app_gives_none_whatever_weights_it_gets(radiographs, fill):
    """The same attack on the gradients of unchanged code: its first layer, read off likewise."""
    model = build("standard", {"site": ["pneumonia"]}, seed=1)
    first = model.representation.layers[0]
    with torch.no_grad():
        if fill == "constant":
            first.weight.fill_(1 / 9)
        elif fill == "brightness":  # filters that differ in their level alone, as an imprint's
            first.weight.copy_(torch.linspace(0, 1, len(first.weight))[:, None, None, None] / 9)
    step(model, radiographs)
    gradient = first.weight.grad.flatten(1)
    differences = torch.cat([gradient[:-1] - gradient[1:], gradient[-1:]])
    patches = differences / differences.abs().amax(dim=1, keepdim=True).clamp(min=1e-30)
    # All that there is are 3 x 3 numbers a filter; drawn over an image, they are no radiograph.
    drawn = nn.functional.interpolate(patches.view(-1, 1, 3, 3), size=SIZE, mode="bilinear")
    assert found(radiographs, drawn.flatten(1)) == 0


def test_an_approved_app_refuses_the_weights_of_another_one(radiographs):
    """A server cannot slip the layer in: a site takes vectors of its own model's lengths alone."""
    own = Exchange(build("standard", {"site": ["pneumonia"]}, seed=1).representation, "average")
    other = Exchange(imprinted(radiographs).representation, "average")
    with pytest.raises(InputError, match=rf"{sum(own.sizes)}.*\n.*{sum(other.sizes)}"):
        check_vectors("the coordinator", [torch.zeros(sum(other.sizes))], [sum(own.sizes)])
