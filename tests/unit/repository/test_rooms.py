"""Which room of the library may import which: what all use knows nothing of what uses it."""

import ast
import subprocess
import sys

import pytest

from chexviz.base import source_code
from chexviz.base.errors import InputError
from chexviz.base.source_code import PACKAGE
from chexviz.tools import architecture_page as page

COMMON = {"base", "images"}
COMPUTING = {*COMMON, "data", "cohort", "models", "federation", "evaluation", "reporting"}
COMPUTING |= {"inference"}
MAY_IMPORT = {
    "base": set(),
    "images": {"base"},
    "data": COMMON,
    "cohort": COMMON,
    "models": COMMON,
    "federation": {*COMMON, "models"},
    "evaluation": COMMON,
    "privacy": {*COMMON, "cohort", "models", "federation", "evaluation"},
    "reporting": COMMON,
    "inference": {*COMMON, "data", "models", "evaluation", "reporting"},
    "pipeline": COMPUTING,
    "tools": {*COMPUTING, "pipeline"},
}
ALSO = {"reporting": {f"evaluation.{name}" for name in ("over_seeds", "cases", "planning")}}
# What a user's machine needs not have: of the room that goes there, one module alone imports it.
TRAINING = {"models", "torch", "onnx"}
# -I and -S: without the packages of this environment.
PROGRAM = """
import sys
sys.path.append(sys.argv[1])
from chexviz.tools.architecture_page import main
main(sys.argv[2:])
"""


def may_import(name: str, other: str) -> bool:
    room, target = page.room_of(name), page.room_of(other)
    return target in {room, *MAY_IMPORT[room]} or other in ALSO.get(room, ())


def test_every_module_is_in_a_room_and_every_room_has_its_rule():
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} == set(MAY_IMPORT)
    assert set(page.ROOMS) == set(MAY_IMPORT)
    assert {path.name for path in PACKAGE.glob("*.py")} <= {"__init__.py", "__main__.py"}


def test_no_room_imports_what_it_must_not_know():
    paths = {page.name_of(path): path for path in page.sources()}
    pairs = {(name, other) for name, path in paths.items() for other in page.imported(path)}
    assert len(pairs) > 200
    assert {pair for pair in pairs if not may_import(*pair)} == set()


def test_what_runs_at_a_users_imports_nothing_that_trains():
    modules = {page.name_of(path): path for path in (PACKAGE / "inference").glob("*.py")}
    importing = set()
    for name, path in modules.items():
        tree = ast.walk(ast.parse(path.read_text()))
        froms = {node.module for node in tree if isinstance(node, ast.ImportFrom)}
        others = {page.room_of(one) for one in page.imported(path)}
        if TRAINING & (others | {one.partition(".")[0] for one in froms}):
            importing.add(name)
    assert importing == {"inference.export"}
    for entry in ("inference.predict", "inference.viewer.view"):
        reached = {path.parent.name for path in source_code.files(entry)}
        assert not {"models", "architectures", "federation", "pipeline"} & reached


def test_imports_for_types_alone_and_in_functions_count(tmp_path, monkeypatch):
    folder = tmp_path / "chexviz"
    for room in ("base", "tools"):
        (folder / room).mkdir(parents=True)
    (folder / "base" / "__init__.py").touch()
    (folder / "base" / "files.py").touch()
    (folder / "tools" / "late.py").touch()
    entry = folder / "base" / "entry.py"
    entry.write_text(
        "if TYPE_CHECKING:\n    from chexviz.base.files import sha256\n"
        "def f():\n    from ..tools import late\n    from chexviz.base import NAME\n"
    )
    for module in (page, page.source_code):
        monkeypatch.setattr(module, "PACKAGE", folder)
    assert page.imported(entry) == {"base", "base.files", "tools.late"}


def test_the_page_of_the_architecture_is_that_of_the_code():
    written = page.PAGE.read_text(encoding="utf-8")
    assert page.updated(written) == written, "docs/architecture.md is old: run `make docs`"


def test_a_part_without_its_place_in_the_page_is_an_error():
    with pytest.raises(InputError, match="<!-- tables: from the code"):
        page.updated("# Architecture\n")


def test_the_page_is_written_without_any_package(tmp_path):
    """By the Python of the machine, before an environment is there."""
    copy = tmp_path / "architecture.md"
    copy.write_text(page.PAGE.read_text(encoding="utf-8").replace("| base |", "| cellar |"))
    program = [sys.executable, "-I", "-S", "-c", PROGRAM, str(PACKAGE.parent), str(copy)]
    subprocess.run(program, check=True)
    assert copy.read_bytes() == page.PAGE.read_bytes()
