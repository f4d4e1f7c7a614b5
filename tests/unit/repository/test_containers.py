"""The two container definitions make the same environment: the lock's, as the Makefile does."""

import json
import re

import pytest

USER = "HOME=/tmp LOGNAME=chexviz"  # Apptainer keeps the user's own


def dockerfile(text: str) -> dict:
    """What a Dockerfile says: base image, files, commands, variables, program."""
    text = text.replace("\\\n", "")
    said = re.findall(r"^([A-Z]+) +(.+)", text, re.M)
    of = {word: [rest for other, rest in said if other == word] for word, _ in said}
    return {
        "base": of["FROM"],
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


def test_docker_is_sent_the_lock_alone_and_runs_without_root(definitions, repository):
    ignored = (repository / ".dockerignore").read_text().splitlines()[1:]
    assert ignored == ["*", "!envs/requirements.lock"]
    assert re.findall(r"^USER (.*)", definitions[0], re.M) == ["1000:1000"]
