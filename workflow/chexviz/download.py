"""A site's raw files from Kaggle, a folder, an archive or the phantom.

Entry point: python -m chexviz.download --site rsna --settings JSON --threads 4 --manifest CSV.
The files end in data/ beside the manifest, which lists them: file, bytes, sha256. Both get their
final name only when complete, the manifest last.
"""

import argparse
import csv
import json
import os
import shutil
import stat
import sys
import zipfile
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path, PurePosixPath

from chexviz.errors import InputError, run
from chexviz.files import replacing, sha256
from chexviz.progress import Progress

DEMO = "`make demo` runs the whole study without any data"
TOKEN = (
    "create a token at https://www.kaggle.com/settings/api and save it as ~/.kaggle/access_token "
    "or set KAGGLE_API_TOKEN"
)
KINDS = (
    "'kaggle-competition:SLUG', 'kaggle-dataset:OWNER/NAME', "
    "'local:PATH' (a folder or a .zip) or 'phantom'"
)


def missing(source: list[str]) -> str | None:
    """Why none of a site's sources can work, as far as can be told without a connection; or None.

    Cheap, so that a run can be refused before its first job: looks for local paths, and for Kaggle
    credentials (their presence, not their worth).
    """
    reasons = [lacking(one) for one in source]
    return None if None in reasons else "\n".join([*filter(None, reasons), f"Or: {DEMO}."])


def lacking(source: str) -> str | None:
    """Why one source cannot work, with what to do; None if it may."""
    kind, _, name = source.partition(":")
    if kind == "kaggle-competition" and not has_credentials():
        found = f"{source}: no Kaggle credentials found"
        return f"{found}; {TOKEN}, and accept the rules at {rules(name)}."
    if kind == "local" and not Path(name).expanduser().exists():
        return f"{source}: there is no {Path(name).absolute()}; correct `source` of the site."
    if kind not in FETCHERS:
        return f"{source}: no such kind of source; use {KINDS}."
    return None


def rules(slug: str) -> str:
    """Where the rules of a competition are accepted, which only a browser can do."""
    return f"https://www.kaggle.com/c/{slug}/rules"


