"""A federation as it is at hospitals, on this machine: processes that can be killed, one by one."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self, TypeVar

import msgspec
import pandas as pd
import torch
from torch import Tensor

from chexviz.base.command import program
from chexviz.federation.checkpoint import read
from chexviz.federation.network import bundle, credentials, join
from chexviz.federation.network.control import Access, register
from chexviz.federation.network.coordinator import Rules
from chexviz.federation.network.link import Link
from chexviz.federation.network.messages import Study
from chexviz.federation.server import joined
from chexviz.models.files import load

HERE = Path(__file__).parent
HOST = "127.0.0.1"
SECONDS = 300  # to wait for one thing at most, on a busy machine; it takes a fraction of that
ALL = Rules(quorum=None, deadline=None, largest_step=10.0)  # nobody is left out
Found = TypeVar("Found")


class Program:
    """A process with its log. command: what starts it. log: a file of its own."""

    def __init__(self, command: Sequence[str], environment: dict[str, str], log: Path):
        self.log, self.heard = log, 0  # so many letters of it are of earlier studies
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                command, stdout=file, stderr=file, env=environment, start_new_session=True
            )

    @property
    def said(self) -> str:
        """All that it has said."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """End it without a warning."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """Tell it to stop; its status."""
        self.process.terminate()
        self.process.send_signal(signal.SIGCONT)
        return self.process.wait(SECONDS)


class Deployment:
    """A SuperLink, registered sites and coordinators, while the context is entered.

    folder: for all files. images: as draw_federation makes them, of the sites of these names.
    hosts: more addresses of the SuperLink, which then listens at all of the machine.
    """

    def __init__(self, folder: Path, images: Path, names: Sequence[str], hosts: Sequence[str] = ()):
        self.folder, self.images, self.names = folder, images, names
        self.before: dict[str, list[str]] = {}  # words before the command of a site
        self.programs_of: dict[str, list[str]] = {}  # what a site runs in place of `join`
        self.host: dict[str, str] = {}  # by which a site reaches the SuperLink
        self.sites: dict[str, Program] = {}
        self.programs: list[Program] = []
        self.began = 0.0  # when the study that is trained was begun
        credentials.make_authority(folder)
        credentials.make_server_certificate(folder, [HOST, *hosts], days=2)
        credentials.make_secret(folder / credentials.SECRET)
        self.link = Link(folder, "0.0.0.0" if hosts else HOST, free_port())

    @property
    def access(self) -> Access:
        """How this process reaches the SuperLink."""
        return Access.of(self.folder, f"{HOST}:{self.link.port}")

    def __enter__(self) -> Self:
        self.link.__enter__()
        for name in self.names:
            key = self.folder / name / "key"
            credentials.make_site_key(key)
            register(self.access, name, credentials.read_public(credentials.public_path(key)))
        return self

    def __exit__(self, *_: object) -> None:
        for one in self.programs:
            if not one.ended:
                one.kill()
        self.link.stop()

    def run(self, name: str, command: Sequence[str], environment: dict[str, str]) -> Program:
        """Start a program, with a log that is named after it."""
        log = self.folder / f"{name}.{len(self.programs)}.log"
        self.programs.append(Program(command, environment, log))
        return self.programs[-1]

    def start(self, name: str) -> Program:
        """Start the process of a site."""
        command, environment = program(join.__name__)
        address = f"{self.host.get(name, HOST)}:{self.link.port}"
        if name in self.programs_of:
            command = [sys.executable, *self.programs_of[name]]
        command = [*self.before.get(name, []), *command, address, f"--name={name}"]
        command += [f"--key={self.folder / name / 'key'}"]
        command += [f"--authority={self.folder / credentials.AUTHORITY}"]
        command += [f"--approve={bundle.sha256()}", f"--images={self.images / 'sites.csv'}"]
        command += ["--split", "paper", str(self.images / "split.csv")]
        self.sites[name] = self.run(name, [*command, f"--state={self.state(name)}"], environment)
        return self.sites[name]

    def start_missing(self) -> None:
        """Start the sites that do not run, and wait until all are connected."""
        for name in self.names:
            if name not in self.sites or self.sites[name].ended:
                self.start(name)
        for name in self.names:
            self.wait(lambda name=name: "connected to" in self.sites[name].said, f"site {name}")

    def coordinate(self, state: Path, study: Study, rules: Rules = ALL) -> Program:
        """Start a coordinator. state: a folder for what it keeps, a new one for a new run."""
        if not state.exists():
            state.mkdir()
            self.began = time.time()
            for site in self.sites.values():
                site.heard = len(site.said)
        _, environment = program("")
        command = [sys.executable, str(HERE / "coordinate.py"), str(self.folder)]
        command += [self.access.address, str(state), study.text]
        return self.run("coordinator", [*command, msgspec.json.encode(rules).decode()], environment)

    def restart_link(self) -> None:
        """Kill the SuperLink and start it again, as who keeps a server running does."""
        assert self.link.process is not None
        self.link.process.kill()
        self.link.process.wait()
        self.link.__enter__()

    def state(self, name: str) -> Path:
        """Where a site keeps what it has done."""
        return self.folder / name / "state"

    def rounds(self, name: str, study: Study) -> int:
        """The last round of which a site has kept the end; -1 if it has not begun."""
        last = -1
        for path in (self.state(name) / study.digest[:16]).glob("round*.state"):
            with suppress(FileNotFoundError):  # kept no longer
                if path.stat().st_mtime >= self.began:
                    last = max(last, int(path.stem.removeprefix("round")))
        return last

    def catch(self, name: str, number: int, study: Study) -> Program:
        """Wait until a site is within a round; its process."""
        site = self.sites[name]
        self.wait(lambda: f"round {number} begins" in site.said[site.heard :], "site at work")
        assert self.rounds(name, study) == number - 1
        return self.sites[name]

    def wait(self, ready: Callable[[], Found], what: str, seconds: float = SECONDS) -> Found:
        """Wait for something, which is given; what the programs said last is told if it is not."""
        end = time.monotonic() + seconds
        while not (found := ready()):
            assert time.monotonic() < end, f"no {what} within {seconds} s\n{self.last_said()}"
            time.sleep(0.02)
        return found

    def succeed(self, coordinator: Program) -> None:
        """Wait for the end of a coordinator's run, which has to be a good one."""
        self.wait(lambda: coordinator.ended, "end of the run")
        assert coordinator.process.returncode == 0, self.last_said()

    def last_said(self) -> str:
        """The end of each program's log."""
        return "\n".join(f"--- {one.log.name}\n{one.said[-1500:]}" for one in self.programs[-6:])


