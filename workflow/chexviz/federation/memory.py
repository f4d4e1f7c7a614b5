"""What a training takes on its device, known and checked before it starts."""

import copy
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil
import torch

from chexviz.base.errors import InputError
from chexviz.federation.site import masked_loss
from chexviz.models.dataset import Dataset, to_unit
from chexviz.models.device import autocast, place
from chexviz.models.model import Model

PROBE = 4  # images; enough to tell what grows with the batch from what does not
# The backward pass holds, beside what the forward pass saved, the gradients of the widest layers.
BACKWARD = 1.25


def make_room(
    datasets: Sequence[Dataset],
    model: Model,
    batch: int,
    precision: str,
    free: int,
    *,
    private: bool = False,
) -> None:
    """Make the images of all parties on one GPU resident there, if they fit beside training.

    Else they stay in their files and are streamed. model: that one party trains. free: bytes that
    the device has. private: each image has gradients of its own, in float32. Raises InputError,
    with the batch size that fits, if training alone does not.
    """
    device = datasets[0].images.device
    size = datasets[0].images.stacks[0].shape[-1]
    fixed = party_bytes(model) * len(datasets)
    image = step_bytes(model.to(device), size, "float32" if private else precision)
    if private:  # and so has each patient
        image += 2 * sum(parameter.nbytes for parameter in model.parameters())
    needed = fixed + image * batch
    if needed > free:
        fits = (free - fixed) // image
        raise InputError(
            f"training on {device} with batches of {batch}",
            expected=f"at most {free / 1e9:.1f} GB, the free memory of the device",
            found=f"{needed / 1e9:.1f} GB: {image / 1e6:.0f} MB an image, and {fixed / 1e9:.1f} GB",
            fix=f"set training: batch: {fits} or less"
            if fits >= 2
            else "use a device with more memory, or fewer sites at once",
        )
    # On a CPU the files are in its memory already, as the pages that the system keeps of them.
    if device.type != "cpu":
        keep_images(datasets, needed, free)


def keep_images(datasets: Sequence[Dataset], needed: int, free: int) -> None:
    """Make the images resident if they fit beside the `needed` bytes in the `free` ones."""
    images = sum(dataset.images.nbytes for dataset in datasets)
    if needed + images <= free:
        for dataset in datasets:
            dataset.images.make_resident()
    else:
        print(
            f"{images / 1e9:.1f} GB of images do not fit beside {needed / 1e9:.1f} GB of training "
            f"in the {free / 1e9:.1f} GB of {datasets[0].images.device}; they are read as they are "
            "needed",
            file=sys.stderr,
        )


def party_bytes(model: Model) -> int:
    """Weights, gradients, Adam's two moments, and an update in float32 and its sum in float64."""
    return 7 * sum(tensor.nbytes for tensor in model.state_dict().values())


def step_bytes(model: Model, size: int, precision: str) -> int:
    """Bytes an image of a batch takes in a step: what the forward pass saves for the backward.

    Counted by autograd's own hooks on batches of two sizes, on a copy of the model.
    """
    device = next(model.parameters()).device
    probe = place(copy.deepcopy(model), device).train()
    counts = []
    for count in (PROBE, 2 * PROBE):
        saved: dict[int, int] = {}

        def note(tensor: torch.Tensor, saved: dict[int, int] = saved) -> torch.Tensor:
            if tensor.is_mkldnn:  # has no storage to ask
                saved[id(tensor)] = tensor.numel() * tensor.element_size()
            else:
                storage = tensor.untyped_storage()
                saved[storage.data_ptr()] = storage.nbytes()
            return tensor

        images = to_unit(torch.zeros(count, size, size, dtype=torch.uint8, device=device))
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            with autocast(device, precision):
                logits = probe(images.to(memory_format=torch.channels_last), list(model.tasks))
            loss = masked_loss(logits.float(), torch.zeros_like(logits, dtype=torch.float32))
        counts.append(sum(saved.values()))
        del loss, logits
    return int(BACKWARD * (counts[1] - counts[0]) / PROBE)


def free_bytes(device: torch.device) -> int:
    """The memory that a device has left: the GPU's, or what the machine or the job may use."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return min(psutil.virtual_memory().available, *job_limits())


def job_limits(system: Path = Path("/")) -> list[int]:
    """What the control groups of this process leave it, in bytes: a cluster limits its jobs so.

    Of both versions; pages of files that the system would drop are not counted as taken. system:
    the root of the file system.
    """
    try:
        lines = (system / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return [2**63]
    left = [2**63]
    for line in lines:
        _, controllers, own = line.split(":", 2)
        if controllers == "memory":
            root, names = system / "sys/fs/cgroup/memory", ("limit_in_bytes", "usage_in_bytes")
        elif not controllers:
            root, names = system / "sys/fs/cgroup", ("max", "current")
        else:
            continue
        group = root / own.lstrip("/")
        for folder in (group, *group.parents):
            limit, used = (folder / f"memory.{name}" for name in names)
            if folder.is_relative_to(root) and limit.is_file() and used.is_file():
                most = limit.read_text().strip()
                if most != "max":
                    left.append(int(most) - int(used.read_text()) + dropped_pages(folder))
    return left


def dropped_pages(group: Path) -> int:
    """Bytes of file pages that the system takes from a control group before it lacks memory."""
    path = group / "memory.stat"
    lines = path.read_text().splitlines() if path.is_file() else []
    counts = dict(line.split() for line in lines)
    # Version 1 counts groups within under another name.
    return int(counts.get("total_inactive_file", counts.get("inactive_file", 0)))
