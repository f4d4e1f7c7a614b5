"""Snakemake runs in a process of its own that has imported Snakemake already.

To import it and its plugins takes twice as long as to plan, and plans and short runs are many. A
fork of a server that has imported them, and nothing of the workflow, goes on as the command
`snakemake` does. Its jobs are programs that it starts, as ever.
"""

import multiprocessing
import os
import pkgutil
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

PLUGINS = [module.name for module in pkgutil.iter_modules() if module.name.startswith("snakemake_")]
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["snakemake.cli", *PLUGINS])


def snakemake(words: list[str], folder: Path, environment: dict[str, str]):
    """Run `snakemake` with these words, as subprocess.run would.

    stdout and stderr come together in stdout.
    """
    with tempfile.NamedTemporaryFile() as said:
        process = SERVER.Process(target=become, args=(words, folder, environment, said.name))
        process.start()
        process.join()
        text = Path(said.name).read_text()
    return subprocess.CompletedProcess(words, process.exitcode, text)


def become(words: list[str], folder: Path, environment: dict[str, str], said: str) -> None:
    """Be `python -m snakemake` from here on."""
    output = os.open(said, os.O_WRONLY | os.O_APPEND)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path[1:1] = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    sys.argv[1:] = words
    runpy.run_module("snakemake", run_name="__main__", alter_sys=True)
