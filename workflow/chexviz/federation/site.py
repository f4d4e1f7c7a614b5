"""Local training: what a site does with its own images between two averages."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chexviz.base.errors import InputError
from chexviz.base.randomness import stream
from chexviz.federation.settings import Training
from chexviz.models.adam import Adam
from chexviz.models.augment import augment
from chexviz.models.dataset import Dataset, to_unit
from chexviz.models.device import autocast, place
from chexviz.models.model import Model

ALL, TASK, REPRESENTATION = "all", "task", "representation"  # what an epoch trains
LAST = 5  # losses shown when training diverges


class LocalSite:
    """A site of the federation: its images, its model and its optimiser, which never leave it.

    The optimiser's moments stay with the site from round to round. epochs: of the whole run.
    `epoch` and `batch` say how far the site is within a round, so that it can be left after any
    batch and taken up again.
    """

    def __init__(self, data: Dataset, model: Model, settings: Training, *, epochs: int, seed: int):
        self.data, self.settings, self.epochs, self.seed = data, settings, epochs, seed
        self.name, self.device = data.site, data.images.device
        self.size, self.known = data.size, data.known
        self.model = place(model, self.device)
        self.frozen = batchnorm_layers(model) if settings.method.batchnorm == "frozen" else []
        if settings.compile:
            self.model.representation.compile()
        self.optimizer = Adam(model.parameters(), lr=settings.learning_rate)
        self.dropout = torch.Generator(self.device)
        for head in data.heads:
            self.model.task(head).dropout.generator = self.dropout
        self.epoch = self.batch = 0
        self.losses = torch.zeros(math.ceil(len(data) / settings.batch), device=self.device)
        self.means: list[float] = []  # of the epochs of this round

    def train(
        self, number: int, phases: Sequence[str], correct: Callable[[], None] | None
    ) -> Iterator[None]:
        """Train the epochs of round `number` (from 0), from where the site is in it.

        phases: what each epoch trains. correct: is called between the gradients and the step.
        Yields after every batch, where a checkpoint can be taken.
        """
        while self.epoch < len(phases):
            epoch = number * len(phases) + self.epoch
            self.set_up(epoch, phases[self.epoch])
            for _ in self.batches_of(epoch, correct):
                yield
            self.means.append(self.mean_loss(number))
            self.epoch, self.batch = self.epoch + 1, 0

    def start_round(self) -> None:
        """Forget how far the last round came."""
        self.epoch, self.batch, self.means = 0, 0, []
        self.optimizer.zero_grad()  # gives the memory to the next site

    def set_up(self, epoch: int, phase: str) -> None:
        """Bring model and optimiser into the state in which an epoch trains."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.settings, epoch, self.epochs)
        self.model.requires_grad_(True)
        self.model.representation.requires_grad_(phase != TASK)
        self.model.tasks.requires_grad_(phase != REPRESENTATION)
        self.model.train()
        # Frozen means frozen: running statistics stay as well.
        self.model.representation.train(phase != TASK)
        for layer in self.frozen:
            layer.eval().requires_grad_(False)

    def batches_of(self, epoch: int, correct: Callable[[], None] | None) -> Iterator[None]:
        """Train the batches of an epoch that are left; yields after each.

        Order, augmentation and dropout are drawn from streams keyed by (seed, site, epoch), so
        they do not depend on other sites or on whether the run was interrupted. Nothing here waits
        for the device.
        """
        draws = torch.Generator().manual_seed(stream(self.seed, "epoch", self.name, epoch))
        order = batches(len(self.data), self.settings.batch, draws)
        values = torch.rand(4, len(self.data), generator=draws).to(self.device)
        changes = values.tensor_split(len(order), dim=1)
        order = torch.cat(order).to(self.device).tensor_split(len(order))
        left = slice(self.batch, None)
        pixels = self.data.images.batches(order[left])
        for batch, change, images in zip(order[left], changes[left], pixels, strict=True):
            self.dropout.manual_seed(stream(self.seed, "dropout", self.name, epoch, self.batch))
            loss = self.step(images, self.data.labels[batch], change, correct)
            self.losses[self.batch] = loss * len(batch)
            self.batch += 1
            yield

    def step(
        self, images: Tensor, labels: Tensor, change: Tensor, correct: Callable[[], None] | None
    ) -> Tensor:
        """One step on uint8 images (b, S, S) with labels (b, F); the loss."""
        images = augment(to_unit(images), change, self.settings.augmentation)
        images = images.to(memory_format=torch.channels_last)
        with autocast(self.device, self.settings.precision):
            logits = self.model(images, [*self.data.heads])
        loss = masked_loss(logits.float(), labels)
        self.optimizer.zero_grad()
        loss.backward()
        if correct:
            with torch.no_grad():
                correct()
        self.optimizer.step()
        return loss.detach()

    def mean_loss(self, number: int) -> float:
        """The mean loss of the epoch that just ended. Raises InputError if training diverged."""
        losses = self.losses.cpu()
        odd = (~torch.isfinite(losses)).nonzero()
        if len(odd):
            batch = int(odd[0])
            last = losses[max(0, batch - LAST) : batch] * len(losses) / len(self.data)
            before = ", ".join(f"{loss:.4g}" for loss in last.tolist()) or "none"
            raise InputError(
                f"training of site {self.name}",
                expected="finite losses",
                found=f"not finite in round {number + 1}, batch {batch + 1} of {len(losses)}; "
                f"the losses before it: {before}",
                fix="lower the learning rate",
            )
        return losses.double().sum().item() / len(self.data)

    @property
    def loss(self) -> float:
        """The mean loss of this round's epochs, as the server is told it."""
        return sum(self.means) / len(self.means)

    def epsilon(self, rounds: int) -> float:
        """What a patient has spent of its privacy after so many rounds: without noise all of it."""
        return math.inf

    def state(self) -> dict:
        """All that the site needs to go on from where it is."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "position": [self.epoch, self.batch],
            "losses": self.losses,
            "means": self.means,
        }

    def load(self, state: Mapping) -> None:
        """Go on from where `state` was taken."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.batch = state["position"]
        self.losses.copy_(state["losses"])
        self.means = list(state["means"])


