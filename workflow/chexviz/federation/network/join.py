"""Take part in a federation as a site, until told to stop: what `chexviz site join` starts."""

import argparse
import logging
from collections.abc import Mapping
from pathlib import Path

from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run
from chexviz.federation.network import bundle
from chexviz.federation.network.node import Node, serve
from chexviz.federation.network.participant import Participant, Prepared
from chexviz.federation.train import stop_requests

LINES = "%(asctime)s %(levelname)s %(message)s"


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argument_parser(main)
    parser.add_argument("address", help="of the coordinator's server: host:port")
    parser.add_argument("--name", required=True, help="of this site, as it was registered")
    parser.add_argument("--key", required=True, type=Path, help="private key of this site")
    parser.add_argument("--authority", type=Path, help="the coordinator's ca.crt")
    parser.add_argument(
        "--approve",
        required=True,
        metavar="SHA256",
        help="of the app that may be answered; `chexviz site app` says that of the code here",
    )
    parser.add_argument(
        "--images", required=True, type=Path, help="of this site: images.npy, or a list of arrays"
    )
    parser.add_argument(
        "--split",
        required=True,
        action="append",
        nargs=2,
        metavar=("PROTOCOL", "FILE"),
        help="which images train (repeated)",
    )
    parser.add_argument(
        "--state", required=True, type=Path, help="folder where task block and progress are kept"
    )
    parser.add_argument(
        "--insecure", action="store_true", help="without encryption: on one machine alone"
    )
    return parser.parse_args(argv)


def check_approved(approved: str) -> None:
    """Raise InputError unless the code that is installed here is what the operator approved."""
    own = bundle.sha256()
    if approved != own:
        raise InputError(
            f"--approve {approved}",
            expected=f"{own}, the SHA-256 of the app that the code installed here makes",
            found="another one",
            fix="install the version of the code that the coordinator announced, look at it, and "
            "approve that",
        )


def nothing_shared(model: Path) -> Mapping[str, str]:
    """The tables of results that leave a site whose operator has agreed to none."""
    return {}


def main(argv: list[str] | None = None) -> None:
    arguments = parse(argv)
    logging.basicConfig(level=logging.INFO, format=LINES)
    check_approved(arguments.approve)
    prepared = Prepared(arguments.images, {name: Path(file) for name, file in arguments.split})
    with stop_requests() as stop:
        site = Participant(arguments.name, prepared, arguments.state, nothing_shared, stop)
        with Node(
            arguments.address, arguments.key, arguments.authority, arguments.insecure
        ) as node:
            logging.info("connected to %s as site %s", arguments.address, arguments.name)
            serve(node, site.answer, arguments.approve, stop)
    logging.info("left the federation")


if __name__ == "__main__":
    run(main)
