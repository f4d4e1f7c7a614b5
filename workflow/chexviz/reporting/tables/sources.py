"""Which files a study rests on: the source of a site, its date, and the checksum of all of them."""

from pathlib import Path

from chexviz.base.files import sha256
from chexviz.base.tables.sites import FETCHED, MANIFEST


def describe(site: str, manifest: Path, fetched: Path) -> dict[str, object]:
    """A row of audit/sources.csv about the raw files of a site.

    kind: of the source, as in the config. address: where others find the same, '' of files on this
    machine and of drawn ones. date: on which a remote source was fetched, else ''. sha256: of the
    manifest, which lists every file with its checksum: the same for the same files.
    """
    listed = MANIFEST.read(manifest, "bytes")
    noted = FETCHED.read(fetched).fillna("").iloc[0]
    return {
        "site": site,
        "kind": noted["source"].partition(":")[0],
        "address": noted["address"],
        "date": noted["date"],
        "files": len(listed),
        "bytes": int(listed["bytes"].sum()),
        "sha256": sha256(manifest),
    }
