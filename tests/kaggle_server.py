"""A server that answers Kaggle's real client on this machine, with faults on demand."""

import base64
import hashlib
import json
import os
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

TOKEN = "KGAT_a_secret_that_must_not_be_seen"
KEY = "a_legacy_key_that_must_not_be_seen"
REFRESH = "a_refresh_token_that_must_not_be_seen"
SIGNATURE = "a_signature_that_must_not_be_seen"
SECRETS = (TOKEN, KEY, REFRESH, SIGNATURE)

# What Kaggle answers to a competition or dataset of this name.
REFUSALS = {
    "unauthorised": (401, "Unauthenticated"),
    "norules": (403, "You must accept this competition's rules before you can continue."),
    "nowhere": (404, "Not Found"),
    "broken": (500, "Oops"),
    "teapot": (418, "I'm a teapot"),
}


STATUSES = {"busy": 503, "limited": 429, "proxy": 407, "page": 200, "text": 200, "blocked": 403}
PAGE = b"<html>log in to the network first</html>"


class Kaggle(ThreadingHTTPServer):
    """Answers what the client asks when it downloads.

    archive: what it serves. modified: its date. faults: what befalls the next answers, in turn:
    None (nothing), a number of bytes after which the connection is cut, 'stall' (half of it, then
    silence), 'drip' (all of it, slowly), 'corrupt' (one byte is another), 'expired' (it refuses
    the address), 'beyond' (it says that there is no such range) or 'page' (a login page).
    greetings: the same for what is asked before: 'busy', 'limited' (too many requests), 'silent',
    'hangup', 'proxy' (wants a login), 'page', 'text' (a page too), 'blocked' (a proxy's). When the
    client goes on with a partial file it asks the storage twice: first for all, of which it reads
    the header only, then for the rest.
    asked: method, Authorization, Range and bytes sent of every request.
    """

    daemon_threads = True

    def __init__(self, archive: bytes):
        super().__init__(("127.0.0.1", 0), Answers)
        self.archive, self.modified = archive, "Mon, 01 Jun 2026 00:00:00 GMT"
        self.faults: list = []
        self.greetings: list = []
        self.asked: list[dict] = []
        self.over = threading.Event()

    def handle_error(self, request, client_address):
        """A client that hangs up is none."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)

    def of(self, method: str) -> list[dict]:
        """The requests of one method."""
        return [one for one in self.asked if one["method"] == method]


class Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *words):
        pass

    def note(self, method):
        words = {name: self.headers.get(name) for name in ("Authorization", "Range")}
        self.asked = {"method": method, "sent": 0, **words}
        self.server.asked.append(self.asked)

    def reply(self, status, body=b"", kind="application/json", **headers):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        return self.send(body)

    def send(self, body):
        self.wfile.write(body)
        self.wfile.flush()
        self.asked["sent"] += len(body)

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        method = self.path.rsplit("/", 1)[-1]
        self.note(method)
        greeting = self.server.greetings.pop(0) if self.server.greetings else None
        if greeting in ("silent", "hangup"):
            self.server.over.wait(30 if greeting == "silent" else 0)
            self.close_connection = True
            return None
        if greeting:
            kind = "text/plain" if greeting == "text" else "text/html"
            return self.reply(STATUSES[greeting], PAGE, kind)
        if method == "GenerateAccessToken":
            if asked["refreshToken"] != REFRESH:
                message = {"code": 401, "message": "Unauthenticated"}
                return self.reply(401, json.dumps(message).encode())
            return self.reply(200, json.dumps({"token": TOKEN, "expiresIn": 3600}).encode())
        if method == "IntrospectToken":
            known = asked["token"] == TOKEN
            return self.reply(200, json.dumps({"active": known, "username": "someone"}).encode())
        name = asked.get("competitionName") or asked.get("datasetSlug")
        code, message = REFUSALS.get(name, (0, ""))
        if (self.headers.get("Authorization") or f"Bearer {TOKEN}") not in accepted():
            code, message = 401, "Unauthenticated"
        if code:
            return self.reply(code, json.dumps({"code": code, "message": message}).encode())
        port = self.server.server_port
        address = f"http://localhost:{port}/{name}/all.zip?X-Goog-Signature={SIGNATURE}"
        return self.reply(302, b"<html>Moved</html>", "text/html", Location=address)

    def do_GET(self):
        """Give the archive as a storage does: ranges, and If-Range by ETag."""
        self.note("GET")
        archive = self.server.archive
        etag = f'"{hashlib.md5(archive).hexdigest()}"'
        wanted, start = self.headers.get("Range"), 0
        if wanted and self.headers.get("If-Range") in (None, etag):
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        fault = self.server.faults.pop(0) if self.server.faults else None
        if fault == "expired":
            return self.reply(403, b"<Error><Code>ExpiredToken</Code></Error>", "application/xml")
        if fault == "beyond":
            return self.reply(416, b"<Error/>", "application/xml")
        if fault == "page":
            return self.reply(200, PAGE, "text/html")
        self.send_response(206 if start else 200)
        if start:
            end = f"{len(archive) - 1}/{len(archive)}"
            self.send_header("Content-Range", f"bytes {start}-{end}")
        headers = {"Accept-Ranges": "bytes", "ETag": etag, "Last-Modified": self.server.modified}
        headers |= {"Content-Type": "application/zip", "Content-Length": len(archive) - start}
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()
        body = bytearray(archive[start:])
        if fault == "corrupt":
            body[len(body) // 2] ^= 255
        if isinstance(fault, int):
            self.send(body[:fault])
            self.close_connection = True
        elif fault == "stall":
            self.send(body[: len(body) // 2])
            self.server.over.wait(30)
            self.close_connection = True
        elif fault == "drip":
            step = max(len(body) // 20, 1)
            for begin in range(0, len(body), step):
                self.send(body[begin : begin + step])
                time.sleep(0.1)
        else:
            self.send(body)
        return None


def accepted() -> tuple[str, str]:
    """The Authorization headers of those whom this Kaggle knows."""
    return f"Bearer {TOKEN}", f"Basic {base64.b64encode(f'someone:{KEY}'.encode()).decode()}"


@contextmanager
def serving(archive: bytes):
    """A server of `archive` on a free port, until the end."""
    with Kaggle(archive) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()


def environment(server: Kaggle | None, home: Path, **changes: str) -> dict[str, str]:
    """Variables that lead the real client to `server` (None: nowhere), and to no credentials."""
    home.mkdir(parents=True, exist_ok=True)
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("KAGGLE") and "proxy" not in name.lower()
    }
    kept |= {"HOME": str(home), "PYTHONPATH": os.pathsep.join(sys.path)}
    # This makes the client ask http://localhost; the port is in the proxy's address.
    kept |= {"KAGGLE_API_ENVIRONMENT": "LOCALHOST"}
    if server:
        address = f"http://127.0.0.1:{server.server_port}"
        kept |= {"HTTP_PROXY": address, "http_proxy": address}
        # Even to this machine: the room of the network excepts it where it is imported.
        kept |= {"NO_PROXY": "", "no_proxy": ""}
    return kept | changes
