"""The architectures: what their layers compute, and what training them keeps in memory."""

import copy
from unittest import mock

import pytest
import torch
import torch.nn.functional as F
import torchvision

from chexviz.models import files
from chexviz.models.architectures import (
    DenseNet121,
    Standard,
    StandardGroupNorm,
    dense_blocks,
)
from chexviz.models.architectures.dense_blocks import DenseBlock, DenseLayer, densenet121
from chexviz.models.architectures.densenet121 import IMAGENET_MEAN, IMAGENET_STD


def test_pooling_before_relu_changes_no_value_and_no_gradient():
    torch.manual_seed(0)
    images = torch.randn(4, 1, 32, 32, requires_grad=True)
    ours = Standard()
    layers = list(ours.layers)
    usual = [layers[first + step] for first in (0, 4, 8) for step in (0, 1, 3, 2)]
    results = []
    for order in (layers, usual):
        output = images
        for layer in order:
            output = layer(output)
        results.append((output, *torch.autograd.grad(output.square().sum(), [images])))
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.skipif(
    not torch.backends.cpu.get_cpu_capability().startswith("AVX"), reason="no processor for it"
)
@pytest.mark.parametrize("bfloat16", [False, True])
def test_blocks_are_as_exact_as_the_layers(bfloat16, monkeypatch):
    """Outputs, running statistics and gradients are as near those of float64."""
    if bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("the processor has no bfloat16")
    torch.manual_seed(0)
    model = Standard().to(memory_format=torch.channels_last)
    for layer in model.layers:
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(layer.weight)
            torch.nn.init.normal_(layer.bias)
    images = torch.rand(8, 1, 64, 64)

    def trained(model: Standard, images: torch.Tensor) -> list[torch.Tensor]:
        output = model(images).double()
        gradients = torch.autograd.grad(output.square().mean(), list(model.parameters()))
        return [output.detach(), *gradients, *(buffer.double() for buffer in model.buffers())]

    exact = trained(copy.deepcopy(model).double(), images.double())
    results = []
    for blocks in (True, False):
        one = copy.deepcopy(model)
        blocked = mock.Mock(wraps=one.blocked)
        monkeypatch.setattr(one, "blocked", blocked)
        if not blocks:
            monkeypatch.setattr(one, "takes_blocks", lambda images: False)
        with torch.autocast("cpu", enabled=bfloat16):
            results.append(trained(one, images))
        assert blocked.called == blocks
    for truth, ours, layers in zip(exact, *results, strict=True):
        assert (ours - truth).norm() <= 1.2 * (layers - truth).norm() + 1e-6 * truth.norm()


def test_frozen_batchnorm_takes_no_blocks():
    model = Standard()
    with torch.autocast("cpu"):
        model.layers[1].eval()
        assert not model.takes_blocks(torch.rand(2, 1, 16, 16))
        model(torch.rand(2, 1, 16, 16)).sum().backward()


