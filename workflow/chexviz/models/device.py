"""Where a job computes, with how many threads and in which precision."""

import os
import sys
from typing import TypeVar

import torch
from torch import nn

from chexviz.base.allocator import keep_freed_memory

# Bytes: of a batch's activations that stay for the next one, and of the largest of their tensors.
KEPT, LARGE = 2**31 - 1, 2**30

Model = TypeVar("Model", bound=nn.Module)

TOO_FEW = (
    "WARNING {threads} threads on {cores} cores take up to twice as long as {cores} would: they "
    "wait for each other. `training: threads` in the config says how many; another number gives "
    "other results in the last digits, and makes all trainings anew."
)


def choose(threads: int) -> torch.device:
    """The first GPU, or this machine's CPU with a fixed number of threads."""
    return choose_all(threads)[0]


def choose_all(threads: int) -> list[torch.device]:
    """All GPUs that are visible, or this machine's CPU with a fixed number of threads.

    The number of threads belongs to a result: another one adds in another order. So it does not
    follow the cores that a job happens to have; where those are fewer, it says what that costs.
    """
    torch.set_num_threads(threads)
    if not torch.cuda.is_available():
        cores = len(os.sched_getaffinity(0))
        if cores < threads:
            print(TOO_FEW.format(threads=threads, cores=cores), file=sys.stderr, flush=True)
        keep_freed_memory(KEPT, LARGE)
        # PyTorch asks for huge pages: a training of DenseNet121 takes a tenth less memory.
        os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
        return [torch.device("cpu")]
    # Only where it is needed: on a CPU all that is used here is deterministic, and the call alone
    # imports the compiler, which takes longer than a small job.
    torch.use_deterministic_algorithms(True, warn_only=True)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS is deterministic only so
    torch.backends.cudnn.benchmark = False
    return [torch.device("cuda", number) for number in range(torch.cuda.device_count())]


def place(model: Model, device: torch.device) -> Model:
    """Move a model to a device, in the memory layout in which its convolutions are fastest."""
    return model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def forward_batch(device: torch.device) -> int:
    """Images that a forward pass alone takes at once.

    On a CPU few, whose maps stay near its caches: more take as long, and several times the memory.
    """
    return 16 if device.type == "cpu" else 64


def autocast(device: torch.device, precision: str) -> torch.autocast:
    """The context to compute in; precision is 'auto', 'bfloat16' or 'float32'.

    'auto' is bfloat16 where the hardware multiplies in it, and float32 elsewhere, where emulating
    it would be slower.
    """
    enabled = precision == "bfloat16" or (precision == "auto" and computes_bfloat16(device))
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)


def computes_bfloat16(device: torch.device) -> bool:
    """Whether the hardware has bfloat16 arithmetic of its own."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return capabilities.get("avx512_bf16", False) or capabilities.get("amx_bf16", False)
