"""Kaggle's real client at a server on this machine: login, refusals, cuts, damage and slowness."""

import hashlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

import kaggle_server
from chexviz.data.sources.kaggle_client import archives
from chexviz.data.sources.kaggle_credentials import credentials
from kaggle_server import KEY, REFRESH, SECRETS, SIGNATURE, TOKEN, serving
from made_archives import zip_bytes

COMPETITION, DATASET = "kaggle-competition:chests", "kaggle-dataset:someone/chests"
CHUNK = 2**20  # what the client writes at once: a cut loses what has come of the next one
IMAGE = random.Random(1).randbytes(4 * 10**6)
ARCHIVE = zip_bytes({"labels.csv": "l", "train.zip": zip_bytes({"a.dcm": IMAGE})})
LEGACY = json.dumps({"username": "someone", "key": KEY})

# The program itself, in less of a hurry to give up and more to go on.
PROGRAM = """
from chexviz.data.sources import archives, kaggle_client as kaggle
from chexviz.data import download
from chexviz.base import errors, progress
kaggle.PAUSES, kaggle.LOOK = (0.1, 0.1), 0.05
{change}
errors.run(download.main)
"""


@pytest.fixture
def manifest(tmp_path):
    return tmp_path / "resources" / "north" / "manifest.csv"


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def kaggle():
    with serving(ARCHIVE) as server:
        yield server


