"""Let a site in no longer. Its connection ends with its next question; its name is free again."""

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.tools.server.place import access_of, add_folder


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    add_folder(parser)
    parser.add_argument("name", metavar="NAME", help="of the site")
    arguments = parser.parse_args(argv)
    access = access_of(arguments.folder)
    from chexviz.federation.network import control

    control.unregister(access, arguments.name)
    print(f"{arguments.name} may join no longer")


if __name__ == "__main__":
    run(main)
