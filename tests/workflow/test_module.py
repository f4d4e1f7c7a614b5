"""The workflow as a module of another one."""

import shutil
import subprocess
from pathlib import Path

import pytest

import forking
from running import Workflow

# Of the whole study the other workflow needs one split, one figure and its own rule.
OTHER = """
configfile: "other.yaml"

module chexviz:
    snakefile: {snakefile}
    config: config["chexviz"]

use rule * from chexviz as chexviz_*

onstart:
    chexviz.onstart()

rule count:
    default_target: True
    input:
        split=expand(rules.chexviz_split_paper.output.split, site=["rsna", "siim"]),
        figure=rules.chexviz_figure1.output.pdf,
    output: "counted.txt"
    shell: "cat {{input.split}} | wc -l > {{output}}"
"""
SETTINGS = """
chexviz:
  pathvars: {results: out, resources: raw, logs: log, benchmarks: bench}
  mark: A MODULE
  preprocess: {size: 32}
  phantom: {images: 40}
  sites:
    rsna: {title: Another title, source: [phantom], patients: match.csv, contract: null}
    siim: {source: [phantom], patients: null, attributes: null, contract: null}
"""


class Other:
    """Another workflow, in a folder of its own, that has this one as a module."""

    def __init__(self, folder: Path, repository: Path):
        self.folder = folder
        self.environment = Workflow(folder, repository, {}).environment(PYTHONPATH="")
        self.use(f'"{repository}/Snakefile"')
        self.configure(SETTINGS)

    def use(self, snakefile: str) -> None:
        (self.folder / "Snakefile").write_text(OTHER.format(snakefile=snakefile))

    def configure(self, settings: str) -> None:
        (self.folder / "other.yaml").write_text(settings)

    def run(self, *options: str) -> subprocess.CompletedProcess:
        """Run it; stdout and stderr come together in stdout."""
        return forking.snakemake(["--cores", "2", *options], self.folder, self.environment)


@pytest.fixture
def other(tmp_path, repository) -> Other:
    return Other(tmp_path, repository)


def test_another_workflow_overrides_settings_and_has_a_rule_that_rests_on_ours(other):
    done = other.run()
    assert done.returncode == 0, done.stdout[-4000:]
    # Images of both sites and two headers; the split itself is a default of config.yaml.
    assert int((other.folder / "counted.txt").read_text()) > 50
    assert (other.folder / "out" / "figures" / "figure1.pdf").read_bytes().startswith(b"%PDF")
    assert {path.name for path in other.folder.iterdir() if path.is_dir()} == {
        *("out", "raw", "log", "bench", ".snakemake")
    }
    # What takes seconds or needs the network stays where Snakemake runs, under another name too.
    assert "localrule chexviz_download" in done.stdout
    assert "not present in the Snakefile" not in done.stdout
    assert "Nothing to be done" in other.run("--dry-run").stdout
    other.configure(SETTINGS.replace("Another title", "A third title"))
    planned = other.run("--dry-run").stdout
    assert "chexviz_figure1" in planned
    assert "chexviz_split" not in planned


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ("mark:", "marc:", "marc"),
        ("size: 32", "size: 33", "33"),
        (
            "{source: [phantom], patients: null, attributes: null, contract: null}",
            "{source: [local:nowhere/at/all]}",
            "nowhere/at",
        ),
    ],
)
def test_a_mistake_in_a_modules_settings_is_told_before_any_job(other, before, after, said):
    assert before in SETTINGS
    other.configure(SETTINGS.replace(before, after))
    done = other.run()
    assert done.returncode != 0
    assert said in done.stdout
    assert "Traceback" not in done.stdout
    assert not (other.folder / "raw").exists()


def test_a_module_that_is_not_on_this_machine_is_told_to_be_cloned(other, repository, tmp_path):
    remote = tmp_path / "remote"
    git = ["git", "-C", str(remote), "-c", "user.name=Test", "-c", "user.email=test@example.org"]
    (remote / "workflow").mkdir(parents=True)
    for snakefile in ("Snakefile", "workflow/Snakefile"):
        shutil.copyfile(repository / snakefile, remote / snakefile)
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-qm", "A commit"], ["tag", "v1"]):
        subprocess.run([*git, *arguments], check=True)
    other.use(f'gitfile("{remote}", path="workflow/Snakefile", tag="v1")')
    done = other.run("--dry-run")
    assert done.returncode != 0
    assert "clone the repository" in done.stdout
    assert "Traceback" not in done.stdout


def test_the_catalogs_snakefile_plans_the_same(workflow, repository):
    planned = workflow.planned()
    assert planned["paper"] == planned.pop("all") == 1
    catalogs = str(repository / "workflow" / "Snakefile")
    assert workflow.planned("--snakefile", catalogs) == planned | {"study": 1}
