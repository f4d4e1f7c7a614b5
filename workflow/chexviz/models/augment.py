"""Augmentation of a whole batch at once, on the device, each image with its own draw."""

import math
from typing import Annotated

import msgspec
import torch
import torch.nn.functional as F
from torch import Tensor

from chexviz.base.settings import Settings


class Augmentation(Settings, frozen=True):
    """How far images are changed at random."""

    rotation: Annotated[float, msgspec.Meta(ge=0, le=180)]  # degrees to either side
    zoom: Annotated[float, msgspec.Meta(ge=0, lt=1)]  # fraction, in or out
    contrast: Annotated[float, msgspec.Meta(ge=0, le=1)]  # fraction, up or down, around the mean
    flip: Annotated[float, msgspec.Meta(ge=0, le=1)]  # probability of a left-right flip


def augment(images: Tensor, draws: Tensor, settings: Augmentation) -> Tensor:
    """Rotate, zoom, flip and change the contrast of each image at random.

    images: float32 (N, 1, S, S) in [0, 1]; so is the result. What moves in from outside is black.
    draws: uniform in [0, 1), (4, N), on the device of the images; they decide all.
    """
    angle = (2 * draws[0] - 1) * math.radians(settings.rotation)
    scale = 1 + (2 * draws[1] - 1) * settings.zoom
    side = torch.where(draws[2] < settings.flip, -1.0, 1.0)
    gain = 1 + (2 * draws[3] - 1) * settings.contrast
    moved = warp(images, angle, scale, side)
    mean = moved.mean(dim=(1, 2, 3), keepdim=True)
    gain = gain.view(-1, 1, 1, 1)
    return torch.addcmul(mean * (1 - gain), moved, gain).clamp_(0, 1)


def warp(images: Tensor, angle: Tensor, scale: Tensor, side: Tensor) -> Tensor:
    """Turn left by `angle` (radians), zoom out by `scale`, mirror where `side` is -1; each (N,)."""
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    size = images.shape[-1]
    middles = (torch.arange(size, device=images.device) + 0.5) * (2 / size) - 1
    # Where each pixel comes from, (x, y) in [-1, 1]: F.affine_grid is a slow product of matrices.
    across = torch.stack([cos, sin], dim=1)[:, None] * (side[:, None, None] * middles[:, None])
    down = torch.stack([-sin, cos], dim=1)[:, None] * middles[:, None]
    grid = across[:, None] + down[:, :, None]
    return F.grid_sample(images, grid, align_corners=False)
