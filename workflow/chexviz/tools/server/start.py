"""Let sites connect, until stopped by Ctrl-C or SIGTERM. Started again, it knows all it knew.

Says who connects, who is gone and who was refused, each with the time; FOLDER/link.log says more.
It needs one TCP port that sites can reach; docs/federation.md has the rest.
"""

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.options import whole
from chexviz.tools.server.place import add_folder, check_set_up

PORT = 8300
ALL, OWN = "0.0.0.0", "127.0.0.1"


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    add_folder(parser)
    parser.add_argument(
        "--host",
        metavar="ADDRESS",
        help=f"of this machine, at which it listens ({ALL}: all; with --insecure {OWN}: none but "
        "programs on this machine reach it)",
    )
    parser.add_argument("--port", type=whole(1, 65535), default=PORT, help="(%(default)s)")
    parser.add_argument(
        "--insecure", action="store_true", help="without encryption: on one machine alone"
    )
    arguments = parser.parse_args(argv)
    check_set_up(arguments.folder)
    host = arguments.host or (OWN if arguments.insecure else ALL)
    from chexviz.tools.server.watch import serve

    serve(arguments.folder, host, arguments.port, arguments.insecure)


if __name__ == "__main__":
    run(main)
