"""Files of models: written, read, and refused."""

import pytest
import torch

from chexviz.base.errors import InputError
from chexviz.base.files import sha256
from chexviz.models import files
from chexviz.models.model import build


def test_a_model_file_round_trip(tmp_path):
    model = build("standard", {"north": ["a"], "south": ["b"]}, seed=1)
    about = {"architecture": "standard", "heads": {"north": ["a"], "south": ["b"]}}
    files.save(tmp_path / "a.safetensors", model.state_dict(), **about)
    files.save(tmp_path / "b.safetensors", model.state_dict(), **about)
    again = files.load_model(tmp_path / "a.safetensors", "north").state_dict()
    assert all(torch.equal(again[name], tensor) for name, tensor in model.state_dict().items())
    assert sha256(tmp_path / "a.safetensors") == sha256(tmp_path / "b.safetensors")
    (tmp_path / "plain").touch()
    modes = {(tmp_path / name).stat().st_mode for name in ("a.safetensors", "plain")}
    assert len(modes) == 1, "the group of a cluster must be able to read what others can"


@pytest.mark.parametrize(
    "about",
    [{}, {"architecture": "other"}, {"architecture": "standard", "heads": "north"}],
)
def test_a_file_of_tensors_that_says_of_no_model_is_refused(tmp_path, about):
    path = tmp_path / "model.safetensors"
    files.save(path, build("standard", {"north": ["a"]}, seed=1).state_dict(), **about)
    with pytest.raises(InputError, match=r"model\.safetensors\n.*architecture and heads"):
        files.load_model(path, "north")


def test_a_model_that_is_not_finite_scores_nothing(tmp_path):
    tensors = build("standard", {"north": ["a"]}, seed=1).state_dict()
    tensors["representation.layers.1.running_mean"][4] = torch.nan
    about = {"architecture": "standard", "heads": {"north": ["a"]}}
    files.save(tmp_path / "model.safetensors", tensors, **about)
    with pytest.raises(InputError, match=r"layers\.1\.running_mean is not finite"):
        files.load_model(tmp_path / "model.safetensors", "north")


def test_a_damaged_model_file_is_named(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(b"not a model")
    with pytest.raises(InputError, match=r"model\.safetensors"):
        files.load(path)
