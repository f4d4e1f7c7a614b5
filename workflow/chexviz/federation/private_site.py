"""Local training with differential privacy for each patient: DP-SGD (Abadi et al. 2016).

Gradients of each image, clipping, noise and accountant are Opacus' (Yousefpour et al. 2021). What
is here makes one record of all images of a patient, and of images nearly identical to them.
"""

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from opacus.grad_sample import GradSampleHooks
from opacus.optimizers import DPOptimizer
from torch import Tensor

from chexviz.base.randomness import generator, stream
from chexviz.base.records import groups
from chexviz.base.tables.study import DUPLICATES, PAIR
from chexviz.federation.accountant import noise_multiplier, spent
from chexviz.federation.exchange import digest
from chexviz.federation.privacy_rules import check_delta
from chexviz.federation.settings import Training
from chexviz.federation.site import LocalSite
from chexviz.models.adam import Adam
from chexviz.models.augment import augment
from chexviz.models.dataset import Dataset, to_unit
from chexviz.models.model import Model

# A convolution of images gets no gradient of them.
warnings.filterwarnings("ignore", message="Full backward hook is firing")


class PrivateOptimizer(DPOptimizer):
    """Opacus' optimiser over the Adam of all sites, which gets the clipped and noisy gradients.

    noise: draws of a step, set before it, by a key of what they hide.
    """

    noise: Callable[[str], np.random.Generator]

    @property
    def params(self) -> list[Any]:
        """The parameters that train, at each of which Opacus keeps what it knows of it."""
        return [one for one in self.original_optimizer.parameters if one.requires_grad]

    def add_noise(self) -> None:
        """The sum of the clipped gradients, with noise for each of its numbers, as gradients."""
        deviation = self.noise_multiplier * self.max_grad_norm
        draws = self.noise(f"{deviation} {digest(one.summed_grad for one in self.params)}")
        for one in self.params:
            drawn = draws.standard_normal(one.shape, dtype=np.float32)
            noisy = torch.from_numpy(drawn).to(one.device).mul_(deviation).add_(one.summed_grad)
            one.grad = torch.empty_like(one, requires_grad=False).copy_(noisy)

    def zero_grad(self) -> None:
        """Give the memory of gradients back, but for the sum of a step that is not over."""
        for one in self.params:
            one.grad_sample = None
            if not self._is_last_step_skipped:
                one.summed_grad = None
        self.original_optimizer.zero_grad()


