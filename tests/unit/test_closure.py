"""Code tracking: what an entry point imports, and nothing else."""

import os
import subprocess
import sys

import pytest

from chexviz import closure


def names(entry: str) -> set[str]:
    return {path.stem for path in closure.files(entry)}


def test_training_depends_on_what_it_trains_with_and_on_no_figure():
    found = names("train")
    assert {"train", "local", "augment", "aggregate", "models", "checkpoint"} <= found
    assert found.isdisjoint({"figure1", "bootstrap", "preprocess", "phantom", "split"})


def test_it_names_every_module_that_python_really_loads(repository):
    for entry in ("train", "preprocess", "evaluate", "download", "figure3", "paper"):
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
    monkeypatch.setattr(closure, "PACKAGE", folder)
    monkeypatch.setattr(closure, "HOME", tmp_path)
    return folder


def test_imports_inside_functions_count(package):
    (package / "entry.py").write_text("def f():\n    from chexviz.late import g\n")
    (package / "late.py").write_text("import chexviz.deep\nfrom chexviz import other\n")
    (package / "deep.py").write_text("")
    (package / "other.py").write_text("")
    (package / "stranger.py").write_text("")
    assert names("entry") == {"__init__", "entry", "late", "deep", "other"}


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
    assert names("entry") == {"__init__", "entry", *modules}


def test_an_unknown_entry_point_is_an_error():
    with pytest.raises(FileNotFoundError):
        closure.files("nothing")


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
    before = closure.digest(*read)
    (tmp_path / edited).write_text((tmp_path / edited).read_text() + " # an edit")
    os.utime(tmp_path / edited, ns=(0, 0))
    closure.imports.cache_clear()
    closure.checksum.cache_clear()
    assert closure.digest(*read) != before
    assert edited in closure.contents(*read)
    (package / "stranger.py").write_text("# an edit")
    after = closure.digest(*read)
    closure.checksum.cache_clear()
    assert closure.digest(*read) == after


def test_the_digest_does_not_know_where_the_repository_lies(package, tmp_path, monkeypatch):
    (package / "entry.py").write_text("import chexviz.style")
    (package / "style.py").touch()
    before = closure.digest("entry")
    moved = tmp_path.with_name("moved")
    tmp_path.rename(moved)
    monkeypatch.setattr(closure, "PACKAGE", moved / "workflow" / "chexviz")
    monkeypatch.setattr(closure, "HOME", moved)
    assert closure.digest("entry") == before
    moved.rename(tmp_path)
