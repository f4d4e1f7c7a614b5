"""A job's first process passes SIGTERM on, and does with it what it would have done anyway."""

import signal
import subprocess
import sys

# As Snakemake does: a handler of its own, set after the relay, and a command that it waits for.
PARENT = r"""
import os, signal, subprocess, sys
from chexviz.pipeline.signals import relay_termination

relay_termination()
# Not by print: its buffer refuses the second handler while the first still prints.
signal.signal(signal.SIGTERM, lambda *_: os.write(1, b"parent told\n"))
signal.signal(signal.SIGUSR1, lambda *_: os.write(1, b"parent told something else\n"))
sys.exit(subprocess.call(["bash", "-c", f"trap : TERM; {sys.executable} {sys.argv[1]}"]))
"""
CHILD = r"""
import os, signal, sys, time

signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b"child told\n"), sys.exit(75)))
os.write(1, b"ready\n")
for _ in range(600):  # one long sleep does not end for a signal that comes just before it
    time.sleep(0.1)
"""


def test_all_that_the_process_started_is_told_of_sigterm_alone(repository, tmp_path):
    child = tmp_path / "child.py"
    child.write_text(CHILD)
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(child)],
        stdout=subprocess.PIPE,
        text=True,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(repository / "workflow")},
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGUSR1)  # of which the child would die
    assert process.stdout.readline() == "parent told something else\n"
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=30)
    assert sorted(said.split()) == ["child", "parent", "told", "told"]
    assert process.returncode == 75
