"""A site's raw files from Kaggle, a folder, an archive, a remote storage or the phantom.

Entry point: python -m chexviz.data.download --site rsna --settings JSON --threads 4 --manifest CSV.
The files end in data/ beside the manifest, which lists them: file, bytes, sha256. Beside it
fetched.csv says which source they are of, and when a remote one was fetched. All get their
final name only when complete, the manifest last. Archives wait in .archives/ until then, so that a
run that was stopped goes on where it was.
"""

import argparse
import csv
import shutil
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from chexviz.base.errors import InputError, run
from chexviz.base.files import replacing
from chexviz.base.options import finite_json
from chexviz.data.manifest import list_files, print_changes, write_manifest
from chexviz.data.sources import kaggle, kaggle_refusals, local
from chexviz.data.sources.archives import DamagedArchive, NoSpace, unpack

FETCHED = "fetched.csv"
DEMO = "`make demo` runs the whole study without any data"
REMOTE = ("kaggle-competition", "kaggle-dataset", "storage")  # can change, and tell no version
KINDS = (
    "'kaggle-competition:SLUG', 'kaggle-dataset:OWNER/NAME', "
    "'local:PATH' (a folder or a .zip), 'storage:ADDRESS' (a .zip) or 'phantom'"
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
    if kind == "kaggle-competition" and not kaggle.credentials():
        rules = kaggle_refusals.page(source)
        found = f"{source}: no Kaggle credentials found"
        return f"{found}; {kaggle_refusals.TOKEN}, and accept the rules at {rules}."
    if kind == "local" and not Path(name).expanduser().exists():
        return f"{source}: there is no {Path(name).absolute()}; correct `source` of the site."
    if kind not in FETCHERS:
        return f"{source}: no such kind of source; use {KINDS}."
    return None


# --- sources -------------------------------------------------------------------------------------


def fetch_kaggle(source: str, folder: Path, settings: Mapping, threads: int) -> None:
    """Download the archive of a Kaggle competition or dataset and unpack it to folder/data.

    An archive that turns out to be damaged is downloaded once more: the client compares sizes only.
    One that cannot be used is not kept, or no later run would look for a better one.
    """
    archives = folder.parent / ".archives" / quote(source, safe="")
    for last in (False, True):
        fetched = kaggle.transfer(source, archives)
        try:
            for archive in fetched:
                unpack(archive, folder / "data")
            return
        except NoSpace:
            raise
        except InputError as error:
            remove(archives)
            remove(folder / "data")
            if not isinstance(error, DamagedArchive):
                raise
            if last:
                raise InputError(
                    source,
                    expected="a whole zip archive",
                    found=f"a damaged one, twice ({error.found})",
                    fix="a proxy may answer in Kaggle's place: try another network or mirror",
                ) from None
            print(f"{source}: damaged ({error.found}); once more", file=sys.stderr, flush=True)


def fetch_local(source: str, folder: Path, settings: Mapping, threads: int) -> None:
    """Link a local folder as folder/data, or unpack a local archive there."""
    path = Path(source.removeprefix("local:")).expanduser().resolve()
    data = folder.parent.resolve() / "data"
    if path.is_relative_to(data):
        raise InputError(
            source,
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
            source,
            expected="a folder or a .zip",
            found=f"{path}, which is neither" if path.exists() else f"there is no {path}",
            fix="correct `source` of the site in the config",
        )


def fetch_stored(source: str, folder: Path, settings: Mapping, threads: int) -> None:
    """Unpack an archive that a storage plugin of Snakemake has fetched before this job."""
    if not settings["stored"].is_file():
        raise InputError(
            source,
            expected="a .zip: what is fetched is gone after the job, so no folder can be linked",
            found="a folder",
            fix="pack it, or use `local:` for a folder that this machine sees",
        )
    unpack(settings["stored"], folder / "data")


def fetch_phantom(source: str, folder: Path, settings: Mapping, threads: int) -> None:
    """Draw phantom radiographs in the layout of the site's reader, to folder/data."""
    from chexviz.data.phantom.site import generate

    generate(settings["reader"], folder / "data", workers=threads, **settings["phantom"])


FETCHERS = {
    "kaggle-competition": fetch_kaggle,
    "kaggle-dataset": fetch_kaggle,
    "local": fetch_local,
    "storage": fetch_stored,
    "phantom": fetch_phantom,
}


# --- the site ------------------------------------------------------------------------------------


def download(site: str, settings: Mapping, threads: int, manifest: Path) -> None:
    """Bring a site's files to data/ beside `manifest`, and list them there.

    settings: source (tried in turn), reader, phantom (see plan.phantom), stored (path of the
    archive that a storage plugin has fetched, or None).
    Raises InputError if no source can be had or there are no files; nothing is changed then.
    """
    data, partial = manifest.parent / "data", manifest.parent / ".data.partial"
    # Snakemake removes an output before its job, so what changes is told by a copy.
    previous = manifest.with_name(".manifest.csv")
    remove(partial)  # of a killed run
    before = local.state(settings["source"])
    try:
        source = fetch_first(site, settings, threads, partial)
        write_fetched(source, partial / FETCHED)
        write_manifest(site, partial / "data", threads, partial / "manifest.csv")
        print_changes(site, previous, partial / "manifest.csv")
        # An old manifest must never stand beside new data.
        manifest.unlink(missing_ok=True)
        remove(data)
        (partial / "data").rename(data)
        (partial / FETCHED).rename(manifest.with_name(FETCHED))
        (partial / "manifest.csv").rename(manifest)
        with replacing(previous) as temporary:
            shutil.copyfile(manifest, temporary)
        local.note(settings["source"], before, manifest.parent)
        remove(manifest.parent / ".archives")
    finally:
        remove(partial)


def fetch_first(site: str, settings: Mapping, threads: int, partial: Path) -> str:
    """Fetch the first source that can be had to partial/data, and say which that was.

    Each source starts from an empty folder. Raises InputError with all failures.
    """
    failures: list[InputError] = []
    for source in settings["source"]:
        if failures:
            print(f"{failures[-1].where}: {failures[-1].found}", file=sys.stderr, flush=True)
        remove(partial)
        partial.mkdir(parents=True)
        try:
            fetcher(source)(source, partial, settings, threads)
            if not list_files(partial / "data"):
                raise InputError(
                    source, expected="files", found="an empty folder", fix="correct `source`"
                )
            return source
        except InputError as error:
            failures.append(error)
    raise no_source(site, failures)


def write_fetched(source: str, path: Path) -> None:
    """Note the source of a site's files, and the day (UTC) on which a remote one was fetched."""
    remote = source.partition(":")[0] in REMOTE
    date = datetime.now(UTC).date().isoformat() if remote else ""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([["source", "date"], [source, date]])


def no_source(site: str, failures: list[InputError]) -> InputError:
    """One message for the failures of all sources; a fix that they share is said once."""
    fixes = list(dict.fromkeys(one.fix for one in failures))
    fix = f"{fixes[0] if len(fixes) == 1 else 'mend one of them'}. Or: {DEMO}"
    if len(failures) == 1:
        (one,) = failures
        return InputError(one.where, expected=one.expected, found=one.found, fix=fix)
    found = "none of them"
    for one in failures:
        found += f"\n    {one.where}: {one.found}"
        found += f"\n      fix: {one.fix}" if len(fixes) > 1 else ""
    return InputError(
        f"site {site}", expected=f"one of {len(failures)} sources", found=found, fix=fix
    )


def fetcher(source: str) -> Callable[[str, Path, Mapping, int], None]:
    """The function that fetches a kind of source. Raises InputError if there is none."""
    kind = source.partition(":")[0]
    if kind not in FETCHERS:
        raise InputError(source, expected=KINDS, found=source, fix="correct `source` of the site")
    return FETCHERS[kind]


def remove(path: Path) -> None:
    """Remove a folder, or a link to one (never what it points to); nothing if absent."""
    if path.is_symlink():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--site", required=True)
    parser.add_argument("--settings", type=finite_json, required=True)
    parser.add_argument("--stored", type=Path, nargs="?", help="the archive of a storage: source")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--manifest", type=Path, required=True)
    arguments = parser.parse_args(argv)
    settings = arguments.settings | {"stored": arguments.stored}
    download(arguments.site, settings, arguments.threads, arguments.manifest)


if __name__ == "__main__":
    run(main)
