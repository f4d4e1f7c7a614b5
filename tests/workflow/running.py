"""Runs of the real workflow, in folders of their own."""

import atexit
import contextlib
import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import yaml

import forking
import job_server

# As small as a run can be that still passes through every stage.
TINY = {
    "preprocess": {"size": 32},
    "phantom": {"images": 90},
    "architectures": {
        "standard": {"baseline": {"epochs": 2}, "federated": {"rounds": 2}},
        "densenet121": {
            "warmup": {"epochs": 2},
            "baseline": {"epochs": 1},
            "federated": {"rounds": 1},
        },
    },
    "evaluation": {
        "bootstrap": {"replicates": 200},
        "coverage": {"repetitions": 2, "replicates": 100, "patients": [100, 200]},
        "simulation": {"repetitions": 5},
    },
}
COMMAND = re.compile(r"python -m chexviz\..*?2>&1 \| tee \S+", re.DOTALL)
FORECAST = "training will take about"  # what is said of a study that takes long
# A third site, in the table layout, to be added to the demo's two.
HOSPITAL = {
    "title": "Hospital",
    "findings": ["pneumothorax"],
    "evaluated_findings": ["pneumonia"],
    "reader": "table",
    "source": ["phantom"],
    "labels": "labels.csv",
    "annotations": "annotations.json",
}
SITES = ["rsna", "siim", "hospital"]
THREE = TINY | {"run": {"sites": SITES}, "sites": {"hospital": HOSPITAL | {"shards": 2}}}


@functools.cache
def programs() -> Path:
    """The folder of the program `python` that hands jobs over, for this process of the tests."""
    started = contextlib.ExitStack()
    atexit.register(started.close)
    folder = started.enter_context(tempfile.TemporaryDirectory())
    return started.enter_context(job_server.serving(Path(folder) / "jobs", []))


class Workflow:
    """The workflow in one working directory, with an overlay over the config of a study.

    study: paper, or the config that is laid over it, such as demo.
    """

    forked = True  # runs go on from a process that has imported Snakemake
    served = True  # and their jobs from one that has imported the libraries

    def __init__(self, folder: Path, repository: Path, overlay: dict, study: str = "demo"):
        self.folder, self.repository, self.study = folder, repository, study
        self.overlay = folder / "overlay.yaml"
        self.before: list[str] = []  # words before the command line
        self.programs: Path | None = None  # of a server of jobs of its own
        self.configure(overlay)

    def configure(self, overlay: dict) -> None:
        self.settings = overlay
        self.overlay.write_text(yaml.safe_dump(overlay))

    def words(self, *options: str) -> list[str]:
        """What follows `snakemake`, which gets two cores."""
        words = ["--cores", "2", "--snakefile", str(self.repository / "Snakefile")]
        words += ["--directory", str(self.folder)]
        return [*words, "--configfile", *self.configs(), *options]

    def line(self, *options: str) -> list[str]:
        """The command line of snakemake."""
        return [*self.before, sys.executable, "-m", "snakemake", *self.words(*options)]

    def configs(self) -> list[str]:
        """The files that are laid over config.yaml."""
        study = self.repository / "config" / f"{self.study}.yaml"
        return [str(study)] * (self.study != "paper") + [str(self.overlay)]

    def environment(self, **changes: str) -> dict[str, str]:
        """The environment of a run: the tests' own interpreter is the one that rules find."""
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return os.environ | {"PATH": path} | changes

    def run(self, *options: str, **changes: str) -> subprocess.CompletedProcess:
        """Run snakemake; stdout and stderr come together in stdout. changes: of the environment."""
        environment = self.environment(**changes)
        if self.served and not changes:
            environment["PATH"] = f"{self.programs or programs()}:{environment['PATH']}"
        if self.forked and not self.before:
            return forking.snakemake(self.words(*options), self.repository, environment)
        return subprocess.run(
            self.line(*options),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.repository,
            env=environment,
        )

    def plan(self, *options: str, **changes: str) -> subprocess.CompletedProcess:
        """Say what would run, as `run` with the option --dry-run."""
        return self.run("--dry-run", *options, **changes)

    def copy(self, folder: Path, *without: str) -> "Workflow":
        """The same in a folder that is not there yet; its files keep their times.

        without: names, or patterns of them, of files and folders that are left out.
        """
        ignored = shutil.ignore_patterns(*without)
        shutil.copytree(self.folder, folder, True, ignored, copy_function=copy_or_link)
        return Workflow(folder, self.repository, self.settings, self.study)

    def succeed(self, *options: str) -> str:
        """Run it, which must succeed; gives what it said."""
        return successful(self.run(*options))

    def verify(self) -> subprocess.CompletedProcess:
        """Compare the results with their record, as `make verify` does."""
        return self.tool("verify")

    def tool(self, *words: str) -> subprocess.CompletedProcess:
        """Run a command of `chexviz` on the results."""
        line = [sys.executable, "-m", "chexviz", *words, "--configfile", *self.configs()]
        environment = self.environment(PYTHONPATH=str(self.repository / "workflow"))
        return subprocess.run(
            line, capture_output=True, text=True, cwd=self.folder, env=environment
        )

    def wait_for(self, said: str, *options: str, **changes: str) -> str:
        """Run it until it says something, and kill it; the line in which it says so."""
        process = subprocess.Popen(
            self.line("--nolock", *options),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self.repository,
            env=self.environment(**changes),
            start_new_session=True,
        )
        try:
            return next(line for line in process.stdout if said in line)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()

    def planned(self, *options: str) -> dict[str, int]:
        """How many jobs of each rule a run would start now."""
        said = successful(self.plan(*options))
        if "Nothing to be done" in said:
            return {}
        table = said.split("Job stats:")[1].split("total")[0].splitlines()[3:]
        return {
            name: int(count) for name, count in (line.split() for line in table if line.strip())
        }

    def commands(self, *options: str) -> set[str]:
        """The commands of the jobs that a run would start now."""
        said = successful(self.plan("--printshellcmds", "--quiet", "host", *options))
        return set(COMMAND.findall(said))

    def results(self, pattern: str) -> list[Path]:
        """Results under final names, sorted; hidden ones only where the pattern asks for them."""
        results = self.folder / "results"
        found = (results / "demo" if self.study == "demo" else results).glob(pattern)
        hidden = Path(pattern).name.startswith(".")
        return sorted(path for path in found if hidden or not path.name.startswith("."))


def successful(done: subprocess.CompletedProcess) -> str:
    """What a run said that must have succeeded."""
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


def copy_or_link(source: str, target: str) -> None:
    """Copy a file, or link a model: these are large, and nobody changes one in place."""
    (os.link if source.endswith(".safetensors") else shutil.copy2)(source, target)


def training(is_ours: Callable[[int], bool]) -> int | None:
    """A training that answers to SIGTERM by now, of those whose process id is ours; its own."""
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            line = status.with_name("cmdline").read_bytes()
            caught = int(re.search(r"SigCgt:\s*(\w+)", status.read_text())[1], 16)
            if (
                line.startswith(b"python\0-m\0chexviz.federation.train\0")
                and caught >> signal.SIGTERM - 1 & 1
                and is_ours(int(status.parent.name))
            ):
                return int(status.parent.name)
        except OSError:  # it has ended meanwhile
            continue
    return None
