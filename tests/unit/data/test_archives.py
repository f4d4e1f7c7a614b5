"""Archives: nested ones, hostile ones, damaged ones, and too large ones."""

import bz2
import errno
import gzip
import lzma
import os
import stat
import tarfile
import zipfile

import pytest

from chexviz.base.errors import InputError
from chexviz.data.sources import archives as module
from chexviz.data.sources.archives import DamagedArchive, NoSpace, check_space, unpack
from made_archives import zip_bytes, zipped


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "data"


def unpacked(folder):
    """{file: content} of a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_archives_inside_are_unpacked_once_more_and_no_deeper(tmp_path, folder):
    deepest = zip_bytes({"e": "deepest"})
    inner = zip_bytes({"b.dcm": "b", "c/c.dcm": "c", "deep.zip": deepest})
    source = zipped(tmp_path / "site.zip", {"labels.csv": "a", "x/train.zip": inner, "y/": ""})
    unpack(source, folder)
    assert unpacked(folder) == {
        "labels.csv": b"a",
        "x/train/b.dcm": b"b",
        "x/train/c/c.dcm": b"c",
        "x/train/deep.zip": deepest,
    }
    assert source.exists()


def test_archives_are_known_by_suffix_and_hidden_names_are_none(tmp_path, folder):
    """macOS puts '._NAME', which is no archive, beside every NAME."""
    content = {"T.ZIP": zip_bytes({"a": "a"}), "__MACOSX/._t.zip": "attributes"}
    unpack(zipped(tmp_path / "site.zip", content), folder)
    assert unpacked(folder) == {"T/a": b"a", "__MACOSX/._t.zip": b"attributes"}


def test_an_archive_inside_never_overwrites_what_lies_beside_it(tmp_path, folder):
    content = {"t/a": "outer", "t.zip": zip_bytes({"a": "inner"}), "u.zip": zip_bytes({"a": "u"})}
    content |= {"t.ZIP": zip_bytes({"a": "other"}), "u": "a file"}
    unpack(zipped(tmp_path / "site.zip", content), folder)
    assert unpacked(folder) == {
        "t/a": b"outer",
        "t.unpacked/a": b"inner",
        "t.unpacked.unpacked/a": b"other",
        "u": b"a file",
        "u.unpacked/a": b"u",
    }


def link_entry():
    entry = zipfile.ZipInfo("link")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("../outside", "leads out"),
        ("a/../../outside", "leads out"),
        ("/outside", "leads out"),
        ("..\\outside", "leads out"),
        ("C:\\outside", "leads out"),
        (link_entry(), "is a link"),
    ],
)
@pytest.mark.parametrize("nested", [False, True])
def test_archives_that_would_write_elsewhere_are_refused(tmp_path, folder, name, problem, nested):
    content = {"good": "x", name: "/etc/passwd"}
    if nested:
        content = {"inner.zip": zip_bytes(content)}
    source = zipped(tmp_path / "bad.zip", content)
    with pytest.raises(InputError, match=problem):
        unpack(source, folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.zip"] + ["data"] * nested
    assert not list(folder.rglob("link")) + list(folder.rglob("outside"))


def test_an_entry_below_thousands_of_folders_is_refused(tmp_path, folder):
    zipped(tmp_path / "deep.zip", {"d/" * 100 + "f": "1"})
    with pytest.raises(InputError, match="lies in more than 100 folders"):
        unpack(tmp_path / "deep.zip", folder)
    zipped(tmp_path / "deep.zip", {"d/" * 2400 + "f": "1"})
    with pytest.raises(InputError, match="lies in more than 100 folders") as caught:
        unpack(tmp_path / "deep.zip", folder)
    assert len(str(caught.value)) < 1000
    unpack(zipped(tmp_path / "good.zip", {"d/" * 99 + "f": "1"}), folder)
    assert list(unpacked(folder).values()) == [b"1"]


@pytest.mark.parametrize("name", ["\0", ".", "./."])
def test_an_entry_without_a_name_is_refused(tmp_path, folder, name):
    source = zipped(tmp_path / "bad.zip", {"a": "1", "?" * len(name): "2"})
    source.write_bytes(source.read_bytes().replace(b"?" * len(name), name.encode()))
    with pytest.raises(InputError, match="has no name"):
        unpack(source, folder)


def test_an_entry_whose_name_the_zip_module_cuts_is_refused(tmp_path, folder):
    """At NUL: of 'labels.csv\0.exe' it would make 'labels.csv'."""
    source = zipped(tmp_path / "bad.zip", {"labels.csv?.exe": "1"})
    source.write_bytes(source.read_bytes().replace(b"?", b"\0"))
    with pytest.raises(InputError, match=r"'labels\.csv', which is a part of the name .*\.exe"):
        unpack(source, folder)


OTHER_KINDS = {
    "site.tar.gz": (gzip.compress(b"1"), "a gzip archive"),
    "site.7z": (b"7z\xbc\xaf\x27\x1c" + bytes(26), "a 7-Zip archive"),
    "site.tar.xz": (lzma.compress(b"1"), "an xz archive"),
    "site.tar.bz2": (bz2.compress(b"1"), "a bzip2 archive"),
    "site.rar": (b"Rar!\x1a\x07\x01\x00", "a RAR archive"),
    "site.tar": (tarfile.TarInfo("a").tobuf() + bytes(1024), "a tar archive"),
}


@pytest.mark.parametrize("name", OTHER_KINDS)
def test_of_an_archive_of_another_kind_it_is_said_what_is_wanted(tmp_path, folder, name):
    content, kind = OTHER_KINDS[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{kind}\n.*unpack it, and name the folder") as caught:
        unpack(tmp_path / name, folder)
    assert not isinstance(caught.value, DamagedArchive)
    assert caught.value.expected == "a zip archive, or a folder"


def test_an_entry_that_is_there_twice_is_refused(tmp_path, folder):
    source = zipped(tmp_path / "bad.zip", {"a": "1", "b": "2"})
    source.write_bytes(source.read_bytes().replace(b"b", b"a"))
    with pytest.raises(InputError, match="twice"):
        unpack(source, folder)


def test_an_encrypted_archive_is_refused(tmp_path, folder):
    source = zipped(tmp_path / "bad.zip", {"a": "1"})
    content = bytearray(source.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1  # general purpose bit 0 in the directory
    source.write_bytes(content)
    with pytest.raises(InputError, match="encrypted"):
        unpack(source, folder)


def test_a_file_and_a_folder_of_one_name_cannot_be_unpacked(tmp_path, folder):
    source = zipped(tmp_path / "bad.zip", {"a": "1", "a/b": "2"})
    with pytest.raises(InputError, match="by hand") as caught:
        unpack(source, folder)
    assert not isinstance(caught.value, DamagedArchive)


def test_an_archive_larger_than_the_disk_is_refused(tmp_path, folder, monkeypatch):
    usage = type("Usage", (), {"free": 99})
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(InputError, match="free some space") as caught:
        unpack(zipped(tmp_path / "big.zip", {"a": b"0" * 100}), folder)
    assert "pathvars: resources" in str(caught.value)
    assert unpacked(folder) == {}
    check_space("what fits", 99, tmp_path)


def test_a_bomb_is_refused_though_the_disk_is_large(tmp_path, folder, monkeypatch):
    monkeypatch.setattr(module, "SURELY_SMALL", 10**5)
    zeros = bytes(10**6)
    usual = zipped(tmp_path / "usual.zip", {"a": zeros}, zipfile.ZIP_STORED)
    unpack(usual, folder)
    bomb = zipped(tmp_path / "bomb.zip", {"b": zeros}, zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 10**4
    with pytest.raises(InputError, match="do not trust"):
        unpack(bomb, folder)
    assert unpacked(folder) == {"a": zeros}


def test_a_bomb_of_archives_is_refused_by_what_they_hold_together(tmp_path, folder, monkeypatch):
    monkeypatch.setattr(module, "SURELY_SMALL", 3 * 10**6)
    inner = zip_bytes({"zeros": bytes(10**6)}, zipfile.ZIP_DEFLATED)
    bomb = zipped(tmp_path / "bomb.zip", {f"{number}.zip": inner for number in range(9)})
    assert bomb.stat().st_size < 3 * 10**4
    with pytest.raises(InputError, match="do not trust") as caught:
        unpack(bomb, folder)
    assert str(caught.value).startswith(f"{bomb}: 2.zip\n")
    assert len(list(folder.glob("*/zeros"))) == 2


def test_nested_archives_take_the_space_of_one_of_them_at_a_time(tmp_path, folder, monkeypatch):
    inner = zip_bytes({"a": bytes(10**6)})
    archive = zipped(tmp_path / "site.zip", {f"{number}.zip": inner for number in range(4)})

    def usage(path):
        used = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        return type("Usage", (), {"free": 5 * len(inner) - used})

    monkeypatch.setattr(module.shutil, "disk_usage", usage)
    unpack(archive, folder)
    assert list(unpacked(folder)) == ["0/a", "1/a", "2/a", "3/a"]
    zipped(archive, {f"{number}.zip": inner for number in range(5)})
    with pytest.raises(NoSpace, match=r"6\.0 MB of free space"):
        unpack(archive, tmp_path / "other")
    assert unpacked(tmp_path / "other") == {}


FAILURES = {
    "UnicodeDecodeError": UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
    "LZMAError": lzma.LZMAError("corrupt input data"),
    "invalid offset": OSError(errno.EINVAL, "Invalid argument"),
    "bzip2": OSError("Invalid data stream"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_damage_is_noticed_in_whatever_way_the_zip_module_says_it(
    tmp_path, folder, monkeypatch, failure
):
    def fail(*words):
        raise FAILURES[failure]

    archive = zipped(tmp_path / "bad.zip", {"a": "1"})
    monkeypatch.setattr(zipfile.ZipFile, "extract", fail)
    with pytest.raises(DamagedArchive):
        unpack(archive, folder)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_is_full_is_not_the_fault_of_the_archive(tmp_path, folder, monkeypatch, number):
    def fail(*words):
        raise OSError(number, os.strerror(number), "file")

    archive = zipped(tmp_path / "good.zip", {"a": "1"})
    monkeypatch.setattr(zipfile.ZipFile, "extract", fail)
    with pytest.raises(OSError, match=os.strerror(number)):
        unpack(archive, folder)


@pytest.mark.parametrize("damage", ["content", "packed content", "end", "text"])
@pytest.mark.parametrize("nested", [False, True])
def test_damaged_archives_are_noticed(tmp_path, folder, damage, nested):
    method = zipfile.ZIP_DEFLATED if damage == "packed content" else zipfile.ZIP_STORED
    whole = zipped(tmp_path / "bad.zip", {"a": bytes(range(256)) * 10}, method)
    content = bytearray(whole.read_bytes())
    if damage == "end":
        del content[-40:]
    elif damage == "text":
        content = b"<html>log in to the network first</html>"
    else:
        content[60:70] = b"\xff" * 10
    whole.write_bytes(zip_bytes({"inner.zip": bytes(content)}) if nested else content)
    with pytest.raises(DamagedArchive, match="get it again") as caught:
        unpack(whole, folder)
    where = f"{whole}: inner.zip\n" if nested else f"{whole}\n"
    assert str(caught.value).startswith(where)


def test_each_of_many_empty_entries_is_a_file(tmp_path, folder):
    """Nothing in the work on one entry depends on how many there are (see bench_archives)."""
    names = [f"{number % 10}/{number}.dcm" for number in range(3000)]
    unpack(zipped(tmp_path / "site.zip", dict.fromkeys(names, "")), folder)
    assert unpacked(folder) == dict.fromkeys(sorted(names), b"")
