"""Which files the jobs of a run open, as the system sees it: a trace of Snakemake by strace."""

import ast
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

STRACE = shutil.which("strace")
CALLS = "execve,open,openat,clone,clone3,fork,vfork"
OPENED = re.compile(r'^open(?:at)?\((?:(AT_FDCWD|\d+), )?("(?:[^"\\]|\\.)*"), (\w[\w|]*).* = \d+$')
STARTED = re.compile(r"^(?:clone|clone3|fork|vfork)\(.* = (\d+)$")
# What a server of jobs has forked opens a file that is named like the process that has asked.
FORK = re.compile(r'^openat\(AT_FDCWD, "[^"]*/socket\.(\d+)"')
SHELL = re.compile(r'^execve\("[^"]*/bash", \["[^"]*", "-c", ("(?:[^"\\]|\\.)*")')


def traced(folder: Path) -> list[str]:
    """What to put before a command line so that its processes leave their traces in a folder."""
    folder.mkdir()
    options = ["-ff", "-qq", "--seccomp-bpf", "-s", "100000", "-e", "signal=none"]
    return [STRACE, *options, "-e", f"trace={CALLS}", "-o", str(folder / "trace")]


def opened(folder: Path, directory: Path) -> Iterator[tuple[str, set[Path]]]:
    """Of every job its shell command, and the files that it read but did not write itself.

    folder: of the traces, a file a thread. directory: in which the jobs ran; paths are absolute.
    """
    lines = {
        int(path.suffix[1:]): path.read_text(errors="replace").splitlines()
        for path in folder.glob("trace.*")
    }
    forks = {
        int(match[1]): one
        for one, calls in lines.items()
        for match in map(FORK.match, calls)
        if match
    }
    for number, calls in lines.items():
        command = next((match[1] for match in map(SHELL.match, calls) if match), None)
        if command and "python -m chexviz." in command:
            read, written = set(), set()
            for one in family(number, lines, forks):
                for path, flags in files(lines[one], directory):
                    (written if "O_CREAT" in flags else read).add(path)
            yield ast.literal_eval(command), read - written


def family(number: int, lines: dict[int, list[str]], forks: dict[int, int]) -> Iterator[int]:
    """A process and all that it and its children started, or had forked."""
    pending = [number]
    while pending:
        one = pending.pop()
        if one in lines:
            yield one
            pending += [forks[one]] if one in forks else []
            pending += [int(match[1]) for match in map(STARTED.match, lines[one]) if match]


def files(calls: list[str], directory: Path) -> Iterator[tuple[Path, str]]:
    """The files, no folders, that were opened and found, and how."""
    for where, name, flags in (match.groups() for match in map(OPENED.match, calls) if match):
        if "O_DIRECTORY" not in flags:
            assert where in ("AT_FDCWD", None), (where, name)  # else relative to an open folder
            yield directory / ast.literal_eval(name), flags
