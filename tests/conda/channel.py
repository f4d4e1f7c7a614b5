"""A conda channel on disk, whose packages are those installed beside this Python."""

import asyncio
import hashlib
import io
import json
import os
import platform
import sys
import sysconfig
import tarfile
from collections.abc import Iterable, Iterator
from importlib.metadata import distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from rattler.index import index_fs

from environments import FROM_CONDA

SHORT = f"{sys.version_info.major}.{sys.version_info.minor}"
SITE_PACKAGES = f"lib/python{SHORT}/site-packages"
INSTALLED = Path(sysconfig.get_path("purelib"))
# Larger packages hold links to what is installed here, since torch and CUDA have 5 GB.
COPIED = 2_000_000  # bytes
TO_CONDA = {pypi: conda for conda, pypi in FROM_CONDA.items()} | {"torch": "pytorch"}

Content = dict[str, Path | bytes]  # by path in the package: the target of a link, or bytes


def requirements(name: str, extras: Iterable[str] = ()) -> Iterator[Requirement]:
    """What a distribution needs here; conda has no extras, so theirs count as its own."""
    for line in distribution(name).requires or ():
        needed = Requirement(line)
        chosen = ("", *extras)
        if needed.marker is None or any(needed.marker.evaluate({"extra": e}) for e in chosen):
            yield needed
            yield from requirements(needed.name, needed.extras) if needed.extras else ()


def closure(names: Iterable[str]) -> set[str]:
    """The distributions and all that they need, directly or not."""
    found: set[str] = set()
    pending = list(names)
    while pending:
        name = canonicalize_name(pending.pop())
        if name not in found:
            found.add(name)
            pending += [needed.name for needed in requirements(name)]
    return found


def shared_folders() -> set[Path]:
    """Folders of site-packages in which several distributions have files."""
    owners: dict[Path, set[int]] = {}
    for number, one in enumerate(distributions()):
        for path in one.files or ():
            for folder in path.parents:
                owners.setdefault(Path(folder), set()).add(number)
    return {folder for folder, numbers in owners.items() if len(numbers) > 1}


def content(name: str, shared: set[Path]) -> Content:
    """What the package of a distribution holds: its files, or links if it is large.

    There is a link for each of its topmost folders and files in which nobody else has files.
    """
    files = [path for path in distribution(name).files or () if ".." not in path.parts]
    if sum(path.size or 0 for path in files) < COPIED:
        return {f"{SITE_PACKAGES}/{path}": path.locate().read_bytes() for path in files}
    tops = set()
    for path in map(Path, files):
        tops.add(next(top for top in (path, *path.parents) if top.parent in shared))
    return {f"{SITE_PACKAGES}/{top}": INSTALLED / top for top in tops}


class Writer:
    """Writes packages to a channel, without its index."""

    def __init__(self, channel: Path):
        self.folder = channel / "linux-64"
        self.folder.mkdir(parents=True)
        (channel / "noarch").mkdir()

    def write(self, name: str, version: str, build: str, depends: list[str], files: Content):
        """Write a package: its files, and what the solver and the linker read about it."""
        about = {"name": name, "version": version, "build": build, "depends": depends}
        about |= {"build_number": int(build.rpartition("_")[2]), "subdir": "linux-64"}
        table = {"paths": [entry(*item) for item in files.items()], "paths_version": 1}
        info = {"info/index.json": about, "info/paths.json": table}
        with tarfile.open(self.folder / f"{name}-{version}-{build}.tar.bz2", "w:bz2") as archive:
            for path, source in files.items():
                add(archive, path, source)
            for path, said in info.items():
                add(archive, path, json.dumps(said).encode())


def entry(path: str, source: Path | bytes) -> dict:
    """What the linker is told of a file."""
    if isinstance(source, Path):
        return {"_path": path, "path_type": "softlink"}
    digest = {"sha256": hashlib.sha256(source).hexdigest(), "size_in_bytes": len(source)}
    return {"_path": path, "path_type": "hardlink"} | digest


def add(archive: tarfile.TarFile, path: str, source: Path | bytes) -> None:
    """Add a file, or a link to one of this machine."""
    member = tarfile.TarInfo(path)
    if isinstance(source, Path):
        member.type, member.linkname = tarfile.SYMTYPE, str(source)
        archive.addfile(member)
    else:
        member.size, member.mode = len(source), 0o644
        archive.addfile(member, io.BytesIO(source))


def write_python(writer: Writer) -> None:
    """This interpreter, with a site-packages folder of its own."""
    interpreter = Path(os.path.realpath(sys.executable))
    # As in a virtual environment, this file makes the folder above it sys.prefix.
    settings = f"home = {interpreter.parent}\ninclude-system-site-packages = false\n"
    files: Content = {"pyvenv.cfg": settings.encode()}
    files |= {f"bin/{name}": interpreter for name in ("python", "python3", f"python{SHORT}")}
    writer.write("python", platform.python_version(), "cpython_0", [], files)


def write_torch(writer: Writer, version: str, depends: list[str], files: Content) -> None:
    """The two builds of PyTorch and the packages that require one of them, as on conda-forge.

    Both hold what is installed here, whatever it was built for.
    """
    for kind, build, machine in (("cpu", "cpu_0", []), ("gpu", "cuda130_200", ["__cuda"])):
        writer.write("pytorch", version, build, depends + machine, files)
        only = f"pytorch =={version} {build}"
        writer.write(f"pytorch-{kind}", version, build, [only], {})


def make(channel: Path, names: Iterable[str]) -> None:
    """Write and index a channel of some distributions, named as on PyPI, and all they need."""
    writer, shared = Writer(channel), shared_folders()
    write_python(writer)
    for name in sorted(closure(names)):
        version, files = distribution(name).version.partition("+")[0], content(name, shared)
        depends = [f"python {SHORT}.*"]
        for needed in requirements(name):
            other = canonicalize_name(needed.name)
            depends.append(f"{TO_CONDA.get(other, other)} {needed.specifier}".strip())
        if name == "torch":
            write_torch(writer, version, depends, files)
        else:
            writer.write(TO_CONDA.get(name, name), version, "py_0", depends, files)
    asyncio.run(index_fs(channel))
