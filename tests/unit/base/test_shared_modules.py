"""errors, files, progress and randomness: what every stage leans on."""

import errno
import os
import pickle
import resource
import signal
import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from chexviz.base.errors import InputError, run
from chexviz.base.files import replacing, replacing_all, sha256
from chexviz.base.progress import Progress, duration
from chexviz.base.randomness import stream
from chexviz.models import files
from chexviz.reporting.figures import style


def test_input_error_names_all_four():
    error = InputError("labels.csv", expected="a column x", found="y", fix="rename it")
    for part in ("labels.csv", "a column x", "y", "rename it"):
        assert part in str(error)


def test_input_error_comes_whole_out_of_a_worker_process():
    error = InputError("labels.csv", expected="a column x", found="y", fix="rename it")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (InputError, str(error), vars(error))


def test_run_ends_bad_input_with_its_message_and_status_1(repository):
    program = (
        "from chexviz.base.errors import InputError, run\n"
        "def main(): raise InputError('a.csv', expected='1', found='2', fix='3')\n"
        "run(main)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(repository / "workflow")},
    )
    assert done.returncode == 1
    assert done.stderr.startswith("ERROR a.csv\n")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_run_says_that_the_disk_is_full(number):
    def write():
        raise OSError(number, os.strerror(number), "images.npy")

    with pytest.raises(SystemExit, match=r"the disk is full: .*images\.npy.*\n.*free some space"):
        run(write)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.EFBIG, os.strerror(errno.EFBIG)), "may not grow any more.*\n.*ulimit -f"),
        (OSError(errno.EROFS, os.strerror(errno.EROFS), "x.csv"), "x.csv'\n.*path variables"),
        (OSError(errno.EACCES, os.strerror(errno.EACCES), "x.csv"), "x.csv'\n.*permissions"),
        (OSError(errno.EIO, os.strerror(errno.EIO)), "has failed.*\n.*run again"),
        (OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)), "not enough memory.*\n.*more memory"),
        (MemoryError(), "not enough memory.*\n.*more memory, or fewer threads"),
        (RuntimeError("can't start new thread"), "not enough memory: can't start"),
        (ImportError("libx.so: failed to map segment from shared object"), "memory: libx.so"),
        (RuntimeError("alloc:\nDefaultCPUAllocator: can't allocate memory"), "memory: Default"),
    ],
)
def test_run_says_what_the_machine_lacks(error, said):
    def fail():
        raise error

    with pytest.raises(SystemExit, match=said):
        run(fail)


def write_figure(path):
    style.save(plt.figure(), path.with_suffix(".pdf"), path.with_suffix(".png"), mark="")


def write_model(path):
    files.save(path, {"weights": torch.zeros(4096)})


def write_table(path):
    with replacing(path) as temporary:
        pd.DataFrame({"x": range(4096)}).to_csv(temporary)


@pytest.mark.parametrize("write", [write_figure, write_model, write_table])
@pytest.mark.parametrize("most", [0, 512])
def test_what_cannot_be_written_whole_is_said_and_leaves_nothing(tmp_path, write, most):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, limits[1]))
    try:
        with pytest.raises(SystemExit, match=r"may not grow .*File too large.* in writing .*/x\."):
            run(lambda: write(tmp_path / "x.csv"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())
    write(tmp_path / "x.csv")
    assert list(tmp_path.iterdir())


def test_numpy_says_that_memory_lacks():
    with pytest.raises(SystemExit, match="not enough memory: Unable to allocate"):
        run(lambda: np.empty(2**60, np.uint8))


def test_run_ends_quietly_at_ctrl_c(capsys):
    with pytest.raises(SystemExit) as caught:
        run(lambda: signal.raise_signal(signal.SIGINT))
    assert caught.value.code == 130
    assert capsys.readouterr().err == "stopped by Ctrl-C\n"


def test_run_lets_a_bug_show_its_traceback():
    def broken():
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        run(broken)


def test_replacing_gives_the_final_name_to_a_finished_file_only(tmp_path):
    path = tmp_path / "new" / "table.csv"
    with replacing(path) as temporary:
        temporary.write_text("half")
        assert not path.exists()
        assert temporary.suffix == ".csv"
    assert path.read_text() == "half"


def test_replacing_keeps_the_old_file_and_leaves_nothing_when_writing_fails(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("old")

    def fail_half_way():
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["table.csv"]


def test_several_files_are_all_on_the_disk_before_one_is_renamed(tmp_path, monkeypatch):
    flushed, flush = [], os.fsync

    def flush_once(file):
        flushed.append(file)
        if len(flushed) == 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        flush(file)

    monkeypatch.setattr(os, "fsync", flush_once)

    def write_two():
        with replacing_all({"one": tmp_path / "1.csv", "two": tmp_path / "2.csv"}) as files:
            for file in files.values():
                file.write_text("whole")

    with pytest.raises(OSError, match="No space"):
        write_two()
    assert not list(tmp_path.iterdir())
    write_two()
    assert [(tmp_path / name).read_text() for name in ("1.csv", "2.csv")] == ["whole", "whole"]


def test_sha256_of_a_known_text(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256(tmp_path / "abc") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, B.1
    )


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (200, "3 min 20 s"),
        (18120, "5 h 02 min"),
    ],
)
def test_duration(seconds, said):
    assert duration(seconds) == said


def test_progress_without_a_terminal_is_plain_lines_with_time_left(capsys, monkeypatch):
    clock = iter(range(0, 1000, 20))
    monkeypatch.setattr("chexviz.base.progress.time.monotonic", lambda: next(clock))
    with Progress("train", total=3, unit="round") as progress:
        for _ in range(3):
            progress.step(loss=0.25)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("train: round 1/3, loss 0.25, ")
    assert lines[0].endswith(" left")
    assert lines[-1].startswith("train: round 3/3, loss 0.25, done in ")
    assert "\r" not in "".join(lines)


def test_progress_is_silent_between_lines(capsys):
    with Progress("score", total=1000, unit="batch") as progress:
        for _ in range(999):
            progress.step()
    assert capsys.readouterr().err == ""


def test_progress_on_a_terminal_is_one_line_that_fits(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    clock = iter(range(0, 1000, 20))
    monkeypatch.setattr("chexviz.base.progress.time.monotonic", lambda: next(clock))
    with Progress("train", total=2, unit="round") as progress:
        progress.step(loss=0.25)
        progress.step(loss=0.25, learning_rate=0.001)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.endswith("\n")
    lines = said.rstrip("\n").split("\r\x1b[K")[1:]
    assert lines[0].startswith("train: round 1/2, loss 0.25, ")
    assert lines[1].startswith("train: round 2/2, loss 0.25, ")
    assert len(lines[1]) == 39


def test_resumed_steps_do_not_count_for_the_speed(monkeypatch):
    clock = iter([0.0, 10.0])
    monkeypatch.setattr("chexviz.base.progress.time.monotonic", lambda: next(clock))
    progress = Progress("train", total=100, unit="round", start=90)
    progress.done = 91
    assert progress.line() == "train: round 91/100, 1 min 30 s left"


def test_streams_differ_by_every_part_of_their_key_and_stay_the_same():
    keys = [
        (1, "order", "a", 0),
        (2, "order", "a", 0),
        (1, "dropout", "a", 0),
        (1, "order", "b", 0),
    ]
    keys += [(1, "order", "a", 1), (1, "order", "a")]
    assert len({stream(*key) for key in keys}) == len(keys)
    assert all(0 <= stream(*key) < 2**63 for key in keys)
    assert stream(2022, "order", "rsna", 12) == 6645761733869250509
