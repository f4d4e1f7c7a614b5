"""Go on with a study that was stopped or killed, from its last round that is over.

Nothing has to be said again: the study, its settings and rules are in the coordinator's folder.
"""

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.tools.server.order import unfinished
from chexviz.tools.server.place import access_of, add_folder


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    add_folder(parser)
    parser.add_argument("--study", metavar="NAME", help="as `status` calls it (the only one)")
    arguments = parser.parse_args(argv)
    access = access_of(arguments.folder)
    ordered = unfinished(arguments.folder, arguments.study)
    from chexviz.tools.server.conducting import conducted

    conducted(access, ordered)


if __name__ == "__main__":
    run(main)
