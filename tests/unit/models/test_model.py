"""Both architectures, their files, and the weights they start from."""

import copy
import os
from unittest import mock

import pytest
import torch
import torch.nn.functional as F
import torchvision
from safetensors.torch import load_file, save_file

from chexviz.base.errors import InputError
from chexviz.base.files import sha256
from chexviz.models import densenet, weights
from chexviz.models import model as models
from chexviz.models.densenet import DenseBlock, DenseLayer, densenet121
from chexviz.tools import phantom_weights


@pytest.mark.parametrize(
    ("architecture", "channels", "stride"), [("standard", 128, 8), ("densenet121", 1024, 32)]
)
def test_shapes(architecture, channels, stride):
    model = models.build(architecture, ["north", "south"], seed=1).eval()
    images = torch.rand(2, 1, 64, 64)
    assert model.representation(images).shape == (2, channels, 64 // stride, 64 // stride)
    assert model.features(images).shape == (2, channels)
    logits = model(images, ["north", "south"])
    assert logits.shape == (2, 2)
    assert torch.equal(logits[:, :1], model(images, ["north"]))
    assert not torch.equal(logits[:, 0], logits[:, 1])


def test_pooling_before_relu_changes_no_value_and_no_gradient():
    torch.manual_seed(0)
    images = torch.randn(4, 1, 32, 32, requires_grad=True)
    ours = models.Standard()
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
    model = models.Standard().to(memory_format=torch.channels_last)
    for layer in model.layers:
        if isinstance(layer, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(layer.weight)
            torch.nn.init.normal_(layer.bias)
    images = torch.rand(8, 1, 64, 64)

    def trained(model: models.Standard, images: torch.Tensor) -> list[torch.Tensor]:
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
    model = models.Standard()
    with torch.autocast("cpu"):
        model.layers[1].eval()
        assert not model.takes_blocks(torch.rand(2, 1, 16, 16))
        model(torch.rand(2, 1, 16, 16)).sum().backward()


def test_standard_has_three_convolutions():
    convolutions = [m for m in models.Standard().modules() if isinstance(m, torch.nn.Conv2d)]
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
        monkeypatch.setattr(densenet, "recomputes", lambda *_: False)
    assert torch.equal(results[0][0], results[1][0])
    rounding = {torch.float32: 1e-4, torch.bfloat16: 0.02}[precision]
    for one, other in zip(*results, strict=True):
        assert (one - other).abs().sum() <= rounding * other.abs().sum()
    weights = sum(parameter.nbytes for parameter in blocks[0].parameters())
    assert kept[0] - weights < (kept[1] - weights) / 3


def test_what_is_pooled_is_kept_once(monkeypatch):
    """Of a transition the maps that come in and what its convolution sees: a fourth of them."""
    torch.manual_seed(0)
    transitions = [densenet.Transition(64)]
    transitions.append(copy.deepcopy(transitions[0]))
    maps = torch.randn(4, 64, 16, 16).to(memory_format=torch.channels_last)
    kept, results = [], []
    for transition in transitions:
        most, found = trained(transition, maps)
        kept.append(most)
        results.append(found)
        monkeypatch.setattr(densenet, "recomputes", lambda *_: False)
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
    block = models.DenseNet121().eval()
    models.load_into(block, weights.representation_of(reference.state_dict()), "torchvision")
    grey = torch.rand(2, 1, 96, 96)
    colour = torchvision.transforms.functional.normalize(
        grey.expand(2, 3, 96, 96), models.IMAGENET_MEAN, models.IMAGENET_STD
    )
    assert torch.equal(block(grey), F.relu(reference.features(colour)))


def test_the_start_does_not_depend_on_who_else_takes_part():
    alone = models.build("standard", ["north"], seed=1).state_dict()
    both = models.build("standard", ["south", "north"], seed=1).state_dict()
    other = models.build("standard", ["north"], seed=2).state_dict()
    assert all(torch.equal(both[name], tensor) for name, tensor in alone.items())
    assert not torch.equal(
        alone["representation.layers.0.weight"], other["representation.layers.0.weight"]
    )
    assert not torch.equal(both["tasks.north.layers.0.weight"], both["tasks.south.layers.0.weight"])


def test_building_leaves_the_global_generator_alone():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    models.build("standard", ["north"], seed=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_model_file_round_trip(tmp_path):
    model = models.build("standard", ["north", "south"], seed=1)
    about = {"architecture": "standard", "sites": ["north", "south"]}
    models.save(tmp_path / "a.safetensors", model.state_dict(), **about)
    models.save(tmp_path / "b.safetensors", model.state_dict(), **about)
    again = models.load_model(tmp_path / "a.safetensors", "north").state_dict()
    assert all(torch.equal(again[name], tensor) for name, tensor in model.state_dict().items())
    assert sha256(tmp_path / "a.safetensors") == sha256(tmp_path / "b.safetensors")
    (tmp_path / "plain").touch()
    modes = {(tmp_path / name).stat().st_mode for name in ("a.safetensors", "plain")}
    assert len(modes) == 1, "the group of a cluster must be able to read what others can"


@pytest.mark.parametrize(
    "about",
    [{}, {"architecture": "other"}, {"architecture": "standard", "sites": "north"}],
)
def test_a_file_of_tensors_that_says_of_no_model_is_refused(tmp_path, about):
    path = tmp_path / "model.safetensors"
    models.save(path, models.build("standard", ["north"], seed=1).state_dict(), **about)
    with pytest.raises(InputError, match=r"model\.safetensors\n.*architecture and sites"):
        models.load_model(path, "north")


def test_a_model_that_is_not_finite_scores_nothing(tmp_path):
    tensors = models.build("standard", ["north"], seed=1).state_dict()
    tensors["representation.layers.1.running_mean"][4] = torch.nan
    about = {"architecture": "standard", "sites": ["north"]}
    models.save(tmp_path / "model.safetensors", tensors, **about)
    with pytest.raises(InputError, match=r"layers\.1\.running_mean is not finite"):
        models.load_model(tmp_path / "model.safetensors", "north")


def test_a_damaged_model_file_is_named(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"not a model")
    with pytest.raises(InputError, match=r"model\.safetensors"):
        models.load(path)


def write_torchvision_file(path, spoil=lambda tensors: None) -> dict[str, torch.Tensor]:
    """A file as torchvision distributes it: names of 2017, 1,000 classes; the tensors in it."""
    tensors = phantom_weights.draw(seed=0)
    spoil(tensors)
    if path.suffix == ".safetensors":
        save_file(tensors, path)
    else:
        torch.save(tensors, path)
    return tensors


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_local_file_of_weights_becomes_the_representation_block(tmp_path, suffix):
    tensors = write_torchvision_file(tmp_path / f"densenet{suffix}")
    weights.main(
        [
            f"--source={tmp_path / f'densenet{suffix}'}",
            f"--sha256={sha256(tmp_path / f'densenet{suffix}')}",
            f"--output={tmp_path / 'block.safetensors'}",
        ]
    )
    block = load_file(tmp_path / "block.safetensors")
    assert torch.equal(block["layers.conv0.weight"], tensors["features.conv0.weight"])
    layer = "denseblock4.denselayer16."
    for new, old in (
        ("conv2.weight", "conv.2.weight"),
        ("norm1.running_var", "norm.1.running_var"),
    ):
        assert torch.equal(block[f"layers.{layer}{new}"], tensors[f"features.{layer}{old}"])
    assert block[f"layers.{layer}norm1.num_batches_tracked"] == 0
    model = models.initial("densenet121", ["north"], 1, tmp_path / "block.safetensors")
    assert torch.equal(model.representation.layers.conv0.weight, tensors["features.conv0.weight"])


def wrong_shape(tensors):
    tensors["features.conv0.weight"] = torch.zeros(64, 1, 7, 7)


def missing_tensor(tensors):
    del tensors["features.norm5.bias"]


def cut_to_one(tensors):
    tensors["features.norm5.bias"] = torch.tensor(0.0)


def not_a_number(tensors):
    tensors["features.conv0.weight"][3, 2, 1, 0] = torch.nan


def infinite(tensors):
    tensors["features.norm5.running_mean"][7] = -torch.inf


def beyond_float32(tensors):
    tensors["features.norm5.weight"] = torch.full((1024,), 1e300, dtype=torch.float64)


def whole_numbers(tensors):
    tensors["features.conv0.weight"] = torch.ones(64, 3, 7, 7, dtype=torch.int8)


def complex_numbers(tensors):
    tensors["features.conv0.weight"] = torch.ones(64, 3, 7, 7, dtype=torch.complex64)


def sparse(tensors):
    tensors["features.conv0.weight"] = tensors["features.conv0.weight"].to_sparse()


def all_zero(tensors):
    tensors["features.conv0.weight"].zero_()


def no_variance(tensors):
    tensors["features.norm5.running_var"].zero_()


def negative_variance(tensors):
    tensors["features.norm5.running_var"][5] = -1e-3


def half_precision(tensors):
    for name in tensors:
        tensors[name] = tensors[name].half()


def test_weights_of_half_precision_are_taken(tmp_path):
    tensors = write_torchvision_file(tmp_path / "weights.pth", half_precision)
    weights.main([f"--source={tmp_path / 'weights.pth'}", f"--output={tmp_path / 'out'}"])
    block = load_file(tmp_path / "out")["layers.conv0.weight"]
    assert torch.equal(block, tensors["features.conv0.weight"].float())


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (wrong_shape, r"layers.conv0.weight is \(64, 1, 7, 7\), not \(64, 3, 7, 7\)"),
        (missing_tensor, r"layers.norm5.bias is absent, not \(1024,\)"),
        (cut_to_one, r"layers.norm5.bias is \(\), not \(1024,\)"),
        (not_a_number, "layers.conv0.weight is not finite"),
        (infinite, "layers.norm5.running_mean is not finite"),
        (beyond_float32, "layers.norm5.weight is not finite"),
        (whole_numbers, "layers.conv0.weight is of torch.int8, torch.strided, not torch.float32"),
        (complex_numbers, "layers.conv0.weight is of torch.complex64"),
        (sparse, "layers.conv0.weight is of torch.float32, torch.sparse_coo, not"),
        (all_zero, "layers.conv0.weight is all zero"),
        (no_variance, "layers.norm5.running_var is all zero"),
        (negative_variance, "layers.norm5.running_var is negative"),
    ],
)
def test_weights_that_do_not_fit_are_refused_and_leave_nothing(tmp_path, spoil, said):
    write_torchvision_file(tmp_path / "weights.pth", spoil)
    with pytest.raises(InputError, match=said) as caught:
        weights.main([f"--source={tmp_path / 'weights.pth'}", f"--output={tmp_path / 'out'}"])
    assert "weights.pth" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_wrong_hash_is_refused(tmp_path):
    write_torchvision_file(tmp_path / "weights.pth")
    with pytest.raises(InputError, match="SHA-256"):
        weights.from_file(tmp_path / "weights.pth", "0" * 64)


def test_a_pickle_that_runs_code_is_refused(tmp_path):
    torch.save({"features": print}, tmp_path / "weights.pth")
    with pytest.raises(InputError, match="tensors alone"):
        weights.from_file(tmp_path / "weights.pth", None)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ([torch.ones(2)], "it holds a list, not a dictionary"),
        (torch.ones(2), "it holds a Tensor, not a dictionary"),
        ({"epoch": 3}, "its entry 'epoch' is a int, not a tensor"),
        ({"state_dict": {"a": torch.ones(2)}}, "its entry 'state_dict' is a dict, not a tensor"),
        ({3: torch.ones(2)}, "its entry 3 is a Tensor"),
    ],
)
def test_a_pth_file_of_anything_but_named_tensors_is_refused(tmp_path, content, found):
    torch.save(content, tmp_path / "weights.pth")
    with pytest.raises(InputError, match=f"tensors alone\n.*{found}"):
        weights.main([f"--source={tmp_path / 'weights.pth'}", f"--output={tmp_path / 'out'}"])


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_regular_file_is_refused_and_not_waited_for(tmp_path, make):
    make(tmp_path / "weights.pth")
    with pytest.raises(InputError, match="something else than a file"):
        weights.from_file(tmp_path / "weights.pth", "0" * 64)


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_a_truncated_file_is_refused(tmp_path, name):
    write_torchvision_file(tmp_path / name)
    os.truncate(tmp_path / name, (tmp_path / name).stat().st_size // 2)
    with pytest.raises(InputError, match=f"{name}\n.*tensors alone"):
        weights.from_file(tmp_path / name, None)


def test_an_absent_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="correct the path"):
        weights.from_file(tmp_path / "weights.pth", None)


def test_the_stand_in_for_torchvisions_file_has_its_names_and_is_drawn_by_seed(tmp_path):
    paths = [tmp_path / f"{name}.pth" for name in "ab"]
    for path in paths:
        phantom_weights.main(["--seed", "3", "--output", str(path)])
    first, second = (weights.from_file(path, None) for path in paths)
    other = phantom_weights.draw(seed=4)
    assert all(torch.equal(first[name], tensor) for name, tensor in second.items())
    assert not torch.equal(first["features.conv0.weight"], other["features.conv0.weight"])
    assert sum(".norm.1." in name for name in first) == 4 * 58
    # torchvision's own loading takes it for the file that it distributes.
    model, file = torchvision.models.densenet121(weights=None), mock.Mock()
    file.get_state_dict.return_value = dict(first)
    torchvision.models.densenet._load_state_dict(model, weights=file, progress=False)
    name = "features.denseblock4.denselayer16.conv2.weight"
    assert torch.equal(model.state_dict()[name], first[name.replace("conv2", "conv.2")])
