"""The examples of docs/extending.md, as the modules that they become."""

import re
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
