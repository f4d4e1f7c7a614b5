"""What the tests know about the conda environments: names, files, and the lock they follow."""

import re
from pathlib import Path

import yaml

# Packages that conda-forge calls otherwise than PyPI does. The `-base` packages leave out what
# only notebooks and windows need; `pytorch-cpu` and `pytorch-gpu` each require one build of torch.
FROM_CONDA = {
    "gdcm": "python-gdcm",
    "matplotlib-base": "matplotlib",
    "pytorch-cpu": "torch",
    "pytorch-gpu": "torch",
    "seaborn-base": "seaborn",
    "typst-py": "typst",
}
# Packages that are imported under another name.
FROM_IMPORT = {
    "PIL": "pillow",
    "gdcm": "python-gdcm",
    "kornia_rs": "kornia-rs",
    "sklearn": "scikit-learn",
}


def locked(lock: Path) -> dict[str, set[str]]:
    """The versions of every package in a lock (some have one per Python)."""
    versions: dict[str, set[str]] = {}
    for name, version, _ in requirements(lock):
        versions.setdefault(name, set()).add(version)
    return versions


def requirements(path: Path) -> list[tuple[str, str, set[str]]]:
    """What pip is told to install, in a lock or a script: name, version, SHA-256 of its files."""
    lines = re.findall(r"^([a-z0-9-]+)==([^ ;\\]+)((?:.*\\\n)*.*)", path.read_text(), re.M)
    return [
        (name, version, set(re.findall(r"--hash=sha256:(\w+)", rest)))
        for name, version, rest in lines
    ]


def post_deploy(environment: Path) -> Path:
    """The script that Snakemake runs in an environment that it has made, if there is one."""
    return environment.with_suffix(".post-deploy.sh")


def pinned(environment: Path) -> dict[str, str]:
    """Packages from conda and exact versions, by their names on PyPI, without Python and pip."""
    lines = yaml.safe_load(environment.read_text())["dependencies"]
    pairs = (line.split("==") for line in lines if "==" in line)
    return {FROM_CONDA.get(name, name): version for name, version in pairs}


def installed(environment: Path) -> dict[str, str]:
    """The same, with those that a script installs from PyPI."""
    script = post_deploy(environment)
    added = requirements(script) if script.exists() else []
    return pinned(environment) | {name: version for name, version, _ in added}
