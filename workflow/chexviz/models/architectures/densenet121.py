"""DenseNet121 (Huang et al. 2017), which can start from torchvision's ImageNet weights."""

import re

import torch
from torch import Tensor

from chexviz.base.errors import InputError
from chexviz.models.architectures.dense_blocks import densenet121
from chexviz.models.architectures.representation import Representation
from chexviz.models.sizes import DENSENET121

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # torchvision's transforms of DenseNet121_Weights
IMAGENET_STD = (0.229, 0.224, 0.225)


class DenseNet121(Representation):
    """DenseNet121 without its classifier (see dense_blocks).

    (N, 1, S, S) in [0, 1] to a (N, 1024, S / 32, S / 32) map, after the last ReLU. The grey channel
    is shown to all three input channels, normalised as ImageNet was, so pretrained weights see
    what they would see in a grey colour picture, the zero padding included.
    """

    channels = DENSENET121
    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.layers = densenet121()
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return torch.relu(self.layers((images - self.mean) / self.std))

    @staticmethod
    def imagenet() -> dict[str, Tensor]:
        """torchvision's IMAGENET1K_V1, downloaded once and checked by its hash."""
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

    @staticmethod
    def renamed(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """The part of torchvision's DenseNet121 that this block has, under its names.

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
