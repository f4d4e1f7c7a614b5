"""Make what a coordinator needs: an authority for certificates, the server's one, and a secret.

Called again once server.crt and server.key are moved away, it makes these two anew, for the same
authority: so a certificate is renewed, and sites notice nothing.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run
from chexviz.base.options import whole
from chexviz.tools.server.place import add_folder

if TYPE_CHECKING:
    from cryptography.x509 import Certificate


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    add_folder(parser)
    parser.add_argument(
        "--host",
        nargs="+",
        required=True,
        metavar="NAME",
        help="every name and IP address by which sites will reach the server, without the port",
    )
    parser.add_argument(
        "--days",
        type=whole(1, 3650),
        default=365,
        help="that the server's certificate is valid (%(default)s)",
    )
    arguments = parser.parse_args(argv)
    set_up(arguments.folder, arguments.host, arguments.days)


def set_up(folder: Path, hosts: list[str], days: int) -> None:
    """Make what the folder has not. Raises InputError if there is a certificate already."""
    from chexviz.federation.network import credentials

    check_hosts(hosts)
    own = folder / credentials.CERTIFICATE
    if own.exists():
        certificate = credentials.read_certificate(own)
        raise InputError(
            own,
            expected="no certificate of the server yet",
            found=f"one for {', '.join(credentials.hosts_of(certificate))}, valid "
            f"{credentials.period(certificate)}",
            fix=f"to renew it, or for other names, move it and {credentials.CERTIFICATE_KEY} away "
            "and set up again; sites keep their ca.crt",
        )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (folder / credentials.AUTHORITY).exists():
        credentials.make_authority(folder)
    if not (folder / credentials.SECRET).exists():
        credentials.make_secret(folder / credentials.SECRET)
    credentials.make_server_certificate(folder, hosts, days)
    authority, certificate = map(
        credentials.read_certificate, (folder / credentials.AUTHORITY, own)
    )
    print(
        f"{folder / credentials.AUTHORITY}: give it to every site, who compare its SHA-256:\n"
        f"{checksum(authority)}\n"
        f"{own}: for {', '.join(credentials.hosts_of(certificate))}, valid until "
        f"{certificate.not_valid_after_utc:%Y-%m-%d}; then set up again\n"
        f"All else in {folder} stays there, readable by its owner alone."
    )


def check_hosts(hosts: list[str]) -> None:
    """Raise InputError if one is no name or address of a machine, but has a port or a scheme."""
    for host in hosts:
        if "/" in host or (host.count(":") == 1):
            raise InputError(
                f"--host {host}",
                expected="a name such as coordinator.example.org, or an IP address",
                found="more than that",
                fix="leave port and scheme out",
            )


def checksum(certificate: "Certificate") -> str:
    """As `openssl x509 -fingerprint -sha256` says it."""
    from cryptography.hazmat.primitives.hashes import SHA256

    return certificate.fingerprint(SHA256()).hex(":").upper()


if __name__ == "__main__":
    run(main)
