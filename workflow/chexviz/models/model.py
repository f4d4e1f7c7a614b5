"""A model: a representation block that sites share, and task blocks of a site or of all."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from chexviz.base.randomness import stream
from chexviz.models.architectures import ARCHITECTURES, Representation
from chexviz.models.sizes import DROPOUT, HIDDEN

Heads = Mapping[str, Sequence[str]]  # findings of each head


class Dropout(nn.Module):
    """Dropout whose mask comes from `generator`, so that nobody else's draws change it.

    torch.nn.Dropout knows the device's one generator alone.
    """

    def __init__(self, share: float):
        super().__init__()
        self.share = share
        self.generator: torch.Generator | None = None  # None: the device's own

    def forward(self, features: Tensor) -> Tensor:
        if not self.training:
            return features
        draws = torch.rand(features.shape, generator=self.generator, device=features.device)
        return features * (draws >= self.share) / (1 - self.share)


class TaskBlock(nn.Module):
    """Pooled features (N, C) to a logit a finding (N, F): C -> 256 -> dropout 0.3 -> F."""

    BY_FINDING = ("layers.3.weight", "layers.3.bias")  # tensors that have a row for each finding

    def __init__(self, channels: int, findings: int):
        super().__init__()
        self.dropout = Dropout(DROPOUT)
        self.layers = nn.Sequential(
            nn.Linear(channels, HIDDEN), nn.ReLU(), self.dropout, nn.Linear(HIDDEN, findings)
        )

    def forward(self, features: Tensor) -> Tensor:
        return self.layers(features)


def pooled(maps: Tensor) -> Tensor:
    """Maps (N, C, h, w) to their means (N, C), all that the task blocks see of them."""
    return maps.mean(dim=(2, 3))


class Model(nn.Module):
    """A representation block and task blocks, by the names of their heads.

    heads: the findings of each task block, in the order of its logits. A task block is a site's
    own, and has its name, or is shared by all.
    """

    def __init__(self, representation: Representation, heads: Heads):
        super().__init__()
        self.representation = representation
        self.heads = heads
        self.tasks = nn.ModuleDict()

    def task(self, head: str) -> TaskBlock:
        """The task block of a head."""
        block = self.tasks[head]
        assert isinstance(block, TaskBlock)
        return block

    def features(self, images: Tensor) -> Tensor:
        """Images (N, 1, S, S) in [0, 1] to globally averaged features (N, C)."""
        return pooled(self.representation(images))

    def forward(self, images: Tensor, heads: Sequence[str]) -> Tensor:
        """Images (N, 1, S, S) in [0, 1] to the logits (N, F) of all findings of some heads."""
        features = self.features(images)
        return torch.cat([self.tasks[head](features) for head in heads], dim=1)


def build(architecture: str, heads: Heads, seed: int) -> Model:
    """A model with random weights: the representation block by seed, a task block by (seed, head).

    All methods of one seed therefore start from the same weights, whoever else takes part.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream(seed, "representation"))
        model = Model(ARCHITECTURES[architecture](), heads)
        for head, findings in heads.items():
            torch.manual_seed(stream(seed, "task", head))
            model.tasks[head] = TaskBlock(model.representation.channels, len(findings))
    return model
