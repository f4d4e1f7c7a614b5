"""A federation by its commands alone, as its operators type them: real processes on loopback."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import torch
import yaml

from chexviz.base import source_code
from chexviz.models import files
from made_links import free_port
from trainings import LABELLED

ROUNDS = 4
EVALUATION = {
    "bootstrap": {"replicates": 100, "unit": "patient", "confidence": 0.95, "seed": 1},
    "minimum_cases": 5,
    "sensitivities": [0.9],
    "margin": 0.05,
}
CONFIG = {
    "run": {
        **{"sites": ["north", "south"], "protocols": ["paper"], "architectures": ["standard"]},
        **{"methods": ["fedavg"], "seeds": [1]},
    },
    "sites": {
        name: {"title": name, "findings": findings, "reader": "table", "source": ["local:."]}
        for name, findings in LABELLED.items()
    },
    "training": {"batch": 8, "threads": 1},
    "architectures": {"standard": {"federated": {"rounds": ROUNDS}}},
}


def prepare(folder: Path, name: str) -> Path:
    """The results folder of a site, as the workflow and `site prepare` leave it."""
    results = folder / f"{name}-results"
    shutil.copytree(folder / name, results / "sites" / name)
    (results / "splits" / "paper").mkdir(parents=True)
    shutil.move(
        results / "sites" / name / "split.csv", results / "splits" / "paper" / f"{name}.csv"
    )
    (results / "site.json").write_text(json.dumps({"name": name, "evaluation": EVALUATION}))
    return results


class Running:
    """A command that runs, and what it says."""

    def __init__(self, log: Path, *words: str | Path):
        self.log = log
        environment = os.environ | {"PYTHONPATH": str(source_code.PACKAGE.parent)}
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "chexviz", *map(str, words)],
                stdout=file,
                stderr=file,
                env=environment,
                cwd=source_code.HOME,
            )

    def wait_for(self, said: str, seconds: float = 120) -> None:
        end = time.monotonic() + seconds
        while not re.search(said, self.log.read_text()):
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, f"{said}\n{self.log.read_text()}"
            time.sleep(0.1)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)


@contextmanager
def running(log: Path, *words: str | Path):
    command = Running(log, *words)
    try:
        yield command
    finally:
        if command.process.poll() is None:
            command.process.kill()
        command.process.wait()


def test_a_study_from_setup_to_shared_tables(larger_federation, tmp_path, chexviz, capsys):
    def said_by(*words) -> str:
        capsys.readouterr()
        chexviz(*words)
        return capsys.readouterr().out

    home, keys = tmp_path / "coordinator", tmp_path / "keys"
    said = said_by("server", "setup", home, "--host", "localhost")
    assert re.search(r"([0-9A-F]{2}:){31}[0-9A-F]{2}", said)
    app = said_by("site", "app").strip()
    assert re.fullmatch("[0-9a-f]{64}", app)
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(CONFIG))
    port = free_port()
    server = ["server", "start", home, "--host", "127.0.0.1", "--port", str(port)]
    with running(tmp_path / "server.log", *server) as link:
        link.wait_for("sites reach it as")
        for name in LABELLED:
            mark = said_by("site", "key", keys / name).splitlines()[-1]
            said = said_by("server", "register", home, name, keys / f"{name}.pub")
            assert mark in said.splitlines()
        joins = {
            name: [
                *("site", "join", f"localhost:{port}", "--key", keys / name),
                *("--authority", home / "ca.crt", "--approve", app),
                *("--results", prepare(larger_federation, name), "--smallest-cell", "3"),
            ]
            for name in LABELLED
        }
        joins["north"] += ["--share", "metrics", "calibration"]
        with (
            running(tmp_path / "north.log", *joins["north"]) as north,
            running(tmp_path / "south.log", *joins["south"]) as south,
        ):
            run = ["server", "run", home, "--configfile", tmp_path / "study.yaml"]
            with running(tmp_path / "run.log", *run) as rounds:
                rounds.wait_for(f"round 1 of {ROUNDS} is over")
                assert rounds.stop() == os.EX_TEMPFAIL
            said = said_by("server", "status", home)
            assert re.search(r"^  north: connected, seen \d+ s ago, key SHA256:", said, re.M)
            assert re.search(
                r"^study paper_standard_fedavg_seed1: round [123] of 4 is over", said, re.M
            )
            chexviz("server", "resume", home)
            assert north.stop() == 0
            assert south.stop() == 0
            link.wait_for("site north is gone")
        assert link.stop() == 0
    study = home / "studies" / "paper_standard_fedavg_seed1"
    history = pd.read_csv(study / "global.history.csv")
    assert [*history["round"]] == [one for one in range(1, ROUNDS + 1) for _ in LABELLED]
    assert {*pd.read_csv(study / "metrics.csv")["site"]} == {"north"}
    assert {path.name for path in (study / "share" / "north").iterdir()} == {
        "metrics.csv",
        "calibration.csv",
    }
    assert not (study / "share" / "south").exists()
    assert not (study / "rounds").exists()
    block, about = files.load(study / "representation.safetensors")
    assert about["architecture"] == "standard"
    left = [*(larger_federation / "north-results" / "federation").glob("*/model.safetensors")]
    model, _ = files.load(left[0])
    for name, tensor in block.items():
        if tensor.is_floating_point():  # BatchNorm's count of steps is each site's own
            assert torch.equal(model[f"representation.{name}"], tensor), name
    for text in ("connected to localhost", "round 2 of 4 is over: .*, received .* kB", "s left"):
        assert re.search(text, (tmp_path / "north.log").read_text())
    for text in ("site north is connected", "site south is connected", "stopped"):
        assert re.search(rf"^\d{{4}}-.* INFO {text}", (tmp_path / "server.log").read_text(), re.M)
    said = said_by("site", "evaluate", "--results", larger_federation / "south-results")
    assert "south-results" in said
