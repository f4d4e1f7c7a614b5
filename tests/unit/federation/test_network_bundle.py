"""The bundle is known by its hash, so the same code has to make the same bytes everywhere."""

import io
import os
import subprocess
import sys
import tomllib
import zipfile

import pytest

from chexviz.base.source_code import PACKAGE
from chexviz.federation.network import bundle

PROGRAM = "from chexviz.federation.network import bundle; print(bundle.sha256())"


@pytest.fixture
def archive():
    return zipfile.ZipFile(io.BytesIO(bundle.bundle()))


def test_it_holds_the_code_of_a_site_and_no_other(archive):
    names = {name for name in archive.namelist() if name.endswith(".py")}
    rooms = {name.split("/")[1] for name in names - {"chexviz/__init__.py"}}
    assert rooms == {"base", "images", "models", "federation"}
    for room in rooms:
        ours = {f"chexviz/{p.relative_to(PACKAGE)}" for p in (PACKAGE / room).rglob("*.py")}
        assert ours <= names
    assert (
        archive.read("chexviz/federation/site.py") == (PACKAGE / "federation/site.py").read_bytes()
    )


def test_it_names_its_two_parts(archive):
    project = tomllib.loads(archive.read("pyproject.toml").decode())
    assert project["tool"]["flwr"]["app"]["components"] == {
        "serverapp": "chexviz.federation.network.stock:server",
        "clientapp": "chexviz.federation.network.stock:client",
    }


def test_another_process_makes_the_same_bytes_without_zlib(archive):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"PYTHONPATH": str(PACKAGE.parent), "TZ": "Asia/Tokyo", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == bundle.sha256()
    assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}


def test_changed_code_has_another_hash(tmp_path, monkeypatch):
    before = bundle.sha256()
    for room in bundle.ROOMS:
        (tmp_path / "chexviz" / room).mkdir(parents=True)
    (tmp_path / "chexviz" / "__init__.py").touch()
    monkeypatch.setattr(bundle, "PACKAGE", tmp_path / "chexviz")
    bundle.bundle.cache_clear()
    try:
        changed = bundle.sha256()
        (tmp_path / "chexviz" / "base" / "more.py").write_text("MORE = 1\n")
        bundle.bundle.cache_clear()
        assert len({before, changed, bundle.sha256()}) == 3
    finally:
        bundle.bundle.cache_clear()
