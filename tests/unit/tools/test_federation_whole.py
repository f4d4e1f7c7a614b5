"""A federation by the commands of docs/federation.md: real processes on loopback, encrypted."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import torch
import yaml

from chexviz.base import source_code
from chexviz.models import files
from documented import commands
from made_links import free_port
from trainings import LABELLED

SITES = {name: LABELLED[name] for name in ("north", "south")}
ROUNDS = 4
EVALUATION = {
    "bootstrap": {"replicates": 100, "unit": "patient", "confidence": 0.95, "seed": 1},
    "minimum_cases": 5,
    "sensitivities": [0.9],
    "margin": 0.05,
}
CONFIG = {
    "run": {"sites": [*SITES], "protocols": ["paper"], "architectures": ["standard"]},
    "sites": {
        name: {"title": name, "findings": findings, "reader": "table", "source": ["local:."]}
        for name, findings in SITES.items()
    },
    "training": {"batch": 8, "threads": 1},
    "architectures": {"standard": {"federated": {"rounds": ROUNDS}}},
}
STUDY = Path("coordinator", "studies", "paper_standard_fedavg_seed2022")
# Of the documented commands, those that have tests of their own.
ELSEWHERE = {"site prepare", "site secret", "site hashes", "site exclude", "server audit"}


class Running:
    """A command that runs in a folder, and what it says."""

    def __init__(self, folder: Path, words: list[str]):
        self.log = folder / f"{words[0]}-{words[1]}.log"
        environment = os.environ | {"PYTHONPATH": str(source_code.PACKAGE.parent)}
        with self.log.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "chexviz", *words],
                stdout=file,
                stderr=file,
                env=environment,
                cwd=folder,
            )

    @property
    def said(self) -> str:
        return self.log.read_text()

    def wait_for(self, text: str, seconds: float = 120) -> None:
        end = time.monotonic() + seconds
        while not re.search(text, self.said):
            assert self.process.poll() is None, self.said
            assert time.monotonic() < end, f"{text}\n{self.said}"
            time.sleep(0.1)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)


@contextmanager
def running(folder: Path, words: list[str]) -> Iterator[Running]:
    command = Running(folder, words)
    try:
        yield command
    finally:
        if command.process.poll() is None:
            command.process.kill()
        command.process.wait()


def prepare(results: Path, drawn: Path, name: str) -> None:
    """The results of a site, as `site prepare` leaves them."""
    shutil.copytree(drawn / name, results / "sites" / name)
    (results / "splits" / "paper").mkdir(parents=True)
    shutil.copy(drawn / name / "split.csv", results / "splits" / "paper" / f"{name}.csv")
    (results / "site.json").write_text(json.dumps({"name": name, "evaluation": EVALUATION}))


class Page:
    """The documented commands, with the names, addresses and hashes of this test."""

    def __init__(self, port: int):
        self.shown = {" ".join(words[:2]): words for words in commands("federation.md")}
        self.used: set[str] = set()
        self.port = port
        self.values = {
            "coordinator.example.org:8300": f"localhost:{port}",
            "coordinator.example.org": "localhost",
        }

    def words(self, name: str, site: str = "hospital", *more: str) -> list[str]:
        self.used.add(name)
        words = [self.values.get(word, word).replace("hospital", site) for word in self.shown[name]]
        return [*words, *more]


def test_the_documented_commands_make_a_federation(
    larger_federation, tmp_path, chexviz, capsys, monkeypatch
):
    page = Page(free_port())

    def said_by(folder: Path, words: list[str]) -> str:
        monkeypatch.chdir(folder)
        capsys.readouterr()
        chexviz(*words)
        return capsys.readouterr().out

    home = tmp_path / "home"
    home.mkdir()
    (home / "study.yaml").write_text(yaml.safe_dump(CONFIG))
    said = said_by(home, page.words("server setup"))
    assert re.search(r"^([0-9A-F]{2}:){31}[0-9A-F]{2}$", said, re.M)
    server = page.words("server start", "", "--host", "127.0.0.1", "--port", str(page.port))
    with running(home, server) as link:
        link.wait_for("sites reach it as")
        sites = {name: tmp_path / name for name in SITES}
        for name, folder in sites.items():
            prepare(folder / "results", larger_federation, name)
            shutil.copy(home / "coordinator" / "ca.crt", folder)
            mark = said_by(folder, page.words("site key", name)).splitlines()[-1]
            shutil.copy(folder / f"{name}.key.pub", home)
            assert mark in said_by(home, page.words("server register", name)).splitlines()
            page.values["SHA256"] = said_by(folder, page.words("site app")).strip()
        join = {name: page.words("site join", name) for name in sites}
        join["south"] = join["south"][: join["south"].index("--share")]
        with (
            running(sites["north"], join["north"]) as north,
            running(sites["south"], join["south"]) as south,
        ):
            with running(home, page.words("server run")) as rounds:
                rounds.wait_for(f"round 1 of {ROUNDS} is over")
                assert rounds.stop() == os.EX_TEMPFAIL
            said = said_by(home, page.words("server status"))
            assert re.search(r"^  north: connected, seen \d+ s ago, key SHA256:", said, re.M)
            assert re.search(rf"^study {STUDY.name}: round [123] of 4 is over$", said, re.M)
            said_by(home, page.words("server resume"))
            assert (north.stop(), south.stop()) == (0, 0)
            link.wait_for("site north is gone")
        assert link.stop() == 0
    check_results(home / STUDY)
    check_site(home / STUDY, sites["north"] / "results" / "federation")
    for text in (
        rf"connected to localhost:{page.port} as site north",
        "round 2 of 4 is over: .* kB",
    ):
        assert re.search(rf"^\d{{4}}-\S+ \S+ INFO {text}", north.said, re.M)
    for text in ("site north is connected", "site south is connected", "stopped"):
        assert re.search(rf"^\d{{4}}-\S+ \S+ INFO {text}$", link.said, re.M)
    said = said_by(sites["south"], page.words("site evaluate"))
    assert "results/federation" in said
    assert page.used == page.shown.keys() - ELSEWHERE


def check_results(study: Path) -> None:
    """What the coordinator has in the end: every round once, and what one site told."""
    history = pd.read_csv(study / "global.history.csv")
    assert [*history["round"]] == [one for one in range(1, ROUNDS + 1) for _ in SITES]
    assert {*pd.read_csv(study / "metrics.csv")["site"]} == {"north"}
    told = {path.relative_to(study).as_posix() for path in study.glob("share/*/*")}
    assert told == {"share/north/metrics.csv", "share/north/calibration.csv"}
    assert not (study / "rounds").exists()


def check_site(study: Path, state: Path) -> None:
    """The site's model is the coordinator's block, and a head of its own."""
    block, about = files.load(study / "representation.safetensors")
    assert about["architecture"] == "standard"
    (left,) = state.glob("*/model.safetensors")
    model, _ = files.load(left)
    for name, tensor in block.items():
        if tensor.is_floating_point():  # BatchNorm's count of steps is each site's own
            assert torch.equal(model[f"representation.{name}"], tensor), name
