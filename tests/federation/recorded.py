"""A site that writes down each of its requests before it is encrypted, and each answer after.

    python recorded.py FOLDER ...       what follows is for chexviz.federation.network.join

A request's file holds its line, its headers, an empty line and the body; an answer's the body.
"""

import itertools
import sys
from pathlib import Path

import httpx

from chexviz.base.errors import run
from chexviz.federation.network import join

SEND = httpx.Client.send


def main() -> None:
    folder, count = Path(sys.argv.pop(1)), itertools.count()

    def send(self: httpx.Client, request: httpx.Request, **options: object) -> httpx.Response:
        head = [f"{request.method} {request.url}".encode()]
        head += [name + b": " + value for name, value in request.headers.raw]
        number = next(count)
        body = b"\n".join(head) + b"\n\n" + request.read()
        (folder / f"{number:06d}.request").write_bytes(body)
        response = SEND(self, request, **options)
        (folder / f"{number:06d}.answer").write_bytes(response.read())
        return response

    httpx.Client.send = send
    join.main()


if __name__ == "__main__":
    run(main)
