"""One list of the arrays of all sites, with their checksums.

Entry point: python -m chexviz.data.list_arrays --site rsna siim --images NPY... --output CSV. What
reads the images of all sites reads this list, so that a job of many sites has one input for them.
"""

from pathlib import Path

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.files import replacing
from chexviz.base.tables.sites import SITES
from chexviz.images.arrays import list_arrays


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--site", nargs="+", required=True)
    parser.add_argument("--images", nargs="+", required=True, type=Path, help="a file per site")
    parser.add_argument("--output", required=True, type=Path, help="above all of them")
    arguments = parser.parse_args(argv)
    pairs = zip(arguments.site, arguments.images, strict=True)
    rows = [row for pair in pairs for row in list_arrays(*pair, arguments.output.parent)]
    with replacing(arguments.output) as temporary:
        SITES.write(rows, temporary)


if __name__ == "__main__":
    run(main)
