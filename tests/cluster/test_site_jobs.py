"""A federation whose sites are jobs of a cluster, and go on where those are ended and requeued."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from chexviz.base import source_code
from chexviz.federation import train
from chexviz.federation.network import bundle, credentials
from chexviz.federation.network.messages import Study
from chexviz.models.files import load
from deployment import Deployment, Expected, assert_same, rounds_kept
from slurm import Cluster
from trainings import LABELLED, SETTINGS, arguments

JOB = "profiles/slurm/join.sbatch"
SMALL = ["--cpus-per-task=2", "--mem=2G"]  # all three fit on a node of the cluster
TRAINING = {"rounds": 4, "local_epochs": 6, "schedule": "constant"}
EVALUATION = {
    "bootstrap": {"replicates": 100, "unit": "patient", "confidence": 0.95, "seed": 1},
    "minimum_cases": 5,
    "sensitivities": [0.9],
    "margin": 0.05,
}
pytestmark = pytest.mark.timeout(1200)


class Jobs(Deployment):
    """A deployment whose sites are jobs. cluster: that runs them."""

    def __init__(self, folder: Path, images: Path, cluster: Cluster, repository: Path):
        super().__init__(folder, images, [*LABELLED])
        self.cluster, self.repository = cluster, repository
        command = cluster.folder / "bin" / "chexviz"  # as if it were installed
        code = f"PYTHONPATH={source_code.PACKAGE.parent} exec {sys.executable} -m chexviz"
        command.write_text(f'#!/bin/sh\n{code} "$@"\n')
        command.chmod(0o755)

    def submit(self, name: str) -> None:
        """Submit the job of a site, as its operator does."""
        folder = self.folder / name
        results = folder / "results"
        (results / "splits" / "paper").mkdir(parents=True)
        shutil.copytree(self.images / name, results / "sites" / name)
        shutil.copy(self.images / name / "split.csv", results / "splits" / "paper" / f"{name}.csv")
        about = {"name": name, "evaluation": EVALUATION}
        (results / "site.json").write_text(json.dumps(about))
        options = [self.access.address, "--key=key", f"--approve={bundle.sha256()}"]
        options += [f"--authority={self.folder / credentials.AUTHORITY}"]
        (folder / "join.txt").write_text("\n".join(options) + "\n")
        self.cluster.order(
            *("sbatch", *SMALL, f"--job-name={name}", f"--chdir={folder}"),
            *(f"--output={folder}/log", str(self.repository / JOB), "@join.txt"),
        )

    def state(self, name: str) -> Path:
        return self.folder / name / "results" / "federation"

    def said(self, name: str) -> str:
        """All that the job of a site has said, in all its starts."""
        log = self.folder / name / "log"
        return log.read_text() if log.exists() else ""

    def job(self, name: str) -> dict[str, str]:
        return next(job for job in self.cluster.jobs() if job["JobName"] == name)

    def wait_for(self, name: str, text: str, times: int = 1) -> None:
        self.wait(lambda: self.said(name).count(text) >= times, f"{text!r} of {name}")

    def last_said(self) -> str:
        jobs = [f"--- {name}\n{self.said(name)[-1500:]}" for name in self.names]
        return "\n".join([super().last_said(), *jobs])


def test_sites_that_are_jobs_go_on_after_their_time_limit_and_a_failed_node(
    tmp_path, three_sites, own_cluster, repository
):
    study = Study(
        protocol="paper",
        architecture="standard",
        findings=LABELLED,
        seed=1,
        settings=SETTINGS | TRAINING,
    )
    train.main(arguments(three_sites, [*LABELLED], "jobs", **study.settings))
    history = (three_sites / "jobs.history.csv").read_bytes()
    expected = Expected(load(three_sites / "jobs.safetensors")[0], history)
    state = tmp_path / "state"
    with Jobs(tmp_path / "jobs", three_sites, own_cluster, repository) as jobs:
        for name in LABELLED:
            jobs.submit(name)
        for name in LABELLED:
            jobs.wait_for(name, "connected to")
        coordinator = jobs.coordinate(state, study)
        jobs.wait(lambda: rounds_kept(state) >= 1, "first round")
        number = jobs.job("north")["JobId"]
        own_cluster.order("scontrol", "update", f"JobId={number}", "EndTime=now+100")
        jobs.wait(lambda: jobs.job("north")["Restarts"] == "1", "requeued job")
        jobs.wait_for("north", "connected to", times=2)
        jobs.wait(lambda: rounds_kept(state) >= 2, "second round")
        own_cluster.cut_power(jobs.job("south")["BatchHost"])
        jobs.wait_for("south", "connected to", times=2)
        jobs.succeed(coordinator)
        assert_same(jobs, study, state, expected)
