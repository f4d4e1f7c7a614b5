"""Which files of the repository a job rests on, and their content.

A rule states `digest` of its entry point as a parameter: an edit reruns what depends on it
and nothing else, wherever the repository lies and whatever the times of its files are.
"""

import ast
import hashlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from chexviz.base.files import sha256

PACKAGE = Path(__file__).resolve().parents[1]
HOME = PACKAGE.parents[1]
ENTRY = re.compile(rf"python -m {PACKAGE.name}\.([\w.]+)")  # in the command of a rule


def files(entry: str) -> list[Path]:
    """The source files of `chexviz.<entry>` and of all modules of the package it imports, sorted.

    The `__init__` of every package on the way is one, and a plot style belongs to the module of its
    name. Found by reading the import statements, those inside functions too; nothing is imported.
    Raises FileNotFoundError if there is no such module.
    """
    module = PACKAGE.joinpath(*entry.split(".")).with_suffix(".py")
    if not module.is_file():
        raise FileNotFoundError(f"no module {entry}: {module}")
    found: set[Path] = set()
    pending = located(f"{PACKAGE.name}.{entry}")
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
    """The source files that one of them imports; read once for all entry points."""
    return [file for name in imported(path) for file in located(name)]


def imported(path: Path) -> list[str]:
    """What a source file imports of ours: `chexviz.<module>`, or a name in one."""
    package = path.relative_to(PACKAGE.parent).parts[:-1]
    names = []
    for node in statements(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else ()
            module = ".".join([*above, *filter(None, [node.module])])
            names += [f"{module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return [name for name in names if name.partition(".")[0] == PACKAGE.name]


def located(name: str) -> list[Path]:
    """The files that an import of `chexviz.<name>` runs; the last part may be no module."""
    parts = name.split(".")[1:]
    places = [PACKAGE.joinpath(*parts[:depth]) for depth in range(len(parts) + 1)]
    files = [file for one in places for file in (one / "__init__.py", one.with_suffix(".py"))]
    return list(filter(Path.is_file, files))


def statements(node: ast.AST) -> Iterator[ast.AST]:
    """All statements within a node; its expressions, which are most of it, import nothing."""
    for part in ("body", "orelse", "finalbody", "handlers", "cases"):
        for inner in getattr(node, part, []):
            yield inner
            yield from statements(inner)
