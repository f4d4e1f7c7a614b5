"""A model: a representation block that sites share, and a task block that each keeps."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from chexviz.base.randomness import stream
from chexviz.models.architectures import ARCHITECTURES, Representation
from chexviz.models.sizes import DROPOUT, HIDDEN


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
    """Pooled features (N, C) to one logit (N,): C -> 256 -> dropout 0.3 -> 1."""

    def __init__(self, channels: int):
        super().__init__()
        self.dropout = Dropout(DROPOUT)
        self.layers = nn.Sequential(
            nn.Linear(channels, HIDDEN), nn.ReLU(), self.dropout, nn.Linear(HIDDEN, 1)
        )

    def forward(self, features: Tensor) -> Tensor:
        return self.layers(features).squeeze(1)


def pooled(maps: Tensor) -> Tensor:
    """Maps (N, C, h, w) to their means (N, C), all that the task blocks see of them."""
    return maps.mean(dim=(2, 3))


class Model(nn.Module):
    """A representation block and the task blocks of one site (baseline) or several (federated)."""

    def __init__(self, representation: Representation, tasks: Mapping[str, TaskBlock]):
        super().__init__()
        self.representation = representation
        self.tasks = nn.ModuleDict(tasks)

    def task(self, site: str) -> TaskBlock:
        """The task block of a site."""
        block = self.tasks[site]
        assert isinstance(block, TaskBlock)
        return block

    def features(self, images: Tensor) -> Tensor:
        """Images (N, 1, S, S) in [0, 1] to globally averaged features (N, C)."""
        return pooled(self.representation(images))

    def forward(self, images: Tensor, heads: Sequence[str]) -> Tensor:
        """Images (N, 1, S, S) in [0, 1] to the logits (N, heads) of some sites' task blocks."""
        features = self.features(images)
        return torch.stack([self.tasks[head](features) for head in heads], dim=1)


def build(architecture: str, sites: Sequence[str], seed: int) -> Model:
    """A model with random weights: the representation block by seed, a task block by (seed, site).

    All methods of one seed therefore start from the same weights, whoever else takes part.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream(seed, "representation"))
        representation = ARCHITECTURES[architecture]()
        tasks = {}
        for site in sites:
            torch.manual_seed(stream(seed, "task", site))
            tasks[site] = TaskBlock(representation.channels)
    return Model(representation, tasks)
