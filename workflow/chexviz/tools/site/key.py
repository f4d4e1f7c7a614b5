"""Make the key that a site is known by, once: FILE, which never leaves the site, and FILE.pub.

The coordinator is sent FILE.pub, and over the telephone told the line that is printed.
"""

from pathlib import Path

from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("key", type=Path, metavar="FILE", help="to write, with FILE.pub beside it")
    key = parser.parse_args(argv).key
    from chexviz.federation.network import credentials

    if key.suffix in credentials.PUBLIC:
        raise InputError(
            key,
            expected="the name of the private key; the public one is that and .pub",
            found=f"a name that ends in {key.suffix}",
            fix="leave the ending out",
        )
    credentials.make_site_key(key)
    public = credentials.public_path(key)
    mark = credentials.fingerprint(credentials.read_public(public))
    print(f"{key} is this site's key: keep it here, readable by its owner alone.")
    print(f"Send {public} to the coordinator, and let them hear, over the telephone:\n{mark}")


if __name__ == "__main__":
    run(main)
