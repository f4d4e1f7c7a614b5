"""A job's first process passes SIGTERM on, and does with it what it would have done anyway."""

import signal
import subprocess
import sys

# As Snakemake does: a handler of its own, set after the relay, and a command that it waits for.
PARENT = """
import signal, subprocess, sys
from chexviz.relay import relay_termination

relay_termination()
signal.signal(signal.SIGTERM, lambda *_: print("parent told", flush=True))
signal.signal(signal.SIGUSR1, lambda *_: print("parent told something else", flush=True))
sys.exit(subprocess.call(["bash", "-c", f"trap : TERM; {sys.executable} {sys.argv[1]}"]))
"""
CHILD = """
import signal, sys, time

signal.signal(signal.SIGTERM, lambda *_: (print("child told", flush=True), sys.exit(75)))
print("ready", flush=True)
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
