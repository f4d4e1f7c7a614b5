"""Take part in a federation as a site, until told to stop.

`chexviz site join` does the same for an operator, who names what they know: a prepared site.
"""

import argparse
import logging
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run
from chexviz.federation.network import bundle, journal
from chexviz.federation.network.diary import Diary
from chexviz.federation.network.node import Node, Stopped, serve
from chexviz.federation.network.options import Server, add_server, server_of
from chexviz.federation.network.participant import Participant, Prepared, Tables
from chexviz.federation.train import stop_requests

LOG = logging.getLogger(__name__)


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argument_parser(main)
    add_server(parser)
    parser.add_argument("--name", required=True, help="of this site, as it was registered")
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
        "--duplicates",
        type=Path,
        help="near-identical images, for privacy of patients",
    )
    parser.add_argument(
        "--state", required=True, type=Path, help="folder where task block and progress are kept"
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


def take_part(
    server: Server, approved: str, name: str, prepared: Prepared, state: Path, tables: Tables
) -> None:
    """Answer a server until SIGTERM or Ctrl-C; see Participant. approved: SHA-256 of the app.

    Raises InputError.
    """
    check_approved(approved)
    with journal.kept(), stop_requests() as stop:
        site = Participant(name, prepared, state, tables, stop)
        node = Node(*server)
        node.stop = stop  # also while it waits to be let in
        with suppress(Stopped), node:
            LOG.info("connected to %s as site %s", server.address, name)
            serve(node, Diary(site.answer, state).answer, approved, stop)
        LOG.info("left the federation")


def main(argv: list[str] | None = None) -> None:
    arguments = parse(argv)
    splits = {protocol: Path(file) for protocol, file in arguments.split}
    prepared = Prepared(arguments.images, splits, arguments.duplicates)
    take_part(
        server_of(arguments),
        arguments.approve,
        arguments.name,
        prepared,
        arguments.state,
        nothing_shared,
    )


if __name__ == "__main__":
    run(main)
