"""A site's raw files from Kaggle, a folder, an archive, a remote storage or the phantom.

Entry point: python -m chexviz.data.download --site rsna --settings JSON --threads 4 --manifest CSV.
The files end in data/ beside the manifest, which lists them: file, bytes, sha256. Beside it
fetched.csv says which source they are of, and when a remote one was fetched. All get their
final name only when complete, the manifest last. Archives wait in .archives/ until then, so that a
run that was stopped goes on where it was.
"""

import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run
from chexviz.base.files import remove, replacing
from chexviz.base.settings import Positive, Settings, read
from chexviz.base.tables.sites import FETCHED
from chexviz.data.manifest import list_files, print_changes, write_manifest
from chexviz.data.sources import local
from chexviz.data.sources.registry import DEMO, of_kind
from chexviz.data.sources.source import Job


class Phantom(Settings, frozen=True):
    """How many radiographs a phantom draws (see phantom.population.plan), and its seed."""

    images: Positive
    seed: int
    positives: dict[str, int] | None = None
    unlabelled: int | None = None


class Download(Settings, frozen=True):
    """Where a site's files come from: sources, tried in turn; phantom: None of a site without."""

    source: list[str]
    reader: str
    phantom: Phantom | None


def download(
    site: str, settings: Download, stored: Path | None, threads: int, manifest: Path
) -> None:
    """Bring a site's files to data/ beside `manifest`, and list them there.

    stored: the archive that a storage plugin has fetched, or None.
    Raises InputError if no source can be had or there are no files; nothing is changed then.
    """
    data, partial = manifest.parent / "data", manifest.parent / ".data.partial"
    # Snakemake removes an output before its job, so what changes is told by a copy.
    previous = manifest.with_name(".manifest.csv")
    remove(partial)  # of a killed run
    before = local.state(settings.source)
    try:
        source = fetch_first(site, settings, stored, threads, partial)
        write_fetched(source, partial / FETCHED.name)
        write_manifest(site, partial / "data", threads, partial / "manifest.csv")
        print_changes(site, previous, partial / "manifest.csv")
        # An old manifest must never stand beside new data.
        manifest.unlink(missing_ok=True)
        remove(data)
        (partial / "data").rename(data)
        (partial / FETCHED.name).rename(manifest.with_name(FETCHED.name))
        (partial / "manifest.csv").rename(manifest)
        with replacing(previous) as temporary:
            shutil.copyfile(manifest, temporary)
        local.note(settings.source, before, manifest.parent)
        remove(manifest.parent / ".archives")
    finally:
        remove(partial)


def fetch_first(
    site: str, settings: Download, stored: Path | None, threads: int, partial: Path
) -> str:
    """Fetch the first source that can be had to partial/data, and say which that was.

    Each source starts from an empty folder. Raises InputError with all failures.
    """
    phantom = msgspec.structs.asdict(settings.phantom) if settings.phantom else None
    failures: list[InputError] = []
    for source in settings.source:
        if failures:
            print(f"{failures[-1].where}: {failures[-1].found}", file=sys.stderr, flush=True)
        remove(partial)
        partial.mkdir(parents=True)
        try:
            of_kind(source).fetch(Job(source, partial, settings.reader, phantom, stored, threads))
            if not list_files(partial / "data"):
                raise InputError(
                    source, expected="files", found="an empty folder", fix="correct `source`"
                )
            return source
        except InputError as error:
            failures.append(error)
    raise no_source(site, failures)


def write_fetched(source: str, path: Path) -> None:
    """Note the source of a site's files, where others find it, and the day of a remote one."""
    kind = of_kind(source)
    date = datetime.now(UTC).date().isoformat() if kind.remote else ""
    FETCHED.write([[source, date, kind.address(source)]], path)


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


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--site", required=True)
    parser.add_argument("--settings", required=True, help="JSON, see Download")
    parser.add_argument("--stored", type=Path, nargs="?", help="the archive of a storage: source")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--manifest", type=Path, required=True)
    arguments = parser.parse_args(argv)
    settings = read(arguments.settings, Download)
    download(arguments.site, settings, arguments.stored, arguments.threads, arguments.manifest)


if __name__ == "__main__":
    run(main)
