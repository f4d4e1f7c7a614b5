"""Gradient inversion: images whose gradient points where an observed one does.

Geiping et al. 2020 (NeurIPS): cosine distance and total variation, minimised by the signs of its
gradient under Adam.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from chexviz.federation.site import masked_loss
from chexviz.models.model import Model

# Ours: the best on phantoms of 64 px, of rates of 0.03 and 0.1 and a weight of 0.01 to 0.3.
RATE, SMOOTHNESS = 0.1, 0.1
SLOWER = (3 / 8, 5 / 8, 7 / 8)  # of the steps: where the rate falls to a tenth, as in the original


def gradient(
    model: Model,
    parameters: Sequence[Tensor],
    images: Tensor,
    labels: Tensor,
    create_graph: bool = False,
) -> tuple[Tensor, ...]:
    """The gradients of a batch's loss by some parameters. create_graph: to be derived once more."""
    loss = masked_loss(model(images, [*model.heads]), labels)
    return torch.autograd.grad(loss, list(parameters), create_graph=create_graph)


def reconstruct(
    model: Model,
    parameters: Sequence[Tensor],
    observed: Sequence[Tensor],
    labels: Tensor,
    size: int,
    steps: int,
    draws: torch.Generator,
) -> Iterator[Tensor]:
    """Images (n, 1, S, S) in [0, 1], after each step, whose gradient is like the observed one.

    model: in evaluation mode, as it was where the gradient was taken. labels: (n, F), which the
    attacker knows. draws: of the noise from which it starts.
    """
    where = labels.device
    images = torch.rand(len(labels), 1, size, size, generator=draws).to(where).requires_grad_()
    optimizer = torch.optim.Adam([images], lr=RATE)
    milestones = [round(share * steps) for share in SLOWER]
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones, gamma=0.1)
    for _ in range(steps):
        found = gradient(model, parameters, images, labels, create_graph=True)
        cost = distance(found, observed) + SMOOTHNESS * total_variation(images)
        (slope,) = torch.autograd.grad(cost, images)
        images.grad = slope.sign()
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            images.clamp_(0, 1)
        yield images.detach()


def distance(one: Sequence[Tensor], other: Sequence[Tensor]) -> Tensor:
    """1 - cosine of the angle between two vectors that are given in parts."""

    def product(first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
        return torch.stack([(a * b).sum() for a, b in zip(first, second, strict=True)]).sum()

    return 1 - product(one, other) / (product(one, one) * product(other, other)).sqrt()


def total_variation(images: Tensor) -> Tensor:
    """The mean difference of neighbouring pixels of images (n, 1, S, S)."""
    across, down = images.diff(dim=3).abs().mean(), images.diff(dim=2).abs().mean()
    return across + down
