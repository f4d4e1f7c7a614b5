"""Models and their parts as files: written, read, and what training starts from."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save as serialize
from torch import Tensor, nn

from chexviz.base.errors import InputError
from chexviz.base.files import replacing
from chexviz.models.architectures import ARCHITECTURES
from chexviz.models.model import Heads, Model, build


def initial(
    architecture: str,
    heads: Heads,
    seed: int,
    weights: Path | None,
    tasks: Mapping[str, Path] | None = None,
) -> Model:
    """The model that training starts from: blocks from files where given, random ones elsewhere.

    heads: that it has, and the findings of each. tasks: their warmed-up task blocks.
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

    With BatchNorm kept local, the site's own layers take the place of the shared ones; a site that
    did not train has the mean of all sites' layers.
    """
    tensors, about = load(path)
    architecture, heads = about.get("architecture"), about.get("heads")
    if architecture not in ARCHITECTURES or not isinstance(heads, dict):
        raise InputError(
            path,
            expected="a model that chexviz.federation.train wrote, with its architecture and heads",
            found=f"architecture {architecture}, heads {heads}",
            fix="delete it and run again",
        )
    local: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for name in [name for name in tensors if name.startswith("local.")]:
        _, owner, rest = name.split(".", 2)
        local[f"representation.{rest}"][owner] = tensors.pop(name)
    own = {name: layers.get(site, mean(layers.values())) for name, layers in local.items()}
    model = build(architecture, heads, seed=0)
    load_into(model, tensors | own, path)
    return model


def mean(tensors: Iterable[Tensor]) -> Tensor:
    """The mean of tensors of one shape, of their type."""
    stacked = torch.stack([*tensors])
    return stacked.double().mean(dim=0).to(stacked.dtype)
