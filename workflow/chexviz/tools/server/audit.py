"""Find what sites share by their keyed hashes, and say to each which of its own images leak.

A site sends what `chexviz site hashes` has written, and is sent back NAME.leaking.csv, for `chexviz
site exclude`. between_sites.csv, with the counts, stays with the coordinator.
"""

import json
from pathlib import Path

from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run
from chexviz.base.options import whole

HAMMING, SMALLEST = 8, 5


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("sites", nargs="+", metavar="NAME=KEYED.csv", help="of two sites or more")
    parser.add_argument("--output", required=True, type=Path, metavar="FOLDER")
    parser.add_argument(
        "--hamming",
        type=whole(0, 16),
        default=HAMMING,
        metavar="BITS",
        help="of 64 in which candidates differ at most (%(default)s)",
    )
    parser.add_argument(
        "--smallest-cell",
        type=whole(1, 1000),
        default=SMALLEST,
        metavar="NUMBER",
        help="smaller ones are not written (%(default)s)",
    )
    arguments = parser.parse_args(argv)
    pairs = [pair(text) for text in arguments.sites]
    names, files = [name for name, _ in pairs], [file for _, file in pairs]
    from chexviz.cohort import between_sites

    told = [str(arguments.output / f"{name}.leaking.csv") for name in names]
    settings = {"hamming": arguments.hamming, "smallest_cell": arguments.smallest_cell}
    audit = arguments.output / "between_sites.csv"
    between_sites.main(
        [
            *("--site", *names, "--keyed", *files, "--settings", json.dumps(settings)),
            *("--audit", str(audit), "--leaking", *told),
        ]
    )
    print(f"{audit}: what sites share, for you. For each site alone: {', '.join(told)}")


def pair(text: str) -> tuple[str, str]:
    """A site and its file. Raises InputError if the text is not both."""
    name, equals, file = text.partition("=")
    if not (name and equals and file) or "/" in name:
        raise InputError(
            text,
            expected="the name of a site and its file: north=north/keyed.csv",
            found="something else",
            fix="write it so",
        )
    return name, file


if __name__ == "__main__":
    run(main)
