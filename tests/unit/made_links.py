"""A coordinator and sites for tests of the network, all on this machine."""

import os
import socket
import socketserver
import sqlite3
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from flwr.app import Array, ArrayRecord, Message, RecordDict
from flwr.serverapp import Grid

from chexviz.federation.network import bundle, credentials
from chexviz.federation.network.control import Access, register
from chexviz.federation.network.node import Node, serve
from chexviz.federation.network.superlink import DATABASE


def coordinator(folder: Path, *hosts: str) -> Path:
    """A folder with all that a SuperLink needs. hosts: its other names and addresses."""
    credentials.make_authority(folder)
    credentials.make_server_certificate(folder, hosts, days=2)
    credentials.make_secret(folder / credentials.SECRET)
    return folder


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def site(folder: Path, name: str, access: Access | None = None) -> Path:
    """A new key, registered under a name if a coordinator is given."""
    key = folder / name
    credentials.make_site_key(key)
    if access:
        register(access, name, credentials.read_public(credentials.public_path(key)))
    return key


def connect(access: Access, key: Path) -> Node:
    return Node(access.address, key, access.authority, access.insecure)


def echo(message: Message) -> Message:
    """The same content back."""
    return Message(message.content, reply_to=message)


def letter(node: int, values) -> Message:
    """A message to a site, of one flat array."""
    return Message(RecordDict({"block": ArrayRecord({"flat": Array(values)})}), node, "train")


def values_of(message: Message):
    return message.content["block"]["flat"].numpy()


def exchange(grid: Grid, node: int, values, seconds: float = 30) -> Message:
    """The reply of a site to an array."""
    [message] = grid.push_messages([letter(node, values)])
    for _ in range(int(seconds / 0.05)):
        if replies := list(grid.pull_messages([message])):
            return replies[0]
        time.sleep(0.05)
    raise TimeoutError(f"no reply within {seconds} s")


@contextmanager
def answering(node: Node, answer=echo, approved: str | None = None) -> Iterator[None]:
    """A site that serves in a thread of its own."""
    stop = threading.Event()
    line = (node, answer, approved or bundle.sha256(), stop)
    thread = threading.Thread(target=serve, args=line)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def die(node: Node) -> None:
    """End a site as `kill -9` would: the SuperLink is told nothing."""
    node.left.set()
    node.client.close()


def lapse(folder: Path) -> None:
    """Let the SuperLink of a folder think that it has heard of no site for long."""
    with closing(sqlite3.connect(folder / DATABASE)) as database, database:
        database.execute("UPDATE node SET online_until = 1 WHERE status = 'online'")


class Nothing(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(404)

    do_POST = do_GET

    def log_message(self, *_):
        pass


class Quiet(HTTPServer):
    def handle_error(self, *_):
        """That clients hang up is what the tests are about."""


@contextmanager
def other_server(certificates: Path | None, port: int = 0) -> Iterator[int]:
    """The port of a web server that is no SuperLink, with the certificate of a folder, or plain."""
    server = Quiet(("127.0.0.1", port), Nothing)
    if certificates:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(
            certificates / credentials.CERTIFICATE, certificates / credentials.CERTIFICATE_KEY
        )
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Tunnel(socketserver.StreamRequestHandler):
    """One connection through a proxy, to a port of this machine whatever host is asked for."""

    def handle(self):
        asked = self.rfile.readline().decode().split()
        while self.rfile.readline().strip():
            pass
        self.server.asked.append(asked[:2])
        with socket.create_connection(("127.0.0.1", int(asked[1].rpartition(":")[2]))) as other:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=pour, args=(other, self.connection))
            back.start()
            pour(self.connection, other)
            back.join()


def pour(source: socket.socket, target: socket.socket) -> None:
    """Pass on what comes until nothing comes any more."""
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@contextmanager
def proxy() -> Iterator[socketserver.ThreadingTCPServer]:
    """The proxy of a house, which passes on what it cannot read; `asked`: the first lines."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Tunnel) as server:
        server.daemon_threads, server.asked = True, []
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def seen_of_process(pid: int) -> bytes:
    """What every user of the machine, or an administrator, sees of a process."""
    return b"".join(Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ"))


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False
