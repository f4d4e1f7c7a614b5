"""The whole demo through SLURM, one training of it ended in every way that a cluster has."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from running import TINY, Workflow, training
from slurm import Cluster, processes

# Rounds enough that a training is caught at work, also on a fast machine.
ARCHITECTURES = TINY["architectures"] | {
    "standard": {"baseline": {"epochs": 2}, "federated": {"rounds": 150}}
}
OVERLAY = TINY | {"architectures": ARCHITECTURES}
CAUGHT = "rule_train_federated_wildcards_paper_standard_fedavg_2022"
SECONDS = 900  # to wait for one thing at most, on a busy machine; it takes a fraction of that
ON_GPU = {"warmup", "train_baseline", "train_federated", "predict"}
ON_CPU = {"preprocess", "duplicates", "evaluate", "calibrate", "subgroups", "shortcuts"}
ON_CPU |= {"representation", "crosstask", "localise", "chexlocalize", "simulation", "coverage"}
ON_CPU |= {"bundle"}
pytestmark = pytest.mark.timeout(2400)  # the first test waits for the run, on a busy machine too


class OnCluster(Workflow):
    """The workflow as a user of a cluster runs it."""

    forked = False

    def __init__(self, folder: Path, repository: Path, cluster: Cluster):
        self.cluster = cluster
        super().__init__(folder, repository, OVERLAY)

    def line(self, *options: str) -> list[str]:
        line = [sys.executable, "-m", "snakemake", "--profile", "profiles/slurm"]
        line += ["--directory", str(self.folder)]
        line += ["--configfile", "config/demo.yaml", str(self.overlay)]
        # This cluster has no accounting, and may be asked often; three jobs keep two cores busy.
        line += ["--slurm-status-command", "squeue", "--seconds-between-status-checks", "3"]
        line += ["--slurm-init-seconds-before-status-checks", "3", "--jobs", "3"]
        return [*line, "--slurm-keep-successful-logs", *options]

    def environment(self, **changes: str) -> dict[str, str]:
        cluster = self.cluster.environment()
        path = f"{Path(sys.executable).parent}:{cluster['PATH']}"
        where = {"SBATCH_ACCOUNT": "", "SBATCH_PARTITION": "main"}
        return cluster | where | {"PATH": path} | changes


class Interruptions:
    """Ends the caught training in one way after another while the run goes on."""

    def __init__(self, run: subprocess.Popen, cluster: Cluster, folder: Path):
        self.run, self.cluster, self.folder = run, cluster, folder

    def wait(self, ready: Callable, what: str):
        """Wait for something, which is given."""
        end = time.monotonic() + SECONDS
        while not (found := ready()):
            assert self.run.poll() is None, f"the run ended before there was {what}"
            assert time.monotonic() < end, f"no {what} within {SECONDS} s"
            time.sleep(0.2)
        return found

    def caught(self) -> list[dict[str, str]]:
        """The jobs of the caught training."""
        return [job for job in self.cluster.jobs() if job["Comment"] == CAUGHT]

    def hold(self) -> tuple[dict[str, str], int]:
        """Wait until the training is at work, and halt it: else it may end before it is ended."""

        def at_work():
            for job in self.caught():
                ours = processes(f"SLURM_JOB_ID={job['JobId']}")
                if job["JobState"] == "RUNNING" and (process := training(ours.__contains__)):
                    return job, process
            return None

        job, process = self.wait(at_work, "a training at work")
        os.kill(process, signal.SIGSTOP)
        return job, process

    def end(self, *command: str) -> None:
        """Have SLURM end the training's job ({}), which has to leave a new checkpoint."""
        job, process = self.hold()
        began = time.time()
        self.cluster.order(*(word.format(job["JobId"]) for word in command))
        self.wait(lambda: is_told(process), "SIGTERM for the training")
        if Path(f"/proc/{process}").exists():
            os.kill(process, signal.SIGCONT)
        self.wait(
            lambda: self.caught()[-1]["JobState"] not in ("RUNNING", "COMPLETING"), "end of the job"
        )
        (checkpoint,) = self.folder.glob(
            "results/demo/models/paper/standard/fedavg/**/*.checkpoint"
        )
        assert checkpoint.stat().st_mtime >= began

    def fail_node(self) -> None:
        """Have the training's node fail, and wait until SLURM has started the job on the other."""
        job, _ = self.hold()
        self.cluster.cut_power(job["BatchHost"])
        self.wait(lambda: self.caught()[-1]["Restarts"] == "1", "requeued job")


