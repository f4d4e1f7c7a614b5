"""Our Adam against PyTorch's."""

import copy
import os
import subprocess
import sys

import torch

from chexviz.models.adam import Adam


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(1, 4, 3), torch.nn.Flatten(), torch.nn.Linear(144, 1)]
    return torch.nn.Sequential(*layers).to(memory_format=torch.channels_last)


def steps(model, optimizer, numbers) -> None:
    """Train; every third step leaves the first layer alone, as phases of FedRep do."""
    for number in numbers:
        model[0].requires_grad_(number % 3 != 2)
        optimizer.param_groups[0]["lr"] = 1e-2 / (1 + number)
        images = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(number))
        optimizer.zero_grad()
        model(images).square().mean().backward()
        optimizer.step()


def test_it_gives_the_bytes_of_pytorchs():
    ours, theirs = network(), network()
    steps(ours, Adam(ours.parameters(), lr=1e-2), range(10))
    steps(theirs, torch.optim.Adam(theirs.parameters(), lr=1e-2, fused=True), range(10))
    for one, other, start in zip(*(m.parameters() for m in (ours, theirs, network())), strict=True):
        assert torch.equal(one, other)
        assert not torch.equal(one, start)


def test_one_that_loads_a_state_goes_on_to_the_same_bytes():
    whole, parted = network(), network()
    steps(whole, Adam(whole.parameters(), lr=1e-2), range(10))
    first = Adam(parted.parameters(), lr=1e-2)
    steps(parted, first, range(5))
    state = copy.deepcopy(first.state_dict())
    second = Adam(parted.parameters(), lr=1e-2)
    second.load_state_dict(state)
    assert second.param_groups == first.param_groups
    steps(parted, second, range(5, 10))
    for one, other in zip(whole.parameters(), parted.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_step_imports_no_compiler(repository):
    code = (
        "import sys, torch\n"
        "from chexviz.models.model import build\n"
        "from chexviz.models.adam import Adam\n"
        "model = build('densenet121', {'north': ['a']}, seed=1)\n"
        "optimizer = Adam(model.parameters(), lr=1e-3)\n"
        "model(torch.rand(2, 1, 32, 32), ['north']).sum().backward()\n"
        "optimizer.step()\n"
        "optimizer.load_state_dict(optimizer.state_dict())\n"
        "optimizer.zero_grad()\n"
        "sys.exit('torch._dynamo' in sys.modules)\n"
    )
    environment = os.environ | {"PYTHONPATH": str(repository / "workflow")}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
