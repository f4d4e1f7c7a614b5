"""A run that is stopped or killed leaves nothing half-done under a final name, and goes on."""

import os
import signal
import subprocess
import time

import numpy as np
import pandas as pd
import pytest

from running import TINY

SHORT = TINY | {"run": {"protocols": ["paper"], "architectures": ["standard"]}}
SECONDS = 240  # for a run to come as far as a test waits for; it takes a fraction of that


def start(workflow) -> subprocess.Popen:
    """Start a run in a process group of its own."""
    return subprocess.Popen(
        workflow.line(),
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
    for path in [*workflow.results("**/*.csv"), *workflow.folder.glob("resources/**/*.csv")]:
        assert len(pd.read_csv(path).columns) > 1, path


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_goes_on(workflow, stop):
    workflow.configure(SHORT)
    for pattern in ("sites/*/images.npy", "models/**/*.safetensors"):
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