def rounds_kept(state: Path) -> int:
    """The last round that a coordinator has kept; 0 if none."""
    with suppress(FileNotFoundError):
        saved = read(state / "rounds")
        return saved["server"]["round"] if saved else 0
    return 0


def free_port() -> int:
    with socket.create_server((HOST, 0)) as probe:
        return probe.getsockname()[1]


class Expected(NamedTuple):
    """What a study gives in one process: the model, and the file of its history."""

    tensors: dict[str, Tensor]
    history: bytes


def assert_same(sites: Deployment, study: Study, state: Path, expected: Expected) -> None:
    """A run over the network has ended in the bits of the one in a process."""
    folders = {name: sites.state(name) / study.digest[:16] for name in study.findings}
    states = {name: load(path / "model.safetensors")[0] for name, path in folders.items()}
    ours = joined(states, [])
    for name, tensor in expected.tensors.items():
        if tensor.is_floating_point():
            assert torch.equal(ours[name], tensor), name
    assert (state / "history.csv").read_bytes() == expected.history


def rounds_of(state: Path) -> dict[str, list[int]]:
    """The rounds in which each site has a part, as the history shows them."""
    history = pd.read_csv(state / "history.csv")
    return {name: rows["round"].tolist() for name, rows in history.groupby("site")}
