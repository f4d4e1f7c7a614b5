"""What a process of a federation says: every line with the time, none lost."""

import io
import logging
import re
import sys

from chexviz.base.progress import Progress
from chexviz.federation.network import journal

STAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d "


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def said(monkeypatch, stream, deed) -> str:
    monkeypatch.setattr(sys, "stderr", stream)
    with journal.kept():
        deed()
    assert sys.stderr is stream
    return stream.getvalue()


def test_what_is_printed_and_what_is_logged_has_the_time(monkeypatch):
    def deed():
        print("site north has no part:\n  expected: all", file=sys.stderr)
        logging.getLogger("chexviz.x").warning("no connection to %s", "here")
        logging.getLogger("chexviz.x").debug("not this")
        logging.getLogger("flwr").info("nor this")

    lines = said(monkeypatch, io.StringIO(), deed).splitlines()
    assert [re.sub(STAMP, "", line) for line in lines] == [
        "INFO site north has no part:",
        "INFO   expected: all",
        "WARNING no connection to here",
    ]
    assert all(re.match(STAMP, line) for line in lines)


def test_progress_is_whole_lines_in_a_file_and_one_line_on_a_terminal(monkeypatch):
    def deed():
        with Progress("train", total=2, unit="round") as progress:
            progress.next_line = 0
            progress.step()
            logging.getLogger("chexviz.x").info("site north is gone")
            progress.step()

    log = said(monkeypatch, io.StringIO(), deed)
    lines = log.splitlines()
    assert len(lines) == 3
    assert lines[0].endswith("left")
    assert lines[2].endswith("INFO train: round 2/2, done in 0 s")
    shown = said(monkeypatch, Terminal(), deed)
    screen = [line.split(journal.CLEAR)[-1] for line in shown.split("\n")]
    assert re.fullmatch(f"{STAMP}INFO site north is gone", screen[0])
    assert screen[1:] == ["train: round 2/2, done in 0 s", ""]
