"""Archives from Kaggle: its own client, and around it what that client lacks.

The client (package `kaggle`, read at 2.2.4) logs in, asks for a signed address, and appends to a
partial file only if the server's ETag says that it is of the same archive. It sets no timeout, does
not look at the disk, and shows progress on a terminal alone. Its own retries reuse an address that
expires, so they are switched off here and every new attempt asks anew. If the storage answers with
an error to a request for the rest of a file, it writes what it gets next over that file, so no such
answer comes that far. Nothing it says is repeated: its texts hold signed addresses and, if VERBOSE
is set, the token.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from threading import Event, Thread
from typing import Any

from chexviz.base.errors import InputError
from chexviz.base.progress import Progress
from chexviz.data.sources.archives import check_space, gigabytes
from chexviz.data.sources.kaggle_credentials import credentials
from chexviz.data.sources.kaggle_refusals import (
    check_answer,
    may_pass,
    new_login,
    no_login,
    page,
    reason,
    refusal,
    unreachable,
)

PAUSES = (5, 20, 60, 180)  # seconds before each new attempt; counted anew once bytes have come
SILENCE = 60  # seconds without a byte after which a connection counts as lost
LOOK = 0.5  # seconds between looks at the growing file
MARKER = ".kaggle-partial"  # what the client keeps beside a partial file, to recognise it
LONGEST_NAME = 255  # bytes of a file name
MB = 10**6


def transfer(source: str, folder: Path) -> list[Path]:
    """Download what a Kaggle source has to `folder`, going on where an earlier run was cut off.

    source: 'kaggle-competition:SLUG' or 'kaggle-dataset:OWNER/NAME'. Gives the archives there.
    Raises InputError if Kaggle refuses, the disk is too small (both before the first byte) or the
    connection stays down; what has come by then stays in `folder` for the next run.
    """
    import requests

    # Either one makes the client print its headers.
    for name in ("VERBOSE", "VERBOSE_OUTPUT"):
        os.environ.pop(name, None)
    print(f"download {source}", file=sys.stderr, flush=True)
    places = credentials()  # now: the client removes what Kaggle rejects
    with patience(source, SILENCE), redirect_stdout(StringIO()):
        try:
            persist(new_client(source), source, folder, places)
        except InputError:
            raise
        except requests.HTTPError as error:
            raise refusal(source, error, places) from None
        except requests.RequestException as error:
            raise unreachable(source, error) from None
        except OSError:
            raise  # of this machine: a full disk, a folder that cannot be written
        except Exception as error:
            raise InputError(
                source,
                expected="a download",
                found=f"Kaggle's client failed ({type(error).__name__})",
                fix=f"run again, or download {page(source)} by hand: `source: [local:PATH]`",
            ) from None
    return archives(folder)


def new_client(source: str) -> Any:
    """Kaggle's client, its transfer within `following`. Raises InputError if it cannot start."""
    token = os.environ.get("KAGGLE_API_TOKEN", "")
    if len(token) > LONGEST_NAME or token != token.strip():
        # The client would take it for a file name, and fail with an error that holds the token; or
        # for a header, in which no space may lead and no line may end.
        raise InputError(
            source,
            expected=f"KAGGLE_API_TOKEN of at most {LONGEST_NAME} characters, no space around it",
            found="a longer one" if token == token.strip() else "spaces or ends of lines around it",
            fix="save the token as ~/.kaggle/access_token and unset the variable",
        )
    # Importing it reads credentials and talks to Kaggle, so only who needs it imports it.
    try:
        from kaggle.api.kaggle_api_extended import KaggleApi
    except OSError as error:
        raise InputError(
            source,
            expected="a home in which Kaggle's client can make a folder for its settings",
            found=str(error),
            fix="set KAGGLE_CONFIG_DIR to a folder that can be written",
        ) from None

    class Client(KaggleApi):
        begun = False  # whether Kaggle has let us in and bytes are to come

        def download_file(
            self,
            response: Any,
            outfile: str,
            http_client: Any,
            quiet: bool = True,
            resume: bool = False,
        ) -> None:
            self.begun = True
            size = int(response.headers.get("Content-Length", 0))
            with following(source, Path(outfile), size):
                super().download_file(
                    response, outfile, http_client, resume=resume, max_retries=0, timeout=SILENCE
                )

    return Client()


