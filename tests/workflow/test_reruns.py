"""What a run makes anew after a change, and what it leaves alone: the table of docs/reruns.md."""

import copy
import json
import os
import re
import shutil
import sys
from importlib.util import cache_from_source
from pathlib import Path

import pandas as pd
import pytest

from chexviz.data.manifest import read_manifest
from chexviz.pipeline import provenance
from opened import STRACE, opened
from running import HOSPITAL, SITES, THREE, Workflow

TRAINING = {"warmup", "train_baseline", "train_federated", "predict"}
DATA = {"download", "preprocess", "preprocess_shard", "merge"}


@pytest.fixture
def run(finished, tmp_path) -> Workflow:
    """A finished run of the test's own."""
    return finished.copy(tmp_path / "run")


def overlay(**parts) -> dict:
    """The settings of the finished run, with parts of `run` changed."""
    return THREE | {"run": THREE["run"] | parts}


def replaced(*path, value) -> dict:
    """The settings of the finished run with one value changed."""
    settings = copy.deepcopy(THREE)
    inner = settings
    for key in path[:-1]:
        inner = inner.setdefault(key, {})
    inner[path[-1]] = value
    return settings


def planned(workflow, settings: dict) -> dict[str, int]:
    """How many jobs of each rule a run with other settings would start."""
    workflow.configure(settings)
    jobs = workflow.planned()
    assert jobs.pop("all", 1) == 1
    return jobs


def test_nothing_changed(done):
    assert planned(done, THREE) == {}


def test_another_title(done):
    jobs = planned(done, replaced("sites", "hospital", "title", value="Another hospital"))
    assert {"figure1", "figure2", "table1", "published", "paper"} <= set(jobs)
    evaluated = {"evaluate", "calibrate", "subgroups", "crosstask", "localise", "simulation"}
    evaluated |= {"chexlocalize"}
    assert not set(jobs) & (DATA | TRAINING | evaluated)


def test_other_rounds_of_federations(done):
    settings = replaced("architectures", "standard", "federated", "rounds", value=3)
    jobs = planned(done, settings)
    assert jobs["train_federated"] == jobs["predict"] == jobs["evaluate"] == 2  # protocols
    assert not set(jobs) & (DATA | {"train_baseline", "warmup", "split_paper", "split_patient"})


def test_another_margin(done):
    jobs = planned(done, replaced("evaluation", "margin", value=0.06))
    assert {"evaluate", "table1", "table_tests", "published", "paper"} <= set(jobs)
    assert not set(jobs) & (DATA | TRAINING | {"calibrate", "subgroups", "crosstask"})


def test_another_seed_more(done):
    jobs = planned(done, overlay(seeds=[2022, 2023]))
    assert jobs["train_baseline"] == 2 * 2 * 3  # protocols, architectures, sites
    assert jobs["train_federated"] == 2 * 2
    assert jobs["predict"] == 2 * 2 * 2
    assert not set(jobs) & (DATA | {"split_paper", "split_patient", "audit", "duplicates"})


def test_another_method_more(done):
    jobs = planned(done, overlay(methods=["fedavg", "fedprox"]))
    assert jobs["train_federated"] == jobs["predict"] == 2 * 2  # protocols, architectures
    assert not set(jobs) & (DATA | {"train_baseline", "warmup", "split_paper", "split_patient"})


def test_another_site_more(done):
    """What the others have trained alone stays, where the split of one does not know another."""
    clinic = HOSPITAL | {"title": "Clinic"}
    settings = overlay(sites=[*SITES, "clinic"])
    settings["sites"] = settings["sites"] | {"clinic": clinic}
    jobs = planned(done, settings)
    new, patient = 2, 2 * 4  # architectures: of the new site; of all four where patients are split
    assert jobs["train_baseline"] == new + patient
    assert jobs["warmup"] == 1 + 4
    assert jobs["split_paper"] == jobs["download"] == jobs["preprocess"] == 1
    assert jobs["split_patient"] == jobs["duplicates"] == 1
    assert jobs["train_federated"] == 2 * 2
    trained = "".join(one for one in done.commands() if "chexviz.federation.train " in one)
    models = re.findall(r"--model \S+/models/(\w+)/\w+/baseline/seed2022/(\w+)\.", trained)
    assert {site for protocol, site in models if protocol == "paper"} == {"clinic"}


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("protocols", ["patient", "paper"]),
        ("architectures", ["densenet121", "standard"]),
        ("sites", SITES[::-1]),
    ],
)
def test_another_order_of_a_list(done, name, order):
    """What is given its files or other words in another order is made anew."""
    done.configure(THREE)
    before = done.commands("--forceall")
    done.configure(overlay(**{name: order}))
    differ = done.commands("--forceall") - before
    remade = done.commands()
    assert differ
    assert differ <= remade
    assert any("chexviz.reporting.paper.paper" in one for one in remade)
    assert any("chexviz.federation.train " in one for one in remade) == (name == "sites")


