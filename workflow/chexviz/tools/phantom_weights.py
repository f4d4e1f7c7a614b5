"""A stand-in for torchvision's file of DenseNet121: its names and shapes, but random tensors.

Entry point: python -m chexviz.tools.phantom_weights --seed 2022 --output imagenet.pth.
"""

import re
from pathlib import Path

import torch
from torchvision.models import densenet121

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.files import replacing
from chexviz.base.options import SEED, whole


def draw(seed: int) -> dict[str, torch.Tensor]:
    """The tensors of a network that is not trained, under the names of the file of 2017.

    It has norm.1 where torchvision's module has norm1, and no counts of batches.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tensors = densenet121().state_dict()
    return {
        re.sub(r"(denselayer\d+\.(?:norm|conv))([12])\.", r"\1.\2.", name): tensor
        for name, tensor in tensors.items()
        if not name.endswith("num_batches_tracked")
    }


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--seed", required=True, type=whole(0, SEED))
    parser.add_argument("--output", required=True, type=Path, help="a .pth file")
    arguments = parser.parse_args(argv)
    with replacing(arguments.output) as temporary:
        torch.save(draw(arguments.seed), temporary)


if __name__ == "__main__":
    run(main)
