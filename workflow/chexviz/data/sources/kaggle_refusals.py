"""What Kaggle, its storage or a proxy refuses, in words that say what to do and hold no secret."""

from typing import TYPE_CHECKING

from chexviz.base.errors import InputError
from chexviz.data.sources import kaggle_pages

if TYPE_CHECKING:
    from requests import RequestException, Response

TOKEN = (
    "create a token at https://www.kaggle.com/settings/api and save it as ~/.kaggle/access_token "
    "or set KAGGLE_API_TOKEN"
)
OAUTH = "~/.kaggle/credentials.json"  # what `kaggle auth login` writes
HOSTS = "*.kaggle.com and storage.googleapis.com"
OFFLINE = (
    "; where cluster nodes have no network, run `snakemake --until download weights` on a machine "
    "that has; or name files of your own: `source: [local:PATH]`"
)


def page(source: str) -> str:
    """Where a person gets access: the rules of a competition, or the page of a dataset."""
    found = kaggle_pages.page(source)
    return f"{found}/rules" if source.startswith("kaggle-competition:") else found


def check_answer(source: str, answer: "Response") -> None:
    """Raise HTTPError if the storage refuses, InputError if the answer is not Kaggle's at all.

    Kaggle says in JSON that it refuses access, the storage in XML, and an archive is no page; what
    leads on to the storage may be one.
    """
    import requests

    status, kind = answer.status_code, answer.headers.get("Content-Type", "")
    is_page = 200 <= status < 300 and (kind.startswith("text/") or "html" in kind)
    if is_page or (status == 403 and not ("json" in kind or "xml" in kind)):
        raise InputError(
            source,
            expected="an answer of Kaggle",
            found=f"something answers in Kaggle's place (status {status}, {kind or 'no type'})",
            fix="log in to the network if it has a page for that, or ask who runs the proxy to "
            f"allow {HOSTS}{OFFLINE}",
        )
    # 416 has the client ask for all of it, rightly: what it holds is no part of the archive.
    if is_storage(answer) and status >= 400 and status != 416:
        raise requests.HTTPError(response=answer)


def is_storage(answer: "Response") -> bool:
    """Whether an answer is the storage's, whose signed address may have expired."""
    return answer.request.method == "GET"  # Kaggle itself is only ever sent a POST


def status_of(error: "RequestException") -> int | None:
    """The status of the answer that was an error; None if there was no answer."""
    return None if error.response is None else error.response.status_code


def may_pass(error: "RequestException", begun: bool) -> bool:
    """Whether a failure may pass by itself. begun: whether bytes were to come already."""
    answer = error.response
    if answer is None:
        return begun
    status = answer.status_code
    return status in (408, 429) or status >= 500 or is_storage(answer)


def reason(error: "RequestException") -> str:
    """What failed, in words that hold no address."""
    answer = error.response
    if answer is None:
        return f"the connection broke ({cause(error)})"
    who = "the storage" if is_storage(answer) else "Kaggle"
    return f"{who} answered with status {answer.status_code}"


def cause(error: "RequestException") -> str:
    """The first cause of a connection that failed; texts with addresses are left out."""
    inner = getattr(error.args[0] if error.args else None, "reason", error)
    inner = getattr(inner, "original_error", inner)  # a proxy's own words
    return str(inner) if str(inner).startswith("Tunnel connection") else type(inner).__name__


def no_login(source: str, places: list[str]) -> InputError:
    """The error of who must log in and cannot. places: where credentials were."""
    return InputError(
        source,
        expected="a Kaggle account",
        found=f"Kaggle rejects the login in {places[0]}" if places else "no Kaggle credentials",
        fix=f"{new_login(places)}; then accept the rules at {page(source)}",
    )


def new_login(places: list[str]) -> str:
    """How to get credentials that are accepted."""
    return f"run `kaggle auth login` again, or {TOKEN}" if OAUTH in places else TOKEN


def refusal(source: str, error: "RequestException", places: list[str]) -> InputError:
    """What Kaggle answered instead of an archive, and what to do about it.

    places: where credentials were.
    """
    status, address = status_of(error), page(source)
    competition = source.startswith("kaggle-competition:")
    found, fix = f"{reason(error)}, again and again", "wait, and run again: it goes on from there"
    if may_pass(error, begun=True):
        pass
    elif status == 401:
        found = (
            f"Kaggle rejects the credentials in {places[0]}"
            if places
            else "Kaggle asks for a login"
        )
        found += " (401)"
        fix = new_login(places)
        if places and not competition:
            fix = f"remove them (no account is needed), or {fix}"
    elif status == 403 and competition:
        found = "Kaggle refuses access (403): the rules of the competition are not accepted"
        fix = f"log in to Kaggle with the account of the token, and accept the rules at {address}"
    elif status == 403:
        found = "Kaggle refuses access (403): the dataset is private or withdrawn"
        fix = f"ask for access at {address}, or name another mirror in `source` of the site"
    elif status == 404:
        found = "Kaggle knows no such data (404)"
        fix = f"check that {address} exists, and correct `source` of the site"
    elif status == 407:
        found, fix = f"the proxy{proxy()} wants a login (407)", "put it into HTTPS_PROXY"
    else:
        found = reason(error)
        fix = f"download {address} by hand: `source: [local:PATH]`"
    return InputError(source, expected="a download", found=found, fix=fix)


def unreachable(source: str, error: "RequestException") -> InputError:
    """Why there is no connection, and what to do about it."""
    import requests

    why = cause(error)
    badly_named = (requests.exceptions.InvalidURL, requests.exceptions.InvalidSchema)
    if isinstance(error, badly_named) and "socks" in proxy():
        found = f"no support of the proxy{proxy()} ({why})"
        fix = "install PySocks beside the package kaggle, or name an HTTP proxy"
    elif isinstance(error, (requests.exceptions.ProxyError, *badly_named)):
        found = f"the proxy{proxy()} lets nothing through to Kaggle ({why})"
        fix = f"correct HTTPS_PROXY and HTTP_PROXY, or ask who runs the proxy to allow {HOSTS}"
    elif isinstance(error, requests.exceptions.SSLError):
        found = f"a certificate that this machine does not trust ({why})"
        fix = "if a proxy reads all traffic, put its certificate's path into REQUESTS_CA_BUNDLE"
    else:
        found = f"no connection to Kaggle ({why})"
        fix = "check the network, and run again: it goes on from where it was"
    return InputError(source, expected="a download", found=found, fix=f"{fix}{OFFLINE}")


def proxy() -> str:
    """The proxy that requests go through, with a space before it and without its password."""
    from requests.utils import get_environ_proxies

    proxies = get_environ_proxies("https://api.kaggle.com")
    address = proxies.get("https") or proxies.get("http") or proxies.get("all")
    if not address:
        return ""
    # By hand: what is no address has to be named too.
    kind, _, rest = address.rpartition("://")
    host = rest.rpartition("@")[2].partition("/")[0]
    return f" {kind}://{host}" if kind.startswith("socks") else f" {host}"
