"""Code tracking: what an entry point imports, and nothing else."""

import os
import subprocess
import sys

import pytest

from chexviz.base import source_code


def names(entry: str) -> set[str]:
    """The modules that an entry point rests on, as their imports name them."""
    files = (path.relative_to(source_code.PACKAGE) for path in source_code.files(entry))
    modules = (file.with_suffix("") for file in files if file.suffix == ".py")
    return {".".join(module.parts).removesuffix("__init__").rstrip(".") for module in modules}


def test_training_depends_on_what_it_trains_with_and_on_no_figure():
    found = names("federation.train")
    assert {"federation.train", "federation.exchange", "models.augment", "models.model"} <= found
    assert {"models.architectures.standard", "models.architectures.densenet121"} <= found
    rooms = {name.partition(".")[0] for name in found}
    assert rooms == {"", "base", "images", "models", "federation"}


def test_it_names_every_module_that_python_really_loads(repository):
    for entry in (
        *("federation.train", "data.preprocess", "data.download", "evaluation.evaluate"),
        *("reporting.figures.gradcam_cases", "reporting.paper.paper"),
    ):
        program = (
            f"import sys, chexviz.{entry}; "
            "print(*(name.removeprefix('chexviz.') for name in sys.modules "
            "if name.startswith('chexviz.')))"
        )
        loaded = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONPATH": str(repository / "workflow")},
        ).stdout.split()
        assert set(loaded) <= names(entry), entry


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An empty package in place of ours, in a repository of its own."""
    folder = tmp_path / "workflow" / "chexviz"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    monkeypatch.setattr(source_code, "PACKAGE", folder)
    monkeypatch.setattr(source_code, "HOME", tmp_path)
    return folder


def test_imports_inside_functions_count(package):
    (package / "entry.py").write_text("def f():\n    from chexviz.late import g\n")
    (package / "late.py").write_text("import chexviz.deep\nfrom chexviz import other\n")
    (package / "deep.py").write_text("")
    (package / "other.py").write_text("")
    (package / "stranger.py").write_text("")
    assert names("entry") == {"", "entry", "late", "deep", "other"}


def test_packages_count_with_what_they_import_and_so_do_relative_imports(package):
    """A name that a module imports from a package may be the package's own, or a module of it."""
    for room in ("a", "a/inner", "b"):
        (package / room).mkdir()
        (package / room / "__init__.py").touch()
    for name in ("a/x", "a/y", "a/inner/z", "b/x", "b/registered", "b/stranger"):
        (package / f"{name}.py").touch()
    (package / "a" / "entry.py").write_text("from . import x\nfrom .inner import z\n")
    (package / "a" / "inner" / "z.py").write_text("from ..y import f\nfrom chexviz import b\n")
    (package / "b" / "__init__.py").write_text("from chexviz.b.registered import READER\n")
    found = {"", "a", "a.entry", "a.x", "a.inner", "a.inner.z", "a.y", "b", "b.registered"}
    assert names("a.entry") == found


BLOCKS = """
class A:
    async def f():
        for _ in ():
            with open("x"):
                import chexviz.m0
        else:
            from chexviz import m1
try:
    pass
except ValueError:
    import chexviz.m2
else:
    while True:
        import chexviz.m3
finally:
    if True:
        pass
    elif False:
        import chexviz.m4
match 1:
    case 1:
        from chexviz.m5 import x
"""


def test_imports_in_any_block_count(package):
    modules = {f"m{number}" for number in range(6)}
    for name in modules:
        (package / f"{name}.py").touch()
    (package / "entry.py").write_text(BLOCKS)
    assert names("entry") == {"", "entry", *modules}


def test_an_unknown_entry_point_is_an_error():
    with pytest.raises(FileNotFoundError):
        source_code.files("nothing")


@pytest.mark.parametrize(
    "edited",
    [
        *("workflow/chexviz/entry.py", "workflow/chexviz/__init__.py", "paper/table.csv"),
        *("workflow/chexviz/style.mplstyle", "workflow/chexviz/style.py"),
    ],
)
def test_the_digest_is_of_the_content_of_all_files(package, tmp_path, edited):
    """Not of their times: what `cp -p` or another release brings may be older than the results."""
    (package / "entry.py").write_text("import chexviz.style")
    for name in ("style.py", "style.mplstyle", "stranger.py"):
        (package / name).touch()
    (tmp_path / "paper").mkdir()
    (tmp_path / "paper" / "table.csv").write_text("a,1")
    read = ("entry", "paper/table.csv")
    before = source_code.digest(*read)
    (tmp_path / edited).write_text((tmp_path / edited).read_text() + " # an edit")
    os.utime(tmp_path / edited, ns=(0, 0))
    source_code.imports.cache_clear()
    source_code.checksum.cache_clear()
    assert source_code.digest(*read) != before
    assert edited in source_code.contents(*read)
    (package / "stranger.py").write_text("# an edit")
    after = source_code.digest(*read)
    source_code.checksum.cache_clear()
    assert source_code.digest(*read) == after


def test_the_digest_does_not_know_where_the_repository_lies(package, tmp_path, monkeypatch):
    (package / "entry.py").write_text("import chexviz.style")
    (package / "style.py").touch()
    before = source_code.digest("entry")
    moved = tmp_path.with_name("moved")
    tmp_path.rename(moved)
    monkeypatch.setattr(source_code, "PACKAGE", moved / "workflow" / "chexviz")
    monkeypatch.setattr(source_code, "HOME", moved)
    assert source_code.digest("entry") == before
    moved.rename(tmp_path)
