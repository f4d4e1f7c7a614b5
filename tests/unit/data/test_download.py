"""Fetching a site: local folders and archives, several sources, and what is known before a run."""

import csv
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from chexviz.base.errors import InputError
from chexviz.data.download import Download, download, main
from chexviz.data.sources import archives, kaggle_client
from chexviz.data.sources.registry import SOURCES, missing
from made_archives import zipped


@pytest.fixture
def manifest(tmp_path):
    return tmp_path / "resources" / "north" / "manifest.csv"


@pytest.fixture
def nobody(tmp_path, monkeypatch):
    """A home without Kaggle credentials."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    for name in [name for name in os.environ if name.startswith("KAGGLE_")]:
        monkeypatch.delenv(name)
    return home


def fetch(manifest, *source, stored=None):
    settings = Download(source=list(source), reader="rsna", phantom=None)
    download("north", settings, stored, 2, manifest)


def rows(manifest):
    with manifest.open(newline="") as file:
        return list(csv.DictReader(file))


def listed(manifest):
    """{file: content} of what the manifest lists, its sizes and checksums checked."""
    found = {}
    for row in rows(manifest):
        content = (manifest.parent / "data" / row["file"]).read_bytes()
        assert int(row["bytes"]) == len(content)
        assert row["sha256"] == hashlib.sha256(content).hexdigest()
        found[row["file"]] = content.decode()
    assert list(found) == sorted(found)
    return found


LEFT = [".manifest.csv", ".source.json", "data", "fetched.csv", "manifest.csv"]  # of local files


def left(manifest):
    """What is in the site's folder, hidden things too."""
    folder = manifest.parent
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


# --- local ---


def test_a_local_folder_is_linked_not_copied(manifest, tmp_path):
    source = tmp_path / "hospital"
    (source / "dicom").mkdir(parents=True)
    (source / ".git").mkdir()
    for name in ("dicom/b.dcm", "dicom/a.dcm", "labels.csv", ".DS_Store", ".git/config"):
        (source / name).write_text(name)
    fetch(manifest, f"local:{source}")
    data = manifest.parent / "data"
    assert data.is_symlink()
    assert data.resolve() == source
    assert list(listed(manifest)) == ["dicom/a.dcm", "dicom/b.dcm", "labels.csv"]
    assert left(manifest) == LEFT


def test_the_source_that_could_be_had_is_noted_and_files_of_this_machine_have_no_day(
    manifest, tmp_path, nobody
):
    archive = zipped(tmp_path / "site.zip", {"a": "a"})
    fetch(manifest, f"local:{tmp_path / 'nothing'}", f"local:{archive}")
    (noted,) = rows(manifest.with_name("fetched.csv"))
    assert noted == {"source": f"local:{archive}", "date": "", "address": ""}
    fetch(manifest, "storage:s3://radiographs/chest.zip", stored=archive)
    (noted,) = rows(manifest.with_name("fetched.csv"))
    assert noted["source"] == "storage:s3://radiographs/chest.zip"
    assert len(noted["date"]) == len("2026-11-29")
    assert noted["address"] == "s3://radiographs/chest.zip"


def test_a_folder_that_cannot_be_read_is_not_left_out(manifest, tmp_path, monkeypatch):
    """Refused by hand here, since root may read everything."""
    source, scandir = tmp_path / "hospital", os.scandir
    (source / "locked").mkdir(parents=True)
    (source / "a.dcm").write_text("a")

    def refuse(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(InputError, match=r"locked\n.*\n.*Permission denied"):
        fetch(manifest, f"local:{source}")
    assert left(manifest) == []


def test_a_name_that_no_table_can_hold_is_refused(manifest, tmp_path):
    source = tmp_path / "hospital"
    source.mkdir()
    Path(os.fsdecode(os.fsencode(source) + b"/caf\xe9.dcm")).write_text("a")
    with pytest.raises(InputError, match="file names in UTF-8") as caught:
        fetch(manifest, f"local:{source}")
    assert str(caught.value).startswith(f"{source}\n")
    assert r"b'caf\xe9.dcm'" in str(caught.value)
    assert left(manifest) == []


def test_a_relative_path_and_a_home_path(manifest, tmp_path, monkeypatch):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "a").write_text("a")
    monkeypatch.chdir(tmp_path)
    fetch(manifest, "local:x")
    assert listed(manifest) == {"a": "a"}
    monkeypatch.setenv("HOME", str(tmp_path))
    fetch(manifest, "local:~/x")
    assert listed(manifest) == {"a": "a"}


def test_a_pipe_is_neither_a_folder_nor_an_archive_and_is_not_waited_for(manifest, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="pipe, which is neither"):
        fetch(manifest, f"local:{tmp_path / 'pipe'}")