def has_credentials() -> bool:
    """Whether there are Kaggle credentials in any place that its client looks at."""
    environment = os.environ
    home = Path("~/.kaggle").expanduser()
    config = environment.get("KAGGLE_CONFIG_DIR")
    if not config and not home.exists():
        config = Path(environment.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "kaggle"
    legacy = read_json(Path(config or home) / "kaggle.json")
    return bool(
        environment.get("KAGGLE_API_TOKEN")
        or any(has_text(home / name) for name in ("access_token", "access_token.txt"))
        or (
            (environment.get("KAGGLE_USERNAME") or legacy.get("username"))
            and (environment.get("KAGGLE_KEY") or legacy.get("key"))
        )
        or read_json(home / "credentials.json").get("refresh_token")
        or has_text(Path(environment.get("KAGGLE_API_V1_TOKEN", "")))  # inside a Kaggle notebook
    )


def has_text(path: Path) -> bool:
    """Whether a file is there and not blank."""
    return path.is_file() and bool(path.read_text(errors="replace").strip())


def read_json(path: Path) -> dict:
    """A JSON object from a file; empty if there is none."""
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


# --- sources -------------------------------------------------------------------------------------


def fetch_competition(slug: str, folder: Path, settings: Mapping, threads: int) -> None:
    """Download a Kaggle competition's archive and unpack it to folder/data."""
    with_kaggle(f"kaggle-competition:{slug}", rules(slug), folder, anonymous=False)


def fetch_dataset(name: str, folder: Path, settings: Mapping, threads: int) -> None:
    """Download a Kaggle dataset's archive and unpack it to folder/data; needs no account."""
    address = f"https://www.kaggle.com/datasets/{name}"
    with_kaggle(f"kaggle-dataset:{name}", address, folder, anonymous=True)


def with_kaggle(source: str, address: str, folder: Path, anonymous: bool) -> None:
    """Download `source` with the Kaggle client and unpack it to folder/data.

    address: the page where access is granted. anonymous: whether it is tried without credentials.
    Raises InputError. No message of the client is repeated in full: its addresses carry signatures.
    """
    kind, _, name = source.partition(":")
    archives = folder / "archives"
    archives.mkdir()
    print(f"download {source}", file=sys.stderr, flush=True)
    try:
        api = kaggle_client(source, anonymous)
        get = (
            api.competition_download_files
            if kind == "kaggle-competition"
            else api.dataset_download_files
        )
        # What the client prints holds nothing that the manifest does not.
        with redirect_stdout(StringIO()):
            get(name, path=str(archives), force=True, quiet=not sys.stderr.isatty())
    except InputError:
        raise
    except (Exception, SystemExit) as error:
        raise kaggle_error(source, address, error) from None
    for archive in sorted(archives.iterdir()):
        unpack(archive, folder / "data")
        archive.unlink()


def kaggle_client(source: str, anonymous: bool):
    """The authenticated client. Raises InputError if Kaggle takes none of the credentials."""
    # Importing it reads credentials and may talk to Kaggle, so only who needs it imports it.
    with redirect_stdout(StringIO()):
        from kaggle.api.kaggle_api_extended import KaggleApi

        api = KaggleApi()
        try:
            api.authenticate()
        except SystemExit:  # its way to say that nobody is logged in
            if not anonymous:
                raise InputError(
                    source,
                    expected="Kaggle credentials",
                    found="none, or none that Kaggle accepts",
                    fix=f"{TOKEN}. {DEMO}",
                ) from None
    return api


def kaggle_error(source: str, address: str, error: BaseException) -> InputError:
    """What went wrong at Kaggle, and what to do about it."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    found, fix = {
        401: ("no credentials, or none that Kaggle accepts (401)", TOKEN),
        403: (
            "Kaggle refuses access (403)",
            f"log in, open {address} and accept the rules (or request access) there",
        ),
        404: (
            "Kaggle knows no such data (404)",
            f"check that {address} exists, and correct `source` of the site",
        ),
    }.get(
        status,
        (
            f"Kaggle answered with status {status}"
            if status
            else f"the download failed ({type(error).__name__})",
            "check the network and the free disk space, and run again",
        ),
    )
    return InputError(source, expected="a download", found=found, fix=f"{fix}. {DEMO}")


def fetch_local(name: str, folder: Path, settings: Mapping, threads: int) -> None:
    """Link a local folder as folder/data, or unpack a local archive there."""
    path = Path(name).expanduser().resolve()
    data = folder.parent.resolve() / "data"
    if path.is_relative_to(data):
        raise InputError(
            f"local:{name}",
            expected="a folder or a .zip of your own",
            found=f"a path within {data}, which is replaced by what is fetched",
            fix="move it elsewhere, and correct `source` of the site in the config",
        )
    if path.is_dir():
        (folder / "data").symlink_to(path)
    elif path.is_file():
        unpack(path, folder / "data")
    else:
        raise InputError(
            f"local:{name}",
            expected="a folder or a .zip",
            found=f"there is no {path}",
            fix=f"correct `source` of the site in the config. {DEMO}",
        )


def fetch_phantom(name: str, folder: Path, settings: Mapping, threads: int) -> None:
    """Draw phantom radiographs in the layout of the site's reader, to folder/data."""
    from chexviz.phantom import generate

    size = settings["phantom"]
    generate(
        settings["reader"],
        folder / "data",
        images=size["images"],
        seed=size["seed"],
        workers=threads,
    )


FETCHERS = {
    "kaggle-competition": fetch_competition,
    "kaggle-dataset": fetch_dataset,
    "local": fetch_local,
    "phantom": fetch_phantom,
}


# --- archives ------------------------------------------------------------------------------------


def unpack(archive: Path, folder: Path, nested: bool = True) -> None:
    """Unpack a zip archive to a folder, and the archives in it to folders of their names.

    Raises InputError if it is damaged, would write outside of the folder, holds links, is
    encrypted, or does not fit on the disk. Archives within archives within archives stay packed,
    which bounds the work.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = [entry for entry in opened.infolist() if not entry.is_dir()]
            check_entries(archive, entries)
            folder.mkdir(parents=True, exist_ok=True)
            check_space(archive, sum(entry.file_size for entry in entries), folder)
            with Progress(f"unpack {archive.name}", total=len(entries), unit="file") as progress:
                for entry in entries:
                    # Reading stops at the announced size, so the check above holds.
                    opened.extract(entry, folder)
                    progress.step()
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
        raise InputError(
            archive,
            expected="a zip archive",
            found=f"{type(error).__name__}: {error}",
            fix="download it again, and check the free disk space",
        ) from error
    if nested:
        for inner in sorted(path for path in folder.rglob("*.zip") if path.is_file()):
            unpack(inner, inner.with_suffix(""), nested=False)
            inner.unlink()


def check_entries(archive: Path, entries: list[zipfile.ZipInfo]) -> None:
    """Raise InputError at the first entry of an archive that must not be unpacked."""
    seen = set()
    for entry in entries:
        path = PurePosixPath(entry.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in str(path).partition("/")[0]:
            problem = "leads out of the archive"
        elif stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG):
            problem = "is a link or device"
        elif entry.flag_bits & 1:
            problem = "is encrypted"
        elif path in seen:
            problem = "is there twice"
        else:
            seen.add(path)
            continue
        raise InputError(
            archive,
            expected="plain files with relative paths, each once",
            found=f"{entry.filename!r}, which {problem}",
            fix="do not trust this archive; get it from its publisher",
        )


def check_space(archive: Path, needed: int, folder: Path) -> None:
    """Raise InputError if `needed` bytes do not fit on the disk of `folder`."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            archive,
            expected=f"at most {free / 1e9:.1f} GB of files, the free space of {folder}",
            found=f"{needed / 1e9:.1f} GB",
            fix="free some space, or set `resources` in the config to a larger disk",
        )


