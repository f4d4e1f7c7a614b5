"""Local training: what a site does with its own images between two averages."""

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from chexviz.augment import augment
from chexviz.dataset import Dataset, to_unit
from chexviz.device import autocast
from chexviz.errors import InputError
from chexviz.models import Model
from chexviz.randomness import stream


class LocalSite:
    """A site of the federation: its images, its model and its optimiser, which never leave it.

    The optimiser's moments stay with the site from round to round. settings: batch, precision,
    augmentation, learning_rate, schedule; epochs is the length of the whole run.
    """

    def __init__(self, data: Dataset, model: Model, settings: Mapping, *, epochs: int, seed: int):
        self.data, self.settings, self.epochs, self.seed = data, settings, epochs, seed
        self.model = model.to(data.images.device, memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam(model.parameters(), lr=settings["learning_rate"])

    @property
    def task(self) -> torch.nn.Module:
        """The task block, which stays at the site."""
        return self.model.tasks[self.data.site]

    def train(self, epoch: int) -> tuple[float, float]:
        """Train one pass over the site's images; epoch counts from 0. Gives (mean loss, rate).

        Order, augmentation and dropout are drawn from streams keyed by (seed, site, epoch), so
        they do not depend on other sites or on whether the run was interrupted.
        """
        site = self.data.site
        draws = torch.Generator().manual_seed(stream(self.seed, "epoch", site, epoch))
        torch.manual_seed(stream(self.seed, "dropout", site, epoch))
        rate = learning_rate(self.settings, epoch, self.epochs)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.model.train()
        device = self.data.images.device
        total = torch.zeros((), device=device)
        for batch in batches(len(self.data), self.settings["batch"], draws):
            batch = batch.to(device)
            images = to_unit(self.data.images[batch])
            images = augment(images, draws, self.settings["augmentation"])
            with autocast(device, self.settings["precision"]):
                logits = self.model(images.to(memory_format=torch.channels_last), site)
            loss = masked_loss(logits.float(), self.data.labels[batch])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.detach() * len(batch)
        return self.finite(total.item() / len(self.data), epoch), rate

    def finite(self, loss: float, epoch: int) -> float:
        """The loss, if training has not diverged."""
        if not math.isfinite(loss):
            raise InputError(
                f"training of site {self.data.site}",
                expected="a finite loss",
                found=f"{loss} in epoch {epoch + 1}",
                fix="lower the learning rate",
            )
        return loss


def batches(count: int, size: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """A random order of `count` images, in batches of at most `size` that differ by one at most.

    Even batches, since BatchNorm's statistics of a last batch of one or two images would be noise.
    """
    return torch.randperm(count, generator=generator).tensor_split(math.ceil(count / size))


def masked_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean binary cross-entropy over the annotated images; a NaN label contributes no loss."""
    known = ~torch.isnan(labels)
    losses = F.binary_cross_entropy_with_logits(logits, labels.nan_to_num(), reduction="none")
    return (losses * known).sum() / known.sum().clamp(min=1)


def learning_rate(settings: Mapping, epoch: int, epochs: int) -> float:
    """The rate of an epoch (from 0): constant, or half a cosine from learning_rate towards 0."""
    rate = settings["learning_rate"]
    if settings["schedule"] == "constant":
        return rate
    return rate * (1 + math.cos(math.pi * epoch / epochs)) / 2
