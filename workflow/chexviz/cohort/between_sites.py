"""What sites share with each other, found by their keyed hashes alone.

The coordinator runs it. It has neither the secret of the hashes nor any image.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import permutations
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import pandas as pd
from msgspec import Meta

from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run
from chexviz.base.files import replacing_all
from chexviz.base.settings import Positive, Settings, read
from chexviz.base.tables.study import KEYED, LEAKING, SHARED, SUBSETS
from chexviz.cohort.duplicates import BITS, close_pairs

# Measured: 67 radiographs and their copies with other compression differ by at most 2 bits, 186,000
# pairs of different ones by at least 8, and 8 in 100,000 of them by no more.
CLOSE = 2
HEXADECIMAL = "[0-9a-f]+"
TOLD = {"patient": "patient", "exact": "file"}  # the column that tells of each kind


class Between(Settings, frozen=True):
    """hamming: near-identical candidates differ by at most so many bits of 64.

    smallest_cell: a smaller number that is not 0 is written '<smallest_cell'; 1 shows all. (2 hides
    nothing: what is fewer than two and not none is one.)
    """

    hamming: Annotated[int, Meta(ge=0, le=BITS)]
    smallest_cell: Positive


class Match(NamedTuple):
    """What a site shares with another one, of one kind. bits: see SHARED.

    common: patients, files, or pairs of images; None: one of them has told none. earliest: for each
    row of the site the place in SUBSETS of the earliest partner, float (n,), NaN: it has none.
    """

    kind: str
    bits: str
    common: int | None
    earliest: np.ndarray


def read_keyed(paths: Mapping[str, Path]) -> pd.DataFrame:
    """The rows of all sites, with their site and `place`, that of their subset in SUBSETS.

    Raises InputError if a table holds something else, or two are under different secrets.
    """
    tables = [checked(KEYED.read(path), path).assign(site=site) for site, path in paths.items()]
    rows = pd.concat(tables, ignore_index=True)
    keys = rows.drop_duplicates("key")
    if len(keys) > 1:
        first, other = keys["site"].iloc[:2]
        raise InputError(
            paths[other],
            expected=f"hashes under the secret that {first} has used",
            found="another one, under which no two hashes are alike",
            fix="give the same secret to all sites, and let them make their tables again",
        )
    return rows.assign(place=rows["subset"].map(SUBSETS.index))


def checked(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    """A site's table. Raises InputError if it has no rows, or a cell that is no hash or subset."""
    forms = {"subset": "|".join(SUBSETS), "key": HEXADECIMAL, "patient": HEXADECIMAL}
    forms |= {"file": HEXADECIMAL, "phash": f"[0-9a-f]{{{BITS // 4}}}"}
    wrong = [
        (name, value)
        for name, form in forms.items()
        for value in table.loc[~table[name].fillna("").str.fullmatch(f"({form})?"), name]
    ]
    if wrong or table.empty or table[["key", "subset"]].isna().any(axis=None):
        raise InputError(
            path,
            expected="a site's keyed hashes, a row or more",
            found=f"{wrong[0][0]} {wrong[0][1]!r}" if wrong else f"{len(table)} rows, or no subset",
            fix="let the site make its table again",
        )
    return table


class Comparison:
    """All sites' rows (read_keyed), and the pairs of perceptual hashes that differ by few bits."""

    def __init__(self, rows: pd.DataFrame, hamming: int):
        self.rows, self.hamming = rows, hamming
        self.sites = dict(list(rows.groupby("site", sort=False)))
        hashed = np.flatnonzero(rows["phash"].notna())
        values = np.array([int(one, 16) for one in rows["phash"].iloc[hashed]], dtype=np.uint64)
        pairs = close_pairs(values, hamming)
        self.distance = np.bitwise_count(values[pairs[:, 0]] ^ values[pairs[:, 1]])
        self.pairs = hashed[pairs]

    def matches(self, site: str, other: str) -> Iterator[Match]:
        """What a site shares with another one, of every kind."""
        here, there = self.sites[site], self.sites[other]
        for kind, column in TOLD.items():
            earliest = here[column].map(there.groupby(column)["place"].min()).to_numpy(float)
            common = here.loc[~np.isnan(earliest), column].nunique()
            yield Match(kind, "", common if both_tell(here, there, column) else None, earliest)
        told = both_tell(here, there, "phash")
        for kind, low, high in bands(self.hamming):
            pairs = self.between(site, other, low, high)
            places = self.rows["place"].to_numpy()[pairs[:, 1]]
            partner = pd.Series(places).groupby(pairs[:, 0]).min()
            earliest = partner.reindex(here.index).to_numpy(float)
            yield Match(kind, f"{low}-{high}", len(pairs) if told else None, earliest)

    def between(self, site: str, other: str, low: int, high: int) -> np.ndarray:
        """The pairs (p, 2) of a row of `site` and one of `other` with distances in low to high."""
        pairs = self.pairs[(self.distance >= low) & (self.distance <= high)]
        both = np.concatenate([pairs, pairs[:, ::-1]])
        names = self.rows["site"].to_numpy()[both]
        return both[(names[:, 0] == site) & (names[:, 1] == other)]


