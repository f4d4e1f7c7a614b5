"""Options of a site that joins a server. Light: help and mistyped options are answered at once."""

import argparse
from pathlib import Path
from typing import NamedTuple


class Server(NamedTuple):
    """Where the coordinator's server is, and how this site and it know each other; see Node."""

    address: str
    key: Path
    authority: Path | None
    insecure: bool


def add_server(parser: argparse.ArgumentParser) -> None:
    """Add what names the server and what may run here; server_of takes its values."""
    parser.add_argument("address", help="of the coordinator's server: host:port")
    parser.add_argument("--key", required=True, type=Path, help="private key of this site")
    parser.add_argument("--authority", type=Path, help="the coordinator's ca.crt")
    parser.add_argument(
        "--approve",
        required=True,
        metavar="SHA256",
        help="of the app that may be answered; `chexviz site app` says that of the code here",
    )
    parser.add_argument(
        "--insecure", action="store_true", help="without encryption: on one machine alone"
    )


def server_of(arguments: argparse.Namespace) -> Server:
    """The server that the options of add_server name."""
    return Server(arguments.address, arguments.key, arguments.authority, arguments.insecure)