def is_told(process: int) -> bool:
    """Whether a halted process has SIGTERM waiting for it, or has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return True
    return bool(int(re.search(r"ShdPnd:\s*(\w+)", status)[1], 16) >> signal.SIGTERM - 1 & 1)


@pytest.fixture(scope="module")
def local(tmp_path_factory, repository) -> Workflow:
    """The same run on this machine, undisturbed, without a cluster."""
    return Workflow(tmp_path_factory.mktemp("local"), repository, OVERLAY)


@pytest.fixture(scope="module")
def done(tmp_path_factory, repository, cluster, local) -> OnCluster:
    """A finished run on the cluster; the local one fills the times when it waits."""
    workflow = OnCluster(tmp_path_factory.mktemp("remote"), repository, cluster)
    said, beside = workflow.folder / "said.txt", local.folder / "said.txt"
    with said.open("w") as file, beside.open("w") as other:
        shared = {"stderr": subprocess.STDOUT, "cwd": repository, "start_new_session": True}
        runs = [
            subprocess.Popen(one.line(), stdout=out, env=one.environment(), **shared)
            for one, out in ((workflow, file), (local, other))
        ]
        try:
            interruptions = Interruptions(runs[0], cluster, workflow.folder)
            interruptions.end("scancel", "{}")
            interruptions.end("scontrol", "update", "JobId={}", "EndTime=now+100")
            interruptions.end("scontrol", "update", "JobId={}", "EndTime=now+1")
            interruptions.fail_node()
            statuses = [run.wait(timeout=600) for run in runs]
        finally:
            for run in runs:
                if run.poll() is None:
                    os.killpg(run.pid, signal.SIGKILL)
    assert statuses == [0, 0], said.read_text()[-6000:] + beside.read_text()[-3000:]
    return workflow


def test_the_demo_passes_with_the_same_bytes(done, local):
    for pattern in ("tables/**/*.*", "evaluation/**/*.csv", "models/**/*.safetensors", "paper.pdf"):
        names = [path.relative_to(local.folder) for path in local.results(pattern)]
        assert names
        different = [
            str(name)
            for name in names
            if (done.folder / name).read_bytes() != (local.folder / name).read_bytes()
        ]
        assert different == []
    assert not done.results("**/*.checkpoint*")


def test_every_end_is_followed_by_a_start_from_its_checkpoint(done, cluster):
    jobs = [job for job in cluster.jobs() if job["Comment"] == CAUGHT]
    assert [job["JobState"] for job in jobs] == ["CANCELLED", "FAILED", "TIMEOUT", "COMPLETED"]
    assert [job["Restarts"] for job in jobs] == ["0", "0", "0", "1"]
    logs = [Path(job["StdOut"]).read_text() for job in jobs]
    started = [re.findall(r"goes on from round (\d+)\n", log) for log in logs]
    stopped = [re.findall(r"stopped in round (\d+); run again", log) for log in logs]
    assert started[0] == stopped[3] == []
    # srun, which carries what a training says, may end before it where the whole job is ended
    # (the first and the third time); the second time it was warned.
    assert started[1]
    assert stopped[1]
    assert started[3]
    # What a failed node has not saved is lost; the requeued job has the last checkpoint.
    for before, after in zip(stopped[:3], started[1:], strict=True):
        assert not after or set(before) <= set(after)
    history = done.results("models/paper/standard/fedavg/seed2022/global.history.csv")[0]
    rounds = [line.split(",")[0] for line in history.read_text().splitlines()[1:]]
    assert rounds == [str(number) for number in range(1, 151) for _ in range(2)]


def test_a_retry_asks_for_more(done, cluster):
    jobs = [job for job in cluster.jobs() if job["Comment"] == CAUGHT]
    assert [job["MinMemoryNode"] for job in jobs] == ["16000M", "32000M", "48000M", "62.50G"]
    assert jobs[-1]["TimeLimit"] == "8-00:00:00"


def test_rules_get_what_they_state(done, cluster):
    jobs = {}
    for job in cluster.jobs():
        rule = re.match(r"rule_(\w+?)(_wildcards_|$)", job["Comment"])[1]
        jobs.setdefault(rule, []).append(job)
    assert jobs.keys() == ON_GPU | ON_CPU  # the others ran where Snakemake does
    for rule in ON_GPU:
        assert {job["TresPerJob"] for job in jobs[rule]} == {"gres:gpu:1"}
    for rule in ON_CPU:
        assert not any("TresPerJob" in job for job in jobs[rule])
    first = jobs["preprocess"][0]
    asked = [first[name] for name in ("NumCPUs", "MinMemoryNode", "TimeLimit")]
    assert asked == ["8", "4000M", "02:00:00"]
