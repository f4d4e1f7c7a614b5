"""The SuperLink as a process: started, waited for, and stopped."""

import logging
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
from flwr.supercore.address import resolve_bind_address

from chexviz.base.command import program
from chexviz.base.errors import InputError
from chexviz.federation.network import connection, credentials
from chexviz.federation.network.control import Access

LOG = logging.getLogger(__name__)
PROGRAM = "chexviz.federation.network.superlink"
LOG_FILE = "link.log"
LINES = 15  # of the log, in an error
SECONDS_TO_START = 120  # imports, and the database of a long run, on a slow disk
SECONDS_TO_STOP = 10


class Link:
    """A SuperLink that runs while the context is entered, and ends with this process.

    folder: has the files of `credentials`; the database and the log are written there. host: where
    it listens, 0.0.0.0 for all networks of the machine. insecure: serve without encryption. Raises
    InputError, with the end of its log, if it does not come up.
    """

    def __init__(self, folder: Path, host: str, port: int, insecure: bool = False):
        self.folder, self.host, self.port, self.insecure = folder, host, port, insecure
        self.process: subprocess.Popen | None = None

    @property
    def access(self) -> Access:
        """How commands on this machine reach it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return Access.of(self.folder, resolve_bind_address(f"{host}:{self.port}"), self.insecure)

    def __enter__(self) -> Self:
        self.check()
        if self.insecure:
            LOG.warning(connection.INSECURE.format(address=self.access.address))
        log = self.folder / LOG_FILE
        command, environment = program(PROGRAM)
        command += [f"--folder={self.folder}", f"--host={self.host}"]
        command += [f"--port={self.port}", f"--parent={os.getpid()}"]
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                command + ["--insecure"] * self.insecure,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                env=environment | {"FLWR_HOME": str(self.folder / "flower")},
                start_new_session=True,  # Ctrl-C is for us, who stop it when all is said
            )
        try:
            self.wait()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def check(self) -> None:
        """Raise InputError where it could not start: credentials, port."""
        credentials.read_secret(self.folder / credentials.SECRET)
        if not self.insecure:
            credentials.check_server(self.folder)
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((self.host, self.port))
            except OSError as error:
                raise InputError(
                    f"{self.host}:{self.port}",
                    expected="an address of this machine and a port that is free",
                    found=f"{error.strerror}",
                    fix="stop what listens there, or choose another port",
                ) from error

    def wait(self) -> None:
        """Until it answers."""
        assert self.process is not None
        access, end = self.access, time.monotonic() + SECONDS_TO_START
        authority = connection.trusted(access.authority, access.insecure)
        url, verify = connection.web(access.address, authority)
        with httpx.Client(verify=verify) as client:
            while self.process.poll() is None and time.monotonic() < end:
                try:
                    client.get(f"{url}/health").raise_for_status()
                    return
                except httpx.HTTPError:
                    time.sleep(0.1)
        raise self.failed("a SuperLink that starts")

    def failed(self, expected: str) -> InputError:
        """The error of one that ended, or says nothing, with the end of its log."""
        log = self.folder / LOG_FILE
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LINES:]
        ended = self.process is not None and self.process.poll() is not None
        return InputError(
            log,
            expected=expected,
            found="one that ended" if ended else "one that is silent",
            fix="see what it said:\n    " + "\n    ".join(lines),
        )

    @contextmanager
    def watched(self, stop: threading.Event) -> Iterator[None]:
        """Set `stop` if it ends within the context, which is an error then. Raises InputError."""
        process = self.process
        assert process is not None

        def watch() -> None:
            process.wait()
            stop.set()

        threading.Thread(target=watch, daemon=True).start()
        try:
            yield
        except SystemExit as error:
            if process.poll() is not None:
                raise self.failed("a SuperLink that runs to the end of the study") from error
            raise

    def stop(self) -> None:
        """End it; what it holds is in its database."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(SECONDS_TO_STOP)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None
