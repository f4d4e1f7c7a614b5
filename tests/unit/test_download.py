"""Fetching a site: every kind of source, hostile archives, and Kaggle's real client at a server."""

import csv
import hashlib
import io
import json
import os
import stat
import subprocess
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from chexviz import download as module
from chexviz.download import download, has_credentials, main, missing
from chexviz.errors import InputError

TOKEN = "KGAT_a_secret_that_must_not_be_seen"
SIGNATURE = "a_signature_that_must_not_be_seen"


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


def settings(*source):
    return {"source": list(source), "reader": "rsna", "phantom": None}


def fetch(manifest, *source):
    download("north", settings(*source), 2, manifest)


def zipped(path, files):
    """An archive of {name: bytes or text}."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def zip_bytes(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


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
    assert left(manifest) == ["data", "manifest.csv"]


def test_a_relative_path_and_a_home_path(manifest, tmp_path, monkeypatch):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "a").write_text("a")
    monkeypatch.chdir(tmp_path)
    fetch(manifest, "local:x")
    assert listed(manifest) == {"a": "a"}
    monkeypatch.setenv("HOME", str(tmp_path))
    fetch(manifest, "local:~/x")
    assert listed(manifest) == {"a": "a"}


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


def test_data_that_would_be_replaced_by_itself_is_refused(manifest):
    data = manifest.parent / "data"
    data.mkdir(parents=True)
    (data / "mine.dcm").write_text("mine")
    with pytest.raises(InputError, match="move it elsewhere"):
        fetch(manifest, f"local:{data}")
    assert (data / "mine.dcm").read_text() == "mine"


def test_a_local_archive_with_archives_inside(manifest, tmp_path):
    deepest = zip_bytes({"e": "deepest"})
    inner = zip_bytes({"b.dcm": "b", "c.dcm": "c", "deep.zip": deepest})
    source = zipped(tmp_path / "site.zip", {"labels.csv": "a", "train.zip": inner, "x/": ""})
    fetch(manifest, f"local:{source}")
    found = sorted(row["file"] for row in rows(manifest))
    assert found == ["labels.csv", "train/b.dcm", "train/c.dcm", "train/deep.zip"]
    assert source.exists()


def test_what_a_killed_run_left_is_removed(manifest, tmp_path):
    partial = manifest.parent / ".data.partial"
    (partial / "data").mkdir(parents=True)
    (partial / "data" / "half").write_text("half")
    fetch(manifest, f"local:{zipped(tmp_path / 'site.zip', {'a': 'a'})}")
    assert listed(manifest) == {"a": "a"}
    assert left(manifest) == ["data", "manifest.csv"]


@pytest.mark.parametrize("kind", ["absent", "empty folder", "empty archive", "no archive"])
def test_local_paths_that_cannot_be_used(manifest, tmp_path, kind):
    path = tmp_path / "source"
    if kind == "empty folder":
        path.mkdir()
        (path / ".hidden").write_text("x")
    elif kind == "empty archive":
        zipped(path, {})
    elif kind == "no archive":
        path.write_text("text")
    with pytest.raises(InputError) as caught:
        fetch(manifest, f"local:{path}")
    assert str(path) in str(caught.value)
    assert left(manifest) == []


# --- hostile archives ---


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
def test_archives_that_would_write_elsewhere_are_refused(manifest, tmp_path, name, problem, nested):
    content = {"good": "x", name: "/etc/passwd"}
    if nested:
        content = {"inner.zip": zip_bytes(content)}
    before = sorted(tmp_path.rglob("*"))
    source = zipped(tmp_path / "bad.zip", content)
    with pytest.raises(InputError, match=problem):
        fetch(manifest, f"local:{source}")
    assert left(manifest) == []
    assert sorted(tmp_path.rglob("*")) == sorted([*before, source, *manifest.parents[:2]])


def test_an_entry_that_is_there_twice_is_refused(manifest, tmp_path):
    source = zipped(tmp_path / "bad.zip", {"a": "1", "b": "2"})
    source.write_bytes(source.read_bytes().replace(b"b", b"a"))
    with pytest.raises(InputError, match="twice"):
        fetch(manifest, f"local:{source}")


def test_an_archive_larger_than_the_disk_is_refused(manifest, tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 99})
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(InputError, match="free some space"):
        fetch(manifest, f"local:{zipped(tmp_path / 'big.zip', {'a': b'0' * 100})}")
    assert left(manifest) == []


@pytest.mark.parametrize("damage", ["content", "end"])
def test_damaged_archives_are_refused(manifest, tmp_path, damage):
    source = zipped(tmp_path / "bad.zip", {"a": b"0123456789" * 100})
    content = bytearray(source.read_bytes())
    if damage == "content":
        content[200] ^= 255
    else:
        del content[-40:]
    source.write_bytes(content)
    with pytest.raises(InputError, match="download it again"):
        fetch(manifest, f"local:{source}")
    assert left(manifest) == []


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

    phantom = type(sys)("chexviz.phantom")
    phantom.generate = generate
    monkeypatch.setitem(sys.modules, "chexviz.phantom", phantom)
    wanted = settings("phantom") | {"reader": "siim", "phantom": {"images": 7, "seed": 3}}
    words = {"site": "north", "settings": json.dumps(wanted), "manifest": manifest, "threads": 2}
    main([str(word) for name, value in words.items() for word in (f"--{name}", value)])
    assert asked == [("siim", {"images": 7, "seed": 3, "workers": 2})]
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


def save(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


LEGACY = json.dumps({"username": "someone", "key": "k"})


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (".kaggle/access_token", "t"),
        (".kaggle/access_token.txt", "t"),
        (".kaggle/kaggle.json", LEGACY),
        (".kaggle/credentials.json", json.dumps({"refresh_token": "t"})),
        (".config/kaggle/kaggle.json", LEGACY),
    ],
)
def test_credentials_in_files(nobody, file, text):
    assert not has_credentials()
    save(nobody / file, text)
    assert has_credentials()


@pytest.mark.parametrize("text", ["", " \n"])
def test_blank_files_are_no_credentials(nobody, text):
    for name in ("access_token", "kaggle.json", "credentials.json"):
        save(nobody / ".kaggle" / name, text)
    assert not has_credentials()


def test_credentials_in_the_environment(nobody, monkeypatch, tmp_path):
    monkeypatch.setenv("KAGGLE_USERNAME", "someone")
    assert not has_credentials()
    monkeypatch.setenv("KAGGLE_KEY", "k")
    assert has_credentials()
    monkeypatch.delenv("KAGGLE_KEY")
    save(tmp_path / "elsewhere" / "kaggle.json", LEGACY)
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "elsewhere"))
    assert has_credentials()
    monkeypatch.delenv("KAGGLE_CONFIG_DIR")
    monkeypatch.setenv("KAGGLE_API_TOKEN", "t")
    assert has_credentials()


def test_the_check_imports_nothing_heavy():
    heavy = "{'kaggle', 'pandas', 'numpy'}"
    code = f"import sys, chexviz.download; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout.strip() == "[]", done.stderr


# --- Kaggle ---


class Kaggle(ThreadingHTTPServer):
    """Answers the real client: tokens, competitions and datasets, with a fault chosen by name."""

    faults = {  # noqa: RUF012
        "unauthorised": (401, "Unauthenticated"),
        "norules": (403, "You must accept this competition's rules before you can continue."),
        "nowhere": (404, "Not Found"),
        "broken": (500, "Oops"),
    }

    def __init__(self, archive: bytes):
        super().__init__(("127.0.0.1", 0), Answers)
        self.archive = archive
        self.authorisations: list[str | None] = []


class Answers(BaseHTTPRequestHandler):
    def log_message(self, *words):
        pass

    def reply(self, status, body, kind="application/json", **headers):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.reply(200, self.server.archive, "application/zip", Accept_Ranges="bytes", ETag='"1"')

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        method = self.path.rsplit("/", 1)[-1]
        self.server.authorisations.append(self.headers.get("Authorization"))
        if method == "IntrospectToken":
            known = asked["token"] == TOKEN
            return self.reply(200, json.dumps({"active": known, "username": "someone"}).encode())
        name = asked.get("competitionName") or asked.get("datasetSlug")
        if name in self.server.faults:
            code, message = self.server.faults[name]
            return self.reply(code, json.dumps({"code": code, "message": message}).encode())
        port = self.server.server_port
        address = f"http://localhost:{port}/{name}/all.zip?X-Goog-Signature={SIGNATURE}"
        return self.reply(302, b"", Location=address)


@pytest.fixture
def kaggle():
    with Kaggle(zip_bytes({"labels.csv": "l", "train.zip": zip_bytes({"a.dcm": "a"})})) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def run_client(kaggle, manifest, *source, token=TOKEN):
    """Run the program with the real client, whose requests all go to the local server."""
    home = manifest.parents[2] / "kaggle-home"
    home.mkdir()
    proxy = f"http://127.0.0.1:{kaggle.server_port}"
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(sys.path),
        "HOME": str(home),
        "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
        "HTTP_PROXY": proxy,
        "http_proxy": proxy,
    }
    if token:
        environment["KAGGLE_API_TOKEN"] = token
    command = [sys.executable, "-m", "chexviz.download", "--site", "north"]
    command += ["--settings", json.dumps(settings(*source)), "--manifest", str(manifest)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    said = done.stdout + done.stderr
    assert TOKEN not in said
    assert SIGNATURE not in said
    assert "Traceback" not in said
    return done.returncode, " ".join(said.split())


@pytest.mark.parametrize("source", ["kaggle-competition:chests", "kaggle-dataset:someone/chests"])
def test_kaggle_archives_are_downloaded_and_unpacked(kaggle, manifest, source):
    status, said = run_client(kaggle, manifest, source)
    assert status == 0, said
    assert listed(manifest) == {"labels.csv": "l", "train/a.dcm": "a"}
    assert left(manifest) == ["data", "manifest.csv"]
    assert f"Bearer {TOKEN}" in kaggle.authorisations


def test_a_dataset_needs_no_account(kaggle, manifest):
    status, said = run_client(kaggle, manifest, "kaggle-dataset:someone/chests", token=None)
    assert status == 0, said
    assert len(rows(manifest)) == 2
    assert kaggle.authorisations == [None]


@pytest.mark.parametrize(
    ("source", "token", "words"),
    [
        ("kaggle-competition:chests", None, ["Kaggle credentials", "access_token"]),
        ("kaggle-competition:chests", "KGAT_expired", ["none that Kaggle accepts"]),
        ("kaggle-competition:unauthorised", TOKEN, ["401", "access_token"]),
        ("kaggle-competition:norules", TOKEN, ["403", "https://www.kaggle.com/c/norules/rules"]),
        ("kaggle-competition:nowhere", TOKEN, ["404", "correct `source`"]),
        ("kaggle-competition:broken", TOKEN, ["status 500", "run again"]),
        ("kaggle-dataset:someone/nowhere", TOKEN, ["404", "kaggle.com/datasets/someone/nowhere"]),
        ("kaggle-dataset:someone/norules", TOKEN, ["403", "datasets/someone/norules"]),
    ],
)
def test_what_kaggle_refuses_is_said_and_leaves_nothing(kaggle, manifest, source, token, words):
    status, said = run_client(kaggle, manifest, source, token=token)
    assert status == 1
    for word in [source, "make demo", *words]:
        assert word in said
    assert left(manifest) == []


def test_a_mirror_that_is_gone_gives_way_to_the_next(kaggle, manifest):
    sources = ("kaggle-dataset:someone/nowhere", "kaggle-dataset:someone/chests")
    status, said = run_client(kaggle, manifest, *sources)
    assert status == 0, said
    assert "someone/nowhere: Kaggle knows no such data (404)" in said
    assert len(rows(manifest)) == 2


def test_no_network(kaggle, manifest):
    kaggle.shutdown()
    kaggle.server_close()
    status, said = run_client(kaggle, manifest, "kaggle-dataset:someone/chests", token=None)
    assert status == 1
    assert "check the network" in said
    assert left(manifest) == []
