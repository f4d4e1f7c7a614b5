"""`chexviz view`: a server that this user alone reaches, and that leaves nothing behind."""

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from chexviz.base.source_code import PACKAGE
from chexviz.inference.viewer import view
from made_dicoms import chest
from made_rasters import encoded


@pytest.fixture
def running(bundle_folder, tmp_path):
    """The command in an empty folder, which is its folder for temporary files too."""
    here = tmp_path / "here"
    here.mkdir()
    environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent), "TMPDIR": str(here)}
    line = [sys.executable, "-m", "chexviz", "view", str(bundle_folder), "--no-browser"]
    with subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=here, env=environment
    ) as process:
        process.here = here
        yield process
        if process.poll() is None:
            process.kill()


def address(process: subprocess.Popen) -> str:
    """Where the page is, as it says, behind what it is."""
    said = [process.stdout.readline().strip() for _ in range(3)]
    assert said[:2] == ["DEMO: random weights", "Research use only; not a medical device."]
    found = re.fullmatch(r"the page is at (http://127\.0\.0\.1:\d+/[\w-]{43}/)", said[2])
    assert found, said
    return found[1]


def asked(url: str, **options) -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, **options), timeout=60) as answer:
        return answer.read()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_page_is_served_to_this_user_and_leaves_nothing(running, number):
    page = address(running)
    assert b"<title>CheXViz</title>" in asked(page)
    session = re.search(rb'"session":"([\w-]+)"', asked(f"{page}sessions", method="POST"))[1]
    picture = encoded(chest(1, (80, 60)))
    sent = f"{page}sessions/{session.decode()}/files?name=private-name.png"
    assert b'"reason":""' in asked(sent, data=picture, method="POST")
    with pytest.raises(urllib.error.HTTPError, match="403"):
        asked(page.rsplit("/", 2)[0] + "/")
    assert [*running.here.rglob("*")] == []
    running.send_signal(number)
    rest = running.stdout.read()
    assert running.wait(30) == 0
    assert rest == "Ctrl-C ends it\nthe page is closed, and what it showed is gone\n"
    assert [*running.here.rglob("*")] == []


def test_it_listens_on_the_loopback_address_alone():
    with view.bound(0) as taken:
        assert taken.getsockname()[0] == "127.0.0.1"


def test_what_cannot_be_is_said_with_status_2(bundle_folder, tmp_path, capsys):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        for words, said in (
            ([bundle_folder, "--port", port, "--no-browser"], "expected: a port that is free"),
            ([tmp_path / "absent"], "no such folder"),
            ([bundle_folder, "--beside", tmp_path], "no bundle.json in it"),
            ([bundle_folder, "--port", "0"], "invalid port value"),
            ([bundle_folder, "--port", "x"], "invalid port value"),
        ):
            with pytest.raises(SystemExit) as end:
                view.main([*map(str, words)])
            assert end.value.code == 2
            assert said in capsys.readouterr().err


def test_the_secret_is_on_no_command_line(monkeypatch, capsys):
    """Those of a browser can be seen by all users of a machine."""
    opened = []

    def browser(url: str) -> None:
        path = Path(url.removeprefix("file://"))
        opened.append((stat.S_IMODE(path.stat().st_mode), path.read_text(), path))
        opened.append(stat.S_IMODE(path.parent.stat().st_mode))

    class Now:
        def __init__(self, target, args, daemon):
            self.run = lambda: target(*args)

        def start(self):
            self.run()

    monkeypatch.setattr(view.webbrowser, "open", browser)
    monkeypatch.setattr(view, "Thread", Now)
    with view.shown("http://127.0.0.1:1/secret/", True):
        (mode, text, path), folder_mode = opened
        assert "secret" not in str(path)
        assert (mode, folder_mode) == (0o600, 0o700)
        assert 'url=http://127.0.0.1:1/secret/"' in text
    assert not path.exists()
    with view.shown("http://127.0.0.1:1/secret/", False):
        assert len(opened) == 2
    assert capsys.readouterr().out.count("the page is at http://127.0.0.1:1/secret/\n") == 2


def test_a_browser_of_a_terminal_is_not_opened(monkeypatch):
    for name in view.SCREENS:
        monkeypatch.delenv(name, raising=False)
    assert not view.has_screen() or sys.platform == "darwin"
    monkeypatch.setenv("WAYLAND_DISPLAY", "wayland-0")
    assert view.has_screen()
