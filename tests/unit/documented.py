"""The examples of docs/extending.md, as the modules that they become."""

import re
from pathlib import Path
from types import ModuleType

PAGE = Path(__file__).resolve().parents[2] / "docs" / "extending.md"


def example(section: str, name: str) -> ModuleType:
    """The Python code of a section, run as a module of that name."""
    text = PAGE.read_text(encoding="utf-8")
    (part,) = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    (code,) = re.findall(r"^```python\n(.*?)^```", part, re.DOTALL | re.MULTILINE)
    module = ModuleType(name)
    exec(compile(code, f"{PAGE}: {section}", "exec"), module.__dict__)
    return module
