"""The coordinator's folder: credentials, how its server is reached, and the studies."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from chexviz.base.errors import InputError
from chexviz.base.settings import Settings, read

if TYPE_CHECKING:
    from chexviz.federation.network.control import Access

SERVER = "server.json"  # while the server runs: what Running says
STUDIES = "studies"  # in it a folder of each study


class Running(Settings, frozen=True):
    """How the server of a folder is reached from this machine."""

    address: str
    insecure: bool


def add_folder(parser: argparse.ArgumentParser) -> None:
    """Add the coordinator's folder to a command line."""
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="of `chexviz server setup`")


def check_set_up(folder: Path) -> None:
    """Raise InputError unless `chexviz server setup` has made the folder."""
    from chexviz.federation.network.credentials import SECRET

    if not (folder / SECRET).is_file():
        raise InputError(
            folder,
            expected="a coordinator's folder",
            found=f"no {SECRET} in it" if folder.is_dir() else "no such folder",
            fix="make one (`chexviz server setup`), or correct the path",
        )


def is_running(folder: Path) -> bool:
    """Whether a server was started with the folder, and has not ended as it should."""
    return (folder / SERVER).is_file()


def access_of(folder: Path) -> "Access":
    """How the folder's server is reached. Raises InputError if it was not started."""
    check_set_up(folder)
    path = folder / SERVER
    if not is_running(folder):
        raise InputError(
            folder,
            expected="a server that runs",
            found="none that was started with this folder, or it has ended",
            fix=f"start it in another terminal, or as a service: `chexviz server start {folder}`",
        )
    running = read(path.read_text(encoding="utf-8"), Running, str(path))
    from chexviz.federation.network.control import Access

    return Access.of(folder, running.address, running.insecure)
