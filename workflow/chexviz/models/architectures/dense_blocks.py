"""DenseNet121 without its classifier (Huang et al. 2017), with torchvision's names and arithmetic.

torchvision's own module takes longer to import than a small job runs, and concatenates all maps
anew for each layer of a block, so that the backward pass adds up the gradient of every map alone,
and keeps all those copies for it. Here a block trains on a CPU with a third of the memory (see
`Recomputed`; Pleiss et al. 2017), and what lies between blocks with half (see `Pooled`).
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from chexviz.models.sizes import BLOCKS, BOTTLENECK, GROWTH, START


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
        if recomputes(self, maps):
            layers = [layer for layer in self if isinstance(layer, DenseLayer)]
            parameters = [one for layer in layers for one in parameters_of(layer)]
            return Recomputed.apply(maps, layers, *parameters)
        return super().forward(maps)


def recomputes(module: nn.Module, maps: Tensor) -> bool:
    """Whether it trains with less memory: on a CPU, no layer frozen."""
    return (
        maps.is_cpu
        and torch.is_grad_enabled()
        and all(one.training for one in module.modules())
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
        room, kept = torch.empty(grown.numel(), dtype=grown.dtype), []
        for layer in layers:
            within, *of_maps = half(first(grown, channels, room), layer.norm1, layer.conv1)
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
        room = torch.empty(grown.numel(), dtype=grown.dtype)
        for number, layer in reversed([*enumerate(ctx.layers)]):
            mean, deviation, within, *of_within = kept[5 * number : 5 * number + 5]
            channels -= GROWTH
            new = gradient[:, channels : channels + GROWTH]
            new = new.contiguous(memory_format=torch.channels_last)
            new, *second = half_backward(new, within, of_within, layer.norm2, layer.conv2)
            maps = first(grown, channels, room)
            new, *own = half_backward(new, maps, [mean, deviation], layer.norm1, layer.conv1)
            gradient[:, :channels] += new
            found.append(own + second)
        gradient = gradient[:, :channels].contiguous(memory_format=torch.channels_last)
        return gradient, None, *(one for own in reversed(found) for one in own)


class Pooled(torch.autograd.Function):
    """pool(relu(norm(maps))) in training that keeps the maps alone, not what BatchNorm gave.

    Its last arguments are norm's weight and bias, so that they get their gradients.
    """

    @staticmethod
    def forward(
        ctx: Any, maps: Tensor, norm: nn.BatchNorm2d, pool: nn.Module, *_: Tensor
    ) -> Tensor:
        shown, *statistics = shown_first(maps, norm)
        ctx.save_for_backward(maps, *statistics)
        ctx.norm, ctx.pool = norm, pool
        return pool(shown)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        maps, *statistics = ctx.saved_tensors
        shown = shown_again(maps, statistics, ctx.norm)
        with torch.enable_grad():
            leaf = shown.detach().requires_grad_()
            (wide,) = torch.autograd.grad(ctx.pool(leaf), leaf, gradient)
        of_maps, *of_norm = norm_backward(wide, shown, maps, statistics, ctx.norm)
        return of_maps, None, None, *of_norm


def first(maps: Tensor, channels: int, room: Tensor) -> Tensor:
    """A copy of the first maps in `room`, as dense in memory as BatchNorm wants them.

    Room for all maps, taken once: with copies of all sizes freed memory would end in pieces.
    """
    count, _, height, width = maps.shape
    dense = room[: count * height * width * channels]
    dense = dense.view(count, height, width, channels).permute(0, 3, 1, 2)
    return dense.copy_(maps[:, :channels])


def half(maps: Tensor, norm: nn.BatchNorm2d, conv: nn.Conv2d) -> tuple[Tensor, Tensor, Tensor]:
    """conv(relu(norm(maps))) in training, and the mean and inverse deviation of each map."""
    shown, mean, deviation = shown_first(maps, norm)
    return conv(shown), mean, deviation


def shown_first(maps: Tensor, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor, Tensor]:
    """relu(norm(maps)) in training, and the mean and inverse deviation of each map."""
    assert norm.num_batches_tracked is not None
    assert norm.momentum is not None
    norm.num_batches_tracked.add_(1)
    running = norm.running_mean, norm.running_var
    shown, mean, deviation = torch.native_batch_norm(
        maps, norm.weight, norm.bias, *running, True, norm.momentum, norm.eps
    )
    return shown.relu_(), mean, deviation


def half_backward(
    gradient: Tensor,
    maps: Tensor,
    statistics: list[Tensor],
    norm: nn.BatchNorm2d,
    conv: nn.Conv2d,
) -> tuple[Tensor, ...]:
    """From the gradient of what `half` gave: of maps, norm's weight and bias, and the kernel."""
    shown = shown_again(maps, statistics, norm)
    geometry = [conv.stride, conv.padding, conv.dilation, False, [0, 0], conv.groups]
    gradient, of_kernel, _ = torch.ops.aten.convolution_backward(
        gradient, shown, conv.weight.to(maps.dtype), None, *geometry, [True, True, False]
    )
    of_norm = norm_backward(gradient, shown, maps, statistics, norm)
    return *of_norm, of_kernel.to(conv.weight.dtype)


def shown_again(maps: Tensor, statistics: list[Tensor], norm: nn.BatchNorm2d) -> Tensor:
    """relu(norm(maps)) from the mean and inverse deviation that training found."""
    mean, deviation = statistics
    variance = deviation**-2 - norm.eps
    shown, _, _ = torch.native_batch_norm(
        maps, norm.weight, norm.bias, mean, variance, False, 0.0, norm.eps
    )
    return shown.relu_()


def norm_backward(
    gradient: Tensor, shown: Tensor, maps: Tensor, statistics: list[Tensor], norm: nn.BatchNorm2d
) -> tuple[Tensor, Tensor, Tensor]:
    """From the gradient of relu(norm(maps)), which is overwritten: of maps, weight and bias."""
    aten, everything = torch.ops.aten, [True, True, True]
    aten.threshold_backward(gradient, shown, 0, grad_input=gradient)
    mean, deviation = statistics
    return aten.native_batch_norm_backward(
        gradient, maps, norm.weight, None, None, mean, deviation, True, norm.eps, everything
    )


class Transition(nn.Sequential):
    """(N, C, H, W) to (N, C / 2, H / 2, W / 2)."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv = nn.Conv2d(channels, channels // 2, kernel_size=1, bias=False)
        self.pool = nn.AvgPool2d(2)

    def forward(self, maps: Tensor) -> Tensor:
        if recomputes(self, maps):
            # A mean commutes with a convolution of one pixel, which then has a quarter of the work.
            pooled = Pooled.apply(maps, self.norm, self.pool, self.norm.weight, self.norm.bias)
            return self.conv(pooled)
        return super().forward(maps)


class DenseNet(nn.Sequential):
    """Convolution and pooling, then blocks and transitions, named as torchvision's are."""

    conv0: nn.Conv2d
    norm0: nn.BatchNorm2d
    pool0: nn.MaxPool2d

    def forward(self, images: Tensor) -> Tensor:
        if not recomputes(self, images):
            return super().forward(images)
        maps, norm = self.conv0(images), self.norm0
        maps = Pooled.apply(maps, norm, self.pool0, norm.weight, norm.bias)
        for module in [*self][4:]:
            maps = module(maps)
        return maps


def densenet121() -> DenseNet:
    """(N, 3, S, S) to (N, 1024, S / 32, S / 32), with random weights; before the last ReLU."""
    network = DenseNet()
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
