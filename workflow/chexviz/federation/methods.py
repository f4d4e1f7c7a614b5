"""Federated methods: what each adds to the round loop that all share (docs/methods.md).

An algorithm is a class here. A method is an entry under `methods:` in the config, which names an
algorithm and its settings.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Protocol, TypeVar

import msgspec
import torch
from torch import Tensor, nn

from chexviz.base.errors import InputError
from chexviz.base.settings import Positive, read
from chexviz.federation.exchange import Combination, Exchange
from chexviz.federation.privacy_rules import check_private
from chexviz.federation.settings import Method, Outline, Rate, Training
from chexviz.federation.site import ALL, REPRESENTATION, TASK, LocalSite
from chexviz.federation.site_minimum import check_sites
from chexviz.models.dataset import Dataset, Known, pool, share
from chexviz.models.model import Model

Kind = TypeVar("Kind", bound=type["FedAvg"])
Correction = Callable[[], None] | None
Tensors = list[Tensor] | tuple[Tensor, ...]
Share = Annotated[float, msgspec.Meta(ge=0, lt=1)]

ALGORITHMS: dict[str, type["FedAvg"]] = {}  # by the names that the config calls them


class Member(Known, Protocol):
    """What a method knows of a site, be it in this process or elsewhere.

    model: of its architecture and heads; in this process its own. device: where its vectors are.
    """

    name: str
    model: Model
    device: torch.device


def algorithm(name: str) -> Callable[[Kind], Kind]:
    """Make a class the algorithm of a name."""

    def register(kind: Kind) -> Kind:
        ALGORITHMS[name] = kind
        return kind

    return register


@algorithm("fedavg")
class FedAvg:
    """Averaged representation blocks (McMahan et al. 2017): the shared loop, nothing added.

    One class for both sides: a site calls `correction` and `report`, the server `extras`,
    `combine`, `receive` and `server`; in one process an object is both. Subclasses override what
    they change. settings: of the training; the algorithm's own are those of its method. members:
    all sites in the order of the sums; over a network a site knows itself alone.
    """

    Settings: type[Method] = Method  # what the config says about a method of this algorithm

    def __init__(self, settings: Training, members: Sequence[Member]):
        self.settings, self.members = settings.method, members
        model = members[0].model
        self.exchange = Exchange(self.travelling(model), self.settings.batchnorm)

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

    def correction(self, site: LocalSite, received: Sequence[Tensor]) -> Correction:
        """What is done to a site's gradients before each step of a round.

        received: at its start, on the site's device: the average, and the server's `extras`.
        """
        return None

    def report(self, site: LocalSite) -> list[Tensor]:
        """What a site sends beside its update once a round is over."""
        return []

    def extras(self) -> list[Tensor]:
        """What the server sends beside the average."""
        return []

    def receive(self, reports: Mapping[str, Sequence[Tensor]]) -> None:
        """Take what the sites sent beside their updates."""

    def check(self, senders: Sequence[Known]) -> None:
        """Raise InputError if so few sites cannot be combined as the method asks."""
        how = self.settings
        check_sites(how.algorithm, how.combine, how.trim, fewest(senders, self.labelled(senders)))

    def labelled(self, senders: Sequence[Known]) -> Tensor | None:
        """Which of these sites labels which finding of a shared head; None of private ones."""
        return None if self.settings.heads == "private" else labels_known(senders)

    def combine(self, updates: Sequence[Tensor], senders: Sequence[Known] = ()) -> Tensor:
        """One vector (p,) from those of the senders, in their order; of all members if not said."""
        return self.combination(senders or self.members)(updates)

    def combination(self, senders: Sequence[Known]) -> Combination:
        """How the updates of these sites become one."""
        how, weights = self.settings, weights_of(self.settings, senders)
        return Combination(self.exchange, weights, how.combine, how.trim, self.labelled(senders))

    def server(self, shared: Tensor, combined: Tensor) -> Tensor:
        """The next average, from the last one and what this round's updates combine to."""
        return combined

    def parameters(self, model: Model) -> list[Tensor]:
        """The parameters of a model that travel, in the order of the exchange."""
        named = dict(self.travelling(model).named_parameters())
        return [named[name] for name in self.exchange.names if name in named]

    def like(self, parameters: Sequence[Tensor], vector: Tensor) -> list[Tensor]:
        """The start of a vector as tensors of the shape and memory layout of the parameters."""
        parts = vector[: self.exchange.parameters].split([one.numel() for one in parameters])
        return [
            torch.empty_like(parameter, requires_grad=False).copy_(part.view(parameter.shape))
            for parameter, part in zip(parameters, parts, strict=True)
        ]

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

    def correction(self, site: LocalSite, received: Sequence[Tensor]) -> Correction:
        mu = self.settings.mu
        parameters = self.parameters(site.model)
        anchors = self.like(parameters, received[0])

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

    def __init__(self, settings: Training, members: Sequence[Member]):
        super().__init__(settings, members)
        length, names = self.exchange.parameters, [one.name for one in members]
        self.controls = {one.name: torch.zeros(length, device=one.device) for one in members}
        self.sums = {one.name: zeros(self.parameters(one.model)) for one in members}
        self.steps = dict.fromkeys(names, 0)

    def correction(self, site: LocalSite, received: Sequence[Tensor]) -> Correction:
        parameters = self.parameters(site.model)
        sums = self.sums[site.name]
        own = self.controls[site.name].to(site.device)
        differences = self.like(parameters, received[1] - own)

        def correct() -> None:
            own = gradients(parameters)
            torch._foreach_add_(sums, own)
            self.steps[site.name] += 1
            torch._foreach_add_(own, differences)

        return correct

    def report(self, site: LocalSite) -> list[Tensor]:
        sums = self.sums[site.name]
        control = torch.cat([one.reshape(-1) for one in sums]).div_(self.steps[site.name])
        torch._foreach_zero_(sums)
        self.steps[site.name] = 0
        self.controls[site.name] = control
        return [control]

    def receive(self, reports: Mapping[str, Sequence[Tensor]]) -> None:
        self.controls |= {name: control for name, (control,) in reports.items()}

    def extras(self) -> list[Tensor]:
        """The server's control variate: the weighted mean of the sites'."""
        weights, where = weights_of(self.settings, self.members), self.members[0].device
        mean = torch.zeros(self.exchange.parameters, device=where)
        for weight, one in zip(weights, self.members, strict=True):
            mean += self.controls[one.name].to(where) * (weight / sum(weights))
        return [mean]

    def state(self) -> dict:
        return {"controls": self.controls, "sums": self.sums, "steps": self.steps}

    def load(self, state: Mapping) -> None:
        for name, control in self.controls.items():
            control.copy_(state["controls"][name])
            torch._foreach_copy_(self.sums[name], state["sums"][name])
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

    def __init__(self, settings: Training, members: Sequence[Member]):
        super().__init__(settings, members)
        self.first = torch.zeros(self.exchange.parameters, device=members[0].device)
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


def labels_known(sites: Iterable[Known]) -> Tensor:
    """Which site has labels of which finding of their shared head, bool (sites, findings)."""
    return torch.tensor([site.known for site in sites])


def fewest(sites: Sequence[Known], labelled: Tensor | None) -> int:
    """How many sites at least have a say in a number that travels."""
    return len(sites) if labelled is None else int(labelled.sum(dim=0).min())


def weights_of(how: Method, sites: Iterable[Known]) -> list[int]:
    """What each site weighs in a mean: its training images, or 1."""
    return [site.size if how.weights == "size" else 1 for site in sites]


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
    settings: Training = read(text, Training[ALGORITHMS[name].Settings])  # type: ignore[misc, arg-type]
    if settings.method.privacy:
        said = msgspec.to_builtins(settings)
        check_private("--settings: method.privacy", said | said["method"])
    return settings
