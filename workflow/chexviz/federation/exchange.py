"""What travels between a site and the server, and how the server combines it."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from chexviz.base.errors import InputError
from chexviz.federation.site_minimum import trimmed
from chexviz.models.model import TaskBlock

State = Mapping[str, Tensor]


class Exchange:
    """The tensors of a module that travel, as one flat vector.

    module: the representation block; with shared heads a task block, or a model of both. batchnorm:
    'average' (BatchNorm's weights and running statistics travel like all else), 'local' (each site
    keeps its own; Li et al. 2021) or 'frozen' (nobody changes them).
    Integer buffers (BatchNorm's step counts, which nothing reads) never travel. Parameters come
    first in the vector: `parameters` is how many of its numbers they are.
    """

    def __init__(self, module: nn.Module, batchnorm: str):
        kept = set() if batchnorm == "average" else set(batchnorm_names(module))
        parameters = dict(module.named_parameters())
        floating = [
            name
            for name, tensor in module.state_dict().items()
            if tensor.is_floating_point() and name not in kept
        ]
        self.names = sorted(floating, key=lambda name: name not in parameters)
        state = module.state_dict()
        self.shapes = {name: state[name].shape for name in self.names}
        self.sizes = [state[name].numel() for name in self.names]
        self.parameters = sum(state[name].numel() for name in self.names if name in parameters)
        self.bytes = sum(state[name].nbytes for name in self.names)

    def pack(self, state: State, sender: str) -> Tensor:
        """The travelling tensors of a state as one float32 vector, checked.

        Raises InputError naming the sender and the tensor if one is absent, of another shape or
        type, or holds a value that is not finite.
        """
        for name in self.names:
            found = "absent"
            if name in state:
                found = f"{tuple(state[name].shape)} {state[name].dtype}"
            if found != f"{tuple(self.shapes[name])} torch.float32":
                raise refused(sender, name, f"{tuple(self.shapes[name])} torch.float32", found)
        # One flat buffer: handling 700 small tensors one by one takes ten times as long.
        vector = torch.cat([state[name].reshape(-1) for name in self.names])
        # The smallest and largest value are found in a tenth of the time of a test of each.
        if not torch.isfinite(torch.stack(torch.aminmax(vector))).all():
            odd = next(name for name in self.names if not torch.isfinite(state[name]).all())
            raise refused(sender, odd, "finite values", "one that is not")
        return vector

    def tensors(self, vector: Tensor) -> dict[str, Tensor]:
        """A vector's parts under their names and in their shapes; views, not copies."""
        parts = vector.split(self.sizes)
        return {
            name: part.view(self.shapes[name]) for name, part in zip(self.names, parts, strict=True)
        }

    def rows_of(self, finding: int) -> Iterator[slice]:
        """Where in a vector are the numbers that a shared head has for one finding alone."""
        start = 0
        for name, size in zip(self.names, self.sizes, strict=True):
            if name.endswith(TaskBlock.BY_FINDING):
                width = size // self.shapes[name][0]
                yield slice(start + finding * width, start + (finding + 1) * width)
            start += size

    def unpack(self, vector: Tensor, module: nn.Module) -> None:
        """Copy a vector into the travelling tensors of a module."""
        state = module.state_dict()
        with torch.no_grad():
            parts = list(self.tensors(vector).values())
            torch._foreach_copy_([state[name] for name in self.names], parts)


def batchnorm_names(module: nn.Module) -> list[str]:
    """All tensors of a module's BatchNorm layers: weights, running statistics and step counts."""
    return [
        f"{path}.{name}"
        for path, layer in module.named_modules()
        if isinstance(layer, nn.BatchNorm2d)
        for name in layer.state_dict()
    ]


def refused(sender: str, name: str, expected: str, found: str) -> InputError:
    """The error for an update that cannot be averaged."""
    return InputError(
        f"update of {sender}",
        expected=f"{name}: {expected}",
        found=found,
        fix="run the same version of the code and the same architecture at every site",
    )


def digest(tensors: Iterable[Tensor]) -> str:
    """SHA-256 of tensors, one after the other: of the same numbers the same."""
    made = hashlib.sha256()
    for tensor in tensors:
        made.update(tensor.numpy(force=True).tobytes())
    return made.hexdigest()


class Combination:
    """How the server makes one vector of those of all sites.

    weights, how, trim: see `combine`. labelled: bool (sites, findings), which site labels which
    finding of a shared head: only those have a say in what the head has for that finding alone;
    None without shared heads.
    """

    def __init__(
        self,
        exchange: Exchange,
        weights: Sequence[float],
        how: str,
        trim: float,
        labelled: Tensor | None = None,
    ):
        self.weights, self.how, self.trim = weights, how, trim
        columns = [] if labelled is None else labelled.T.tolist()
        self.parts = [
            (part, [site for site, has in enumerate(column) if has])
            for finding, column in enumerate(columns)
            if not all(column)
            for part in exchange.rows_of(finding)
        ]

    def counts(self, update: Tensor) -> Tensor:
        """How many sites have a say in each number of what vectors like this (p,) combine to."""
        counts = torch.full_like(update, len(self.weights))
        for part, sites in self.parts:
            counts[part] = len(sites)
        return counts

    def __call__(self, updates: Sequence[Tensor]) -> Tensor:
        """One vector (p,) from those of all sites, in their order."""
        combined = combine(updates, self.weights, self.how, self.trim)
        for part, sites in self.parts:
            known = [updates[site][part] for site in sites]
            weights = [self.weights[site] for site in sites]
            combined[part] = combine(known, weights, self.how, self.trim)
        return combined


def combine(
    updates: Sequence[Tensor], weights: Sequence[float], how: str, trim: float = 0.0
) -> Tensor:
    """One vector from those of all sites.

    updates: float32 (p,), in a fixed order of the sites, since floating sums depend on it.
    weights: positive; the numbers of training images, or all 1 for a uniform mean.
    how: 'mean' (McMahan et al. 2017, Algorithm 1; summed in float64, so one site returns as it
    came, bit for bit), 'median' or 'trimmed' (Yin et al. 2018: of each coordinate, or its mean
    without the `trim` fraction of smallest and of largest values). The robust ones ignore weights.
    """
    if how == "mean":
        total = sum(weights)
        mean = torch.zeros_like(updates[0], dtype=torch.float64)
        for update, weight in zip(updates, weights, strict=True):
            mean.add_(update, alpha=weight / total)
        return mean.float()
    ordered = torch.stack(list(updates)).sort(dim=0).values
    cut = trimmed(len(updates), trim) if how == "trimmed" else (len(updates) - 1) // 2
    return ordered[cut : len(updates) - cut].double().mean(dim=0).float()
