"""The paper's 'naive 3-layer CNN'."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from chexviz.models.architectures.representation import Representation
from chexviz.models.sizes import STANDARD

MEAN, DEVIATION = 0.5, 0.25  # of grey levels, about


class Standard(Representation):
    """Three convolutions: (N, 1, S, S) in [0, 1] to a (N, 128, S / 8, S / 8) map."""

    channels = STANDARD[-1]

    def __init__(self) -> None:
        super().__init__()
        layers = []
        for inputs, outputs in pairwise((1, *STANDARD)):
            layers += [
                nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False),
                self.normalisation(outputs),
                # The maximum commutes with ReLU, which then has a quarter of the work.
                nn.MaxPool2d(2),
                nn.ReLU(),
            ]
        self.layers = nn.Sequential(*layers)

    @staticmethod
    def normalisation(channels: int) -> nn.Module:
        """What follows a convolution of so many maps."""
        return nn.BatchNorm2d(channels)

    def forward(self, images: Tensor) -> Tensor:
        images = (images - MEAN) / DEVIATION
        return self.blocked(images) if self.takes_blocks(images) else self.layers(images)

    def takes_blocks(self, images: Tensor) -> bool:
        """Whether `blocked` can train: on a CPU that oneDNN knows well, no layer frozen."""
        return (
            images.is_cpu
            and images.dtype == torch.float32
            and torch.backends.mkldnn.is_available()
            and torch.backends.cpu.get_cpu_capability().startswith("AVX")
            and (
                not torch.is_autocast_enabled("cpu") or torch.ops.mkldnn._is_mkldnn_bf16_supported()
            )
            and all(layer.training for layer in self.layers)
            and not torch.compiler.is_compiling()
        )

    def blocked(self, images: Tensor) -> Tensor:
        """The layers, computed in the memory layout of oneDNN; in bfloat16 under autocast.

        BatchNorm and pooling, which memory bounds, are then oneDNN's too: a step takes two thirds
        of the time that it takes in channels_last, in float32 five sixths.
        """
        whole = not torch.is_autocast_enabled("cpu")
        precision = torch.float32 if whole else torch.get_autocast_dtype("cpu")
        with torch.autocast("cpu", enabled=False):  # it does not know this memory layout
            maps = images.to(precision).to_mkldnn()
            for layer in self.layers:
                if isinstance(layer, nn.Conv2d):
                    weight = layer.weight.to(precision)
                    # Padding, stride, dilation and groups, as the layer has them.
                    maps = torch.mkldnn_convolution(maps, weight, None, (1, 1), (1, 1), (1, 1), 1)
                else:
                    maps = layer(maps)
            return maps.to_dense()
