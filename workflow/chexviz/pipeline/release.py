"""Which release of the code and of its packages a run is made with, as the repository says."""

import re
import sys
from pathlib import Path

from chexviz.base.errors import InputError

# The packages that matter to a result, and what readers call them.
SOFTWARE = {
    **{"torch": "PyTorch", "torchvision": "torchvision", "numpy": "NumPy", "scipy": "SciPy"},
    **{"pandas": "pandas", "scikit-learn": "scikit-learn", "pydicom": "pydicom"},
    **{"pillow": "Pillow", "matplotlib": "matplotlib", "typst": "Typst", "snakemake": "Snakemake"},
}


def software(lock: Path) -> list[list[str]]:
    """Name and version of SOFTWARE, as a pip lock pins it, after that of this Python.

    A package that is pinned twice, for several Pythons, has the versions of all. Raises
    InputError if the lock lacks one.
    """
    found: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==([^\s;]+)", lock.read_text(), re.MULTILINE):
        found.setdefault(name, []).append(version)
    absent = [name for name in SOFTWARE if name not in found]
    if absent:
        raise InputError(
            lock,
            expected="the versions of " + ", ".join(SOFTWARE),
            found="none of " + ", ".join(absent),
            fix="make it again (make lock)",
        )
    python = ".".join(map(str, sys.version_info[:2]))
    rows = [[title, " or ".join(found[name])] for name, title in SOFTWARE.items()]
    return [["Python", python], *rows]


def code(citation: Path) -> dict[str, str]:
    """Version, licence and address of the code, as its CITATION.cff says; '' where it does not."""
    lines = citation.read_text(encoding="utf-8")
    said = dict(re.findall(r"^([\w-]+): *[\"']?(.*?)[\"']?$", lines, re.MULTILINE))
    return {
        "version": said.get("version", ""),
        "licence": said.get("license", ""),
        "address": said.get("repository-code", ""),
    }
