"""A connection to the SuperLink: whom it trusts, and what it means when there is none."""

import logging
import ssl
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import httpx
from cryptography import x509
from flwr.supercore.address import parse_address

from chexviz.base.errors import InputError
from chexviz.federation.network.credentials import check_certificate, hosts_of, period

FLOWER = metadata.version("flwr")
TITLE = "SuperLink API"  # what Flower calls it
SECONDS = 10  # for an answer to the first question
EXPIRED, NOT_YET, OTHER_NAME, OTHER_ADDRESS = 10, 9, 62, 64  # codes of OpenSSL's X509_V_ERR_...
NO_TLS = {"WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"}
INSECURE = (
    "--insecure: NOTHING IS ENCRYPTED between sites and {address}. Whoever is on the way can read "
    "and change all that is sent. Use it for tests on one machine alone"
)

logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs every request
LOG = logging.getLogger(__name__)


def trusted(authority: Path | None, insecure: bool) -> bytes | None:
    """The certificate of the one authority to trust; None for an insecure connection, said loudly.

    Raises InputError if there is none, it is not valid, or both are asked for.
    """
    if insecure == (authority is not None):
        raise InputError(
            "connection to the server",
            expected="the certificate of its authority (ca.crt), or --insecure",
            found="both" if insecure else "neither",
            fix="ask the coordinator for ca.crt, over a way that you trust",
        )
    if authority is None:
        return None
    check_certificate(authority)
    return authority.read_bytes()


def web(address: str, authority: bytes | None) -> tuple[str, ssl.SSLContext | bool]:
    """The URL of a server, and TLS that trusts one authority and none of the machine's."""
    if authority is None:
        return f"http://{address}", False
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=authority.decode("ascii"))
    return f"https://{address}", context


def check_server(address: str, authority: bytes | None) -> None:
    """Raise InputError unless a SuperLink that we trust answers, of the same version of Flower.

    address: host:port. authority: as `trusted` gives it.
    """
    if parse_address(address) is None:
        raise InputError(
            address,
            expected="the address of a server, like coordinator.example.org:8300",
            found="something else",
            fix="give host and port alone",
        )
    url, verify = web(address, authority)
    try:
        with httpx.Client(verify=verify, timeout=SECONDS) as client:
            answer = client.get(f"{url}/openapi.json")
    except httpx.HTTPError as error:
        raise explained(address, error, authority is None) from error
    check_version(address, answer)


def check_version(address: str, answer: httpx.Response) -> None:
    """Raise InputError unless this is what a SuperLink of our version says of itself."""
    try:
        said = answer.raise_for_status().json()["info"]
        title, version = said["title"], said["version"]
    except (httpx.HTTPStatusError, ValueError, KeyError, TypeError):
        title, version = f"something that answers with status {answer.status_code}", FLOWER
    if (title, version) != (TITLE, FLOWER):
        raise InputError(
            address,
            expected=f"a SuperLink of Flower {FLOWER}, as is installed here",
            found=f"Flower {version}" if title == TITLE else title,
            fix="install the version that the coordinator names, the same at all sites"
            if title == TITLE
            else "ask the coordinator for the address and port",
        )


class Unreachable(InputError):
    """Nothing answers at an address: waiting may mend it."""


def explained(address: str, error: Exception, insecure: bool) -> InputError:
    """What is wrong where a connection failed: with the certificate, with TLS, or there is none."""
    for cause in causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return distrusted(address, cause)
        if isinstance(cause, ssl.SSLError) and cause.reason in NO_TLS:
            return InputError(
                address,
                expected="a server that encrypts (TLS)",
                found="one that does not, or something in between that answers in its place",
                fix="ask the coordinator; --insecure is for tests on one machine alone",
            )
    if insecure and speaks_tls(address):
        return InputError(
            address,
            expected="a server without encryption, since --insecure is given",
            found="one that encrypts (TLS)",
            fix="leave --insecure away and give the coordinator's ca.crt",
        )
    return Unreachable(
        address,
        expected="a server that answers",
        found=f"{type(error).__name__}: {error}",
        fix="see that the address is right, the server runs, and firewalls let this port through",
    )


def fatal(error: Exception) -> bool:
    """Whether a connection failed for a reason that waiting does not mend."""
    return any(
        isinstance(cause, ssl.SSLCertVerificationError)
        or (isinstance(cause, ssl.SSLError) and cause.reason in NO_TLS)
        for cause in causes(error)
    )


def distrusted(address: str, error: ssl.SSLCertVerificationError) -> InputError:
    """The error of a server whose certificate is not to be trusted."""
    shown = presented(address)
    if error.verify_code in (EXPIRED, NOT_YET):
        expected = "a certificate that is valid now"
        found = f"one that is valid {period(shown)}" if shown else error.verify_message
        fix = "tell the coordinator, who makes a new one; or set this machine's clock"
    elif error.verify_code in (OTHER_NAME, OTHER_ADDRESS):
        expected = "a certificate for this address"
        found = f"one for {', '.join(hosts_of(shown))}" if shown else error.verify_message
        fix = "use one of these addresses, or ask the coordinator for a certificate with this one"
    else:
        expected = "the server of the authority whose certificate (ca.crt) was given"
        found = f"a certificate that this authority did not sign ({error.verify_message})"
        fix = (
            "nothing was sent to it. Call the coordinator: either you have another ca.crt, or the "
            "server was replaced, or somebody is in between"
        )
    return InputError(address, expected=expected, found=found, fix=fix)


def presented(address: str) -> x509.Certificate | None:
    """The certificate that a server shows, to describe it and for nothing else."""
    host, port, _ = parse_address(address) or ("", 0, None)
    try:
        text = ssl.get_server_certificate((host, port), timeout=SECONDS)
        return x509.load_pem_x509_certificate(text.encode())
    except (OSError, ValueError):
        return None


def speaks_tls(address: str) -> bool:
    return presented(address) is not None


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what led to it."""
    while error:
        yield error
        error = error.__cause__ or error.__context__
