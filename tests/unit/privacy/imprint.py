"""The imprint attack of a server that changes the code (Fowl et al. 2022, 'Robbing the Fed').

Before the network it lays a layer whose neurons all see the same, an image's mean brightness, and
differ in the level from which they are active. The gradients of two neighbours then differ by the
images between their levels: by one image alone, if no other is there, and that image is read off.
"""

import torch
from torch import Tensor, nn

from chexviz.models.architectures.representation import Representation


class Imprint(Representation):
    """A representation block with that layer before it. levels: (bins,), ascending."""

    def __init__(self, block: Representation, side: int, levels: Tensor):
        super().__init__()
        self.block, self.channels = block, block.channels
        self.layer = nn.Linear(side**2, len(levels))
        with torch.no_grad():
            self.layer.weight.fill_(1 / side**2)
            self.layer.bias.copy_(-levels)

    def forward(self, images: Tensor) -> Tensor:
        # Every neuron goes on with the same weight, so that its gradient tells of its images alone.
        seen = self.layer(images.flatten(1)).relu().sum(dim=1)
        return self.block(images) + seen[:, None, None, None]


def recovered(layer: nn.Linear) -> Tensor:
    """The images (bins, side * side) that the gradients of such a layer give away."""
    weight, bias = (
        torch.cat([part[:-1] - part[1:], part[-1:]])
        for part in (layer.weight.grad, layer.bias.grad)
    )
    return weight[bias != 0] / bias[bias != 0, None]
