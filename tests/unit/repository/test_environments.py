"""The conda environments hold the same versions as the pip lock, and all that the code imports."""

import ast
import re

import pytest
import yaml

from chexviz.base import source_code
from environments import FROM_IMPORT, installed, locked, pinned, post_deploy, requirements

BUILDS = {"train": "TRAINING_ENVIRONMENT", "federate": "FEDERATION_ENVIRONMENT"}
NAMES = [
    *("data", "evaluate", "export", "figures"),
    *(f"{stage}-{build}" for stage in BUILDS for build in ("cpu", "gpu")),
]


def entry_points(repository, name: str) -> set[str]:
    """The entry points that run in an environment, by the rules; `forecast`, which none runs."""
    environment = BUILDS.get(name.partition("-")[0], f'"../../envs/{name}.yaml"')
    found = {"tools.forecast"} if name.startswith("train-") else set()
    for path in (repository / "workflow" / "rules").glob("*.smk"):
        for rule in path.read_text().split("\nrule ")[1:]:
            if f"    conda:\n        {environment}\n" in rule:
                found |= set(source_code.ENTRY.findall(rule))
    assert found
    return found


@pytest.mark.parametrize("name", NAMES)
def test_versions_are_those_of_the_lock(repository, name):
    versions = locked(repository / "envs" / "requirements.lock")
    found = installed(repository / "envs" / f"{name}.yaml")
    assert found
    for package, version in found.items():
        assert version in versions[package], package


@pytest.mark.parametrize("name", NAMES)
def test_an_environment_is_of_conda_forge_alone(repository, name):
    """A pip section would be lost where there is a pin file; what scripts install is not."""
    environment = yaml.safe_load((repository / "envs" / f"{name}.yaml").read_text())
    assert environment.keys() == {"channels", "dependencies"}
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    assert environment["dependencies"][0] == "python=3.11"
    assert all(isinstance(line, str) for line in environment["dependencies"])


def test_the_decoder_of_png_comes_from_pypi_with_hashes_of_the_lock(repository):
    """conda-forge has had 0.1.10 of it alone, which cannot decode; the lock's wheels can."""
    file = repository / "envs" / "data.yaml"
    assert "kornia-rs" not in pinned(file)
    assert "pip" in [line.split()[0] for line in yaml.safe_load(file.read_text())["dependencies"]]
    (added,) = requirements(post_deploy(file))
    assert added[0] == "kornia-rs"
    locked_files = {
        name: files for name, _, files in requirements(repository / "envs" / "requirements.lock")
    }
    assert added[2]
    assert added[2] <= locked_files["kornia-rs"]
    assert list((repository / "envs").glob("*.sh")) == [post_deploy(file)]


def test_both_builds_of_pytorch_have_the_same_company(repository):
    for stage in BUILDS:
        cpu, gpu = (
            (repository / "envs" / f"{stage}-{build}.yaml").read_text() for build in ("cpu", "gpu")
        )
        assert cpu.replace("pytorch-cpu", "pytorch-gpu") == gpu


@pytest.mark.parametrize("name", NAMES)
def test_everything_imported_is_installed(repository, name):
    imported = set()
    for entry in entry_points(repository, name):
        for path in (one for one in source_code.files(entry) if one.suffix == ".py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    imported |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom):
                    imported.add(node.module.split(".")[0])
    ours = {"chexviz", *__import__("sys").stdlib_module_names}
    wanted = {FROM_IMPORT.get(module, module) for module in imported - ours}
    missing = wanted - installed(repository / "envs" / f"{name}.yaml").keys()
    assert not missing


def test_every_rule_has_one_of_these_environments(repository):
    used = set()
    for path in (repository / "workflow" / "rules").glob("*.smk"):
        rules = path.read_text().split("\nrule ")[1:]
        for rule in rules:
            (environment,) = re.findall(r"    conda:\n        (\S+)\n", rule)
            used.add(environment)
    others = {f'"../../envs/{name}.yaml"' for name in NAMES if "-" not in name}
    assert used == {*BUILDS.values()} | others
    files = {path.stem for path in (repository / "envs").glob("*.yaml")}
    assert files == set(NAMES)


def test_the_lock_names_no_index_and_has_hashes(repository):
    lock = (repository / "envs" / "requirements.lock").read_text()
    assert "://" not in lock
    assert lock.count("--hash=sha256:") > 500


def test_pin_files_are_not_part_of_the_repository(repository):
    """They hold the address of the channel that they were made from, a mirror perhaps."""
    assert "*.pin.txt" in (repository / ".gitignore").read_text().splitlines()
