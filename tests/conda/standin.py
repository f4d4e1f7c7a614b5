"""What Snakemake calls of conda, done by py-rattler: a real solver, linker and activation.

    python standin.py PREFIX env create --file envs/data.yaml --prefix ENVIRONMENT

Channels are those under CONDA_CHANNEL_ALIAS, packages are unpacked in CONDA_PKGS_DIRS, and a GPU
is there if CONDA_OVERRIDE_CUDA says so; conda itself reads these variables too.
"""

import argparse
import asyncio
import hashlib
import json
import os
import sys
from pathlib import Path

import rattler

from chexviz.tools.conda_pins import PLATFORM, run_and_leave, solve

ACTIVATE = """\
export CONDA_PREFIX="$1" CONDA_SHLVL=1 PATH="$1/bin:$PATH"
"""
CONDA = """\
#!/bin/sh
PYTHONPATH={workflow} exec {python} {standin} {prefix} "$@"
"""


def install(prefix: Path, workflow: Path) -> None:
    """Write the commands `conda` and `activate`; workflow: the folder that holds chexviz."""
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / "activate").write_text(ACTIVATE)
    conda = prefix / "bin" / "conda"
    conda.write_text(
        CONDA.format(workflow=workflow, python=sys.executable, standin=__file__, prefix=prefix)
    )
    conda.chmod(0o755)


def explicit(pins: Path) -> list[rattler.RepoDataRecord]:
    """The packages of a pin file, each with the hash that it must have."""
    records = []
    for line in pins.read_text().splitlines():
        if line.startswith("file://"):
            address, _, expected = line.removeprefix("file://").partition("#")
            found = hashlib.md5(Path(address).read_bytes()).hexdigest()
            if found != expected:
                sys.exit(f"{address}: the MD5 sum is {found}, not {expected}")
            records.append(asyncio.run(rattler.RepoDataRecord.from_package_archive(address)))
    return records


def create(file: Path, prefix: Path) -> None:
    """Make an environment of a .yaml file, or of a pin file."""
    if file.suffix == ".txt":
        records = explicit(file)
    else:
        overrides = rattler.VirtualPackageOverrides.from_env()
        records = solve(file, rattler.VirtualPackage.detect(overrides))
    cache = Path(os.environ["CONDA_PKGS_DIRS"])
    asyncio.run(rattler.install(records, prefix, cache_dir=cache, show_progress=False))


def main(argv: list[str]) -> None:
    prefix, *command = argv
    match command:
        case ["--version"]:
            print("conda 25.1.0")
        case ["info", "--json"]:
            print(json.dumps({"conda_prefix": prefix, "platform": PLATFORM}))
        case ["config", "--get", "channel_priority", "--json"]:
            print(json.dumps({"get": {"channel_priority": "strict"}}))
        case ["env", "create", *options] | ["create", *options]:
            parser = argparse.ArgumentParser()
            parser.add_argument("--file", type=Path, required=True)
            parser.add_argument("--prefix", type=Path, required=True)
            for ignored in ("--quiet", "--no-default-packages", "--yes"):
                parser.add_argument(ignored, action="store_true")
            arguments = parser.parse_args(options)
            create(arguments.file, arguments.prefix)
        case ["clean", "-y", "--tarballs"]:
            pass  # rattler keeps only what it unpacked
        case _:
            sys.exit(f"the stand-in for conda knows no {command}")


if __name__ == "__main__":
    run_and_leave(lambda: main(sys.argv[1:]))
