"""Which files of the repository a job rests on, and their content.

A rule states `closure.digest` of its entry point as a parameter: an edit reruns what depends on it
and nothing else, wherever the repository lies and whatever the times of its files are.
"""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from chexviz.files import sha256

PACKAGE = Path(__file__).resolve().parent
HOME = PACKAGE.parents[1]


def files(entry: str) -> list[Path]:
    """The source files of `chexviz.<entry>` and of all modules of the package it imports, sorted.

    The package's own `__init__` is one, and a plot style belongs to the module of its name. Found
    by reading the import statements, those inside functions too; nothing is imported.
    Raises FileNotFoundError if there is no such module.
    """
    found: set[Path] = set()
    pending = [PACKAGE / f"{entry}.py", PACKAGE / "__init__.py"]
    while pending:
        path = pending.pop()
        if path not in found:
            found.add(path)
            pending += imports(path)
    styles = (path.with_suffix(".mplstyle") for path in found)
    return sorted([*found, *filter(Path.exists, styles)])


def contents(entry: str, *others: str) -> dict[str, str]:
    """SHA-256 of an entry point's source files and of other files of the repository, by name.

    others: files that the entry point reads, as seen from the repository; so are the names.
    """
    paths = [*files(entry), *(HOME / other for other in others)]
    return {path.relative_to(HOME).as_posix(): checksum(path) for path in paths}


def digest(entry: str, *others: str) -> str:
    """One SHA-256 of all that `contents` has."""
    lines = [f"{name} {one}\n" for name, one in sorted(contents(entry, *others).items())]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


checksum = cache(sha256)


@cache
def imports(path: Path) -> list[Path]:
    """The modules of the package that one source file imports; read once for all entry points."""
    names = []
    for node in statements(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == PACKAGE.name:
            names += [alias.name for alias in node.names]
        elif (
            isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("chexviz.")
        ):
            names.append(node.module.removeprefix("chexviz."))
        elif isinstance(node, ast.Import):
            names += [
                alias.name.removeprefix("chexviz.")
                for alias in node.names
                if alias.name.startswith("chexviz.")
            ]
    return [PACKAGE / f"{name}.py" for name in names if (PACKAGE / f"{name}.py").exists()]


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """All statements within a node; its expressions, which are most of it, import nothing."""
    for part in ("body", "orelse", "finalbody", "handlers", "cases"):
        for inner in getattr(node, part, []):
            yield inner
            yield from statements(inner)
