"""A federation over a network: what a round costs beside its training.

    python bench/run.py federation              all tables
    python bench/bench_federation.py arrays      one of: arrays sites deployment

All processes are on this machine and share its cores; TLS and signatures are on, as at hospitals.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
from flwr.app import Array, ArrayRecord, Message, RecordDict

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests/unit"))
from chexviz.federation import train
from chexviz.federation.checkpoint import Checkpoint
from chexviz.federation.network import credentials, local
from chexviz.federation.network.conduct import conduct
from chexviz.federation.network.control import nodes, register, submit
from chexviz.federation.network.coordinator import Rules, whole
from chexviz.federation.network.link import Link
from chexviz.federation.network.messages import Study
from chexviz.federation.network.task import serving
from chexviz.models.model import Model, build
from drawn_sites import draw_federation
from trainings import SETTINGS, arguments

HERE = Path(__file__).parent
NAMES = ["north", "south"]
ARCHITECTURES = ["standard", "densenet121"]
SITES = (2, 10, 50)
ROUNDS = {2: 8, 10: 5, 50: 3}  # whose median is told; the first one is left out
SHORT, LONG = 2, 10  # rounds of two trainings, whose difference has neither start nor end
REPEATS = 3
MAINS = (train.main, local.main)  # in one process, over the network
GOAL = 3  # seconds that a round over the network takes more
ALL = Rules(quorum=None, deadline=None, largest_step=10.0)


def model_of(architecture: str) -> Model:
    """A model with random weights and one head."""
    return build(architecture, {"north": ["pneumonia"]}, seed=1)


@contextmanager
def light_sites(count: int) -> Iterator[Link]:
    """A SuperLink to which so many sites are connected that train nothing."""
    names = [f"site{number}" for number in range(count)]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        local.make_credentials(folder, names)
        link = stack.enter_context(Link(folder, local.HOST, local.free_port()))
        for name in names:
            public = credentials.read_public(credentials.public_path(folder / name / "key"))
            register(link.access, name, public)
        command = [sys.executable, str(HERE / "light_sites.py"), str(folder)]
        process = subprocess.Popen([*command, link.access.address, *names])
        stack.callback(process.wait)
        stack.callback(process.kill)
        while not all(one.online for one in nodes(link.access)):
            time.sleep(0.2)
        yield link


def bench_arrays() -> None:
    """A representation block there and back, as one array and as one for each tensor."""
    block = model_of("densenet121").representation.state_dict()
    tensors = [one.numpy() for one in block.values() if one.is_floating_point()]
    flat = np.concatenate([one.ravel() for one in tensors])
    print(f"A block of DenseNet121 ({flat.nbytes / 1e6:.0f} MB) to one site and back.\n")
    print("| sent as | s | times as long |\n|---|---|---|")
    with light_sites(1) as link, serving(link.access, submit(link.access)) as grid:
        (site,) = nodes(link.access)

        def travel(arrays: list[np.ndarray]) -> float:
            record = ArrayRecord({str(number): Array(one) for number, one in enumerate(arrays)})
            began = time.monotonic()
            (sent,) = grid.push_messages([Message(RecordDict({"a": record}), site.node, "train")])
            while not (replies := grid.pull_messages([sent])):
                time.sleep(0.02)
            assert not replies[0].has_error()
            return time.monotonic() - began

        one = statistics.median(travel([flat + number]) for number in range(REPEATS))
        many = travel([one + REPEATS for one in tensors])
    print(f"| one array | {one:.1f} | |")
    print(f"| {len(tensors)} arrays | {many:.1f} | {many / one:.1f}x |")


class Timed(Checkpoint):
    """Keeps a run after every round, and when that was."""

    def __init__(self, path: Path, mark: str):
        super().__init__(path, mark)
        self.times: list[float] = []

    def save(self, state: dict) -> None:
        super().save(state)
        self.times.append(time.monotonic())


class Round(NamedTuple):
    """seconds: of a round without training. sent: bytes on this machine's network, of a site."""

    seconds: float
    sent: float


def light_round(architecture: str, count: int) -> Round:
    """The median round of so many sites that train nothing."""
    rounds = ROUNDS[count]
    study = Study(
        protocol="paper",
        architecture=architecture,
        findings={f"site{number}": ["pneumonia"] for number in range(count)},
        seed=1,
        settings=SETTINGS | {"rounds": rounds},
    )
    block = model_of(architecture).representation.state_dict()
    with light_sites(count) as link:
        kept = Timed(link.folder / "rounds", study.digest)
        before = psutil.net_io_counters(pernic=True)["lo"].bytes_sent
        conduct(link.access, study, ALL, block, kept, threading.Event(), study.seed)
        sent = psutil.net_io_counters(pernic=True)["lo"].bytes_sent - before
    seconds = statistics.median(np.diff(kept.times))
    return Round(seconds, sent / (rounds + 1) / count)  # and the start and the end: a round


def bench_sites() -> None:
    """Rounds of sites that train nothing, by their number."""
    print("A round of sites that train nothing, all of them and the server on these cores. Bytes: ")
    print("the update there and back, and all that this machine's network carries for it, on both ")
    print("hops (site, SuperLink, coordinator).\n")
    print(
        "| architecture | sites | there and back, MB a site | carried, MB a site | round, s | ",
        end="",
    )
    print("s a site |\n|---|---|---|---|---|---|")
    for architecture in ARCHITECTURES:
        model = model_of(architecture)
        there = 2 * whole(model.representation.state_dict(), model).nbytes
        for count in SITES:
            seen = light_round(architecture, count)
            print(
                f"| {architecture} | {count} | {there / 1e6:.1f} | {seen.sent / 1e6:.1f} "
                f"| {seen.seconds:.1f} | {seen.seconds / count:.2f} |",
                flush=True,
            )


def seconds_a_round(main: Callable, folder: Path, architecture: str) -> float:
    """Of a training, without its start and end."""
    took = {}
    for rounds in (SHORT, LONG):
        line = arguments(folder, NAMES, main.__module__, rounds=rounds, schedule="constant")
        line[line.index("--architecture=standard")] = f"--architecture={architecture}"
        began = time.monotonic()
        main(line)
        took[rounds] = time.monotonic() - began
    return (took[LONG] - took[SHORT]) / (LONG - SHORT)


def bench_deployment() -> None:
    """The same training by processes over the network and in one process."""
    settings = json.dumps({name: SETTINGS[name] for name in ("batch", "precision", "threads")})
    print(f"The same training of two small sites ({settings}) as processes over TLS and in one ")
    print("process: seconds a round.\n")
    print(
        "| architecture | in one process | over the network | more | goal |\n|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as name:
        folder = draw_federation(Path(name) / "images", north=20, south=20)
        for architecture in ARCHITECTURES:
            one, many = (seconds_a_round(main, folder, architecture) for main in MAINS)
            print(f"| {architecture} | {one:.2f} | {many:.2f} | {many - one:.2f} s | {GOAL} s |")


TABLES = {"arrays": bench_arrays, "sites": bench_sites, "deployment": bench_deployment}


def main(names: list[str]) -> None:
    for name in names or TABLES:
        TABLES[name]()
        print(flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
