"""SIGTERM for all processes of a cluster's job, where the first alone gets it (docs/cluster.md)."""

import signal
import socket
import threading
from contextlib import suppress

import psutil


def relay_termination() -> None:
    """From now on, what this process started gets SIGTERM whenever this process gets one.

    SLURM tells no other process of a job that its end is near, unless cgroup.conf has
    SignalChildrenProcesses. In a job that is Snakemake, which waits for its commands without a word
    to them. Who handles the signal in this process, now or later, is not changed: Python writes the
    number of every signal that it handles into a socket. Only the main thread may call this.
    """
    heard, told = socket.socketpair()
    told.setblocking(False)
    signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
    # `told` has to live as long as the process: else its number is soon another file's.
    threading.Thread(target=relay, args=(heard, told), daemon=True).start()


def relay(heard: socket.socket, _told: socket.socket) -> None:
    """Pass each SIGTERM on, as long as the process lives."""
    while True:
        if signal.SIGTERM in heard.recv(64):
            for process in psutil.Process().children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    process.terminate()
