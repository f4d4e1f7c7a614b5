"""The same with GroupNorm, which no image of a batch has from another: what privacy needs."""

import math

from torch import Tensor, nn

from chexviz.models.architectures.standard import Standard

GROUPS = 32  # Wu and He 2018


class StandardGroupNorm(Standard):
    """Three convolutions, each followed by GroupNorm: (N, 1, S, S) to (N, 128, S / 8, S / 8)."""

    @staticmethod
    def normalisation(channels: int) -> nn.Module:
        """GroupNorm of as many groups as there can be up to 32."""
        return nn.GroupNorm(math.gcd(GROUPS, channels), channels)

    def takes_blocks(self, images: Tensor) -> bool:
        """oneDNN's memory layout has no GroupNorm."""
        return False
