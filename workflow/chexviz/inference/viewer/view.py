"""Look at radiographs beside what a model says of them, on a page of this machine's own browser.

Files are dropped on the page: DICOM, PNG, JPEG, and zip archives of them. Nothing leaves the
machine or reaches a disk, and all is forgotten when the page is closed. Ctrl-C ends it.
"""

import os
import secrets
import signal
import socket
import sys
import tempfile
import webbrowser
from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run
from chexviz.data.workers import Workers
from chexviz.inference.bundle import RESEARCH, open_bundle

LOOPBACK = "127.0.0.1"
ANY = 0  # the system chooses a port that is free
PATIENCE = 2  # seconds that a running answer has when the server ends
SCREENS = ("DISPLAY", "WAYLAND_DISPLAY")
YOUDEN = "youden"


def add_options(parser: ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="the folder of a bundle")
    parser.add_argument(
        "--beside",
        type=Path,
        action="append",
        default=[],
        metavar="BUNDLE",
        help="a further bundle, whose answers stand beside those of the first; may be repeated",
    )
    parser.add_argument(
        "--port", type=port, default=ANY, help="of this machine; without it one that is free"
    )
    parser.add_argument(
        "--no-browser", action="store_true", help="only print the address of the page"
    )


def port(text: str) -> int:
    """A port that a user may take."""
    number = int(text)
    if not 1 <= number <= 65535:
        raise ValueError(text)
    return number


def bound(number: int) -> socket.socket:
    """A socket of this machine alone. Raises InputError if the port is not free."""
    taken = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((LOOPBACK, number))
    except OSError as error:
        taken.close()
        raise InputError(
            f"--port {number}",
            expected="a port that is free",
            found=error.strerror or str(error),
            fix="choose another one, or none",
        ) from None
    return taken


@contextmanager
def shown(address: str, browser: bool) -> Iterator[None]:
    """Print the address of the page, and open it in a browser.

    The browser gets a file that only this user may read: what stands on the command line of a
    program, all users of a machine can see.
    """
    print(f"the page is at {address}\nCtrl-C ends it", flush=True)
    if not browser:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="chexviz-") as folder:
        path = Path(folder, "open.html")
        text = f'<!doctype html><meta http-equiv="refresh" content="0; url={address}">'
        path.touch(0o600)
        path.write_text(text, encoding="utf-8")
        # Not awaited: some browsers end when the user ends them.
        Thread(target=webbrowser.open, args=[path.as_uri()], daemon=True).start()
        yield


def has_screen() -> bool:
    """Whether a browser with windows can be opened here, and not one of a terminal."""
    return sys.platform == "darwin" or any(os.environ.get(name) for name in SCREENS)


def end(*_: object) -> None:
    """End the server as Ctrl-C does, so that nothing is left behind."""
    raise KeyboardInterrupt


def serve(folders: list[Path], number: int, browser: bool) -> None:
    """Serve the page of these bundles until Ctrl-C. Raises InputError."""
    bundles = [open_bundle(folder) for folder in folders]
    # They take long to import, and the worker process does not use them.
    import uvicorn

    from chexviz.inference.answering import Model, Outputs
    from chexviz.inference.viewer import about
    from chexviz.inference.viewer.seeing import Viewer
    from chexviz.inference.viewer.server import application

    with bound(number) as listening, Workers(1) as workers:
        cards = [about.card(*both) for both in zip(folders, bundles, strict=True)]
        models = [
            Model(folder, bundle, YOUDEN, Outputs(None, None))
            for folder, bundle in zip(folders, bundles, strict=True)
        ]
        taken = listening.getsockname()[1]
        token = secrets.token_urlsafe(32)
        app = application(Viewer(models, workers), cards, token, taken)
        # No log of requests: the token is in their addresses, names of files are too.
        config = uvicorn.Config(
            app,
            access_log=False,
            log_level="error",
            server_header=False,
            timeout_graceful_shutdown=PATIENCE,
        )
        for line in filter(None, (bundles[0].mark, RESEARCH)):
            print(line)
        listening.listen()
        signal.signal(signal.SIGTERM, end)
        with shown(f"http://{LOOPBACK}:{taken}/{token}/", browser):
            uvicorn.Server(config).run(sockets=[listening])


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    add_options(parser)
    arguments = parser.parse_args(argv)
    folders = [arguments.bundle, *arguments.beside]
    try:
        serve(folders, arguments.port, has_screen() and not arguments.no_browser)
    except InputError as error:
        print(f"ERROR {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        pass
    print("the page is closed, and what it showed is gone")


if __name__ == "__main__":
    run(main)
