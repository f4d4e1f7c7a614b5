"""The weights that an architecture starts from: of ImageNet, or of a local file."""

import os
from unittest import mock

import pytest
import torch
import torchvision
from safetensors.torch import load_file, save_file
from torchvision.models import DenseNet121_Weights

from chexviz.base.errors import InputError
from chexviz.base.files import sha256
from chexviz.models import files, weights
from chexviz.models.architectures import DenseNet121
from chexviz.models.model import build
from chexviz.tools import phantom_weights

DENSENET = ["--architecture", "densenet121"]


def write_torchvision_file(path, spoil=lambda tensors: None) -> dict[str, torch.Tensor]:
    """A file as torchvision distributes it: names of 2017, 1,000 classes; the tensors in it."""
    tensors = phantom_weights.draw(seed=0)
    spoil(tensors)
    if path.suffix == ".safetensors":
        save_file(tensors, path)
    else:
        torch.save(tensors, path)
    return tensors


def make_block(folder) -> None:
    """The block `out` from weights.pth."""
    paths = [f"--source={folder / 'weights.pth'}", f"--output={folder / 'out'}"]
    weights.main([*DENSENET, *paths])


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_local_file_of_weights_becomes_the_representation_block(tmp_path, suffix):
    tensors = write_torchvision_file(tmp_path / f"densenet{suffix}")
    weights.main(
        [
            *DENSENET,
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
    model = files.initial("densenet121", {"north": ["a"]}, 1, tmp_path / "block.safetensors")
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
    make_block(tmp_path)
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
        make_block(tmp_path)
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
        make_block(tmp_path)


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


def test_imagenet_comes_from_torchs_cache_if_it_is_there(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    name = DenseNet121_Weights.IMAGENET1K_V1.url.rpartition("/")[2]
    cached = tmp_path / "hub" / "checkpoints" / name
    phantom_weights.main(["--seed", "3", "--output", str(cached)])
    output = tmp_path / "densenet121.safetensors"
    line = ["--source", "imagenet", "--sha256=", "--output", str(output)]  # as the rule does
    weights.main([*DENSENET, *line])
    tensors, about = files.load(output)
    assert about == {"source": "imagenet"}
    block = DenseNet121()
    files.load_into(block, tensors, output)
    drawn = torch.load(cached, weights_only=True)
    assert torch.equal(block.layers.conv0.weight, drawn["features.conv0.weight"])
    assert len(tensors) == len(block.state_dict())


def test_the_weights_are_those_of_the_architecture_that_is_told(tmp_path):
    """A file of its own names, such as a trained block has; that of another one is refused."""
    block = build("standard", {"north": ["a"]}, seed=5).representation.state_dict()
    save_file(block, tmp_path / "block.safetensors")
    line = [f"--source={tmp_path / 'block.safetensors'}", f"--output={tmp_path / 'out'}"]
    weights.main(["--architecture=standard", *line])
    made = load_file(tmp_path / "out")
    assert made.keys() == block.keys()
    assert all(torch.equal(made[name], tensor) for name, tensor in block.items())
    with pytest.raises(InputError, match="tensors of DenseNet121"):
        weights.main([*DENSENET, *line])


def test_imagenet_is_refused_of_an_architecture_without_such_weights(tmp_path):
    line = ["--architecture=standard", "--source=imagenet", f"--output={tmp_path / 'out'}"]
    with pytest.raises(InputError, match=r"^config: architectures: standard: weights\n.*random"):
        weights.main(line)
    assert not (tmp_path / "out").exists()
