"""A change of local files is noticed whatever their times say, and another time is none."""

import os

import pytest

from chexviz.data.download import Download, download
from chexviz.data.manifest import read_manifest
from chexviz.data.sources import local

LATER = 2 * 10**18  # ns: in the year 2033


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "hospital"
    (folder / "deep").mkdir(parents=True)
    for name in ("deep/a.dcm", "b.dcm", ".DS_Store"):
        (folder / name).write_text("12")
    return folder


@pytest.fixture
def fingerprint(source, tmp_path):
    """The fingerprint of the folder, which has been downloaded."""
    sources, site = [f"local:{source}"], tmp_path / "site"
    before = local.fingerprint(sources, site)
    settings = Download(source=sources, reader="table", phantom=None)
    download("site", settings, None, 1, site / "manifest.csv")
    assert local.fingerprint(sources, site) == before
    return lambda: local.fingerprint(sources, site)


def test_touched_files_are_the_same(source, fingerprint):
    before = fingerprint()
    for time in (0, LATER):
        os.utime(source / "b.dcm", ns=(time, time))
        os.utime(source, ns=(time, time))
        assert fingerprint() == before
    (source / ".DS_Store").write_text("hidden")
    assert fingerprint() == before


def test_a_touched_file_is_read_once(source, fingerprint, monkeypatch):
    before = fingerprint()
    os.utime(source / "b.dcm", ns=(0, 0))
    read = []
    checksum = local.sha256
    monkeypatch.setattr(local, "sha256", lambda path: read.append(path) or checksum(path))
    assert [fingerprint(), fingerprint()] == [before, before]
    assert read == [source / "b.dcm"]


def test_other_content_is_another_whatever_the_time(source, fingerprint):
    seen = [fingerprint()]
    (source / "b.dcm").write_text("21")
    os.utime(source / "b.dcm", ns=(0, 0))  # as `cp -p` and `rsync -a` leave it
    seen.append(fingerprint())
    (source / "b.dcm").rename(source / "c.dcm")
    seen.append(fingerprint())
    (source / "c.dcm").unlink()
    seen.append(fingerprint())
    assert len(set(seen)) == len(seen)


def test_what_has_changed_and_come_back_is_the_same(source, fingerprint):
    before = fingerprint()
    (source / "b.dcm").write_text("21")
    assert fingerprint() != before
    (source / "b.dcm").write_text("12")
    assert fingerprint() == before


def test_an_archive_is_known_by_its_content(tmp_path):
    archive, site = tmp_path / "site.zip", tmp_path / "site"
    archive.write_text("1")
    sources = ["local:nowhere", f"local:{archive}"]
    before = local.state(sources)
    site.mkdir()
    (site / "manifest.csv").write_text("file,bytes,sha256\n")
    local.note(sources, before, site)
    known = local.fingerprint(sources, site)
    os.utime(archive, ns=(LATER, LATER))
    assert local.fingerprint(sources, site) == known
    archive.write_text("2")
    assert local.fingerprint(sources, site) != known


def test_a_damaged_note_is_none(fingerprint, tmp_path):
    before = fingerprint()
    (tmp_path / "site" / local.NAME).write_text('{"files"')
    assert fingerprint() == before  # nothing has been touched


def test_the_checksums_are_those_of_the_manifest(source, fingerprint, tmp_path):
    noted = local.read(tmp_path / "site" / local.NAME)["files"]
    listed = read_manifest(tmp_path / "site" / "manifest.csv")
    assert {name.removeprefix("0/"): one[2] for name, one in noted.items()} == listed


def test_without_local_sources_there_is_nothing_to_compare(tmp_path):
    sources = ["phantom", "kaggle-dataset:a/b", "local:nowhere"]
    assert local.fingerprint(sources, tmp_path) == ""
    assert local.paths(sources) == []
