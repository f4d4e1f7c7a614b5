"""DenseNet121 without its classifier (Huang et al. 2017), with torchvision's names and arithmetic.

torchvision's own module takes longer to import than a small job runs, and concatenates all maps
anew for each layer of a block, so that the backward pass adds up the gradient of every map alone,
and keeps all those copies for it. Here a block trains on a CPU with a third of the memory (see
`Recomputed`; Pleiss et al. 2017).
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from chexviz.architectures import BLOCKS, BOTTLENECK, GROWTH, START


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
        return torch.cat([maps, self.grow(self.bottleneck(maps))], dim=1)

    def bottleneck(self, maps: Tensor) -> Tensor:
        """All maps (N, C, H, W) to few: (N, BOTTLENECK, H, W)."""
        return self.conv1(self.relu1(self.norm1(maps)))

    def grow(self, within: Tensor) -> Tensor:
        """Those to the new maps: (N, GROWTH, H, W)."""
        return self.conv2(self.relu2(self.norm2(within)))


class DenseBlock(nn.Sequential):
    """Layers one after the other: (N, C, H, W) to (N, C + GROWTH * layers, H, W)."""

    def forward(self, maps: Tensor) -> Tensor:
        if self.recomputes(maps):
            layers = [layer for layer in self if isinstance(layer, DenseLayer)]
            parameters = [one for layer in layers for one in parameters_of(layer)]
            return Recomputed.apply(maps, layers, *parameters)
        return super().forward(maps)

    def recomputes(self, maps: Tensor) -> bool:
        """Whether it trains with less memory: on a CPU, no layer frozen."""
        return (
            maps.is_cpu
            and torch.is_grad_enabled()
            and all(module.training for module in self.modules())
            and not torch.compiler.is_compiling()
        )


def parameters_of(layer: DenseLayer) -> list[Tensor]:
    """What a layer trains, in the order in which `Recomputed` gives its gradients."""
    halves = (layer.norm1, layer.conv1), (layer.norm2, layer.conv2)
    return [one for norm, conv in halves for one in (norm.weight, norm.bias, conv.weight)]


class Recomputed(torch.autograd.Function):
    """A block in training that keeps its maps once, and what its bottlenecks gave.

    Autograd would keep the maps of a block anew for each layer, before and after BatchNorm and
    ReLU. Those are computed again from the statistics of the batch; no convolution is.
    """

    @staticmethod
    def forward(ctx: Any, maps: Tensor, layers: list[DenseLayer], *_: Tensor) -> Tensor:
        count, channels, *size = maps.shape
        shape = (count, channels + GROWTH * len(layers), *size)
        grown = torch.empty(shape, dtype=maps.dtype, memory_format=torch.channels_last)
        grown[:, :channels] = maps
        kept = []
        for layer in layers:
            within, *of_maps = half(first(grown, channels), layer.norm1, layer.conv1)
            new, *of_within = half(within, layer.norm2, layer.conv2)
            grown[:, channels : channels + GROWTH] = new
            channels += GROWTH
            kept += [*of_maps, within, *of_within]
        ctx.save_for_backward(grown, *kept)
        ctx.layers = layers
        return grown

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        grown, *kept = ctx.saved_tensors
        gradient = gradient.clone(memory_format=torch.channels_last)
        channels, found = grown.shape[1], []
        for number, layer in reversed([*enumerate(ctx.layers)]):
            mean, deviation, within, *of_within = kept[5 * number : 5 * number + 5]
            channels -= GROWTH
            new = gradient[:, channels : channels + GROWTH]
            new = new.contiguous(memory_format=torch.channels_last)
            new, *second = half_backward(new, within, of_within, layer.norm2, layer.conv2)
            maps = first(grown, channels)
            new, *own = half_backward(new, maps, [mean, deviation], layer.norm1, layer.conv1)
            gradient[:, :channels] += new
            found.append(own + second)
        return first(gradient, channels), None, *(one for own in reversed(found) for one in own)


def first(maps: Tensor, channels: int) -> Tensor:
    """A copy of the first maps, as dense in memory as BatchNorm wants them."""
    return maps[:, :channels].contiguous(memory_format=torch.channels_last)


def half(maps: Tensor, norm: nn.BatchNorm2d, conv: nn.Conv2d) -> tuple[Tensor, Tensor, Tensor]:
    """conv(relu(norm(maps))) in training, and the mean and inverse deviation of each map."""
    assert norm.num_batches_tracked is not None
    assert norm.momentum is not None
    norm.num_batches_tracked.add_(1)
    running = norm.running_mean, norm.running_var
    shown, mean, deviation = torch.native_batch_norm(
        maps, norm.weight, norm.bias, *running, True, norm.momentum, norm.eps
    )
    return conv(shown.relu_()), mean, deviation


def half_backward(
    gradient: Tensor,
    maps: Tensor,
    statistics: list[Tensor],
    norm: nn.BatchNorm2d,
    conv: nn.Conv2d,
) -> tuple[Tensor, ...]:
    """From the gradient of what `half` gave: of maps, norm's weight and bias, and the kernel."""
    aten, everything = torch.ops.aten, [True, True, True]
    mean, deviation = statistics
    variance = deviation**-2 - norm.eps
    shown, _, _ = torch.native_batch_norm(
        maps, norm.weight, norm.bias, mean, variance, False, 0.0, norm.eps
    )
    shown.relu_()
    geometry = [conv.stride, conv.padding, conv.dilation, False, [0, 0], conv.groups]
    gradient, of_kernel, _ = aten.convolution_backward(
        gradient, shown, conv.weight.to(maps.dtype), None, *geometry, [True, True, False]
    )
    gradient = aten.threshold_backward(gradient, shown, 0)
    of_maps, *of_norm = aten.native_batch_norm_backward(
        gradient, maps, norm.weight, None, None, mean, deviation, True, norm.eps, everything
    )
    return of_maps, *of_norm, of_kernel.to(conv.weight.dtype)


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
        block = DenseBlock()
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
