"""Write pin files beside conda environments: every package of a solution, by address and hash.

    python -m chexviz.tools.conda_pins --cuda 13.0 envs/train-gpu.yaml

Snakemake installs from a pin file instead of solving anew. CONDA_CHANNEL_ALIAS names a mirror of
the channels, as it does for conda.
"""

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import rattler
import yaml
from rattler.exceptions import SolverError

from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run
from chexviz.base.files import replacing

PLATFORM: Final = "linux-64"
GLIBC = "2.28"  # of the oldest distributions that PyTorch still supports


def virtual_packages(cuda: str | None) -> list[rattler.GenericVirtualPackage]:
    """What the solver is told of the machine: any 64-bit Linux on x86, with a GPU's driver or not.

    cuda: the highest version that the driver supports; None: no GPU.
    """
    versions = {"__unix": "0", "__linux": "0", "__glibc": GLIBC} | (
        {"__cuda": cuda} if cuda else {}
    )
    return [
        rattler.GenericVirtualPackage(
            rattler.PackageName(name), rattler.Version(version), rattler.BuildString("0")
        )
        for name, version in versions.items()
    ]


def solve(environment: Path, machine: Sequence) -> list[rattler.RepoDataRecord]:
    """All packages that an environment needs, directly or not.

    machine: virtual packages. Raises InputError if no set of packages meets all requirements.
    """
    wanted = yaml.safe_load(environment.read_text())
    alias = os.environ.get("CONDA_CHANNEL_ALIAS")
    config = rattler.ChannelConfig(*[f"{alias.rstrip('/')}/"] if alias else [])
    channels = [name for name in wanted["channels"] if name != "nodefaults"]
    solution = rattler.solve(
        [rattler.Channel(name, config) for name in channels],
        wanted["dependencies"],
        platforms=[PLATFORM, "noarch"],
        virtual_packages=machine,
    )
    try:
        return sorted(asyncio.run(solution), key=lambda record: record.url)
    except SolverError as error:
        raise InputError(
            environment,
            expected=f"packages that are in {', '.join(channels)} and fit together",
            found=str(error),
            fix="choose other versions; for pytorch-gpu, say --cuda or set CONDA_OVERRIDE_CUDA",
        ) from error


def line(record: rattler.RepoDataRecord) -> str:
    """A package as a pin file names it. Raises InputError if its channel does not give an MD5."""
    if record.md5 is None:
        raise InputError(
            record.url,
            expected="an MD5 of the package in the index of its channel",
            found="none",
            fix="index the channel anew (conda-index), or take the package from another one",
        )
    return f"{record.url}#{record.md5.hex()}"


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--cuda", help="highest version that the GPU's driver supports: nvidia-smi")
    parser.add_argument("environment", nargs="+", type=Path, help="a .yaml file")
    arguments = parser.parse_args(argv)
    for environment in arguments.environment:
        records = solve(environment, virtual_packages(arguments.cuda))
        with replacing(environment.with_suffix(f".{PLATFORM}.pin.txt")) as temporary:
            lines = [line(record) for record in records]
            temporary.write_text("\n".join(["@EXPLICIT", *lines, ""]))


def run_and_leave(main: Callable[[], None]) -> None:
    """Run an entry point that uses py-rattler, and end the process without Python's own shutdown.

    A thread of py-rattler may still look for the interpreter then, and crash
    (pyo3-async-runtimes, issue 40); here in one of twenty runs.
    """
    status = 0
    try:
        run(main)
    except SystemExit as stop:
        if isinstance(stop.code, int):
            status = stop.code
        elif stop.code:
            print(stop.code, file=sys.stderr)
            status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    run_and_leave(main)