def test_fetching_again_replaces_the_link_and_spares_what_it_points_to(manifest, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text(name)
        fetch(manifest, f"local:{tmp_path / name}")
    assert listed(manifest) == {"two": "two"}
    assert (tmp_path / "one" / "one").exists()
    fetch(manifest, f"local:{zipped(tmp_path / 'three.zip', {'three': 'three'})}")
    assert listed(manifest) == {"three": "three"}
    assert (tmp_path / "two" / "two").exists()


def test_a_fetched_folder_is_refused_since_it_goes_with_the_job(manifest, tmp_path):
    with pytest.raises(InputError, match=r"s3://radiographs/chest\n.*\n.*found: +a folder"):
        fetch(manifest, "storage:s3://radiographs/chest", stored=tmp_path)


def test_data_that_would_be_replaced_by_itself_is_refused(manifest):
    data = manifest.parent / "data"
    data.mkdir(parents=True)
    (data / "mine.dcm").write_text("mine")
    with pytest.raises(InputError, match="move it elsewhere"):
        fetch(manifest, f"local:{data}")
    assert (data / "mine.dcm").read_text() == "mine"


def test_what_a_killed_run_left_is_removed(manifest, tmp_path):
    partial = manifest.parent / ".data.partial"
    (partial / "data").mkdir(parents=True)
    (partial / "data" / "half").write_text("half")
    fetch(manifest, f"local:{zipped(tmp_path / 'site.zip', {'a': 'a'})}")
    assert listed(manifest) == {"a": "a"}
    assert left(manifest) == LEFT


def test_a_source_that_has_changed_is_said(manifest, tmp_path, capsys):
    source = tmp_path / "site.zip"
    zipped(source, {"a": "1", "b": "2", "c": "3"})
    fetch(manifest, f"local:{source}")
    assert "changed" not in capsys.readouterr().err
    fetch(manifest, f"local:{source}")
    assert "changed" not in capsys.readouterr().err
    zipped(source, {"a": "1", "b": "x", "d": "4", "e": "5"})
    fetch(manifest, f"local:{source}")
    said = "the source has changed: 2 files added, 1 removed, 1 with other content"
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "kind", ["absent", "empty folder", "empty archive", "no archive", "hostile archive"]
)
def test_local_paths_that_cannot_be_used(manifest, tmp_path, kind):
    path = tmp_path / "source"
    if kind == "empty folder":
        path.mkdir()
        (path / ".hidden").write_text("x")
    elif kind == "empty archive":
        zipped(path, {})
    elif kind == "no archive":
        path.write_text("text")
    elif kind == "hostile archive":
        zipped(path, {"good": "x", "../outside": "x"})
    with pytest.raises(InputError) as caught:
        fetch(manifest, f"local:{path}")
    assert str(path) in str(caught.value)
    assert left(manifest) == []
    assert not list(tmp_path.rglob("outside"))


def test_an_archive_that_finds_no_space_is_kept_for_the_next_run(manifest, monkeypatch):
    def transfer(source, folder):
        return [zipped(folder / "chests.zip", {"a": "a"})]

    usage = type("Usage", (), {"free": 0})
    monkeypatch.setattr(kaggle_client, "transfer", transfer)
    monkeypatch.setattr(archives.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(InputError, match="free some space"):
        fetch(manifest, "kaggle-dataset:someone/chests")
    assert list(manifest.parent.glob(".archives/*/chests.zip"))


# --- several sources ---


def test_the_next_source_is_tried_only_if_one_fails(manifest, tmp_path):
    for name in ("one", "two"):
        zipped(tmp_path / f"{name}.zip", {name: name})
    fetch(
        manifest, f"local:{tmp_path}/none", f"local:{tmp_path}/one.zip", f"local:{tmp_path}/two.zip"
    )
    assert listed(manifest) == {"one": "one"}


def test_all_failures_are_reported_and_old_data_stays(manifest, tmp_path):
    fetch(manifest, f"local:{zipped(tmp_path / 'old.zip', {'old': 'old'})}")
    with pytest.raises(InputError) as caught:
        fetch(manifest, f"local:{tmp_path}/none", "ftp:somewhere")
    for word in ("none of them", f"{tmp_path}/none", "ftp:somewhere", "make demo"):
        assert word in str(caught.value)
    assert listed(manifest) == {"old": "old"}


def test_a_phantom_is_drawn_in_the_layout_of_the_reader(manifest, monkeypatch):
    asked = []

    def generate(layout, folder, **options):
        asked.append((layout, options))
        folder.mkdir()
        (folder / "a.dcm").write_text("drawn")

    phantom = type(sys)("chexviz.data.phantom.site")
    phantom.generate = generate
    monkeypatch.setitem(sys.modules, "chexviz.data.phantom.site", phantom)
    size = {"images": 7, "positives": {"pneumothorax": 2}, "unlabelled": 1, "seed": 3}
    wanted = {"source": ["phantom"], "reader": "siim", "phantom": size}
    words = {"site": "north", "settings": json.dumps(wanted), "manifest": manifest, "threads": 2}
    main([str(word) for name, value in words.items() for word in (f"--{name}", value)])
    assert asked == [("siim", size | {"workers": 2, "number": 1})]
    assert listed(manifest) == {"a.dcm": "drawn"}


# --- what is known before any job ---


def test_a_competition_needs_credentials(nobody):
    problem = missing(["kaggle-competition:chests"])
    for word in (
        "kaggle-competition:chests",
        "access_token",
        "kaggle.com/c/chests/rules",
        "make demo",
    ):
        assert word in problem


def test_an_absent_folder_is_named(nobody, tmp_path):
    assert str(tmp_path / "none") in missing([f"local:{tmp_path / 'none'}"])
    assert missing([f"local:{tmp_path}"]) is None


def test_one_source_that_may_work_is_enough(nobody):
    for source in ("kaggle-dataset:someone/chests", "phantom"):
        assert missing(["kaggle-competition:chests", source]) is None


def test_an_unknown_kind_of_source_is_refused(nobody):
    assert "'local:PATH'" in missing(["ftp:somewhere"])


def test_the_schema_takes_the_registered_kinds_alone(repository):
    schema = yaml.safe_load((repository / "workflow/schemas/config.schema.yaml").read_text())
    source = schema["properties"]["sites"]["additionalProperties"]["properties"]["source"]
    patterns = "|".join(one.pattern for one in SOURCES.values())
    assert source["items"]["pattern"] == f"^({patterns})$"


def test_the_check_imports_nothing_heavy():
    heavy = "{'kaggle', 'requests', 'pandas', 'numpy', 'msgspec'}"
    code = f"import sys, chexviz.data.sources.registry; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.strip() == "[]", done.stderr
