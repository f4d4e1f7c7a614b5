"""The code that decides what a site and the server do, as the one file that Flower calls an app.

Flower ships it from the server to the sites. A site of ours never runs what it is sent: it runs the
code that is installed there, and answers only if that code makes the same bundle.
"""

import hashlib
from functools import cache
from importlib import metadata
from io import BytesIO
from zipfile import ZIP_STORED, ZipFile, ZipInfo

from flwr.cli.build import build_fab_from_files

from chexviz.base.source_code import PACKAGE

ROOMS = ("base", "images", "models", "federation")
PROJECT = """\
[project]
name = "{name}"
version = "1"
dependencies = ["flwr=={flower}"]

[tool.flwr.app]
publisher = "{name}"

[tool.flwr.app.components]
serverapp = "{name}.federation.network.stock:server"
clientapp = "{name}.federation.network.stock:client"
"""


@cache
def bundle() -> bytes:
    """All modules of the rooms that a federation needs; the same bytes for the same code."""
    modules = (path for room in ROOMS for path in (PACKAGE / room).rglob("*.py"))
    files = {
        f"{PACKAGE.name}/{path.relative_to(PACKAGE).as_posix()}": path.read_bytes()
        for path in (PACKAGE / "__init__.py", *modules)
    }
    project = PROJECT.format(name=PACKAGE.name, flower=metadata.version("flwr"))
    built, _ = build_fab_from_files({**files, "pyproject.toml": project.encode()})
    return stored(built)


def sha256() -> str:
    """What the coordinator announces, an operator approves and every run is known by."""
    return hashlib.sha256(bundle()).hexdigest()


def stored(archive: bytes) -> bytes:
    """The same archive without compression, whose bytes would depend on the machine's zlib."""
    plain = BytesIO()
    with ZipFile(BytesIO(archive)) as source, ZipFile(plain, "w", ZIP_STORED) as target:
        for entry in source.infolist():
            target.writestr(ZipInfo(entry.filename, entry.date_time), source.read(entry))
    return plain.getvalue()
