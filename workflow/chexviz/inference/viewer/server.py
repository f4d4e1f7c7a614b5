"""The page's server: what a browser may ask for, and what it gets. Nothing is written to a disk."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from functools import cache
from importlib import resources
from typing import Any

import msgspec
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import ASGIApp

from chexviz.inference.viewer.about import Node, page_about
from chexviz.inference.viewer.guard import Guard
from chexviz.inference.viewer.seeing import Viewer
from chexviz.inference.viewer.sessions import FILES, Full, Gone, Sessions
from chexviz.inference.viewer.uploads import begins_as_archive, radiographs

ARCHIVE = 2**29  # bytes of a zip archive
AT_ONCE = 2  # uploads that are received
SWEEP = 60  # seconds between looks for sessions that are idle
BEGINNING = 4  # bytes that tell an archive
BYTES = "application/octet-stream"
PAGES = {
    "index.html": "text/html; charset=utf-8",
    "style.css": "text/css; charset=utf-8",
    **dict.fromkeys(
        ("app.js", "bars.js", "batch.js", "card.js", "picture.js", "requests.js", "words.js"),
        "text/javascript; charset=utf-8",
    ),
    "icon.svg": "image/svg+xml",
}


@cache
def page_files() -> Mapping[str, bytes]:
    """The files of the page, by name: those and no others are given out."""
    folder = resources.files(__package__) / "static"
    return {name: (folder / name).read_bytes() for name in PAGES}


def application(
    viewer: Viewer, cards: list[list[Node]], token: str, port: int, sessions: Sessions | None = None
) -> ASGIApp:
    """The server. cards: of each model. token: see Guard. port: that it is reached by."""
    kept = sessions or Sessions()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        sweeping = asyncio.create_task(sweep(kept))
        yield
        sweeping.cancel()
        with suppress(asyncio.CancelledError):
            await sweeping

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    add_page(app, viewer, cards)
    add_sessions(app, viewer, kept)

    @app.exception_handler(Gone)
    async def gone(_: Request, __: Exception) -> Response:
        return PlainTextResponse("These radiographs are gone: add them again.", 410)

    @app.exception_handler(Full)
    async def full(_: Request, error: Exception) -> Response:
        return PlainTextResponse(str(error), 507)

    return Guard(app, token, port)


async def sweep(sessions: Sessions) -> None:
    """Forget idle sessions, until cancelled."""
    while True:
        await asyncio.sleep(SWEEP)
        sessions.forget_idle()


def limits(viewer: Viewer) -> dict[str, int]:
    """What the page may send."""
    return {"file": viewer.most, "archive": ARCHIVE, "files": FILES}


def as_json(value: Any) -> Response:
    """A value as an answer."""
    return Response(msgspec.json.encode(value), media_type="application/json")


def add_page(app: FastAPI, viewer: Viewer, cards: list[list[Node]]) -> None:
    """Add the page itself, and what it is told first."""
    bundles = [model.bundle for model in viewer.models]
    about = page_about(bundles, limits(viewer))

    @app.get("/")
    async def index() -> Response:
        return Response(page_files()["index.html"], media_type=PAGES["index.html"])

    @app.get("/static/{name}")
    async def static(name: str) -> Response:
        if name not in PAGES:
            raise HTTPException(404)
        return Response(page_files()[name], media_type=PAGES[name])

    @app.get("/about")
    async def told() -> Response:
        return as_json(about)

    @app.get("/cards/{model}")
    async def card(model: int) -> Response:
        if not 0 <= model < len(cards):
            raise HTTPException(404)
        return as_json(cards[model])


def add_sessions(app: FastAPI, viewer: Viewer, sessions: Sessions) -> None:
    """Add what a tab does with its own radiographs."""
    room = asyncio.Semaphore(AT_ONCE)

    @app.post("/sessions")
    async def begin() -> Response:
        return as_json({"session": sessions.begin()})

    @app.post("/sessions/{session}/forget")
    async def forget(session: str) -> Response:
        sessions.forget(session)
        return Response(status_code=204)

    @app.post("/sessions/{session}/files")
    async def add(session: str, request: Request, name: str = "") -> Response:
        sessions.touch(session)
        async with room:
            data = await received(request, viewer.most)
        lines = seen(viewer, sessions, session, name, data)
        return StreamingResponse(lines, media_type="application/x-ndjson")

    @app.get("/sessions/{session}/images/{image}/pixels")
    def pixels(session: str, image: str) -> Response:
        picture = sessions.get(session, image).picture
        return Response(
            picture.pixels.astype(picture.pixels.dtype.newbyteorder("<")).tobytes(),
            media_type=BYTES,
        )

    @app.get("/sessions/{session}/images/{image}/maps/{model}/{finding}")
    def heat(session: str, image: str, model: int, finding: str) -> Response:
        kept = sessions.get(session, image)
        if not 0 <= model < len(kept.maps) or finding not in kept.maps[model]:
            raise HTTPException(404)
        return Response(viewer.heat(kept, model, finding).tobytes(), media_type=BYTES)


async def received(request: Request, most: int) -> bytes:
    """The body of a request, a file of at most so many bytes or a zip archive. Or HTTPException."""
    data = bytearray()
    async for part in request.stream():
        data += part
        # What is not said is found: nobody has to tell the length, or to tell the truth.
        archive = begins_as_archive(bytes(data[:BEGINNING]))
        allowed = ARCHIVE if archive else most
        if len(data) > allowed:
            what = "zip archive" if archive else "radiograph"
            raise HTTPException(413, f"too large: a {what} may have {allowed >> 20} MiB")
    return bytes(data)


def seen(
    viewer: Viewer, sessions: Sessions, session: str, name: str, data: bytes
) -> Iterator[bytes]:
    """A line of JSON for each radiograph that was sent, as soon as it is known.

    The first one that there is no room for is the last: what follows in an archive is not read.
    """
    for upload in radiographs(name, data, viewer.most):
        shown = viewer.see(upload)
        said = shown.said
        if shown.kept is not None:
            try:
                said = said | {"id": sessions.keep(session, shown.kept)}
            except Gone:
                return
            except Full as error:
                yield msgspec.json.encode(viewer.without(said["name"], str(error)).said) + b"\n"
                return
        yield msgspec.json.encode(said) + b"\n"