def test_another_order_leaves_nothing_that_does_not_match(run):
    """What a run does not make anew is what it would have made."""
    run.configure(overlay(protocols=["patient", "paper"]))
    run.succeed()
    assert run.verify().returncode == 0, run.verify().stderr


def test_touched_files(run):
    """Results, raw files and folders of other times, younger and older."""
    for path in run.folder.glob("*/demo/**/*"):
        if path.stat().st_size < 1_000_000:  # Snakemake compares the content of small files alone
            os.utime(path)
    assert run.planned() == {}
    for path in (run.folder / "resources").rglob("*"):
        os.utime(path, ns=(0, 0))
    assert run.planned() == {}


@pytest.fixture
def moved(run, repository, tmp_path) -> Workflow:
    """The finished run in a copy of the repository, all of whose files have another time."""
    ignored = shutil.ignore_patterns(".venv", ".git", ".snakemake", "results", "resources", "tests")
    home = tmp_path / "elsewhere" / "repository"
    shutil.copytree(repository, home, ignore=ignored, copy_function=shutil.copyfile)
    shutil.move(run.folder, home / "run")
    return Workflow(home / "run", home, THREE)


def test_a_moved_checkout(moved, tmp_path):
    """Nor by another way to it, such as a symbolic link."""
    assert moved.planned() == {}
    (tmp_path / "link").symlink_to(moved.repository)
    linked = Workflow(tmp_path / "link" / "run", tmp_path / "link", THREE)
    assert linked.planned() == {}


def test_edited_files_of_the_repository(moved):
    """Exactly what depends on them, if the edit is only a comment, or older than the results."""
    library = moved.repository / "workflow" / "chexviz"
    edits = {
        library / "reporting" / "tables" / "table1.py": {"table1", "paper"},
        library / "reporting" / "figures" / "style.mplstyle": {
            "figure1",
            "figure2",
            "figure3",
            "paper",
        },
        moved.repository / "paper" / "published_table1.csv": {"published", "grim", "paper"},
        moved.repository / "paper" / "paper.typ": {"paper"},
        library / "__init__.py": {"download", "train_baseline", "paper"},
    }
    for path, expected in edits.items():
        whole = path.read_bytes()
        path.write_bytes(whole + b"\n# an edit\n")
        os.utime(path, ns=(0, 0))
        jobs = set(moved.planned()) - {"all"}
        path.write_bytes(whole)
        if path.name in ("table1.py", "published_table1.csv", "paper.typ"):
            assert jobs == expected, path
        assert expected <= jobs, path
    assert moved.planned() == {}


def test_an_edit_is_found_in_the_record(moved):
    module = moved.repository / "workflow" / "chexviz" / "reporting" / "tables" / "models.py"
    module.write_text(module.read_text() + "\n# an edit\n")
    said = moved.verify().stderr
    assert "results/demo/tables/paper/table1.csv: code\n" in said
    assert "results/demo/tables/published.csv: code\n" in said
    assert "metrics.csv" not in said
    assert re.search(r"changed code:\n  workflow/.*/models\.py: \w{12}, now \w{12}\n", said)


# --- every file that a job opens -----------------------------------------------------------------

SYSTEM = [
    *map(Path, (sys.prefix, sys.base_prefix, "/usr", "/lib", "/lib64", "/etc", "/proc", "/sys")),
    *(Path("/dev"), Path.home() / ".cache", Path.home() / ".config"),
]


def test_every_file_that_a_job_reads_is_tracked(finished, repository):
    """It is an input, its code, or listed with its checksum in an input."""
    if STRACE is None:
        (pytest.fail if "CI" in os.environ else pytest.skip)("strace is not installed")
    noted = [json.loads(one.read_text()) for one in finished.folder.glob(".snakemake/metadata/*")]
    by_command = {one["shellcmd"].strip(): one for one in noted}
    manifests = set(finished.folder.glob("resources/demo/*/manifest.csv"))  # renamed to by download
    ignored = [*SYSTEM, finished.folder.parent / "jobs"]  # of the server of jobs
    rules = set()
    for command, files in opened(finished.folder.parent / "traces", finished.folder):
        (job,) = (job for text, job in by_command.items() if text in command)
        known = {finished.folder / name for name in job["input"]}
        known |= {path for one in list(known) for path in listed(one)}
        known |= manifests if job["rule"] == "download" else set()
        known |= {repository / name for name in provenance.sources(job["shellcmd"])}
        known |= {Path(cache_from_source(path)) for path in known if path.suffix == ".py"}
        strange = {
            path for path in files - known if not any(path.is_relative_to(one) for one in ignored)
        }
        assert {path for path in strange if path.is_file()} == set(), job["rule"]
        rules.add(job["rule"])
    assert rules == {job["rule"] for job in noted}


def listed(path: Path) -> list[Path]:
    """The files that a manifest or a list of shards names with their checksums."""
    if path.name == "manifest.csv":
        return [path.parent / "data" / file for file in read_manifest(path)]
    if path.name in ("shards.csv", "sites.csv"):
        return [path.parent / file for file in pd.read_csv(path)["file"]]
    return []
