"""Leave out of this site's split the images that other sites have in an earlier subset.

`chexviz site join` then trains without them. Prepare the site anew, and it has to be done anew.
"""

from pathlib import Path

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.tools.site.prepared import add_home, home_of


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument(
        "leaking", type=Path, metavar="LEAKING.csv", help="what the coordinator tells this site"
    )
    add_home(parser)
    parser.add_argument("--protocol", help="whose split was told of (the only one)")
    parser.add_argument("--secret", required=True, type=Path, help="of all sites")
    parser.add_argument(
        "--kinds",
        nargs="+",
        help="what is left out, of patient, exact, close and candidate (all but the last)",
    )
    arguments = parser.parse_args(argv)
    home = home_of(arguments)
    protocol, split = home.split(arguments.protocol)
    from chexviz.cohort import exclude_shared

    exclude_shared.main(
        [
            *("--samples", str(home.samples), "--split", str(split)),
            *("--key", str(arguments.secret), "--leaking", str(arguments.leaking)),
            *("--output", str(home.without_shared(protocol, split))),
            *(["--kinds", *arguments.kinds] if arguments.kinds else []),
        ]
    )


if __name__ == "__main__":
    run(main)
