"""Why a SuperLink does not let a site in, in words for who runs the site."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx

from chexviz.base.errors import InputError
from chexviz.federation.network import credentials

REASON = "chexviz-refused"  # header by which our SuperLink says why
UNKNOWN, CONNECTED = "unknown", "connected"  # a key that nobody registered; one that is in use
CLOCKS = 60  # seconds by which they may differ; Flower takes signatures of the last five minutes


def unregistered(address: str, key: Path, public: bytes) -> InputError:
    """Of a key that the coordinator does not know."""
    return InputError(
        key,
        expected=f"a key that the coordinator of {address} has registered",
        found=f"{credentials.fingerprint(public)}, which is not, or no longer",
        fix=f"send {credentials.public_path(key)} to the coordinator, who registers it",
    )


def held(key: Path, seconds: float) -> InputError:
    """Of a key with which somebody else has been connected for so long that it is no dead one."""
    return InputError(
        key,
        expected="no other connection with this key",
        found=f"one that is still there after {seconds:.0f} s",
        fix="stop the other process of this site; if there is none, somebody else has its key: "
        "call the coordinator",
    )


def misunderstood(address: str, response: httpx.Response) -> InputError:
    """Of an answer that Flower's own client would never get."""
    return InputError(
        address,
        expected="a server that takes what Flower's client sends",
        found=f"status {response.status_code}: {response.text[:200]}",
        fix="see that nothing in between changes requests, and the server's log",
    )


def unsigned(address: str, key: Path, public: bytes, response: httpx.Response) -> InputError:
    """Of a signature that the SuperLink does not take: it is too old, or the key is unknown."""
    theirs, ours = response.headers.get("date"), datetime.now(UTC)
    apart = (ours - parsedate_to_datetime(theirs)).total_seconds() if theirs else 0
    if abs(apart) < CLOCKS:
        return unregistered(address, key, public)
    return InputError(
        address,
        expected=f"clocks that differ by less than {CLOCKS} s",
        found=f"this machine's is {abs(apart):.0f} s {'ahead' if apart > 0 else 'behind'}",
        fix="set this machine's clock (NTP)",
    )