def log_in(client: Any, source: str, places: list[str]) -> None:
    """Log in, or be nobody where a dataset needs no account. places: where credentials are.

    Raises InputError if the credentials cannot be read, or are needed and not accepted.
    """
    try:
        client.authenticate()
    except SystemExit:  # its way to say that nobody is logged in
        if source.startswith("kaggle-competition:"):
            raise no_login(source, places) from None
    except (IsADirectoryError, PermissionError) as error:
        raise InputError(
            source,
            expected="Kaggle credentials in a file that can be read",
            found=str(error),
            fix=f"give it to this user, or {new_login(places)}",
        ) from None


def persist(client: Any, source: str, folder: Path, places: list[str]) -> None:
    """Download until it is complete, with pauses between attempts. Raises the last failure.

    Only what may pass is tried again: a connection that breaks after bytes were to come, a server
    that is busy. Who has no network, or the wrong one, is told at once.
    """
    import requests

    kind, _, name = source.partition(":")
    competition = kind == "kaggle-competition"
    get = client.competition_download_files if competition else client.dataset_download_files
    pauses = iter(PAUSES)
    while True:
        before = held(folder)
        try:
            log_in(client, source, places)
            get(name, path=str(folder), force=False, quiet=True)
        except requests.RequestException as error:
            if held(folder) > before:
                pauses = iter(PAUSES)
            pause = next(pauses, None)
            if pause is None or not may_pass(error, client.begun):
                raise
            print(
                f"download {source}: {reason(error)}; {gigabytes(held(folder))} are here, "
                f"again in {pause} s",
                file=sys.stderr,
                flush=True,
            )
            time.sleep(pause)
        else:
            if not client.begun:
                print(f"download {source}: already here", file=sys.stderr, flush=True)
            return


def archives(folder: Path) -> list[Path]:
    """The files that the client has brought, complete or not."""
    paths = sorted(folder.iterdir()) if folder.exists() else []
    return [path for path in paths if path.is_file() and not path.name.endswith(MARKER)]


def held(folder: Path) -> int:
    """Bytes that have come."""
    return sum(path.stat().st_size for path in archives(folder))


@contextmanager
def patience(source: str, seconds: float) -> Iterator[None]:
    """Within it a server that is silent for `seconds` counts as lost, and every answer is checked.

    The client sets no timeout and offers none; this is the one place that all its requests pass.
    """
    from requests.adapters import HTTPAdapter

    send = HTTPAdapter.send

    def impatient(
        self: Any,
        request: Any,
        stream: Any = False,
        timeout: Any = None,
        *rest: Any,
        **options: Any,
    ) -> Any:
        answer = send(self, request, stream, timeout or seconds, *rest, **options)
        check_answer(source, answer)
        return answer

    HTTPAdapter.send = impatient  # type: ignore[method-assign]
    try:
        yield
    finally:
        HTTPAdapter.send = send  # type: ignore[method-assign]


@contextmanager
def following(source: str, path: Path, size: int) -> Iterator[None]:
    """Check that `size` bytes fit on the disk, then tell how the file grows to them.

    size: 0 if the server does not say. Raises InputError if the archive and what is in it do not
    fit: radiographs are compressed already, so it needs its own size once more.
    """
    before = path.stat().st_size if path.exists() else 0
    there = next(parent for parent in path.parents if parent.exists())
    check_space(
        f"{source}, {gigabytes(size)} and as much again to unpack it", 2 * size - before, there
    )
    finished = Event()
    thread = Thread(target=follow, args=(source, path, size, before, finished), daemon=True)
    if size:
        thread.start()
    try:
        yield
    finally:
        finished.set()
        if size:
            thread.join()


def follow(source: str, path: Path, size: int, before: int, finished: Event) -> None:
    """Report how a file of `before` bytes grows to `size`, until `finished` is set."""
    now = before
    while now == before and not finished.wait(LOOK):
        now = path.stat().st_size if path.exists() else 0
    # The client begins anew if the archive on the server is another one by now.
    start = before // MB if now > before else 0
    total = -(-size // MB)
    with Progress(f"download {source}", total=total, unit="MB", start=start) as progress:
        over = False
        while not over:
            over = finished.wait(LOOK)
            now = path.stat().st_size if path.exists() else 0
            come = total if now == size else now // MB
            if come > progress.done:
                progress.step(come - progress.done)
