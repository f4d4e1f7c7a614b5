"""Certificates, keys and secrets, each in a file of its own that nobody else can read.

The coordinator is its own authority: sites are given its `ca.crt` and trust nothing else. A site is
its key, whose public half the coordinator registers under the name of the site.
"""

import base64
import hashlib
import os
import secrets
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
    load_ssh_private_key,
    load_ssh_public_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from chexviz.base.errors import InputError
from chexviz.base.private_files import check_private
from chexviz.federation.network import LOOPBACK

AUTHORITY, AUTHORITY_KEY = "ca.crt", "ca.key"  # files of a coordinator's folder
CERTIFICATE, CERTIFICATE_KEY = "server.crt", "server.key"
SECRET = "secret"
PUBLIC = {".crt", ".pub"}  # files that are there to be given away
AUTHORITY_YEARS = 10
OWN = LOOPBACK  # how the coordinator's own commands reach the server
SKEW = timedelta(hours=1)  # clocks of sites may be behind


def make_authority(folder: Path) -> None:
    """Write `ca.crt`, which every site is given, and `ca.key`, which never leaves the coordinator.

    Raises InputError if one of them exists.
    """
    key = ec.generate_private_key(ec.SECP384R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CheXViz federation")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + timedelta(days=365 * AUTHORITY_YEARS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage(authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA384())
    )
    create({folder / AUTHORITY_KEY: private(key), folder / AUTHORITY: pem(certificate)})


def make_server_certificate(folder: Path, hosts: Sequence[str], days: int) -> None:
    """Write `server.crt` and `server.key`, signed by the authority of the same folder.

    hosts: every name and IP address by which sites will reach the server. Raises InputError if one
    of the files exists or there is no authority.
    """
    now = datetime.now(UTC)
    certify(folder, hosts, now - SKEW, now + timedelta(days=days))


def certify(folder: Path, hosts: Sequence[str], start: datetime, end: datetime) -> None:
    """The same for a certificate that is valid from `start` to `end`."""
    check_private(folder / AUTHORITY_KEY)
    authority = read_certificate(folder / AUTHORITY)
    signer = load_pem_private_key((folder / AUTHORITY_KEY).read_bytes(), password=None)
    if not isinstance(signer, ec.EllipticCurvePrivateKey):
        raise unusable(folder / AUTHORITY_KEY, "the key of an authority")
    key = ec.generate_private_key(ec.SECP384R1())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "CheXViz server")]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName(
                [alternative(host) for host in dict.fromkeys([*hosts, *OWN])]
            ),
            critical=False,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .sign(signer, hashes.SHA384())
    )
    create({folder / CERTIFICATE_KEY: private(key), folder / CERTIFICATE: pem(certificate)})


def make_site_key(path: Path) -> None:
    """Write a site's private key, and its public half to `path`.pub, as `ssh-keygen` would.

    Raises InputError if one of them exists.
    """
    key = ec.generate_private_key(ec.SECP384R1())
    text = key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    public = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    create({path: text, public_path(path): public + b"\n"})


def make_secret(path: Path) -> None:
    """Write 256 random bits, as text. Raises InputError if the file exists."""
    create({path: secrets.token_urlsafe(32).encode()})


def read_secret(path: Path) -> bytes:
    """What `make_secret` wrote. Raises InputError if it is missing, empty or open to others."""
    check_private(path)
    if secret := path.read_bytes():
        return secret
    raise unusable(path, "a secret")


def read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """A site's private key. Raises InputError if it is none, or open to others."""
    check_private(path)
    try:
        key = load_ssh_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise unusable(path, "a site's private key (OpenSSH, no password)") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise unusable(path, "a private key of an elliptic curve of NIST")
    return key


def read_public(path: Path) -> bytes:
    """The public half of a site's key, in OpenSSH's format. Raises InputError if it is none."""
    try:
        text = path.read_bytes().strip()
        fingerprint(text)
    except OSError as error:
        raise unusable(path, "a site's public key") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise unusable(path, "a site's public key: one line, ecdsa-sha2-nistp384 ...") from error
    return text


def fingerprint(public: bytes) -> str:
    """What two people compare over the telephone, as `ssh-keygen -l` says it: SHA256:...

    public: in OpenSSH's format, or in PEM as Flower keeps it. Raises ValueError if it is neither.
    """
    line = public_key(public).public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    digest = hashlib.sha256(base64.b64decode(line.split()[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def public_key(public: bytes) -> ec.EllipticCurvePublicKey:
    """A public key of either format. Raises ValueError if it is of another kind."""
    load = load_pem_public_key if public.startswith(b"-----") else load_ssh_public_key
    key = load(public)
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ValueError(f"not a key of an elliptic curve: {type(key).__name__}")
    return key


def check_certificate(path: Path) -> None:
    """Raise InputError unless the file is a certificate that is valid now."""
    certificate, now = read_certificate(path), datetime.now(UTC)
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise InputError(
            path,
            expected=f"a certificate that is valid now ({now:%Y-%m-%d})",
            found=f"one that is valid {period(certificate)}",
            fix="ask the coordinator for a new one, or set this machine's clock",
        )


def check_server(folder: Path) -> None:
    """Raise InputError unless a folder has a certificate of its authority, and the key of it."""
    check_private(folder / CERTIFICATE_KEY)
    check_certificate(folder / AUTHORITY)
    check_certificate(folder / CERTIFICATE)
    certificate = read_certificate(folder / CERTIFICATE)
    try:
        certificate.verify_directly_issued_by(read_certificate(folder / AUTHORITY))
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            folder / CERTIFICATE, folder / CERTIFICATE_KEY
        )
    except (ValueError, TypeError, InvalidSignature, ssl.SSLError) as error:
        raise InputError(
            folder / CERTIFICATE,
            expected=f"a certificate for {CERTIFICATE_KEY}, signed by {AUTHORITY}",
            found="one of another key or authority",
            fix="move both away and make them anew",
        ) from error


def period(certificate: x509.Certificate) -> str:
    """When a certificate is valid, in words."""
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return f"from {start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC"


def hosts_of(certificate: x509.Certificate) -> list[str]:
    """The names and IP addresses that a certificate is for."""
    found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(one.value) for one in found]


def read_certificate(path: Path) -> x509.Certificate:
    """Raises InputError if the file is no certificate."""
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError) as error:
        raise unusable(path, "a certificate (PEM)") from error


def public_path(path: Path) -> Path:
    """Where the public half of a key lies."""
    return path.with_name(f"{path.name}.pub")


def create(files: dict[Path, bytes]) -> None:
    """Write files, of which others can read certificates and public keys alone.

    Raises InputError if one exists, and then writes none.
    """
    for path in files:
        if path.exists():
            raise InputError(
                path,
                expected="no such file yet",
                found="one that may be in use",
                fix="go on with it, or move it away to make a new one",
            )
        path.parent.mkdir(parents=True, exist_ok=True)
    for path, content in files.items():
        mode = 0o644 if path.suffix in PUBLIC else 0o600
        # Permissions are there from the first byte; of two that create a file, one fails.
        with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())


def unusable(path: Path, expected: str) -> InputError:
    """The error of a file that is not there or is something else."""
    found = "something else" if path.is_file() else "no such file"
    return InputError(path, expected=expected, found=found, fix="give the path of the right file")


def alternative(host: str) -> x509.GeneralName:
    """A name or an IP address of a server, as certificates state it."""
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def usage(*, authority: bool) -> x509.KeyUsage:
    """What a key is for: to sign certificates, or to serve."""
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.PEM)