# --- the site ------------------------------------------------------------------------------------


def download(site: str, settings: Mapping, threads: int, manifest: Path) -> None:
    """Bring a site's files to data/ beside `manifest`, and list them there.

    settings: source (tried in turn), reader, phantom (images and seed, or None).
    Raises InputError if no source can be had or there are no files; nothing is changed then.
    """
    data, partial = manifest.parent / "data", manifest.parent / ".data.partial"
    remove(partial)  # of a killed run
    try:
        fetch_first(site, settings, threads, partial)
        write_manifest(site, partial / "data", threads, partial / "manifest.csv")
        # An old manifest must never stand beside new data.
        manifest.unlink(missing_ok=True)
        remove(data)
        (partial / "data").rename(data)
        (partial / "manifest.csv").rename(manifest)
    finally:
        remove(partial)


def fetch_first(site: str, settings: Mapping, threads: int, partial: Path) -> None:
    """Fetch the first source that can be had to partial/data. Raises InputError with all failures.

    Each source starts from an empty folder.
    """
    failures = []
    for source in settings["source"]:
        kind, _, name = source.partition(":")
        remove(partial)
        partial.mkdir(parents=True)
        try:
            fetcher(source, kind)(name, partial, settings, threads)
            if not list_files(partial / "data"):
                raise InputError(
                    source, expected="files", found="an empty folder", fix="correct `source`"
                )
            return
        except InputError as error:
            print(f"{source}: {error.found}", file=sys.stderr, flush=True)
            failures.append(error)
    if len(failures) == 1:
        raise failures[0]
    raise InputError(
        f"site {site}",
        expected=f"one of its {len(failures)} sources",
        found="none of them:" + "".join(f"\n{failure}" for failure in failures),
        fix=f"mend one of them. {DEMO}",
    )


def fetcher(source: str, kind: str):
    """The function that fetches a kind of source. Raises InputError if there is none."""
    if kind not in FETCHERS:
        raise InputError(source, expected=KINDS, found=source, fix="correct `source` of the site")
    return FETCHERS[kind]


def remove(path: Path) -> None:
    """Remove a folder, or a link to one (never what it points to); nothing if absent."""
    if path.is_symlink():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


def list_files(data: Path) -> list[str]:
    """The files of a site, relative to `data`, sorted; without hidden ones and hidden folders.

    Links to files count as files; links to folders within `data` are not entered.
    """
    files = []
    for folder, folders, names in os.walk(data):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = [Path(folder, name) for name in names if not name.startswith(".")]
        files += [path.relative_to(data).as_posix() for path in paths if path.is_file()]
    return sorted(files)


def write_manifest(site: str, data: Path, threads: int, manifest: Path) -> None:
    """List the files of `data` with size and SHA-256, computed by `threads` threads."""
    files = list_files(data)
    paths = [data / file for file in files]
    with (
        replacing(manifest) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
        ThreadPoolExecutor(threads) as pool,
        Progress(f"checksums {site}", total=len(files), unit="file") as progress,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["file", "bytes", "sha256"])
        for name, path, digest in zip(files, paths, pool.map(sha256, paths), strict=True):
            writer.writerow([name, path.stat().st_size, digest])
            progress.step()


def main(argv=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--site", required=True)
    parser.add_argument("--settings", type=json.loads, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--manifest", type=Path, required=True)
    arguments = parser.parse_args(argv)
    download(arguments.site, arguments.settings, arguments.threads, arguments.manifest)


if __name__ == "__main__":
    run(main)
