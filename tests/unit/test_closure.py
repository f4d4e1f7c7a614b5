"""Code tracking: what an entry point imports, and nothing else."""

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


def test_imports_inside_functions_count(tmp_path, monkeypatch):
    monkeypatch.setattr(closure, "PACKAGE", tmp_path / "chexviz")
    package = tmp_path / "chexviz"
    package.mkdir()
    (package / "entry.py").write_text("def f():\n    from chexviz.late import g\n")
    (package / "late.py").write_text("import chexviz.deep\nfrom chexviz import other\n")
    (package / "deep.py").write_text("")
    (package / "other.py").write_text("")
    (package / "stranger.py").write_text("")
    assert names("entry") == {"entry", "late", "deep", "other"}


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


def test_imports_in_any_block_count(tmp_path, monkeypatch):
    monkeypatch.setattr(closure, "PACKAGE", tmp_path / "chexviz")
    (tmp_path / "chexviz").mkdir()
    modules = {f"m{number}" for number in range(6)}
    for name in modules:
        (tmp_path / "chexviz" / f"{name}.py").touch()
    (tmp_path / "chexviz" / "entry.py").write_text(BLOCKS)
    assert names("entry") == {"entry", *modules}


def test_an_unknown_entry_point_is_an_error():
    with pytest.raises(FileNotFoundError):
        closure.files("nothing")
