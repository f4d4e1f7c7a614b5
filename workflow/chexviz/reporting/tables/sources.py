"""Which files a study rests on: the source of a site, its date, and the checksum of all of them."""

from pathlib import Path

from chexviz.base.files import sha256
from chexviz.data.sources.kaggle_pages import PAGES, page
from chexviz.reporting.titles import read_table

COLUMNS = ["site", "kind", "address", "date", "files", "bytes", "sha256"]


def describe(site: str, manifest: Path, fetched: Path) -> dict[str, object]:
    """A row (COLUMNS) about the raw files of a site.

    kind: of the source, as in the config. address: where others find the same, '' of files on this
    machine and of drawn ones. date: on which a remote source was fetched, else ''. sha256: of the
    manifest, which lists every file with its checksum: the same for the same files.
    """
    listed = read_table(manifest, ["file", "bytes", "sha256"])
    source, date = read_table(fetched, ["source", "date"]).iloc[0]
    return {
        "site": site,
        "kind": source.partition(":")[0],
        "address": address(source),
        "date": date if isinstance(date, str) else "",
        "files": len(listed),
        "bytes": int(listed["bytes"].sum()),
        "sha256": sha256(manifest),
    }


def address(source: str) -> str:
    """Where a source is on the web; '' if it is not."""
    kind, _, name = source.partition(":")
    if kind in PAGES:
        return page(source)
    return name if kind == "storage" else ""
