"""Which modules an entry point runs, so that an edit reruns what depends on it and nothing else."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent


def files(entry: str) -> list[Path]:
    """The source files of `chexviz.<entry>` and of all modules of the package it imports, sorted.

    Found by reading the import statements, those inside functions too; nothing is imported.
    Raises FileNotFoundError if there is no such module.
    """
    found: set[Path] = set()
    pending = [PACKAGE / f"{entry}.py"]
    while pending:
        path = pending.pop()
        if path not in found:
            found.add(path)
            pending += imports(path)
    return sorted(found)


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
