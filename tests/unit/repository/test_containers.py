"""The two container definitions make the same environment: the lock's, as the Makefile does."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest

USER = "HOME=/tmp LOGNAME=chexviz"  # Apptainer keeps the user's own
FEDERATION = re.compile(r"^FROM environment AS federation\n(.*?)(?=^FROM )", re.M | re.S)


def dockerfile(text: str) -> dict:
    """What a Dockerfile says of the workflow's image: base, files, commands, variables, program."""
    text = FEDERATION.sub("", text.replace("\\\n", ""))
    said = re.findall(r"^([A-Z]+) +(.+)", text, re.M)
    of = {word: [rest for other, rest in said if other == word] for word, _ in said}
    return {
        "base": [line.split()[0] for line in of["FROM"]][:1],
        "files": [line.split() for line in of["COPY"]],
        "commands": [part.split() for line in of["RUN"] for part in line.split("&&")],
        "variables": [line for line in of["ENV"] if line != USER],
        "program": [word for line in of["ENTRYPOINT"] for word in json.loads(line)],
    }


def apptainer(text: str) -> dict:
    """What an Apptainer definition says, in the same words."""
    text = re.sub(r"^ *#.*\n", "", text, flags=re.M)
    header, *sections = re.split(r"^%", text, flags=re.M)
    lines = {name: rest for name, *rest in (section.strip().splitlines() for section in sections)}
    (program,) = lines["runscript"]
    return {
        "base": re.findall(r"^From: (.+)", header, re.M),
        "files": [line.split() for line in lines["files"]],
        "commands": [line.split() for line in lines["post"]],
        "variables": [line.strip().removeprefix("export ") for line in lines["environment"]],
        "program": program.removesuffix(' "$@"').split()[1:],
    }


@pytest.fixture
def definitions(repository) -> tuple[str, str]:
    return (repository / "Dockerfile").read_text(), (repository / "apptainer.def").read_text()


def test_both_definitions_make_the_same_image(definitions):
    docker, other = definitions
    assert dockerfile(docker) == apptainer(other)


@pytest.mark.parametrize(
    "said",
    ["python:3.11", "uv==", "--require-hashes ", "envs/", "USERSITE=1", "snakemake", "uninstall "],
)
def test_an_edit_of_one_alone_is_noticed(definitions, said):
    docker, other = definitions
    assert said in docker
    assert said in other
    # In comments both may say what they want.
    edited = [
        re.sub(rf"^([^#\n]*){said}", r"\g<1>edited", text, flags=re.M) for text in definitions
    ]
    assert dockerfile(edited[0]) != apptainer(other)
    assert dockerfile(docker) != apptainer(edited[1])
    assert dockerfile(edited[0]) == apptainer(edited[1])


def test_they_install_the_lock_as_the_makefile_does(definitions, repository):
    made = dockerfile(definitions[0])
    makefile = (repository / "Makefile").read_text()
    (uv,) = re.findall(r" (uv==\S+)", makefile)
    (flags,) = re.findall(r"uv pip sync (.*) envs/requirements.lock", makefile)
    assert made["files"] == [["envs/requirements.lock", "/opt/requirements.lock"]]
    assert [word for command in made["commands"] for word in command if "==" in word] == [uv]
    sync = made["commands"][1]
    assert sync[:3] == ["uv", "pip", "sync"]
    assert {"--require-hashes", *flags.split(), "/opt/requirements.lock"} <= set(sync)


def test_they_have_the_python_of_the_conda_environments(definitions):
    assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+", *dockerfile(definitions[0])["base"])


def test_docker_is_sent_what_the_images_hold(definitions, repository):
    ignored = (repository / ".dockerignore").read_text().splitlines()[1:]
    assert ignored[0] == "*"
    sent = {line.removeprefix("!") for line in ignored[1:] if line.startswith("!")}
    assert sent == {
        *("CITATION.cff", "Snakefile", "pyproject.toml"),
        *("config", "envs", "paper", "profiles", "workflow"),
    }
    assert all((repository / name).exists() for name in sent)
    # Nothing that a run leaves, nor what Python makes of modules.
    assert {line for line in ignored[1:] if not line.startswith("!")} == {"**/__pycache__"}


def test_both_images_run_without_root(definitions):
    assert re.findall(r"^USER (.*)", definitions[0], re.M) == ["1000:1000"] * 2


def test_the_image_of_a_federation_has_the_code_and_runs_its_commands(definitions):
    (text,) = FEDERATION.findall(definitions[0])
    said = dict(re.findall(r"^([A-Z]+) +(.+)", text, re.M))
    assert said["COPY"] == ". /opt/chexviz"
    assert said["ENV"] == "PYTHONPATH=/opt/chexviz/workflow"
    assert json.loads(said["ENTRYPOINT"]) == ["python", "-m", "chexviz"]


def test_a_copy_of_what_the_image_holds_is_a_checkout(definitions, repository, tmp_path):
    """Every command finds what it needs there, also those that work in a checkout."""
    (tmp_path / "opt").mkdir()
    for line in (repository / ".dockerignore").read_text().splitlines():
        if line.startswith("!"):
            source, target = repository / line[1:], tmp_path / "opt" / line[1:]
            (shutil.copytree if source.is_dir() else shutil.copy)(source, target)
    (tmp_path / "study.yaml").write_text("run: {}\n")
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "opt" / "workflow")}

    def run(*words: str) -> subprocess.CompletedProcess:
        line = [sys.executable, "-m", "chexviz", *words]
        return subprocess.run(line, capture_output=True, text=True, cwd=tmp_path, env=environment)

    assert run("--version").stdout.startswith("chexviz ")
    done = run("site", "prepare", "--configfile", "study.yaml")
    assert done.stderr.startswith("ERROR study.yaml: sites\n"), done.stderr
    words = ["--dry-run", "--configfile", str(tmp_path / "opt" / "config" / "demo.yaml")]
    line = [sys.executable, "-m", "snakemake", "--snakefile", str(tmp_path / "opt" / "Snakefile")]
    done = subprocess.run(
        [*line, *words, "--", "results/demo/audit/labels.csv"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
    )
    assert done.returncode == 0, done.stdout + done.stderr
