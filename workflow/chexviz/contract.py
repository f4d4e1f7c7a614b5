"""The data contract of a site: what its source is known to hold, against what is there."""

import sys
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pandas as pd

from chexviz.errors import InputError
from chexviz.readers import Listing, read_table_of_text

COLUMNS = ["check", "expected", "found", "verdict"]
MET, BROKEN, UNCHECKED = "as expected", "differs", "not checked"
FIXES = {
    "files": "the download or copy is not complete, or of another release: remove {manifest} and "
    "run again, or name another source",
    "columns": "the table is of another release or was edited: put the published one in its place",
    "images": "radiographs, or rows of the label table, are missing or too many: compare both with "
    "the publisher's",
    "positives": "if the images are right, labels were edited: take the published table instead",
}


def check(
    site: str, contract: Mapping | None, folder: Path, files: pd.DataFrame, listing: Listing
) -> pd.DataFrame:
    """Compare a site with its contract, before anything is decoded: a row a check (COLUMNS).

    contract: strict, files ({pattern: number}), columns ({table: names}), images, positives; None:
    nothing is expected, and the table says what is there. folder, files: the site's data and its
    manifest. Raises InputError with every difference if the contract is strict, else prints them.
    """
    rows = [
        (name, text(expected), text(found), verdict(expected, found))
        for name, expected, found in comparisons(contract, folder, files, listing)
    ]
    table = pd.DataFrame(rows, columns=COLUMNS)
    broken = table[table["verdict"] == BROKEN]
    if contract and len(broken):
        report(site, contract["strict"], folder, broken)
    return table


def comparisons(
    contract: Mapping | None, folder: Path, files: pd.DataFrame, listing: Listing
) -> Iterator[tuple]:
    """What is compared: name, expected (None: nothing), found."""
    expected = contract or {"files": {}, "columns": {}, "images": None, "positives": None}
    names = files["file"].map(plain_name)
    for pattern, number in expected["files"].items():
        matching = names[[fnmatchcase(name, pattern) for name in names]]
        # Mirrors nest a second copy of everything, which is not more data.
        yield f"files {pattern}", number, matching.nunique()
    for table, columns in expected["columns"].items():
        paths = sorted(files["file"][names == table], key=lambda file: (file.count("/"), file))
        found = list(read_table_of_text(folder / paths[0], []).columns) if paths else "no such file"
        yield f"columns of {table}", columns, found
    yield "images", expected["images"], len(listing.records)
    yield "positives", expected["positives"], int((listing.records["label"] == "1").sum())


def plain_name(file: str) -> str:
    """The name of a file without folders, and without .gz: tables may be compressed."""
    return file.rpartition("/")[2].removesuffix(".gz")


def text(value: object) -> str:
    """A value of a comparison as the table shows it."""
    if isinstance(value, list):
        return ", ".join(value)
    return "" if value is None else str(value)


def verdict(expected: Any, found: Any) -> str:
    """Whether what was found is what was expected; the order of columns does not matter."""
    if expected is None:
        return UNCHECKED
    if isinstance(found, list):
        expected, found = set(expected), set(found)
    return MET if expected == found else BROKEN


def report(site: str, strict: bool, folder: Path, broken: pd.DataFrame) -> None:
    """Raise InputError with all differences if the contract is strict, else print them."""
    differences = f"{len(broken)} of its checks differ in {folder}"
    for row in broken.itertuples():
        fix = FIXES[row.check.partition(" ")[0]].format(manifest=folder.parent / "manifest.csv")
        differences += f"\n    {row.check}: expected {row.expected}; found {row.found}"
        differences += f"\n      fix: {fix}"
    if strict:
        raise InputError(
            f"site {site}",
            expected="what its data contract says (`contract` of the site in the config)",
            found=differences,
            fix="mend them; or set `strict: false` in the contract to go on with what there is, or "
            "`contract: null` if the site is not that dataset",
        )
    print(f"WARNING site {site} is not what its data contract says: {differences}", file=sys.stderr)
