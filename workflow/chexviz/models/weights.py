"""DenseNet121's initial representation block: torchvision's ImageNet weights, or a local file."""

import argparse
import re
from pathlib import Path

import torch
from safetensors.torch import load_file

from chexviz.base.errors import InputError, run
from chexviz.base.files import sha256
from chexviz.models import model


def imagenet() -> dict[str, torch.Tensor]:
    """torchvision's DenseNet121_Weights.IMAGENET1K_V1, downloaded once and checked by its hash."""
    from torchvision.models import DenseNet121_Weights

    try:
        return DenseNet121_Weights.IMAGENET1K_V1.get_state_dict(progress=True, check_hash=True)
    except (OSError, RuntimeError) as error:
        raise InputError(
            DenseNet121_Weights.IMAGENET1K_V1.url,
            expected="a download of 31 MB",
            found=str(error),
            fix="check the network, or download it elsewhere and name the file in the config: "
            "architectures: densenet121: weights: PATH",
        ) from error


def from_file(path: Path, expected_sha256: str | None) -> dict[str, torch.Tensor]:
    """Tensors of a .safetensors file or of a .pth file that torchvision wrote."""
    if not path.is_file():  # a pipe, say, would be waited for
        raise InputError(
            path,
            expected="a file of weights",
            found="something else than a file" if path.exists() else "nothing",
            fix="correct the path in the config",
        )
    if expected_sha256 and sha256(path) != expected_sha256:
        raise InputError(
            path,
            expected=f"SHA-256 {expected_sha256}",
            found=sha256(path),
            fix="get the right file, or correct weights_sha256 in the config",
        )
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return named_tensors(torch.load(path, map_location="cpu", weights_only=True))
    except MemoryError:
        raise
    except Exception as error:
        raise InputError(
            path,
            expected="a .safetensors file, or a .pth file with tensors alone",
            found=f"{type(error).__name__}: {error}",
            fix="give a file of weights, such as torch.save(model.state_dict(), PATH) writes",
        ) from error


def named_tensors(content: object) -> dict[str, torch.Tensor]:
    """What a .pth file holds, which must be tensors by name. Raises TypeError saying what it is."""
    if not isinstance(content, dict):
        raise TypeError(f"it holds a {type(content).__name__}, not a dictionary")
    for name, tensor in content.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor):
            raise TypeError(f"its entry {name!r} is a {type(tensor).__name__}, not a tensor")
    return content


def representation_of(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The part of torchvision's DenseNet121 that the representation block has, under its names.

    torchvision's file is of 2017: it has norm.1 for norm1, and does not count batches, which
    BatchNorm has done since 2018 without a use for it here.
    """
    renamed = {}
    for name, tensor in tensors.items():
        name = re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12])\.", r"\1\2.", name)
        if name.startswith("features."):
            renamed["layers." + name.removeprefix("features.")] = tensor
    counts = [name.replace("running_var", "num_batches_tracked") for name in renamed]
    return {name: torch.tensor(0) for name in counts if name not in renamed} | renamed


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", required=True, help="'imagenet' or a path")
    parser.add_argument("--sha256", help="that a local file must have")
    parser.add_argument("--output", required=True, type=Path)
    arguments = parser.parse_args(argv)
    if arguments.source == "imagenet":
        tensors = imagenet()
    else:
        tensors = from_file(Path(arguments.source), arguments.sha256)
    block = model.DenseNet121()
    model.load_into(block, representation_of(tensors), arguments.source)
    model.save(arguments.output, block.state_dict(), source=arguments.source)


if __name__ == "__main__":
    run(main)
