"""What pages of docs show: examples of code, as the modules that they become, and commands."""

import re
import shlex
import sys
from pathlib import Path
from types import ModuleType

PAGE = Path(__file__).resolve().parents[2] / "docs" / "extending.md"


def codes(section: str) -> list[str]:
    """The blocks of Python code of a section, in order; those of a rule are Python as well."""
    text = PAGE.read_text(encoding="utf-8")
    (part,) = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    return re.findall(r"^```python\n(.*?)^```", part, re.DOTALL | re.MULTILINE)


def example(section: str, name: str) -> ModuleType:
    """The first Python code of a section, run as a module of that name."""
    module = sys.modules[name] = ModuleType(name)
    exec(compile(codes(section)[0], f"docs/extending.md: {section}", "exec"), module.__dict__)
    return module


def commands(page: str) -> list[list[str]]:
    """The words of every command `chexviz` that a page of docs shows as one to be run, in order."""
    text = PAGE.with_name(page).read_text(encoding="utf-8")
    blocks = re.findall(r"^ *```bash\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line)[1:] for line in lines if line.startswith("chexviz ")]
