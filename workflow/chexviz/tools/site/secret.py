"""Make the secret that sites share for `chexviz site hashes`: one site does, and gives it to all.

The coordinator must not have it; docs/security.md says why. Destroy it after the audit.
"""

from pathlib import Path

from chexviz.base.command import argument_parser
from chexviz.base.errors import run


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("secret", type=Path, metavar="FILE", help="to write")
    secret = parser.parse_args(argv).secret
    from chexviz.federation.network import credentials

    credentials.make_secret(secret)
    print(f"Give {secret} to the other sites, over a way that the coordinator cannot read.")


if __name__ == "__main__":
    run(main)
