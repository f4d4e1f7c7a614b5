"""Adam, without the compiler that PyTorch's optimisers import."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.optim.adam import adam


class Adam:
    """torch.optim.Adam, fused (one pass over each tensor), with its defaults, methods and bytes.

    The class itself imports PyTorch's compiler at its first use, which is half of the start of a
    small job; its function does not. A parameter without a gradient is left alone, moments too.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float):
        self.param_groups = [{"lr": lr}]
        self.parameters = list(parameters)
        self.means, self.squares = (
            [torch.zeros_like(parameter) for parameter in self.parameters] for _ in range(2)
        )
        self.steps = [torch.zeros((), device=parameter.device) for parameter in self.parameters]

    def zero_grad(self) -> None:
        """Give the memory of the gradients back."""
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """Move the parameters that have gradients."""
        gradients = {
            number: parameter.grad
            for number, parameter in enumerate(self.parameters)
            if parameter.grad is not None
        }
        adam(
            [self.parameters[number] for number in gradients],
            list(gradients.values()),
            [self.means[number] for number in gradients],
            [self.squares[number] for number in gradients],
            [],
            [self.steps[number] for number in gradients],
            fused=True,
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=self.param_groups[0]["lr"],
            weight_decay=0,
            eps=1e-8,
            maximize=False,
        )

    def state_dict(self) -> dict:
        """All that another one needs to go on."""
        return {"lr": self.param_groups[0]["lr"], **self.moments()}

    def load_state_dict(self, state: Mapping) -> None:
        """Go on from where `state` was taken."""
        self.param_groups[0]["lr"] = state["lr"]
        for name, tensors in self.moments().items():
            for tensor, saved in zip(tensors, state[name], strict=True):
                tensor.copy_(saved)

    def moments(self) -> dict[str, list[Tensor]]:
        """Of each parameter: the running means of gradient and square, and how many went in."""
        return {"means": self.means, "squares": self.squares, "steps": self.steps}
