"""The data contract of a site: what its source is known to hold, against what is there."""

import sys
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pandas as pd

from chexviz.base import user_tables
from chexviz.base.errors import InputError
from chexviz.base.settings import Settings
from chexviz.base.tables.sites import CONTRACT
from chexviz.data.readers.listing import Listing, positives

MET, BROKEN, UNCHECKED = "as expected", "differs", "not checked"
FIXES = {
    "files": "the download or copy is not complete, or of another release: remove {manifest} and "
    "run again, or name another source",
    "columns": "the table is of another release or was edited: put the published one in its place",
    "rows": "rows of the label table were added or removed: take the published table instead",
    "ids": "images are missing in the label table, or too many: take the published one instead",
    "images": "radiographs, or rows of the label table, are missing or too many: compare both with "
    "the publisher's",
    "positives": "if the images are right, labels were edited: take the published table instead",
    "kept": "see to the files that were rejected; a damaged one may be whole where it came from",
}


class Contract(Settings, frozen=True):
    """What a source is known to hold. strict: whether a difference ends the run.

    files: how many there are by pattern. columns: of tables by name. rows, ids: of the label table.
    images: that are labelled. positives: of them, by finding; one that the site does not read is
    not compared. None: nothing is expected.
    """

    strict: bool
    files: dict[str, int]
    columns: dict[str, list[str]]
    positives: dict[str, int]
    rows: int | None = None
    ids: int | None = None
    images: int | None = None


NOTHING = Contract(strict=False, files={}, columns={}, positives={})


def check(
    site: str, contract: Contract | None, folder: Path, files: pd.DataFrame, listing: Listing
) -> pd.DataFrame:
    """Compare a site with its contract, before anything is decoded: a row a check (COLUMNS).

    contract: None: nothing is expected, and the table says what is there. folder, files: the site's
    data and its manifest. Raises InputError with every difference if the contract is strict, else
    prints them.
    """
    contract = contract or NOTHING
    compared = comparisons(contract, folder, files, listing)
    return judged(site, contract, folder, compared, listing.table.apart())


def check_kept(
    site: str, contract: Contract | None, folder: Path, samples: pd.DataFrame, why: str
) -> pd.DataFrame:
    """Compare what preprocessing kept with the contract, likewise. why: what became of the rest."""
    contract = contract or NOTHING
    compared = [
        ("kept images", contract.images, len(samples)),
        *((f"kept {name}", *counts) for name, *counts in counted(contract, samples)),
    ]
    return judged(site, contract, folder, compared, why)


def judged(
    site: str, contract: Contract, folder: Path, compared: Iterable[tuple], why: str
) -> pd.DataFrame:
    """The table of comparisons. Raises InputError or prints, as `check` does."""
    rows = [
        (name, text(expected), text(found), verdict(expected, found))
        for name, expected, found in compared
    ]
    table = CONTRACT.frame(rows)
    broken = table[table["verdict"] == BROKEN]
    if len(broken):
        report(site, contract.strict, folder, broken, why)
    return table


def comparisons(
    contract: Contract, folder: Path, files: pd.DataFrame, listing: Listing
) -> Iterator[tuple]:
    """What is compared: name, expected (None: nothing), found."""
    names = files["file"].map(plain_name)
    for pattern, number in contract.files.items():
        matching = names[[fnmatchcase(name, pattern) for name in names]]
        # Mirrors nest a second copy of everything, which is not more data.
        yield f"files {pattern}", number, matching.nunique()
    for table, columns in contract.columns.items():
        paths = sorted(files["file"][names == table], key=lambda file: (file.count("/"), file))
        found = list(user_tables.read(folder / paths[0], [])) if paths else "no such file"
        yield f"columns of {table}", columns, found
    rows = len(user_tables.read(listing.table.path, []))
    yield "rows of the label table", contract.rows, rows
    yield "ids of the label table", contract.ids, listing.table.ids
    yield "images", contract.images, len(listing.records)
    yield from counted(contract, listing.records)


def counted(contract: Contract, table: pd.DataFrame) -> Iterator[tuple]:
    """The positives of each finding that a table has labels of, likewise."""
    for finding, number in positives(table).items():
        yield f"positives of {finding}", contract.positives.get(finding), number


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


def report(site: str, strict: bool, folder: Path, broken: pd.DataFrame, why: str) -> None:
    """Raise InputError with all differences if the contract is strict, else print them.

    why: what lacks.
    """
    differences = f"{len(broken)} of its checks differ in {folder}"
    for row in broken.itertuples():
        fix = FIXES[row.check.partition(" ")[0]].format(manifest=folder.parent / "manifest.csv")
        differences += f"\n    {row.check}: expected {row.expected}; found {row.found}"
        differences += f"\n      fix: {fix}"
    differences += f"\n    {why}"
    if strict:
        raise InputError(
            f"site {site}",
            expected="what its data contract says (`contract` of the site in the config)",
            found=differences,
            fix="mend them; or set `strict: false` in the contract to go on with what there is, or "
            "`contract: null` if the site is not that dataset",
        )
    print(f"WARNING site {site} is not what its data contract says: {differences}", file=sys.stderr)
