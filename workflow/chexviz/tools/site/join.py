"""Take part in a federation, until stopped by Ctrl-C or SIGTERM; join again to go on.

What this site has to know stands in the options. They can be kept in a file, a word or
--option=value on each line: `chexviz site join @FILE`. Nothing listens here: the site calls the
coordinator's server, on one port.
"""

from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run
from chexviz.base.options import whole
from chexviz.federation.network.options import add_server, server_of
from chexviz.tools.site.prepared import add_home, home_of, images_of

METRICS = "metrics"  # without them no other table can be told
TABLES = (METRICS, "comparisons", "calibration")


def check_shared(names: list[str]) -> None:
    """Raise InputError if tables would be told without the one that says what they are of."""
    if names and METRICS not in names:
        raise InputError(
            f"--share {' '.join(names)}",
            expected=f"{METRICS} among them, which the other tables go with",
            found="not",
            fix=f"add {METRICS}, or share nothing",
        )


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.fromfile_prefix_chars = "@"
    add_server(parser)
    add_home(parser)
    parser.add_argument(
        "--share",
        nargs="+",
        choices=TABLES,
        default=[],
        help="tables of results on this site's images that the coordinator is told after the last "
        "round (none)",
    )
    parser.add_argument(
        "--smallest-cell",
        type=whole(1, 1000),
        default=5,
        metavar="PATIENTS",
        help="no number in them rests on fewer (%(default)s)",
    )
    arguments = parser.parse_args(argv)
    check_shared(arguments.share)
    home = home_of(arguments)
    images, splits = images_of(home.folder), home.used()
    from chexviz.federation.network.join import take_part
    from chexviz.federation.network.participant import Prepared
    from chexviz.tools.site.results import Shared

    take_part(
        server_of(arguments),
        arguments.approve,
        home.about.name,
        Prepared(images, splits, home.results / "duplicates.csv"),
        home.state,
        Shared(home, arguments.share, arguments.smallest_cell),
    )


if __name__ == "__main__":
    run(main)
