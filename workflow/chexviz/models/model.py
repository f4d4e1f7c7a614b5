"""The two architectures: a representation block that sites share, a task block that each keeps."""

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save as serialize
from torch import Tensor, nn

from chexviz.base.errors import InputError
from chexviz.base.files import replacing
from chexviz.base.randomness import stream
from chexviz.models import sizes
from chexviz.models.densenet import densenet121
from chexviz.models.sizes import DROPOUT, HIDDEN

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # torchvision's transforms of DenseNet121_Weights
IMAGENET_STD = (0.229, 0.224, 0.225)


class Standard(nn.Module):
    """The paper's 'naive 3-layer CNN': (N, 1, S, S) in [0, 1] to a (N, 128, S / 8, S / 8) map."""

    channels = sizes.STANDARD[-1]

    def __init__(self) -> None:
        super().__init__()
        layers = []
        for inputs, outputs in pairwise((1, *sizes.STANDARD)):
            layers += [
                nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False),
                nn.BatchNorm2d(outputs),
                # The maximum commutes with ReLU, which then has a quarter of the work.
                nn.MaxPool2d(2),
                nn.ReLU(),
            ]
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        images = (images - 0.5) / 0.25
        return self.blocked(images) if self.takes_blocks(images) else self.layers(images)

    def takes_blocks(self, images: Tensor) -> bool:
        """Whether `blocked` can train: on a CPU that oneDNN knows well, no layer frozen."""
        return (
            images.is_cpu
            and images.dtype == torch.float32
            and torch.backends.mkldnn.is_available()
            and torch.backends.cpu.get_cpu_capability().startswith("AVX")
            and (
                not torch.is_autocast_enabled("cpu") or torch.ops.mkldnn._is_mkldnn_bf16_supported()
            )
            and all(layer.training for layer in self.layers)
            and not torch.compiler.is_compiling()
        )

    def blocked(self, images: Tensor) -> Tensor:
        """The layers, computed in the memory layout of oneDNN; in bfloat16 under autocast.

        BatchNorm and pooling, which memory bounds, are then oneDNN's too: a step takes two thirds
        of the time that it takes in channels_last, in float32 five sixths.
        """
        whole = not torch.is_autocast_enabled("cpu")
        precision = torch.float32 if whole else torch.get_autocast_dtype("cpu")
        with torch.autocast("cpu", enabled=False):  # it does not know this memory layout
            maps = images.to(precision).to_mkldnn()
            for layer in self.layers:
                if isinstance(layer, nn.Conv2d):
                    weight = layer.weight.to(precision)
                    # Padding, stride, dilation and groups, as the layer has them.
                    maps = torch.mkldnn_convolution(maps, weight, None, (1, 1), (1, 1), (1, 1), 1)
                else:
                    maps = layer(maps)
            return maps.to_dense()


class DenseNet121(nn.Module):
    """DenseNet121 without its classifier (see densenet).

    (N, 1, S, S) in [0, 1] to a (N, 1024, S / 32, S / 32) map, after the last ReLU. The grey channel
    is shown to all three input channels, normalised as ImageNet was, so pretrained weights see
    what they would see in a grey colour picture, the zero padding included.
    """

    channels = sizes.DENSENET121
    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.layers = densenet121()
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        return torch.relu(self.layers((images - self.mean) / self.std))


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

    def __init__(self, representation: nn.Module, tasks: Mapping[str, TaskBlock]):
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


ARCHITECTURES: dict[str, type[Standard | DenseNet121]] = {
    "standard": Standard,
    "densenet121": DenseNet121,
}


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


def initial(
    architecture: str,
    heads: Sequence[str],
    seed: int,
    weights: Path | None,
    tasks: Mapping[str, Path] | None = None,
) -> Model:
    """The model that training starts from: blocks from files where given, random ones elsewhere.

    heads: the sites whose task blocks it has. tasks: their warmed-up task blocks.
    """
    model = build(architecture, heads, seed)
    if weights:
        load_into(model.representation, load(weights)[0], weights)
    if tasks:
        for head in heads:
            load_into(model.tasks[head], load(tasks[head])[0], tasks[head])
    return model


