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
    for name, version in re.findall(r"^([a-z0-9-]+)==([^ ;\\]+)", lock.read_text(), re.M):
        versions.setdefault(name, set()).add(version)
    return versions


def pinned(environment: Path) -> dict[str, str]:
    """Packages and exact versions of an environment, by their names on PyPI, without Python."""
    lines = yaml.safe_load(environment.read_text())["dependencies"]
    pairs = (line.split("==") for line in lines if not line.startswith("python="))
    return {FROM_CONDA.get(name, name): version for name, version in pairs}
