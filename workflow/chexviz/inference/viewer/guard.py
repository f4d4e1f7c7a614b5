"""Who may ask the page's server for anything, and what a browser may do with what it gets.

A server on the loopback address can be reached by all users of the machine, and by all pages that
any of them has open. So each request has to name a secret, which only the user's own browser was
told; to come by the address that the server has, not by a name that somebody else's name server
points there (DNS rebinding); and if a page sends it, that page has to be this server's own.
"""

from secrets import compare_digest
from typing import Any

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
NAMES = ("127.0.0.1", "localhost")  # by which a browser of this machine may call the server


class Guard:
    """Asks before the application does. token: the first part of every path. port: the server's."""

    def __init__(self, app: ASGIApp, token: str, port: int):
        self.app, self.token = app, token.encode()
        self.hosts = {f"{name}:{port}" for name in NAMES}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = with_headers(message.get("headers", ()))
            await send(message)

        problem = self.problem(scope)
        if problem:
            await PlainTextResponse(problem, 403)(scope, receive, guarded)
            return
        path = scope["path"][len(self.token) + 1 :]
        await self.app({**scope, "path": path, "raw_path": path.encode()}, receive, guarded)

    def problem(self, scope: Scope) -> str:
        """Why a request is refused; '' if it is not."""
        hosts, origins = values(scope, b"host"), values(scope, b"origin")
        if len(hosts) != 1 or hosts[0] not in self.hosts:
            return "The address is not that of this page: open the one that chexviz view printed."
        if any(origin != f"http://{hosts[0]}" for origin in origins):
            return "Another page asked for this, which it may not."
        given, slash, _ = scope["path"][1:].partition("/")
        right = compare_digest(given.encode("utf-8", "surrogatepass"), self.token)
        if not (right and slash):
            return "The address lacks its secret: open the one that chexviz view printed."
        return ""


def values(scope: Scope, name: bytes) -> list[str]:
    """All values of a header of a request."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def with_headers(given: Any) -> list[tuple[bytes, bytes]]:
    """The headers of an answer, and HEADERS."""
    ours = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
    names = {name for name, _ in ours}
    return [*(one for one in given if one[0].lower() not in names), *ours]
