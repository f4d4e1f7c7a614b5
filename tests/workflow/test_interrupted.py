"""A run that is stopped or killed leaves nothing half-done under a final name, and goes on."""

import copy
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
import pytest

from running import THREE, Workflow, training

SECONDS = 240  # for a run to come as far as a test waits for; it takes a fraction of that


def start(workflow, *options: str) -> subprocess.Popen:
    """Start a run in a process group of its own."""
    return subprocess.Popen(
        workflow.line(*options),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=workflow.repository,
        env=workflow.environment(),
        start_new_session=True,
    )


def wait_for(process: subprocess.Popen, workflow, pattern: str) -> None:
    """Wait until the run has made a result."""
    end = time.monotonic() + SECONDS
    while not workflow.results(pattern):
        assert process.poll() is None, "the run ended before it could be stopped"
        assert time.monotonic() < end
        time.sleep(0.05)


def assert_whole(workflow) -> None:
    """Every file under a final name can be read, and is as long as its neighbour says."""
    for path in workflow.results("sites/*/images.npy"):
        samples = path.with_name("samples.csv")
        assert not samples.exists() or len(np.load(path)) == len(pd.read_csv(samples))
    fetched = workflow.folder.glob("resources/*/[!.]*/**/*.csv")
    manifests = workflow.folder.glob("resources/*/[!.]*.csv")
    for path in [*workflow.results("**/*.csv"), *fetched, *manifests]:
        assert len(pd.read_csv(path).columns) > 1, path


TRAINED = "results/demo/models/paper/standard/baseline/seed2022/rsna.safetensors"


@pytest.fixture(scope="module")
def trained(finished, tmp_path_factory) -> Workflow:
    """A baseline that is trained for long enough to be stopped; nothing has stopped it yet."""
    workflow = finished.copy(tmp_path_factory.mktemp("trained") / "run", "models")
    long = copy.deepcopy(THREE)
    long["architectures"]["standard"]["baseline"]["epochs"] = 40
    workflow.configure(long)
    workflow.succeed("--", TRAINED)
    return workflow


@pytest.mark.parametrize("told", ["the training", "the whole job"])
def test_a_training_that_is_asked_to_stop_keeps_its_checkpoint(trained, told):
    """Snakemake deletes what a failed job has made, but not its checkpoint, which is used."""
    target = trained.folder / TRAINED
    unbroken = target.read_bytes()
    process = start(trained, "--forcerun", "train_baseline", "--", TRAINED)
    end = time.monotonic() + SECONDS
    while (found := training(lambda one: os.getpgid(one) == process.pid)) is None:
        assert process.poll() is None, "the run ended before it could be stopped"
        assert time.monotonic() < end
        time.sleep(0.02)
    shell = psutil.Process(found).parent()
    everyone = [shell, *shell.children()]
    for one in everyone if told == "the whole job" else [psutil.Process(found)]:
        one.terminate()
    assert process.wait(timeout=120) != 0
    assert [path.name for path in target.parent.iterdir()] == ["rsna.checkpoint"]
    (log,) = trained.folder.glob("logs/demo/train/paper/standard/**/rsna.log")
    (stopped,) = re.findall(r"stopped in (round \d+); run again to go on", log.read_text())
    trained.succeed("--", TRAINED)
    assert f"goes on from {stopped}\n" in log.read_text()
    assert sorted(path.name for path in target.parent.iterdir()) == [
        *("rsna.history.csv", "rsna.safetensors")
    ]
    assert target.read_bytes() == unbroken


def stopped(run: Workflow, stop: signal.Signals, pattern: str, *options: str) -> None:
    """Start a run and stop it once it has made a result; what it leaves can be gone on with."""
    process = start(run, *options)
    wait_for(process, run, pattern)
    os.killpg(process.pid, stop)
    assert process.wait(timeout=120) != 0
    assert_whole(run)
    if stop == signal.SIGKILL:
        refused = run.run()
        assert refused.returncode != 0
        assert "--unlock" in refused.stdout
        run.succeed("--unlock")


def taken(run: Workflow, *names: str, without: tuple[str, ...] = ()) -> dict[Path, bytes]:
    """Delete results, and all files in folders of them; gives what was in each.

    without: parts of the paths of files that stay.
    """
    found = {path for name in names for path in run.results(name) + run.results(f"{name}/**/*")}
    files = [path for path in found if path.is_file() and not any(p in str(path) for p in without)]
    content = {path: path.read_bytes() for path in files}
    for path in files:
        path.unlink()
    return content


def different(before: dict[Path, bytes]) -> list[str]:
    """Those of the files that have another content now."""
    return [str(path) for path, content in before.items() if path.read_bytes() != content]


def test_a_killed_preprocessing_goes_on(finished, tmp_path):
    """Of two sites, once the images of one are there."""
    run = finished.copy(tmp_path / "run", "models")
    sites = ("rsna", "siim")
    before = taken(run, *(f"sites/{site}" for site in sites))
    targets = ["--", *(f"results/demo/sites/{site}/samples.csv" for site in sites)]
    stopped(run, signal.SIGKILL, "sites/*/images.npy", *targets)
    run.succeed(*targets)
    assert len(before) == 2 * 5
    assert different(before) == []


STOPS = {
    "models/paper/standard/**/*.safetensors": signal.SIGINT,
    "predictions/paper/standard/**/*.csv": signal.SIGKILL,
    "evaluation/paper/*.csv": signal.SIGINT,
}


def test_an_interrupted_run_goes_on_and_comes_to_the_same_bytes(finished, tmp_path):
    """It is stopped and killed in turn, once the first results of a stage are there.

    Models, tables, figures and the PDF are made anew from the same arrays; but for one protocol
    only, and of DenseNet121, which takes long, the federation only.
    """
    run = finished.copy(tmp_path / "run")
    names = ["models", "predictions", "evaluation", "tables", "figures", "paper.pdf"]
    kept = ("/patient/", "/densenet121/baseline/", "/densenet121/warmup/", "/models/shadow")
    before = taken(run, *names, without=kept)
    for pattern, stop in STOPS.items():
        stopped(run, stop, pattern)
    run.succeed()
    assert run.planned() == {}
    assert len(before) > 40
    assert different(before) == []
    assert not run.results("**/*.checkpoint") + run.results("**/.*.partial*")
