"""The shipped `weights: imagenet`: torchvision's own way, on a file in torch's cache."""

import torch
from torchvision.models import DenseNet121_Weights

from chexviz.models import model, weights
from chexviz.tools import phantom_weights


def test_imagenet_comes_from_torchs_cache_if_it_is_there(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    name = DenseNet121_Weights.IMAGENET1K_V1.url.rpartition("/")[2]
    cached = tmp_path / "hub" / "checkpoints" / name
    phantom_weights.main(["--seed", "3", "--output", str(cached)])
    output = tmp_path / "densenet121.safetensors"
    weights.main(["--source", "imagenet", "--sha256=", "--output", str(output)])  # as the rule does
    tensors, about = model.load(output)
    assert about == {"source": "imagenet"}
    block = model.DenseNet121()
    model.load_into(block, tensors, output)
    drawn = torch.load(cached, weights_only=True)
    assert torch.equal(block.layers.conv0.weight, drawn["features.conv0.weight"])
    assert len(tensors) == len(block.state_dict())