def save(path: str | Path, tensors: Mapping[str, Tensor], **about: Any) -> None:
    """Write tensors as safetensors, with `about` as JSON in the header."""
    # One metadata entry: safetensors writes several in an order that changes from run to run.
    metadata = {"chexviz": json.dumps(about, sort_keys=True)}
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        # Not by save_file, whose files nobody but their owner may read.
        temporary.write_bytes(serialize(contiguous, metadata))


def load(path: str | Path) -> tuple[dict[str, Tensor], dict]:
    """Tensors of a safetensors file on the CPU, and what its header says about them."""
    try:
        with safe_open(path, framework="pt") as file:
            about = dict(json.loads((file.metadata() or {}).get("chexviz", "{}")))
            return {name: file.get_tensor(name) for name in file.keys()}, about  # noqa: SIM118
    except (MemoryError, PermissionError):
        raise  # no fault of the file
    except Exception as error:
        raise InputError(
            path, expected="a safetensors file", found=str(error), fix="delete it and run again"
        ) from error


def load_into(module: nn.Module, tensors: Mapping[str, Tensor], path: str | Path) -> None:
    """Copy tensors into a module, whose names and shapes they must match, and that could work.

    path: where the tensors came from. Raises InputError naming it and the tensors that are wrong.
    """
    wanted = module.state_dict()
    names = sorted(wanted.keys() | tensors.keys())
    flaws = {name: flaw(name, tensors.get(name), wanted.get(name)) for name in names}
    wrong = [f"{name} is {found}" for name, found in flaws.items() if found]
    if wrong:
        raise InputError(
            path,
            expected=f"the {len(wanted)} tensors of {type(module).__name__}",
            found=f"{len(wrong)} that are wrong; {'; '.join(wrong[:3])}",
            fix="give the weights of this architecture",
        )
    module.load_state_dict(dict(tensors))


def flaw(name: str, tensor: Tensor | None, wanted: Tensor | None) -> str:
    """What makes a tensor unfit for the place of `wanted` in a module; '' if nothing does.

    Weights and variances that are all zero let nothing through, so they were never trained.
    """
    shapes = ["absent" if one is None else tuple(one.shape) for one in (tensor, wanted)]
    if tensor is None or wanted is None or shapes[0] != shapes[1]:
        return f"{shapes[0]}, not {shapes[1]}"
    kinds = [(one.layout, one.is_floating_point(), one.is_complex()) for one in (tensor, wanted)]
    if kinds[0] != kinds[1] or tensor.is_quantized or tensor.is_meta:
        return f"of {tensor.dtype}, {tensor.layout}, not {wanted.dtype}, {wanted.layout}"
    values = tensor.to(wanted.dtype)
    if not values.isfinite().all():
        return "not finite"
    if name.endswith("running_var") and (values < 0).any():
        return "negative"
    if name.endswith(("weight", "running_var")) and not values.any():
        return "all zero"
    return ""


def load_model(path: str | Path, site: str) -> Model:
    """The model of a file that `train` wrote, as `site` has it.

    With BatchNorm kept local, the site's own layers take the place of the shared ones.
    """
    tensors, about = load(path)
    architecture, sites = about.get("architecture"), about.get("sites")
    if architecture not in ARCHITECTURES or not isinstance(sites, list):
        raise InputError(
            path,
            expected="a model that chexviz.federation.train wrote, with its architecture and sites",
            found=f"architecture {architecture}, sites {sites}",
            fix="delete it and run again",
        )
    own = {}
    for name in [name for name in tensors if name.startswith("local.")]:
        _, owner, rest = name.split(".", 2)
        tensor = tensors.pop(name)
        if owner == site:
            own[f"representation.{rest}"] = tensor
    model = build(architecture, sites, seed=0)
    load_into(model, tensors | own, path)
    return model
