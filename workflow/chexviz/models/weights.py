"""An architecture's initial representation block: its ImageNet weights, or a local file's."""

from pathlib import Path

import torch
from safetensors.torch import load_file

from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run
from chexviz.base.files import sha256
from chexviz.models import files
from chexviz.models.architectures import ARCHITECTURES

IMAGENET = "imagenet"  # as a source: what the architecture itself knows


def from_file(path: Path, expected_sha256: str | None) -> dict[str, torch.Tensor]:
    """Tensors of a .safetensors file or of a .pth file, as torch.save wrote it."""
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


def of_imagenet(architecture: str) -> dict[str, torch.Tensor]:
    """The tensors that an architecture has of ImageNet. Raises InputError if it has none."""
    tensors = ARCHITECTURES[architecture].imagenet()
    if tensors is None:
        raise InputError(
            f"config: architectures: {architecture}: weights",
            expected="random or the path of a file: it has no published weights",
            found=IMAGENET,
            fix="set weights: random, or give a file of weights of this architecture",
        )
    return tensors


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--architecture", required=True, choices=ARCHITECTURES)
    parser.add_argument("--source", required=True, help="'imagenet' or a path")
    parser.add_argument("--sha256", help="that a local file must have")
    parser.add_argument("--output", required=True, type=Path)
    arguments = parser.parse_args(argv)
    if arguments.source == IMAGENET:
        tensors = of_imagenet(arguments.architecture)
    else:
        tensors = from_file(Path(arguments.source), arguments.sha256)
    block = ARCHITECTURES[arguments.architecture]()
    files.load_into(block, block.renamed(tensors), arguments.source)
    files.save(arguments.output, block.state_dict(), source=arguments.source)


if __name__ == "__main__":
    run(main)