def test_standard_has_three_convolutions():
    convolutions = [m for m in Standard().modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(convolutions) == 3


def test_densenet_has_torchvisions_names_gradients_and_running_statistics():
    torch.manual_seed(0)
    theirs = torchvision.models.densenet121(weights=None).features.double()
    ours = densenet121().double()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    images = torch.rand(2, 3, 64, 64, dtype=torch.float64).to(memory_format=torch.channels_last)
    results = []
    for network in (ours, theirs):
        taken = images.clone().requires_grad_()
        output = network(taken)
        output.square().sum().backward()
        gradients = [parameter.grad for parameter in network.parameters()]
        results.append([output.detach(), taken.grad, *gradients, *network.buffers()])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


def bytes_kept(block: DenseBlock, maps: torch.Tensor) -> tuple[int, torch.Tensor]:
    """Bytes that a forward pass keeps for the backward pass, and what it gave."""
    kept = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with (
        torch.autocast("cpu", torch.bfloat16, enabled=maps.dtype == torch.bfloat16),
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
    ):
        grown = block(maps)
        return sum(kept.values()), grown


def trained(block: torch.nn.Module, maps: torch.Tensor) -> tuple[int, list[torch.Tensor]]:
    """Bytes kept by a step on a copy of `maps`; what it gave, all gradients, and all buffers."""
    taken = maps.clone().requires_grad_()
    most, given = bytes_kept(block, taken)
    given.square().sum().backward()
    gradients = [parameter.grad for parameter in block.parameters()]
    return most, [given, taken.grad, *gradients, *block.buffers()]


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_a_dense_block_trains_with_a_third_of_the_memory(precision, monkeypatch):
    torch.manual_seed(0)
    blocks = [DenseBlock(*(DenseLayer(channels) for channels in range(64, 256, 32)))]
    blocks.append(copy.deepcopy(blocks[0]))
    shape = (4, 64, 16, 16)
    maps = torch.randn(shape).to(precision, memory_format=torch.channels_last)
    kept, results = [], []
    for block in blocks:
        most, found = trained(block, maps)
        kept.append(most)
        results.append(found)
        monkeypatch.setattr(dense_blocks, "recomputes", lambda *_: False)
    assert torch.equal(results[0][0], results[1][0])
    rounding = {torch.float32: 1e-4, torch.bfloat16: 0.02}[precision]
    for one, other in zip(*results, strict=True):
        assert (one - other).abs().sum() <= rounding * other.abs().sum()
    weights = sum(parameter.nbytes for parameter in blocks[0].parameters())
    assert kept[0] - weights < (kept[1] - weights) / 3


def test_what_is_pooled_is_kept_once(monkeypatch):
    """Of a transition the maps that come in and what its convolution sees: a fourth of them."""
    torch.manual_seed(0)
    transitions = [dense_blocks.Transition(64)]
    transitions.append(copy.deepcopy(transitions[0]))
    maps = torch.randn(4, 64, 16, 16).to(memory_format=torch.channels_last)
    kept, results = [], []
    for transition in transitions:
        most, found = trained(transition, maps)
        kept.append(most)
        results.append(found)
        monkeypatch.setattr(dense_blocks, "recomputes", lambda *_: False)
    for one, other in zip(*results, strict=True):
        assert (one - other).abs().sum() <= 1e-4 * other.abs().sum()
    small = 2**15  # weights and statistics
    assert kept[0] == pytest.approx(maps.nbytes * 5 / 4, abs=small)
    assert kept[1] == pytest.approx(maps.nbytes * 5 / 2, abs=small)


def test_densenet_starts_as_torchvisions_does():
    """The same distributions: BatchNorm as the identity, He's deviation for convolutions."""
    torch.manual_seed(0)
    theirs = torchvision.models.densenet121(weights=None).features.state_dict()
    for name, tensor in densenet121().state_dict().items():
        if tensor.ndim == 4:
            assert tensor.std() == pytest.approx(theirs[name].std().item(), rel=0.1)
            assert abs(tensor.mean()) < 0.1 * tensor.std()
        else:
            assert torch.equal(tensor, theirs[name])


def test_densenet_sees_a_grey_image_as_torchvision_sees_it_in_colour():
    """One-channel input is exact: the same features as the whole torchvision model's own path."""
    torch.manual_seed(0)
    reference = torchvision.models.densenet121(weights=None).eval()
    block = DenseNet121().eval()
    files.load_into(block, DenseNet121.renamed(reference.state_dict()), "torchvision")
    grey = torch.rand(2, 1, 96, 96)
    colour = torchvision.transforms.functional.normalize(
        grey.expand(2, 3, 96, 96), IMAGENET_MEAN, IMAGENET_STD
    )
    assert torch.equal(block(grey), F.relu(reference.features(colour)))


def test_with_groupnorm_no_image_has_to_do_with_another():
    """The maps of an image are the same in any company, in training too."""
    torch.manual_seed(0)
    model = StandardGroupNorm().train()
    assert not any(isinstance(one, torch.nn.BatchNorm2d) for one in model.modules())
    assert [one.num_groups for one in model.modules() if isinstance(one, torch.nn.GroupNorm)] == [
        32,
        32,
        32,
    ]
    images = torch.rand(4, 1, 32, 32)
    torch.testing.assert_close(model(images)[:1], model(images[:1]))
