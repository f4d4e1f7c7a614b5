"""Say the SHA-256 of the code that this site would run in a federation.

It is that of the app which the code installed here makes. A site answers a coordinator only if the
coordinator's code makes the same one; `chexviz site join --approve` takes it.
"""

from chexviz.base.command import argument_parser
from chexviz.base.errors import run


def main(argv: list[str] | None = None) -> None:
    argument_parser(main).parse_args(argv)
    from chexviz.federation.network import bundle

    print(bundle.sha256())


if __name__ == "__main__":
    run(main)
