"""Federated methods: what each adds to the round loop that all share (docs/methods.md).

An algorithm is a class here. A method is an entry under `methods:` in the config, which names an
algorithm and its settings.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Annotated, TypeVar

import msgspec
import torch
from torch import Tensor, nn

from chexviz.base.errors import InputError
from chexviz.base.settings import Positive, read
from chexviz.federation.exchange import Combination, Exchange
from chexviz.federation.settings import Method, Outline, Rate, Training
from chexviz.federation.site import ALL, REPRESENTATION, TASK, LocalSite
from chexviz.federation.site_minimum import check_sites
from chexviz.models.dataset import Dataset, pool, share
from chexviz.models.model import Model

Kind = TypeVar("Kind", bound=type["FedAvg"])
Correction = Callable[[], None] | None
Tensors = list[Tensor] | tuple[Tensor, ...]
Share = Annotated[float, msgspec.Meta(ge=0, lt=1)]

ALGORITHMS: dict[str, type["FedAvg"]] = {}  # by the names that the config calls them


def algorithm(name: str) -> Callable[[Kind], Kind]:
    """Make a class the algorithm of a name."""

    def register(kind: Kind) -> Kind:
        ALGORITHMS[name] = kind
        return kind

    return register


@algorithm("fedavg")
class FedAvg:
    """Averaged representation blocks (McMahan et al. 2017): the shared loop, nothing added.

    Subclasses override what they change. settings: of the training; the algorithm's own are those
    of its method.
    """

    Settings: type[Method] = Method  # what the config says about a method of this algorithm
    vectors = 1  # of the exchange's length, that a site sends and receives in a round

    def __init__(self, settings: Training, sites: Sequence[LocalSite]):
        self.settings = settings.method
        how, data = self.settings, [site.data for site in sites]
        labelled = None if how.heads == "private" else labels_known(data)
        check_sites(how.algorithm, how.combine, how.trim, fewest(data, labelled))
        self.exchange = Exchange(self.travelling(sites[0].model), how.batchnorm)
        self.weights = weights_of(how, data)
        self.combination = Combination(self.exchange, self.weights, how.combine, how.trim, labelled)

    @staticmethod
    def gather(datasets: list[Dataset], how: Method) -> list[Dataset]:
        """The data of each party that trains."""
        return datasets if how.heads == "private" else share(datasets)

    def travelling(self, model: Model) -> nn.Module:
        """What of a model is exchanged: the representation block, and the heads if shared."""
        return model.representation if self.settings.heads == "private" else model

    @staticmethod
    def phases(settings: Training) -> list[str]:
        """What each local epoch of a round trains."""
        return [ALL] * settings.local_epochs

    def correction(self, site: LocalSite, shared: Tensor) -> Correction:
        """What is done to a site's gradients before each step of a round from `shared`."""
        return None

    def combine(self, updates: Sequence[Tensor]) -> Tensor:
        """One vector (p,) from those of all sites, in their order."""
        return self.combination(updates)

    def server(self, shared: Tensor, combined: Tensor) -> Tensor:
        """The next average, from the last one and what this round's updates combine to."""
        return combined

    def parameters(self, model: Model) -> list[Tensor]:
        """The parameters of a model that travel, in the order of the exchange."""
        named = dict(self.travelling(model).named_parameters())
        return [named[name] for name in self.exchange.names if name in named]

    def state(self) -> dict:
        """What a checkpoint keeps of the method itself."""
        return {}

    def load(self, state: Mapping) -> None:
        """Take back what `state` gave."""


@algorithm("fedprox")
class FedProx(FedAvg):
    """FedAvg with mu / 2 |w - average|^2 in the local loss (Li et al. 2020)."""

    class Settings(Method, frozen=True):
        mu: Annotated[float, msgspec.Meta(ge=0)]

    settings: Settings

    def correction(self, site: LocalSite, shared: Tensor) -> Correction:
        mu = self.settings.mu
        parameters = self.parameters(site.model)
        parts = self.exchange.tensors(shared).values()  # parameters come first in an exchange
        anchors = [
            torch.empty_like(parameter).copy_(part)
            for parameter, part in zip(parameters, parts, strict=False)
        ]

        def pull_to_the_average() -> None:
            own = gradients(parameters)
            torch._foreach_add_(own, parameters, alpha=mu)
            torch._foreach_add_(own, anchors, alpha=-mu)

        return pull_to_the_average


@algorithm("fedrep")
class FedRep(FedAvg):
    """The task block first, on the frozen representation block, then that one on the frozen task
    block (Collins et al. 2021)."""

    class Settings(Method, frozen=True):
        head_epochs: Positive

    @staticmethod
    def phases(settings: Training) -> list[str]:
        head_epochs = settings.method.head_epochs
        return [TASK] * head_epochs + [REPRESENTATION] * settings.local_epochs