class PrivateSite(LocalSite):
    """A site that trains privately: no patient spends more than the method's epsilon.

    duplicates: duplicates.csv. secret: what noise and the choice of patients are drawn from; who
    knows it can take the noise away. A batch is of patients, each in it with the same probability,
    independently (Poisson sampling), so that `batch` of them at most are expected. It computes in
    float32, as what is clipped must be exact, and not in channels_last, in which Opacus 1.6 gives
    wrong gradients of convolutions. Raises InputError.
    """

    optimizer: PrivateOptimizer

    def __init__(
        self,
        data: Dataset,
        model: Model,
        settings: Training,
        *,
        epochs: int,
        seed: int,
        duplicates: Path,
        secret: int,
    ):
        super().__init__(data, model, settings, epochs=epochs, seed=seed)
        assert settings.method.privacy is not None
        self.privacy, self.secret = settings.method.privacy, secret
        self.records = groups(data.rows, DUPLICATES.read(duplicates, *PAIR))
        self.members = np.split(
            np.argsort(self.records, kind="stable"), np.bincount(self.records).cumsum()[:-1]
        )
        check_delta(self.privacy.delta, f"site {self.name}", len(self.members), "patients")
        self.steps = math.ceil(len(self.members) / settings.batch)  # of an epoch
        self.start = ""  # digest of the model with which the round began
        self.losses = torch.zeros(self.steps, device=self.device)
        self.model.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        for layer in self.frozen:
            layer.requires_grad_(False)  # BatchNorm has no gradient of a single image
        GradSampleHooks(self.model, loss_reduction="sum")
        self.sigma = noise_multiplier(self.privacy, 1 / self.steps, self.steps * epochs)
        self.optimizer = PrivateOptimizer(
            Adam(self.model.parameters(), lr=settings.learning_rate),
            noise_multiplier=self.sigma,
            max_grad_norm=self.privacy.clip,
            expected_batch_size=len(data) / self.steps,  # images
        )

    def train(
        self, number: int, phases: Sequence[str], correct: Callable[[], None] | None
    ) -> Iterator[None]:
        """See LocalSite.train. From another model it draws other noise, or two would cancel out."""
        if not self.epoch and not self.batch:
            self.start = digest(self.model.state_dict().values())
        yield from super().train(number, phases, correct)

    @property
    def loss(self) -> float:
        """None is told: it is of the patients, without noise."""
        return math.nan

    def epsilon(self, rounds: int) -> float:
        """What a patient has spent at most after so many rounds of this length."""
        steps = rounds * len(self.means) * self.steps
        return spent(self.sigma, 1 / self.steps, steps, self.privacy.delta)

    def batches_of(self, epoch: int, correct: Callable[[], None] | None) -> Iterator[None]:
        """Train the batches of an epoch that are left; yields after each.

        Noise and the choice of patients are drawn from streams keyed by (secret, site, epoch) and
        the model at the start of the round; all else by the seed, as without privacy. Noise is
        keyed by what it hides, too: over two sums it would be gone from their difference.
        """
        assert correct is None  # by no method that trains privately
        chances = generator(self.secret, "patients", self.name, epoch, self.start)
        chosen = chances.random((self.steps, len(self.members))) < 1 / self.steps
        draws = torch.Generator()
        while self.batch < self.steps:
            key = (self.name, epoch, self.batch)
            draws.manual_seed(stream(self.seed, "augmentation", *key))
            self.dropout.manual_seed(stream(self.seed, "dropout", *key))
            self.optimizer.noise = partial(generator, self.secret, "noise", *key, self.start)
            patients = np.flatnonzero(chosen[self.batch])
            self.losses[self.batch] = self.private_step(patients, draws)
            self.batch += 1
            yield

    def state(self) -> dict:
        """All that the site needs to go on from where it is."""
        return super().state() | {"start": self.start}

    def load(self, state: Mapping) -> None:
        """Go on from where `state` was taken."""
        super().load(state)
        self.start = state["start"]

    def private_step(self, patients: np.ndarray, draws: torch.Generator) -> Tensor:
        """One step on all images of some patients; the sum of the losses of these images.

        As few at a time as a batch has images: only their sum is needed of clipped gradients.
        """
        parts = self.parts(patients)
        pixels = self.data.images.batches([piece for part in parts for piece in part])
        losses = torch.zeros((), device=self.device)
        for number, part in enumerate(parts, 1):
            losses += self.gradients(part, pixels, draws)
            self.optimizer.signal_skip_step(number < len(parts))
            self.optimizer.step()
            self.optimizer.zero_grad()
        return losses

    def parts(self, patients: np.ndarray) -> list[list[Tensor]]:
        """The images of some patients, in pieces of at most a batch, in parts of whole patients.

        A part has one piece, or several of a patient with more images than that; without any
        patient there is a part without pieces, as noise is added all the same.
        """
        size = self.settings.batch
        parts: list[list[int]] = [[]]
        for patient in patients:
            images = self.members[patient].tolist()
            if parts[-1] and len(parts[-1]) + len(images) > size:
                parts.append([])
            parts[-1] += images
        return [[*torch.tensor(part).to(self.device).split(size)] if part else [] for part in parts]

    def gradients(
        self, pieces: Sequence[Tensor], pixels: Iterator[Tensor], draws: torch.Generator
    ) -> Tensor:
        """Leave the gradient of each patient (its images' sum) as Opacus leaves an image's.

        pieces: the images of whole patients. Gives the sum of the losses of the images.
        """
        images = np.concatenate([piece.cpu().numpy() for piece in pieces] or [np.zeros(0, int)])
        patients, number = np.unique(self.records[images], return_inverse=True)
        rows = torch.from_numpy(number).to(self.device).split(self.settings.batch)
        trained = self.optimizer.params
        sums = [one.new_zeros(len(patients), *one.shape, requires_grad=False) for one in trained]
        total = torch.zeros((), device=self.device)
        for piece, row in zip(pieces, rows, strict=False):
            change = torch.rand(4, len(piece), generator=draws).to(self.device)
            loss = self.losses_of(next(pixels), self.data.labels[piece], change).sum()
            loss.backward()
            for one, summed in zip(trained, sums, strict=True):
                summed.index_add_(0, row, one.grad_sample)
                one.grad_sample = None
            total += loss.detach()
        for one, summed in zip(trained, sums, strict=True):
            one.grad_sample = summed
        return total

    def losses_of(self, images: Tensor, labels: Tensor, change: Tensor) -> Tensor:
        """The loss (b,) of each of uint8 images (b, S, S), by itself: no other has a part in it.

        The mean over the findings that the site labels, of which an unknown one adds nothing.
        """
        images = augment(to_unit(images), change, self.settings.augmentation)
        logits = self.model(images, [*self.data.heads])
        losses = F.binary_cross_entropy_with_logits(logits, labels.nan_to_num(), reduction="none")
        return (losses * ~torch.isnan(labels)).sum(dim=1) / sum(self.known)
