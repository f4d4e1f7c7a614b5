"""Tell keyed hashes of this site's images, for the audit between sites.

The coordinator compares the tables of all sites (`chexviz server audit`) and tells each which of
its images leak (`chexviz site exclude`). docs/security.md says what the table tells.
"""

from pathlib import Path

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.tools.site.prepared import add_home, home_of


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("output", type=Path, metavar="KEYED.csv", help="to write")
    add_home(parser)
    parser.add_argument("--protocol", help="whose split is told (the only one)")
    parser.add_argument("--secret", required=True, type=Path, help="of all sites")
    parser.add_argument(
        "--without-phash",
        action="store_true",
        help="tell no perceptual hashes: near-identical images are not found",
    )
    arguments = parser.parse_args(argv)
    home = home_of(arguments)
    _, split = home.split(arguments.protocol)
    from chexviz.cohort import keyed_hashes

    keyed_hashes.main(
        [
            *("--samples", str(home.samples), "--split", str(split)),
            *("--key", str(arguments.secret), "--output", str(arguments.output)),
            *["--without-phash"] * arguments.without_phash,
        ]
    )
    print(f"{arguments.output} is what the coordinator gets, once you have looked at it.")


if __name__ == "__main__":
    run(main)
