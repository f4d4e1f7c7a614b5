"""A run that is stopped or killed leaves nothing half-done under a final name, and goes on."""

import copy
import os
import re
import signal
import subprocess
import time

import numpy as np
import pandas as pd
import psutil
import pytest

from running import TINY, Workflow, training

SHORT = TINY | {
    "run": {"protocols": ["paper"], "architectures": ["standard"]},
    "phantom": {"images": 60},
}
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
def trained(tmp_path_factory, repository) -> Workflow:
    """A baseline that is trained for long enough to be stopped; nothing has stopped it yet."""
    long = copy.deepcopy(SHORT)
    long["architectures"]["standard"]["baseline"]["epochs"] = 60
    workflow = Workflow(tmp_path_factory.mktemp("trained"), repository, long)
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
    (log,) = trained.folder.glob("logs/demo/train/**/rsna.log")
    (stopped,) = re.findall(r"stopped in (round \d+); run again to go on", log.read_text())
    trained.succeed("--", TRAINED)
    assert f"goes on from {stopped}\n" in log.read_text()
    assert sorted(path.name for path in target.parent.iterdir()) == [
        *("rsna.history.csv", "rsna.safetensors")
    ]
    assert target.read_bytes() == unbroken


STOPS = {
    "sites/*/images.npy": signal.SIGKILL,
    "models/**/*.safetensors": signal.SIGINT,
    "predictions/**/*.csv": signal.SIGKILL,
    "evaluation/paper/*.csv": signal.SIGINT,
}


def test_an_interrupted_run_goes_on(workflow):
    """It is stopped and killed in turn, once the first results of a stage are there."""
    workflow.configure(SHORT)
    for pattern, stop in STOPS.items():
        process = start(workflow)
        wait_for(process, workflow, pattern)
        os.killpg(process.pid, stop)
        assert process.wait(timeout=120) != 0
        assert_whole(workflow)
        if stop == signal.SIGKILL:
            refused = workflow.run()
            assert refused.returncode != 0
            assert "--unlock" in refused.stdout
            workflow.succeed("--unlock")
    workflow.succeed()
    assert workflow.planned() == {}
    assert workflow.results("paper.pdf")
    assert not workflow.results("**/*.checkpoint") + workflow.results("**/.*.partial*")
