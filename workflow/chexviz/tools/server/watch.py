"""The server in the foreground, and what is said of it: who comes, who goes, who is refused."""

import logging
import re
import signal
import socket
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from flwr.supercore.address import parse_address

from chexviz.base.errors import InputError
from chexviz.base.files import replacing
from chexviz.base.settings import read
from chexviz.federation.network import credentials, journal
from chexviz.federation.network.control import Access, Site, nodes
from chexviz.federation.network.link import LINES, LOG_FILE, Link
from chexviz.tools.server.place import SERVER, Running

LOG = logging.getLogger(__name__)
SECONDS = 2.0  # between two looks
SECONDS_BETWEEN_SAME = 60.0  # a site that is refused tries again and again
DAYS_TO_RENEW = 30
WARNED = re.compile(r"(?:WARNING|ERROR|CRITICAL) \[uvicorn\.error\] (.*)")


def serve(folder: Path, host: str, port: int, insecure: bool) -> None:
    """Serve until Ctrl-C or SIGTERM. Raises InputError if it cannot, or can no longer."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    path = folder / SERVER
    check_alone(path)
    with journal.kept(), Link(folder, host, port, insecure) as link:
        access = link.access
        with replacing(path) as temporary:
            running = Running(address=access.address, insecure=insecure)
            temporary.write_bytes(msgspec.json.encode(running))
        greet(folder, host, port, insecure)
        watch = Watch(access, folder / LOG_FILE)
        try:
            while True:
                check_alive(link)
                watch.look()
                time.sleep(SECONDS)
        except KeyboardInterrupt:
            LOG.info("stopped")
        finally:
            path.unlink()


def check_alone(path: Path) -> None:
    """Raise InputError if a server of the same folder runs, since both would write its database."""
    if not path.is_file():
        return
    address = read(path.read_text(encoding="utf-8"), Running, str(path)).address
    host, port, _ = parse_address(address) or ("", 0, None)
    with suppress(OSError), socket.create_connection((host, port), SECONDS):
        raise InputError(
            path.parent,
            expected="no server that runs with this folder",
            found=f"something that answers at {address}",
            fix=f"stop the other one; if it is something else, remove {path}",
        )


def greet(folder: Path, host: str, port: int, insecure: bool) -> None:
    """Say where it listens, and until when its certificate is valid."""
    LOG.info("listening at %s, port %d", host, port)
    if insecure:  # which Link has said loudly
        return
    certificate = credentials.read_certificate(folder / credentials.CERTIFICATE)
    names = ", ".join(credentials.hosts_of(certificate))
    end = certificate.not_valid_after_utc
    LOG.info("sites reach it as one of %s; the certificate ends on %s", names, f"{end:%Y-%m-%d}")
    days = (end - datetime.now(UTC)).days
    if days < DAYS_TO_RENEW:
        LOG.warning("the certificate ends in %d days: renew it (`chexviz server setup`)", days)


def check_alive(link: Link) -> None:
    """Raise InputError if the SuperLink has ended by itself."""
    if link.process is not None and link.process.poll() is not None:
        log = link.folder / LOG_FILE
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LINES:]
        raise InputError(
            log,
            expected="a SuperLink that runs until it is stopped",
            found=f"that it ended with status {link.process.returncode}",
            fix="see what it said, and start it again:\n    " + "\n    ".join(lines),
        )


class Watch:
    """What has changed since the last look. log: of the SuperLink, read from its end on."""

    def __init__(self, access: Access, log: Path):
        self.access, self.log, self.read = access, log, log.stat().st_size
        self.sites: dict[str, Site] = {}
        self.said: dict[str, float] = {}

    def look(self) -> None:
        """Say it."""
        try:
            found = {site.name: site for site in nodes(self.access)}
        except InputError as error:
            self.say(f"no answer: {error.found}")
        else:
            for line in changes(self.sites, found):
                LOG.info("%s", line)
            self.sites = found
        self.tail()

    def tail(self) -> None:
        """Say what the SuperLink has warned of since."""
        with self.log.open("rb") as file:
            file.seek(self.read)
            *lines, rest = file.read().split(b"\n")
            self.read = file.tell() - len(rest)
        for line in lines:
            if match := WARNED.search(line.decode("utf-8", "replace")):
                self.say(self.named(match[1]))

    def say(self, text: str) -> None:
        """A warning, unless it was said a moment ago."""
        recent = time.monotonic() - SECONDS_BETWEEN_SAME
        self.said = {one: when for one, when in self.said.items() if when > recent}
        if text not in self.said:
            self.said[text] = time.monotonic()
            LOG.warning("%s", text)

    def named(self, text: str) -> str:
        """A text with the names of sites whose keys it names."""
        for site in self.sites.values():
            text = text.replace(site.fingerprint, f"{site.fingerprint} (site {site.name})")
        return text


def changes(before: dict[str, Site], now: dict[str, Site]) -> list[str]:
    """Which sites were registered, came or went, a line each."""
    lines = []
    for name, site in now.items():
        known = before.get(name)
        if known is None:
            lines.append(f"site {name} is registered, key {site.fingerprint}")
        if site.online and not (known and known.online):
            lines.append(f"site {name} is connected")
        if not site.online and known and known.online:
            seen = f", last seen at {site.seen.astimezone():%H:%M:%S}" if site.seen else ""
            lines.append(f"site {name} is gone{seen}")
    return lines + [f"site {name} is registered no longer" for name in before if name not in now]
