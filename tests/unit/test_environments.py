"""The conda environments hold the same versions as the pip lock, and all that the code imports."""

import ast
import re

import pytest
import yaml

from chexviz import closure

# Names that differ between conda-forge and PyPI, and between PyPI and the import statement.
FROM_CONDA = {"pytorch": "torch"}
FROM_IMPORT = {"PIL": "pillow", "sklearn": "scikit-learn"}
ENTRIES = {
    "data": ["download", "preprocess", "duplicates", "split"],
    "train": ["weights", "warmup", "train", "predict"],
    "evaluate": ["evaluate", "calibrate", "subgroups", "crosstask", "localise", "table1"],
    "figures": [
        *("figure1", "figure2", "figure3", "figure_calibration", "figure_decision"),
        *("figure_subgroups", "figure_crosstask", "figure_localisation", "contact_sheet", "paper"),
    ],
}


@pytest.fixture(scope="module")
def locked(repository) -> dict[str, set[str]]:
    """The versions of every package in the lock (some have one per Python)."""
    lock = (repository / "envs" / "requirements.lock").read_text()
    versions: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([a-z0-9-]+)==([^ ;\\]+)", lock, re.M):
        versions.setdefault(name, set()).add(version)
    return versions


def packages(repository, name: str) -> dict[str, str]:
    """Packages and exact versions of an environment, by their names on PyPI."""
    environment = yaml.safe_load((repository / "envs" / f"{name}.yaml").read_text())
    found = {}
    for line in environment["dependencies"]:
        lines = line["pip"] if isinstance(line, dict) else [line]
        for pinned in lines:
            package, _, version = pinned.replace("==", "=").partition("=")
            found[FROM_CONDA.get(package, package)] = version
    return found


@pytest.mark.parametrize("name", ENTRIES)
def test_versions_are_those_of_the_lock(repository, locked, name):
    found = packages(repository, name)
    assert found.pop("python") == "3.11"
    found.pop("pip", None)
    assert found
    for package, version in found.items():
        assert version in locked[package], package


@pytest.mark.parametrize("name", ENTRIES)
def test_everything_imported_is_installed(repository, name):
    imported = set()
    for entry in ENTRIES[name]:
        for path in closure.files(entry):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    imported |= {alias.name.split(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom):
                    imported.add(node.module.split(".")[0])
    ours = {"chexviz", *__import__("sys").stdlib_module_names}
    wanted = {FROM_IMPORT.get(module, module) for module in imported - ours}
    missing = wanted - packages(repository, name).keys()
    assert not missing


def test_every_rule_has_one_of_these_environments(repository):
    used = set()
    for path in (repository / "workflow" / "rules").glob("*.smk"):
        used |= set(re.findall(r"envs/([a-z]+)\.yaml", path.read_text()))
    assert used == ENTRIES.keys()


def test_the_lock_names_no_index_and_has_hashes(repository):
    lock = (repository / "envs" / "requirements.lock").read_text()
    assert "://" not in lock
    assert lock.count("--hash=sha256:") > 500
