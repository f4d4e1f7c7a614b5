"""Jobs of a run go on from a process that has imported the libraries: most of a short one's time.

    python job_server.py SOCKET

imports LIBRARIES, nothing of the project, and waits at a socket. Beside it lies a program `python`,
to be found first, that hands `-m chexviz...` over to it: words, environment, folder and open files.
A fork of the server is the job from then on, and the program ends as it does. All else is done by
Python itself.
"""

import contextlib
import importlib
import json
import multiprocessing
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

LIBRARIES = [
    *("matplotlib.backends.backend_agg", "matplotlib.backends.backend_pdf", "matplotlib.pyplot"),
    *("msgspec", "pandas", "PIL.Image", "psutil", "pydicom", "safetensors.torch", "scipy.stats"),
    *("scipy.ndimage", "scipy.optimize", "scipy.sparse.csgraph", "torch", "typst"),
]
FORK = multiprocessing.get_context("fork")
ALONE = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
PROGRAM = """#!{python} -SIE
import json, os, signal, socket, sys
words = sys.argv[1:]
if words[:1] != ["-m"] or not words[1].startswith("chexviz."):
    os.execv({python!r}, [{python!r}, *words])
asked = json.dumps([os.getpid(), words[1:], os.getcwd(), dict(os.environ)]).encode()
with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server:
    server.connect({socket!r})
    socket.send_fds(server, [asked], [0, 1, 2])
    said = server.recv(16)
code = int(said or -signal.SIGKILL)
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
os._exit(code)
"""


@contextlib.contextmanager
def serving(folder: Path, before: list[str]) -> Iterator[Path]:
    """A server, and the folder of its program `python`. before: words before its command line."""
    (folder / "bin").mkdir(parents=True)
    address = folder / "socket"
    program = folder / "bin" / "python"
    program.write_text(PROGRAM.format(python=sys.executable, socket=str(address)))
    program.chmod(0o755)
    line = [*before, sys.executable, __file__, str(address)]
    # A group of its own: with strace before it, there are two processes to end.
    server = subprocess.Popen(line, env=os.environ | ALONE, start_new_session=True)
    try:
        while not address.exists():
            assert server.poll() is None
            time.sleep(0.05)
        yield program.parent
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def serve(address: str) -> None:
    """Answer until whoever started the server has gone."""
    starter = os.getppid()
    for name in LIBRARIES:
        importlib.import_module(name)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(address)
    listener.listen(64)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    while os.getppid() == starter:
        for key, _ in selector.select(timeout=5):
            if key.fileobj is listener:
                asking, _ = listener.accept()
                asked, files, *_ = socket.recv_fds(asking, 1 << 20, 3)
                job = FORK.Process(target=become, args=(json.loads(asked), files, address))
                job.start()
                for file in files:
                    os.close(file)
                selector.register(job.sentinel, selectors.EVENT_READ, (job, asking))
            else:
                job, asking = key.data
                selector.unregister(key.fileobj)
                job.join()
                with asking, contextlib.suppress(OSError):  # it may have been killed meanwhile
                    asking.send(str(job.exitcode).encode())


def become(asked: list, files: list[int], address: str) -> None:
    """Be the process that has asked, but for its number."""
    number, (module, *words), folder, environment = asked
    for file, own in zip(files, range(3), strict=True):
        os.dup2(file, own)
        os.close(file)
    sys.stdin = os.fdopen(0, closefd=False)  # multiprocessing has given it another one
    Path(f"{address}.{number}").touch()  # in a trace, this tells whose job the fork is
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[:1] = [folder, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    sys.argv[1:] = words
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    serve(sys.argv[1])