def bands(hamming: int) -> list[tuple[str, int, int]]:
    """The kinds of near-identical images: name, and how many bits differ, at least and at most."""
    found = [("close", 0, min(CLOSE, hamming))]
    return found + [("candidate", CLOSE + 1, hamming)] * (hamming > CLOSE)


def both_tell(here: pd.DataFrame, there: pd.DataFrame, column: str) -> bool:
    """Whether both sites have told something in a column, so that it can be compared."""
    return bool(here[column].notna().any() and there[column].notna().any())


def shown(count: int, smallest: int) -> str:
    """A number as it is written, see Between."""
    return f"<{smallest}" if 0 < count < smallest else str(count)


def compare(rows: pd.DataFrame, settings: Between) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """The table SHARED of all sites, and LEAKING of each. rows: see read_keyed."""
    comparison = Comparison(rows, settings.hamming)
    shared, leaking = [], []
    for site, other in permutations(comparison.sites, 2):
        here = comparison.sites[site]
        for match in comparison.matches(site, other):
            leaks = match.earliest < here["place"].to_numpy()  # NaN is not
            leaking.append(here[leaks].assign(shared=match.kind))
            row = [site, other, match.kind, match.bits, "", "", ""]
            if match.common is not None:
                counts = (match.common, (~np.isnan(match.earliest)).sum(), leaks.sum())
                row[4:] = [shown(int(count), settings.smallest_cell) for count in counts]
            shared.append(row)
    found = pd.concat(leaking) if leaking else rows[:0].assign(shared="")
    return SHARED.frame(shared), {site: told_back(found, site) for site in comparison.sites}


def told_back(leaking: pd.DataFrame, site: str) -> pd.DataFrame:
    """What a site is told of its own rows: not with whom they share it, nor that several do."""
    own = leaking.loc[leaking["site"] == site, LEAKING.names].copy()
    kinds = own["shared"].isin([*TOLD])
    own["file"], own["phash"] = own["file"].where(kinds), own["phash"].where(~kinds)
    return own.drop_duplicates().sort_values(LEAKING.names, ignore_index=True)


def named(sites: Sequence[str], files: Sequence[Path], option: str) -> dict[str, Path]:
    """The files by site. Raises InputError unless there is one for each, and no site is twice."""
    if len({*sites}) < len(sites) or len(files) != len(sites) or len(sites) < 2:
        raise InputError(
            f"--site, {option}",
            expected="at least two sites, each once, and a file for each in the same order",
            found=f"{', '.join(sites)}; {len(files)} files",
            fix="name every site once, and its file",
        )
    return dict(zip(sites, files, strict=True))


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--site", nargs="+", required=True)
    parser.add_argument("--keyed", nargs="+", required=True, type=Path, help="a file per site")
    parser.add_argument("--settings", required=True, help="JSON, see Between")
    parser.add_argument("--audit", required=True, type=Path, metavar="OUT")
    parser.add_argument(
        "--leaking", nargs="+", required=True, type=Path, metavar="OUT", help="a file per site"
    )
    arguments = parser.parse_args(argv)
    settings = read(arguments.settings, Between)
    outputs = named(arguments.site, arguments.leaking, "--leaking")
    shared, leaking = compare(
        read_keyed(named(arguments.site, arguments.keyed, "--keyed")), settings
    )
    files = {f"site {site}": path for site, path in outputs.items()} | {"audit": arguments.audit}
    with replacing_all(files) as temporaries:
        SHARED.write(shared, temporaries["audit"])
        for site, table in leaking.items():
            LEAKING.write(table, temporaries[f"site {site}"])


if __name__ == "__main__":
    run(main)