def started(kaggle, manifest, *source, change="", **variables):
    """The program, started; all requests of its client go to the local server."""
    home = manifest.parents[2] / "home"
    variables = kaggle_server.environment(kaggle, home) | variables
    command = [sys.executable, "-c", PROGRAM.format(change=change), "--site", "north"]
    settings = {"source": source, "reader": "rsna", "phantom": None}
    command += ["--settings", json.dumps(settings), "--manifest", str(manifest)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.Popen(command, env=variables, **streams)


def fetch(kaggle, manifest, *source, **options):
    """Run the program with a good token: its exit status, and what it said."""
    options = {"KAGGLE_API_TOKEN": TOKEN} | options
    program = started(kaggle, manifest, *source, **options)
    said = program.communicate(timeout=60)[0]
    for secret in SECRETS:
        assert secret not in said
    assert "Traceback" not in said
    assert "\r" not in said
    return program.returncode, said


def complete(manifest):
    """Whether the site has exactly what the archive holds, and nothing else is left."""
    data = manifest.parent / "data"
    assert left(manifest) == [".manifest.csv", "data", "fetched.csv", "manifest.csv"]
    lines = manifest.read_text().splitlines()
    assert [line.partition(",")[0] for line in lines] == ["file", "labels.csv", "train/a.dcm"]
    assert hashlib.sha256(IMAGE).hexdigest() in lines[2]
    heading, said = manifest.with_name("fetched.csv").read_text().splitlines()
    source, date, address = said.split(",")
    assert heading == "source,date,address"
    assert address.startswith("https://www.kaggle.com/")
    assert source.startswith("kaggle-")
    assert abs(datetime.now(UTC).date() - datetime.fromisoformat(date).date()).days <= 1
    return (data / "train" / "a.dcm").read_bytes() == IMAGE


def held(manifest):
    """Bytes of archives that wait in the site's hidden folder."""
    found = [path for path in manifest.parent.glob(".archives/*/*") if path.suffix == ".zip"]
    return sum(path.stat().st_size for path in found)


def left(manifest):
    """What is in the site's folder, hidden things too."""
    folder = manifest.parent
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


# --- login ---


def save(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def oauth(refresh=REFRESH, expires="2999"):
    """What `kaggle auth login` saves; `expires` is the year of the access token."""
    words = {"access_token": TOKEN if expires == "2999" else "KGAT_old", "username": "someone"}
    words |= {"access_token_expiration": f"{expires}-01-01T00:00:00+00:00"}
    return json.dumps(words | {"refresh_token": refresh})


BEARER, BASIC = kaggle_server.accepted()
FORMS = {
    "the token in the environment": (None, "", {"KAGGLE_API_TOKEN": TOKEN}, BEARER),
    "its path there": ("t", TOKEN, {"KAGGLE_API_TOKEN": "{home}/t"}, BEARER),
    "its file": (".kaggle/access_token", f"{TOKEN}\n", {}, BEARER),
    "its file with .txt": (".kaggle/access_token.txt", TOKEN, {}, BEARER),
    "name and key": (None, "", {"KAGGLE_USERNAME": "someone", "KAGGLE_KEY": KEY}, BASIC),
    "a key file": (".kaggle/kaggle.json", LEGACY, {}, BASIC),
    "a key file elsewhere": ("x/kaggle.json", LEGACY, {"KAGGLE_CONFIG_DIR": "{home}/x"}, BASIC),
    "a key file in XDG's place": (".config/kaggle/kaggle.json", LEGACY, {}, BASIC),
    "OAuth": (".kaggle/credentials.json", oauth(), {}, BEARER),
    "OAuth, expired": (".kaggle/credentials.json", oauth(expires="2001"), {}, BEARER),
}


@pytest.mark.parametrize("form", FORMS)
def test_credentials_in_every_form_that_the_client_takes(kaggle, manifest, home, monkeypatch, form):
    """What the cheap check before a run finds is what the client then logs in with."""
    file, text, variables, authorisation = FORMS[form]
    variables = {name: value.format(home=home) for name, value in variables.items()}
    for name in [name for name in os.environ if name.startswith(("KAGGLE", "XDG"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    assert credentials() == []
    if file:
        save(home / file, text)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    (place,) = credentials()
    assert not any(secret in place for secret in SECRETS)
    status, said = fetch(kaggle, manifest, COMPETITION, **{"KAGGLE_API_TOKEN": ""} | variables)
    assert status == 0, said
    assert complete(manifest)
    (asked,) = kaggle.of("DownloadDataFiles")
    assert asked["Authorization"] == authorisation


def test_a_rejected_oauth_login_is_no_lack_of_credentials(kaggle, manifest, home):
    """The client removes the file as it is told so."""
    save(home / ".kaggle" / "credentials.json", oauth("revoked", expires="2001"))
    status, said = fetch(kaggle, manifest, COMPETITION, KAGGLE_API_TOKEN="")
    assert status == 1
    assert "Kaggle rejects the login in ~/.kaggle/credentials.json" in said
    assert "`kaggle auth login` again" in said
    assert not (home / ".kaggle" / "credentials.json").exists()


@pytest.mark.parametrize("text", ["", " \n"])
def test_blank_files_are_no_credentials(home, monkeypatch, text):
    monkeypatch.setenv("HOME", str(home))
    for name in ("access_token", "kaggle.json", "credentials.json", "mine"):
        save(home / ".kaggle" / name, text)
    for name in [name for name in os.environ if name.startswith("KAGGLE")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("KAGGLE_API_TOKEN", str(home / ".kaggle" / "mine"))
    monkeypatch.setenv("KAGGLE_USERNAME", "someone")
    assert credentials() == []


def test_a_dataset_needs_no_account(kaggle, manifest):
    status, said = fetch(kaggle, manifest, DATASET, KAGGLE_API_TOKEN="")
    assert status == 0, said
    assert complete(manifest)
    assert [one["Authorization"] for one in kaggle.asked] == [None, None]


@pytest.mark.parametrize(
    ("token", "found"),
    [
        (TOKEN * 10, "a longer one"),
        (f"{TOKEN}\r", "ends of lines around it"),
        (f" {TOKEN}", "spaces or"),
    ],
)
def test_a_token_that_the_client_would_stumble_over_is_refused(kaggle, manifest, token, found):
    status, said = fetch(kaggle, manifest, COMPETITION, KAGGLE_API_TOKEN=token)
    assert status == 1
    assert found in said
    assert "~/.kaggle/access_token" in said
    assert kaggle.of("DownloadDataFiles") == []


@pytest.mark.parametrize("source", [COMPETITION, DATASET])
def test_credentials_that_cannot_be_read_are_named(kaggle, manifest, tmp_path, source):
    status, said = fetch(kaggle, manifest, source, KAGGLE_API_TOKEN=str(tmp_path))
    assert status == 1
    assert f"Is a directory: '{tmp_path}'" in said
    assert "create a token" in said


def test_a_file_of_another_owner_counts_as_credentials_until_the_login(home, monkeypatch):
    def refuse(path, **options):
        raise PermissionError(path)

    monkeypatch.setenv("HOME", str(home))
    for name in [name for name in os.environ if name.startswith("KAGGLE")]:
        monkeypatch.delenv(name)
    save(home / ".kaggle" / "access_token", TOKEN)
    monkeypatch.setattr(Path, "read_text", refuse)
    assert credentials() == ["~/.kaggle/access_token"]


def test_a_home_that_cannot_be_written_is_said(kaggle, manifest, tmp_path):
    save(tmp_path / "file", "")
    status, said = fetch(kaggle, manifest, DATASET, HOME=str(tmp_path / "file"))
    assert status == 1
    assert "KAGGLE_CONFIG_DIR" in said


# --- refusals ---


REFUSED = {
    TOKEN: {
        "kaggle-competition:unauthorised": ["(401)", "create a token"],
        "kaggle-competition:norules": ["rules", "https://www.kaggle.com/c/norules/rules"],
        "kaggle-dataset:someone/norules": ["private or withdrawn", "another mirror"],
        "kaggle-competition:nowhere": ["(404)", "correct `source`"],
        "kaggle-dataset:someone/nowhere": ["(404)", "kaggle.com/datasets/someone/nowhere"],
        "kaggle-competition:broken": ["status 500, again and again", "run again"],
        "kaggle-competition:teapot": ["status 418", "by hand"],
    },
    "": {
        COMPETITION: ["no Kaggle credentials", "access_token", "c/chests/rules"],
        "kaggle-dataset:someone/unauthorised": ["asks for a login (401)", "create a token"],
    },
    "KGAT_old": {
        COMPETITION: ["rejects the login in KAGGLE_API_TOKEN", "create a token"],
        DATASET: ["rejects the credentials in KAGGLE_API_TOKEN (401)", "remove them"],
    },
}


@pytest.mark.parametrize("token", REFUSED)
def test_what_kaggle_refuses_is_said_and_leaves_nothing(kaggle, manifest, token):
    status, said = fetch(kaggle, manifest, *REFUSED[token], KAGGLE_API_TOKEN=token)
    assert status == 1
    for source, words in REFUSED[token].items():
        message = (
            said.split("none of them\n")[1].split(f"    {source}: ")[1].split("    kaggle-")[0]
        )
        for word in ["fix: ", *words]:
            assert word in message, source
    assert said.count("ERROR") == said.count("make demo") == 1
    assert left(manifest) == []
    assert kaggle.of("GET") == []
    tries = len(kaggle.of("DownloadDataFiles")) + len(kaggle.of("DownloadDataset"))
    assert tries == {TOKEN: 6 + 3, "": 1, "KGAT_old": 1}[token]


def test_one_refusal_is_one_message(kaggle, manifest):
    status, said = fetch(kaggle, manifest, "kaggle-competition:norules")
    assert status == 1
    *_, where, expected, found, fix = said.splitlines()
    assert where == "ERROR kaggle-competition:norules"
    assert expected == "  expected: a download"
    assert found.startswith("  found:    Kaggle refuses access (403)")
    assert fix.startswith("  fix:      log in to Kaggle with the account of the token")
    assert "make demo" in fix


def test_a_mirror_that_is_gone_gives_way_to_the_next(kaggle, manifest):
    sources = ("kaggle-dataset:someone/nowhere", "kaggle-dataset:someone/norules", DATASET)
    status, said = fetch(kaggle, manifest, *sources)
    assert status == 0, said
    assert "someone/nowhere: Kaggle knows no such data (404)" in said
    assert "someone/norules: Kaggle refuses access (403)" in said
    assert complete(manifest)


def test_a_disk_that_is_too_small_is_said_before_the_first_byte(kaggle, manifest):
    small = "archives.shutil.disk_usage = lambda path: type('Usage', (), {'free': 5 * 10**6})"
    status, said = fetch(kaggle, manifest, COMPETITION, change=small)
    assert status == 1
    for word in ("8.0 MB of free space", "5.0 MB free", "4.0 MB and as much again to unpack it"):
        assert word in said
    assert left(manifest) == []


@pytest.mark.parametrize(
    ("greeting", "words"),
    [
        ("hangup", ["the proxy 127.0.0.1:", "HTTPS_PROXY"]),
        ("silent", ["no connection to Kaggle (ReadTimeout", "check the network"]),
        ("proxy", ["the proxy 127.0.0.1:", "wants a login (407)"]),
    ],
)
def test_who_has_no_connection_is_told_at_once(kaggle, manifest, greeting, words):
    kaggle.greetings = [greeting] * 9
    impatient = "kaggle.SILENCE = 0.3; kaggle.PAUSES = (300,)"
    status, said = fetch(kaggle, manifest, COMPETITION, change=impatient)
    assert status == 1
    for word in words:
        assert word in said
    assert left(manifest) == []


@pytest.mark.parametrize("greeting", ["page", "text", "blocked"])
@pytest.mark.parametrize("login", [{"KAGGLE_API_TOKEN": TOKEN}, {"KAGGLE_KEY": KEY}])
def test_a_page_in_kaggles_place_is_not_taken_for_kaggles_answer(kaggle, manifest, greeting, login):
    """Neither by who asks about a token first nor by who asks for the archive at once."""
    kaggle.greetings = [greeting] * 9
    variables = {"KAGGLE_API_TOKEN": "", "KAGGLE_USERNAME": "someone"} | login
    status, said = fetch(kaggle, manifest, COMPETITION, **variables)
    assert status == 1
    assert "something answers in Kaggle's place (status " in said
    assert "*.kaggle.com" in said
    assert left(manifest) == []


def test_who_has_no_network_is_told_at_once(manifest):
    nowhere = "from kagglesdk.kaggle_env import KaggleEnv, _env_to_endpoint as addresses\n"
    nowhere += "addresses[KaggleEnv.LOCAL] = 'http://nowhere.invalid'; kaggle.PAUSES = (300,)"
    status, said = fetch(None, manifest, COMPETITION, change=nowhere)
    assert status == 1
    assert "no connection to Kaggle (NameResolutionError)" in said
    assert "snakemake --until download weights" in said
    assert left(manifest) == []


def test_a_proxy_that_is_down_is_named_without_its_password(manifest):
    with serving(b"") as server:
        port = server.server_port
    down = f"http://me:{KEY}@127.0.0.1:{port}"
    status, said = fetch(None, manifest, DATASET, HTTP_PROXY=down, http_proxy=down)
    assert status == 1
    assert f"the proxy 127.0.0.1:{port} lets nothing through" in said
    assert "HTTPS_PROXY" in said


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("socks5h://{me}127.0.0.1:9", ["the proxy socks5h://127.0.0.1:9", "PySocks"]),
        ("http://{me}127.0.0.1:port", ["the proxy 127.0.0.1:port", "correct HTTPS_PROXY"]),
        ("http://{me}nowhere.invalid", ["the proxy nowhere.invalid lets", "HTTP_PROXY"]),
    ],
)
def test_a_proxy_that_is_badly_named_is_said(manifest, address, words):
    address = address.format(me=f"me:{KEY}@")
    status, said = fetch(None, manifest, DATASET, HTTP_PROXY=address, http_proxy=address)
    assert status == 1
    for word in words:
        assert word in said


# --- the transfer ---


@pytest.mark.parametrize("source", [COMPETITION, DATASET])
def test_an_archive_is_downloaded_and_unpacked(kaggle, manifest, source):
    status, said = fetch(kaggle, manifest, source)
    assert status == 0, said
    assert complete(manifest)
    assert [one["sent"] for one in kaggle.of("GET")] == [len(ARCHIVE)]


def test_a_cut_transfer_goes_on_where_it_was(kaggle, manifest):
    kaggle.faults = [CHUNK + 1000]
    status, said = fetch(kaggle, manifest, COMPETITION)
    assert status == 0, said
    assert "the connection broke" in said
    assert "1.0 MB are here, again in 0.1 s" in said
    assert complete(manifest)
    rest = kaggle.of("GET")[-1]
    assert rest["Range"] == f"bytes={CHUNK}-"
    assert rest["sent"] == len(ARCHIVE) - CHUNK


def test_every_transfer_that_brings_bytes_gives_new_patience(kaggle, manifest):
    kaggle.faults = [CHUNK + 1] + [None, CHUNK + 1] * 2
    status, said = fetch(kaggle, manifest, DATASET, change="kaggle.PAUSES = (0.1,)")
    assert status == 0, said
    assert said.count("again in") == 3
    assert complete(manifest)


def test_a_transfer_that_never_goes_on_is_given_up_and_its_bytes_are_kept(kaggle, manifest):
    kaggle.faults = [2 * CHUNK + 1] + [None, 10] * 2
    status, said = fetch(kaggle, manifest, COMPETITION)
    assert status == 1
    assert said.count("again in") == 2
    assert "it goes on from where it was" in said
    assert left(manifest) == [".archives"]
    assert held(manifest) == 2 * CHUNK
    status, said = fetch(kaggle, manifest, COMPETITION)
    assert status == 0, said
    assert kaggle.of("GET")[-1]["Range"] == f"bytes={2 * CHUNK}-"
    assert complete(manifest)


@pytest.mark.parametrize("faults", [["expired"], ["expired"] * 2, ["expired", None, "expired"]])
def test_an_error_instead_of_the_rest_spares_what_has_come(kaggle, manifest, faults):
    kaggle.faults = [2 * CHUNK + 1, *[None, 10] * 2]
    assert fetch(kaggle, manifest, COMPETITION)[0] == 1
    kaggle.faults = [None, *faults]
    status, said = fetch(kaggle, manifest, COMPETITION)
    assert status == 0, said
    assert "the storage answered with status 403; 2.1 MB are here" in said
    assert kaggle.of("GET")[-1]["Range"] == f"bytes={2 * CHUNK}-"
    assert complete(manifest)


def test_where_there_is_no_such_rest_all_of_it_is_downloaded(kaggle, manifest):
    kaggle.faults = [2 * CHUNK + 1, None, "beyond"]
    status, said = fetch(kaggle, manifest, COMPETITION)
    assert status == 0, said
    assert said.count("again in") == 1
    assert [one["Range"] for one in kaggle.of("GET")] == [None, None, f"bytes={2 * CHUNK}-", None]
    assert complete(manifest)


def test_a_page_instead_of_the_rest_spares_what_has_come(kaggle, manifest):
    kaggle.faults = [2 * CHUNK + 1, *[None, 10] * 2]
    assert fetch(kaggle, manifest, COMPETITION)[0] == 1
    kaggle.faults = [None, "page"]
    status, said = fetch(kaggle, manifest, COMPETITION)
    assert status == 1
    assert "something answers in Kaggle's place" in said
    assert held(manifest) == 2 * CHUNK


def killed(kaggle, manifest, how):
    """A run that is ended in the middle of its transfer."""
    kaggle.faults = ["stall"]
    program = started(kaggle, manifest, COMPETITION, KAGGLE_API_TOKEN=TOKEN)
    end = time.monotonic() + 30
    while held(manifest) < CHUNK and time.monotonic() < end:
        time.sleep(0.02)
    program.send_signal(how)
    program.communicate(timeout=20)
    assert program.returncode != 0
    assert held(manifest) == CHUNK
    assert not manifest.exists()
    assert not (manifest.parent / "data").exists()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_the_next_run_goes_on_where_a_killed_one_was(kaggle, manifest, how):
    killed(kaggle, manifest, how)
    status, said = fetch(kaggle, manifest, COMPETITION)
    assert status == 0, said
    assert kaggle.of("GET")[-1]["Range"] == f"bytes={CHUNK}-"
    assert complete(manifest)


def test_a_partial_archive_is_not_completed_with_another_one(kaggle, manifest):
    kaggle.archive = zip_bytes({"old.csv": bytes(len(ARCHIVE) - 200)})
    killed(kaggle, manifest, signal.SIGKILL)
    kaggle.archive, kaggle.modified = ARCHIVE, "Tue, 02 Jun 2026 00:00:00 GMT"
    status, said = fetch(kaggle, manifest, COMPETITION)
    assert status == 0, said
    assert {one["Range"] for one in kaggle.of("GET")} == {None}
    assert complete(manifest)


def test_a_complete_archive_is_not_downloaded_again(kaggle, manifest):
    """A run that ends between download and manifest goes on from the archive."""
    ended = "download.write_manifest = lambda *words: exit(3)"
    status, said = fetch(kaggle, manifest, COMPETITION, change=ended)
    assert status == 3, said
    assert held(manifest) == len(ARCHIVE)
    status, said = fetch(kaggle, manifest, COMPETITION)
    assert status == 0, said
    assert "already here" in said
    assert complete(manifest)


@pytest.mark.parametrize(
    ("greetings", "faults", "said"),
    [
        (["busy", "busy"], [], "Kaggle answered with status 503"),
        ([None, None, "busy", "busy"], [], "Kaggle answered with status 503"),
        ([None, None, "limited"], [], "Kaggle answered with status 429"),
        ([], ["expired"], "the storage answered with status 403"),
        ([], ["stall"], "the connection broke"),
    ],
)
def test_what_may_pass_is_tried_again(kaggle, manifest, greetings, faults, said):
    kaggle.greetings, kaggle.faults = greetings, faults
    status, text = fetch(kaggle, manifest, COMPETITION, change="kaggle.SILENCE = 1")
    assert status == 0, text
    assert said in text
    assert complete(manifest)


def test_a_damaged_archive_is_downloaded_once_more(kaggle, manifest):
    kaggle.faults = ["corrupt"]
    status, said = fetch(kaggle, manifest, COMPETITION)
    assert status == 0, said
    assert "damaged" in said
    assert "once more" in said
    assert complete(manifest)
    assert [one["sent"] for one in kaggle.of("GET")] == [len(ARCHIVE)] * 2


def test_an_archive_that_is_damaged_twice_is_given_up(kaggle, manifest):
    kaggle.faults = ["corrupt"] * 2
    status, said = fetch(kaggle, manifest, COMPETITION)
    assert status == 1
    assert "damaged one, twice" in said
    assert left(manifest) in ([], [".archives"])
    assert held(manifest) == 0


UNUSABLE = {
    "hostile": {"../outside": "x"},
    "impossible": {"a": "1", "a/b": "2"},
    "nested": {"inner.zip": zip_bytes({"/outside": "x"})},
}


@pytest.mark.parametrize("kind", UNUSABLE)
def test_an_archive_that_cannot_be_used_gives_way_to_a_better_one(kaggle, manifest, kind):
    kaggle.archive = zip_bytes(UNUSABLE[kind])
    assert fetch(kaggle, manifest, COMPETITION)[0] == 1
    assert held(manifest) == 0
    kaggle.archive = ARCHIVE
    status, said = fetch(kaggle, manifest, COMPETITION)
    assert status == 0, said
    assert complete(manifest)


def test_only_files_are_archives(tmp_path):
    """From an answer without a name the client has made a folder."""
    folder = tmp_path / "archives"
    assert archives(folder) == []
    for name in ("chests.zip", "chests.zip.kaggle-partial", "chests.CompetitionApiService/x"):
        save(folder / name, "x")
    assert archives(folder) == [folder / "chests.zip"]


def test_a_slow_transfer_tells_how_far_it_is(kaggle, manifest):
    kaggle.faults = ["drip"]
    status, said = fetch(kaggle, manifest, COMPETITION, change="progress.SECONDS_BETWEEN_LINES = 0")
    assert status == 0, said
    for done in (1, 2, 3):
        assert f"download {COMPETITION}: MB {done}/5, " in said
    assert " s left" in said
    assert f"download {COMPETITION}: MB 5/5, done in " in said


def test_progress_of_a_resumed_transfer_starts_where_it_was(kaggle, manifest):
    killed(kaggle, manifest, signal.SIGKILL)
    kaggle.faults = [None, "drip"]
    status, said = fetch(kaggle, manifest, COMPETITION, change="progress.SECONDS_BETWEEN_LINES = 0")
    assert status == 0, said
    assert "MB 1/5" not in said
    assert "MB 2/5" in said


FULL_DISK = """
import builtins, errno, os
whole = open
def full(path, mode="r", *rest, **options):
    if str(path).endswith(".zip") and mode[0] in "wa":
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    return whole(path, mode, *rest, **options)
builtins.open = full
"""
# After the login, with everything in its words that must not be seen.
TALKATIVE = f"""
from requests.adapters import HTTPAdapter
send = HTTPAdapter.send
def fail(self, request, *rest, **options):
    if request.method == "GET":
        raise RuntimeError(request.url, dict(request.headers), {list(SECRETS)})
    return send(self, request, *rest, **options)
HTTPAdapter.send = fail
"""


@pytest.mark.parametrize(
    ("change", "found"),
    [(FULL_DISK, "the disk is full"), (TALKATIVE, "Kaggle's client failed (RuntimeError)")],
    ids=["full disk", "talkative error"],
)
def test_what_fails_after_the_login_is_said_without_a_secret(kaggle, manifest, change, found):
    status, said = fetch(kaggle, manifest, COMPETITION, change=change)
    assert status == 1
    assert found in said
    assert any(one["Authorization"] for one in kaggle.asked)


def test_the_client_is_not_asked_to_be_verbose(kaggle, manifest):
    """VERBOSE makes it print its headers and log every address: token and signature."""
    status, said = fetch(kaggle, manifest, COMPETITION, VERBOSE="1", VERBOSE_OUTPUT="true")
    assert status == 0, said
    assert "Authorization" not in said
    assert "GET /" not in said


def test_the_server_sees_the_secrets_that_must_not_be_said(kaggle, manifest):
    """So the search for them in what is said can fail."""
    fetch(kaggle, manifest, COMPETITION)
    assert kaggle.of("DownloadDataFiles")[0]["Authorization"] == f"Bearer {TOKEN}"
    assert SIGNATURE in kaggle_server.SECRETS
    with zipfile.ZipFile(io.BytesIO(ARCHIVE)) as archive:
        assert archive.namelist() == ["labels.csv", "train.zip"]
