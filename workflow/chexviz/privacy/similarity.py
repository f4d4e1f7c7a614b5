"""How alike a reconstruction and a radiograph are."""

import torch
import torch.nn.functional as F
from torch import Tensor

WINDOW = 7  # pixels: of the means that SSIM compares
STABLE = (0.01**2, 0.03**2)  # of Wang et al. 2004, for images in [0, 1]


def psnr(one: Tensor, other: Tensor) -> Tensor:
    """Peak signal-to-noise ratio (n,) in dB of images (n, 1, S, S) in [0, 1]."""
    error = (one - other).square().mean(dim=(1, 2, 3))
    return -10 * torch.log10(error.clamp(min=1e-12))


def ssim(one: Tensor, other: Tensor) -> Tensor:
    """Structural similarity (n,) of images (n, 1, S, S) in [0, 1] (Wang et al. 2004).

    In even windows, with the unbiased variances of scikit-image's default.
    """

    def mean(values: Tensor) -> Tensor:
        return F.avg_pool2d(values.double(), WINDOW, stride=1)

    unbiased = WINDOW**2 / (WINDOW**2 - 1)
    first, second = mean(one), mean(other)
    spread = unbiased * (mean(one.double().square()) - first**2)
    spread_other = unbiased * (mean(other.double().square()) - second**2)
    common = unbiased * (mean(one.double() * other.double()) - first * second)
    light = (2 * first * second + STABLE[0]) / (first**2 + second**2 + STABLE[0])
    shape = (2 * common + STABLE[1]) / (spread + spread_other + STABLE[1])
    return (light * shape).mean(dim=(1, 2, 3))


def correlation(one: Tensor, other: Tensor) -> Tensor:
    """Pearson's correlation of all pairs of images (n, 1, S, S), (m, 1, S, S): (n, m)."""
    first, second = (F.normalize(standardised(images)) for images in (one, other))
    return first @ second.T


def standardised(images: Tensor) -> Tensor:
    """Images as rows (n, S * S) of mean 0."""
    rows = images.flatten(1)
    return rows - rows.mean(dim=1, keepdim=True)
