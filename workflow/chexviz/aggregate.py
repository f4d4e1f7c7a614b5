"""What the server averages, and how."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

State = Mapping[str, Tensor]


def average(states: Sequence[State], weights: Sequence[float]) -> dict[str, Tensor]:
    """Weighted mean of the sites' representation blocks (McMahan et al. 2017, Algorithm 1).

    states: a state_dict per site, in a fixed order of the sites, since floating sums depend on it.
    weights: positive; the numbers of training images, or all 1 for a uniform mean.
    Floating tensors are averaged in float64, BatchNorm's running statistics included; integer
    buffers (BatchNorm's step counts) come from the site of the largest weight, the first of equals.
    One site returns as it came, bit for bit. Raises ValueError as `validate` does.
    """
    validate(states)
    largest = states[max(range(len(states)), key=lambda site: weights[site])]
    floating = [name for name, tensor in largest.items() if tensor.is_floating_point()]
    total = sum(weights)
    # One flat buffer: adding 700 small tensors one by one takes ten times as long.
    mean = sum(
        flatten(state, floating).double() * (weight / total)
        for state, weight in zip(states, weights, strict=True)
    )
    averaged = {name: tensor.clone() for name, tensor in largest.items()}
    start = 0
    for name in floating:
        size = averaged[name].numel()
        averaged[name].copy_(mean[start : start + size].view_as(averaged[name]))
        start += size
    return averaged


def flatten(state: State, names: Sequence[str]) -> Tensor:
    """The named tensors one after another, as one vector."""
    return torch.cat([state[name].reshape(-1) for name in names])


def validate(states: Sequence[State]) -> None:
    """Refuse states that cannot be averaged.

    Raises ValueError, naming the tensor, if names, shapes or types differ or a value is not finite.
    """
    first = states[0]
    for number, state in enumerate(states):
        if state.keys() != first.keys():
            odd = sorted(state.keys() ^ first.keys())
            raise ValueError(f"update {number} has other tensors than update 0: {odd[:3]}")
        for name, tensor in state.items():
            if (tensor.shape, tensor.dtype) != (first[name].shape, first[name].dtype):
                raise ValueError(
                    f"update {number}: {name} is {tuple(tensor.shape)} {tensor.dtype}, "
                    f"expected {tuple(first[name].shape)} {first[name].dtype}"
                )
            if tensor.is_floating_point() and not torch.isfinite(tensor).all():
                raise ValueError(f"update {number}: {name} holds a value that is not finite")
