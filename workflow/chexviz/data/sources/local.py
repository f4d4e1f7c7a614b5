"""Folders and archives of this machine, and whether their files are still those that were listed.

A download leaves `.source.json` beside the manifest: size, time and SHA-256 of every file of the
site's local folders and archives. What has its size and time has its content; a file with another
time is hashed again. So a changed file is noticed, and one that was only touched or copied is not.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from chexviz.base.errors import InputError
from chexviz.base.files import replacing, sha256
from chexviz.data.manifest import list_files, read_manifest
from chexviz.data.sources.archives import unpack
from chexviz.data.sources.source import Job, Source

NAME = ".source.json"
State = dict[str, list[int]]  # bytes and time in ns, by name


def lacking(source: str) -> str | None:
    """Why a local source cannot work: there is no such path."""
    path = Path(source.removeprefix("local:"))
    if path.expanduser().exists():
        return None
    return f"{source}: there is no {path.absolute()}; correct `source` of the site."


def fetch(job: Job) -> None:
    """Link a local folder, or unpack a local archive."""
    path = Path(job.name).expanduser().resolve()
    data = job.folder.parent.resolve() / "data"
    if path.is_relative_to(data):
        raise InputError(
            job.source,
            expected="a folder or a .zip of your own",
            found=f"a path within {data}, which is replaced by what is fetched",
            fix="move it elsewhere, and correct `source` of the site in the config",
        )
    if path.is_dir():
        (job.folder / "data").symlink_to(path)
    elif path.is_file():
        unpack(path, job.folder / "data")
    else:
        raise InputError(
            job.source,
            expected="a folder or a .zip",
            found=f"{path}, which is neither" if path.exists() else f"there is no {path}",
            fix="correct `source` of the site in the config",
        )


LOCAL = Source(
    kind="local",
    form="'local:PATH' (a folder or a .zip)",
    pattern="local:.+",
    fetch=fetch,
    lacking=lacking,
)


# --- what has changed ----------------------------------------------------------------------------


def paths(sources: Sequence[str]) -> list[Path]:
    """The local folders and archives among a site's sources that exist."""
    names = [source.removeprefix("local:") for source in sources if source.startswith("local:")]
    return [path for path in (Path(name).expanduser() for name in names) if path.exists()]


def located(sources: Sequence[str]) -> dict[str, Path]:
    """Where the files of the local sources are, by name: '<number of the source>/<file>'."""
    return {
        f"{number}/{file}": path / file
        for number, path in enumerate(paths(sources))
        for file in (list_files(path) if path.is_dir() else [""])
    }


def state(sources: Sequence[str]) -> State:
    """Size and time of every file of the local sources; hidden files do not count."""
    stats = {name: path.stat() for name, path in located(sources).items()}
    return {name: [one.st_size, one.st_mtime_ns] for name, one in stats.items()}


def fingerprint(sources: Sequence[str], folder: Path) -> str:
    """A hash that another content of the local sources changes, and another time does not.

    folder: of the site, where a download has noted what it listed. '' without local sources.
    """
    now = state(sources)
    noted = read(folder / NAME)
    if noted and same(now, noted["files"], located(sources)):
        checksums = {name: one[2] for name, one in noted["files"].items()}
        write(folder / NAME, noted["fingerprint"], now, checksums)
        return noted["fingerprint"]
    return digest(now) if now else ""


def same(now: State, noted: Mapping[str, list], files: Mapping[str, Path]) -> bool:
    """Whether the files have the content that was noted; only those of another time are read."""
    if now.keys() != noted.keys() or any(now[name][0] != noted[name][0] for name in now):
        return False
    touched = [name for name in now if now[name][1] != noted[name][1]]
    return all(sha256(files[name]) == noted[name][2] for name in touched)


def note(sources: Sequence[str], before: State, folder: Path) -> None:
    """Note what has been listed; before: the state of the sources before they were read."""
    data, listed = (folder / "data").resolve(), read_manifest(folder / "manifest.csv")
    checksums = {}
    for name, path in located(sources).items():
        full = path.resolve()
        known = full.is_relative_to(data) and listed.get(full.relative_to(data).as_posix())
        checksums[name] = known or sha256(path)
    # If files have come or gone meanwhile, the next run finds another state, and lists them anew.
    if before and before.keys() == checksums.keys():
        write(folder / NAME, digest(before), before, checksums)


def read(path: Path) -> dict | None:
    """What was noted; None if nothing was, or if it is damaged: all files are then listed anew."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


def write(path: Path, fingerprint: str, times: State, checksums: Mapping[str, str]) -> None:
    """Write sizes, times and checksums, unless they are there already."""
    files = {name: [*one, checksums[name]] for name, one in times.items()}
    noted = {"fingerprint": fingerprint, "files": files}
    if read(path) != noted:
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(noted, indent=1, sort_keys=True), encoding="utf-8")


def digest(files: State) -> str:
    """SHA-256 of names, sizes and times."""
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
