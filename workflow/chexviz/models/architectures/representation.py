"""What every architecture is: a representation block, and what it may start from."""

from torch import Tensor, nn


class Representation(nn.Module):
    """The block that sites share: images (N, 1, S, S) in [0, 1] to maps (N, channels, h, w).

    The maps are those after its last ReLU, since Grad-CAM shows them. A subclass computes them in
    `forward`, takes no arguments, and knows itself how it wants the grey levels normalised.
    """

    channels: int  # of the maps: what the task blocks see is the mean of each

    @staticmethod
    def imagenet() -> dict[str, Tensor] | None:
        """The published tensors of it, trained on ImageNet; None where there are none."""
        return None

    @staticmethod
    def renamed(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """The tensors of a file of weights under the names of this block."""
        return tensors
