"""Let a site in: bind its name to its key. Whoever has the key is the site, and nobody else.

Compare the line that is printed with what the site says over the telephone.
"""

import re
from pathlib import Path

from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run
from chexviz.tools.server.place import access_of, add_folder

NAME, TAKEN = "[a-z][a-z0-9]*", ("shared", "mean")  # as names of sites in the configuration


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    add_folder(parser)
    parser.add_argument("name", metavar="NAME", help="of the site, as in the study's `run: sites:`")
    parser.add_argument("key", type=Path, metavar="KEY.pub", help="that the site has sent")
    arguments = parser.parse_args(argv)
    folder, name, key = arguments.folder, arguments.name, arguments.key
    check_name(name)
    access = access_of(folder)
    check_public(key)
    from chexviz.federation.network import control, credentials

    public = credentials.read_public(key)
    control.register(access, name, public)
    print(
        f"{name} may join with the key\n{credentials.fingerprint(public)}\n"
        f"If the site says another one: `chexviz server unregister {folder} {name}`"
    )


def check_name(name: str) -> None:
    """Raise InputError if a site cannot have this name, or it is the file in the wrong place."""
    if not re.fullmatch(NAME, name) or name in TAKEN:
        raise InputError(
            name,
            expected="the name of a site: small letters and digits, not shared or mean",
            found="a file" if Path(name).exists() else "something else",
            fix="give the folder, the name and the file of the key, in this order",
        )


def check_public(path: Path) -> None:
    """Raise InputError if a site has sent its private key."""
    if path.is_file() and b"PRIVATE KEY" in path.read_bytes():
        raise InputError(
            path,
            expected="a site's public key, a file that ends in .pub",
            found="a private key, which should never have left its site",
            fix="delete it, tell the site, and let it make a new one (`chexviz site key`)",
        )


if __name__ == "__main__":
    run(main)
