"""DenseNet121 without its classifier (Huang et al. 2017), with torchvision's names and arithmetic.

torchvision's own module takes longer to import than a small job runs, and concatenates all maps
anew for each layer of a block, so that the backward pass adds up the gradient of every map alone.
"""

import torch
from torch import Tensor, nn

BLOCKS = (6, 12, 24, 16)  # layers of each
START, GROWTH, BOTTLENECK = 64, 32, 4 * 32  # channels: of the first maps, that a layer adds, within


class DenseLayer(nn.Module):
    """(N, C, H, W) to (N, C + GROWTH, H, W): the maps that came in, and new ones."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(channels, BOTTLENECK, kernel_size=1, bias=False)
        self.norm2 = nn.BatchNorm2d(BOTTLENECK)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(BOTTLENECK, GROWTH, kernel_size=3, padding=1, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        within = self.conv1(self.relu1(self.norm1(maps)))
        return torch.cat([maps, self.conv2(self.relu2(self.norm2(within)))], dim=1)


class Transition(nn.Sequential):
    """(N, C, H, W) to (N, C / 2, H / 2, W / 2)."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv = nn.Conv2d(channels, channels // 2, kernel_size=1, bias=False)
        self.pool = nn.AvgPool2d(2)


def densenet121() -> nn.Sequential:
    """(N, 3, S, S) to (N, 1024, S / 32, S / 32), with random weights; before the last ReLU."""
    network = nn.Sequential()
    network.conv0 = nn.Conv2d(3, START, kernel_size=7, stride=2, padding=3, bias=False)
    network.norm0 = nn.BatchNorm2d(START)
    network.relu0 = nn.ReLU(inplace=True)
    network.pool0 = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
    channels = START
    for number, count in enumerate(BLOCKS, start=1):
        block = nn.Sequential()
        for place in range(1, count + 1):
            block.add_module(f"denselayer{place}", DenseLayer(channels))
            channels += GROWTH
        network.add_module(f"denseblock{number}", block)
        if number < len(BLOCKS):
            network.add_module(f"transition{number}", Transition(channels))
            channels //= 2
    network.norm5 = nn.BatchNorm2d(channels)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    return network