def site_of(
    data: Dataset,
    model: Model,
    settings: Training,
    *,
    epochs: int,
    seed: int,
    duplicates: Path | None,
    secret: int,
) -> LocalSite:
    """A site as the method trains it, see LocalSite; with privacy, see PrivateSite.

    Raises InputError, also of a method with privacy without `duplicates`.
    """
    if not settings.method.sites_add_noise:
        return LocalSite(data, model, settings, epochs=epochs, seed=seed)
    if duplicates is None:
        raise InputError(
            f"training of site {data.site} with `privacy`",
            expected="--duplicates, which images are nearly identical: they are of one record",
            found="none",
            fix="name the duplicates.csv of the site",
        )
    # Its library takes seconds to import.
    from chexviz.federation.private_site import PrivateSite

    return PrivateSite(
        data, model, settings, epochs=epochs, seed=seed, duplicates=duplicates, secret=secret
    )


def batchnorm_layers(model: nn.Module) -> list[nn.Module]:
    """The BatchNorm layers of a model."""
    return [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]


def batches(count: int, size: int, generator: torch.Generator) -> tuple[Tensor, ...]:
    """A random order of `count` images, in batches of at most `size` that differ by one at most.

    Even batches, since BatchNorm's statistics of a last batch of one or two images would be noise.
    """
    return torch.randperm(count, generator=generator).tensor_split(math.ceil(count / size))


def masked_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean binary cross-entropy over what is annotated; a NaN label contributes no loss."""
    known = ~torch.isnan(labels)
    losses = F.binary_cross_entropy_with_logits(logits, labels.nan_to_num(), reduction="none")
    return (losses * known).sum() / known.sum().clamp(min=1)


def learning_rate(settings: Training, epoch: int, epochs: int) -> float:
    """The rate of an epoch (from 0): constant, or half a cosine from learning_rate towards 0."""
    rate = settings.learning_rate
    if settings.schedule == "constant":
        return rate
    return rate * (1 + math.cos(math.pi * epoch / epochs)) / 2