@algorithm("scaffold")
class Scaffold(FedAvg):
    """Stochastic controlled averaging (Karimireddy et al. 2020).

    A site's control variate is the mean of its gradients in its last round; the server's is the
    weighted mean of the sites'. Every gradient is corrected by the server's minus the site's. With
    plain SGD that is option II of the paper, c_i - c + (x - y_i) / (K rate); said by gradients it
    holds for Adam too, whose steps are not proportional to them. The variates travel as well.
    """

    vectors = 2

    def __init__(self, settings: Training, sites: Sequence[LocalSite]):
        super().__init__(settings, sites)
        blocks = {site.name: self.parameters(site.model) for site in sites}
        self.controls: dict[str, Tensors] = {name: zeros(block) for name, block in blocks.items()}
        self.sums = {name: zeros(block) for name, block in blocks.items()}
        self.steps = dict.fromkeys(blocks, 0)

    def correction(self, site: LocalSite, shared: Tensor) -> Correction:
        parameters = self.parameters(site.model)
        sums = self.sums[site.name]
        differences = torch._foreach_sub(self.control(site.device), self.controls[site.name])

        def correct() -> None:
            own = gradients(parameters)
            torch._foreach_add_(sums, own)
            self.steps[site.name] += 1
            torch._foreach_add_(own, differences)

        return correct

    def control(self, device: torch.device) -> Tensors:
        """The server's control variate: the weighted mean of the sites'."""
        total = sum(self.weights)
        parts = (
            torch._foreach_mul([one.to(device) for one in control], weight / total)
            for weight, control in zip(self.weights, self.controls.values(), strict=True)
        )
        return reduce(torch._foreach_add, parts)

    def server(self, shared: Tensor, combined: Tensor) -> Tensor:
        for name, sums in self.sums.items():
            self.controls[name] = torch._foreach_div(sums, self.steps[name])
            torch._foreach_zero_(sums)
            self.steps[name] = 0
        return combined

    def state(self) -> dict:
        return {"controls": self.controls, "sums": self.sums, "steps": self.steps}

    def load(self, state: Mapping) -> None:
        for kept, saved in ((self.controls, state["controls"]), (self.sums, state["sums"])):
            for name, tensors in kept.items():
                torch._foreach_copy_(tensors, saved[name])
        self.steps = dict(state["steps"])


@algorithm("fedadam")
class FedAdam(FedAvg):
    """Adam at the server, on the average step of the sites (Reddi et al. 2021, Algorithm 2).

    Running statistics are averaged as ever.
    """

    class Settings(Method, frozen=True):
        server_learning_rate: Rate
        beta1: Share
        beta2: Share
        tau: Rate

    settings: Settings

    def __init__(self, settings: Training, sites: Sequence[LocalSite]):
        super().__init__(settings, sites)
        self.first = torch.zeros(self.exchange.parameters, device=sites[0].device)
        self.second = torch.full_like(self.first, self.settings.tau**2)

    def server(self, shared: Tensor, combined: Tensor) -> Tensor:
        beta1, beta2 = self.settings.beta1, self.settings.beta2
        count = self.exchange.parameters
        step = combined[:count] - shared[:count]
        self.first.mul_(beta1).add_(step, alpha=1 - beta1)
        self.second.mul_(beta2).addcmul_(step, step, value=1 - beta2)
        moved = self.first / (self.second.sqrt() + self.settings.tau)
        rate = self.settings.server_learning_rate
        return torch.cat([shared[:count] + rate * moved, combined[count:]])

    def state(self) -> dict:
        return {"first": self.first, "second": self.second}

    def load(self, state: Mapping) -> None:
        self.first.copy_(state["first"])
        self.second.copy_(state["second"])


@algorithm("pooled")
class Pooled(FedAvg):
    """All images in one place, one model with a head for each finding: what no federation can
    surpass in information. An image counts in the loss of the findings that are known of it."""

    @staticmethod
    def gather(datasets: list[Dataset], how: Method) -> list[Dataset]:
        return [pool(datasets)]


def labels_known(datasets: Sequence[Dataset]) -> Tensor:
    """Which site has labels of which finding of their shared head, bool (sites, findings)."""
    return torch.stack([(~torch.isnan(data.labels)).any(dim=0).cpu() for data in datasets])


def fewest(datasets: Sequence[Dataset], labelled: Tensor | None) -> int:
    """How many sites at least have a say in a number that travels."""
    return len(datasets) if labelled is None else int(labelled.sum(dim=0).min())


def weights_of(how: Method, datasets: Sequence[Dataset]) -> list[int]:
    """What each site weighs in a mean: its training images, or 1."""
    return [len(data) if how.weights == "size" else 1 for data in datasets]


def gradients(parameters: Sequence[Tensor]) -> list[Tensor]:
    """The gradients of those parameters that have one."""
    return [parameter.grad for parameter in parameters if parameter.grad is not None]


def zeros(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Zeros like some parameters, without gradients."""
    return [torch.zeros_like(tensor, requires_grad=False) for tensor in tensors]


def read_training(text: str) -> Training:
    """The settings of a training, from JSON. Raises InputError that names the value at fault."""
    name = read(text, Outline).method.algorithm
    if name not in ALGORITHMS:
        raise InputError(
            "--settings: method.algorithm",
            expected=", ".join(ALGORITHMS),
            found=name,
            fix="correct the configuration; docs/methods.md says what the algorithms are",
        )
    return read(text, Training[ALGORITHMS[name].Settings])  # type: ignore[misc, arg-type]
