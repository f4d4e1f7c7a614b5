"""Write the parts of docs/architecture.md that the code tells: tables, rooms and modules.

Entry point: python -m chexviz.tools.architecture_page (`make docs`). Each part stands between two
comments of the page. A room is a package of chexviz, with the packages in it.
"""

import ast
import re
from pathlib import Path

from chexviz.base import source_code
from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run
from chexviz.base.files import replacing
from chexviz.base.source_code import HOME, PACKAGE
from chexviz.base.tables import evaluation, models, privacy, sites, study, summaries
from chexviz.base.tables.table import Table

PAGE = HOME / "docs" / "architecture.md"
# In the order of the page: from what all use to what uses all.
ROOMS = (
    *("base", "images", "data", "cohort", "models", "federation"),
    *("evaluation", "privacy", "reporting", "inference", "pipeline", "tools"),
)
BOUNDS = ("low", "high", "sd")
Arrows = dict[str, set[str]]


def modules() -> dict[str, Path]:
    """The source file of every module by its name within chexviz, such as 'data.sources.kaggle'."""
    found = {name_of(path): path for path in sources() if path.name != "__init__.py"}

    def place(name: str) -> tuple[int, str, str]:
        package, _, module = name.rpartition(".")
        return ROOMS.index(room_of(name)), package, module

    return {name: found[name] for name in sorted(found, key=place)}


def sources() -> list[Path]:
    """The source files of all rooms. What lies above them, `__main__`, is of no room."""
    return [path for room in ROOMS for path in (PACKAGE / room).rglob("*.py")]


def name_of(path: Path) -> str:
    """The name of a module or package within chexviz, by its source file."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if path.name == "__init__.py" else parts)


def room_of(name: str) -> str:
    """The room of a module or package."""
    return name.partition(".")[0]


def imported(path: Path) -> set[str]:
    """The modules of chexviz that a source file imports, and packages whose own names it does."""
    return {module_with(name.split(".")[1:]) for name in source_code.imported(path)} - {""}


def module_with(parts: list[str]) -> str:
    """The module or package that is meant, or has the name that is meant."""
    place = PACKAGE.joinpath(*parts)
    if place.is_dir() or place.with_suffix(".py").is_file():
        return ".".join(parts)
    return module_with(parts[:-1])


def arrows() -> Arrows:
    """The other rooms that each room imports."""
    found: Arrows = {room: set() for room in ROOMS}
    for path in sources():
        room = room_of(name_of(path))
        found[room] |= {room_of(one) for one in imported(path)} - {room}
    return found


def reached(found: Arrows, start: str) -> set[str]:
    """All rooms that a room imports, by way of others too."""
    seen: set[str] = set()
    pending = {start}
    while pending:
        new = set().union(*(found[one] for one in pending)) - seen
        seen |= new
        pending = new
    return seen


def drawing() -> str:
    """The rooms as a graph. An arrow that follows from others is left out."""
    found = arrows()
    lines = ["```mermaid", "flowchart TD"]
    for room in ROOMS:
        implied = set().union(*(reached(found, one) for one in found[room]))
        direct = [one for one in ROOMS if one in found[room] - implied]
        lines += [f"    {room} --> {one}" for one in direct]
    return "\n".join([*lines, "```"])


def summary(path: Path) -> str:
    """The first line of a source file's docstring, as a cell of the page's tables."""
    line = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]
    linked = re.sub(r"\bdocs/([\w-]+\.md)", r"[\1](\1)", line.replace("|", r"\|"))
    return linked.removesuffix(".")


def room_table() -> str:
    """A row for each package: what is in it, how many modules, which other rooms it imports."""
    found, packages = arrows(), [name.rpartition(".")[0] for name in modules()]
    lines = ["| room | what is in it | modules | imports |", "|---|---|---|---|"]
    for package in dict.fromkeys(packages):
        what = summary(PACKAGE.joinpath(*package.split("."), "__init__.py"))
        others = ", ".join(room for room in ROOMS if room in found.get(package, ()))
        lines.append(f"| {package} | {what} | {packages.count(package)} | {others} |")
    return "\n".join(lines)


def module_table() -> str:
    """A row for each module: its package, its name, bold for an entry point, and what it is for."""
    lines = ["| room | module | what it is for |", "|---|---|---|"]
    for name, path in modules().items():
        package, _, module = name.rpartition(".")
        starts = '\nif __name__ == "__main__":' in path.read_text(encoding="utf-8")
        lines.append(f"| {package} | {f'**{module}**' if starts else module} | {summary(path)} |")
    return "\n".join(lines)


def tables() -> list[Table]:
    """All tables, in the order of the stages that write them."""
    found = [
        vars(module).values() for module in (sites, study, models, evaluation, privacy, summaries)
    ]
    return [one for values in found for one in values if isinstance(one, Table)]


def table_list() -> str:
    """A row for each table: its file, what a row of it is, and its columns."""
    lines = ["| file | what it holds | columns |", "|---|---|---|"]
    return "\n".join(
        lines + [f"| {one.name} | {one.about} | {', '.join(columns(one))} |" for one in tables()]
    )


def columns(table: Table) -> list[str]:
    """The columns of a table with their meaning; bounds beside the value that they are of."""
    found = []
    for name, column in table.columns.items():
        value, _, end = name.rpartition("_")
        if end in BOUNDS and value in table.columns:
            continue
        own = [f"`_{one}`" for one in BOUNDS if f"{name}_{one}" in table.columns]
        shown = f"`{name}<name>`" if name.endswith("_") else f"`{name}`"
        shown += f" with {', '.join(own)}" if own else ""
        found.append(shown + (f" ({column.meaning})" if column.meaning else ""))
    return found


PARTS = {"tables": table_list, "drawing": drawing, "rooms": room_table, "modules": module_table}


def updated(page: str) -> str:
    """The page with all its parts made anew. Raises InputError if one has no place in it."""
    for name, make in PARTS.items():
        begin, end = f"<!-- {name}: from the code, by `make docs` -->\n", f"\n<!-- end: {name} -->"
        before, opened, rest = page.partition(begin)
        _, closed, after = rest.partition(end)
        if not (opened and closed):
            raise InputError(
                "docs/architecture.md",
                expected=f"the lines {begin.strip()} and {end.strip()}",
                found="not both",
                fix="put them around the part of that name",
            )
        page = before + begin + make() + end + after
    return page


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("page", type=Path, nargs="?", default=PAGE)
    page = parser.parse_args(argv).page
    with replacing(page) as temporary:
        temporary.write_text(updated(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    run(main)
