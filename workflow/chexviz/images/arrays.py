"""A site's images where they lie: one memory-mapped array, or those of its shards, one by one.

A list of arrays, of a site's shards (shards.csv) or of all sites (sites.csv), has their checksums:
a job that reads the list rests on the arrays, without naming each.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from chexviz.base.errors import InputError
from chexviz.base.files import sha256
from chexviz.base.tables.sites import SHARDS, SITES
from chexviz.base.tables.table import Table, missing


def open_images(path: str | Path, site: str | None = None) -> list[np.ndarray]:
    """The arrays uint8 (N, S, S) that hold a site's images in order, memory-mapped.

    path: images.npy or shards.csv; or sites.csv, which has those of `site` among others. Raises
    InputError if there is no such file, or an array does not hold as many images as are listed.
    """
    path = Path(path)
    if path.suffix != ".csv":
        return [open_array(path)]
    listed = list_of(path).read(path)
    listed = listed[listed["site"] == site] if "site" in listed else listed
    stacks = []
    for row in listed.itertuples():
        stack = open_array(path.parent / row.file)
        if len(stack) != row.images:
            raise InputError(
                path.parent / row.file,
                expected=f"{row.images} images, as in {path}",
                found=f"{len(stack)} images",
                fix=f"remove {path} and run again",
            )
        stacks.append(stack)
    return stacks


def list_of(path: Path) -> Table:
    """Which of both lists a file is, by its first line. Raises InputError if there is no file."""
    if not path.is_file():
        raise missing(path)
    with path.open(encoding="utf-8") as file:
        return SITES if file.readline().startswith("site,") else SHARDS


def open_array(path: Path) -> np.ndarray:
    """One memory-mapped array. Raises InputError if it is not there."""
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise InputError(
            path,
            expected="the images that preprocessing has written",
            found="no such file",
            fix="remove samples.csv of this site and run again, which makes them anew",
        ) from None


def list_arrays(site: str, path: Path, folder: Path) -> list[tuple[str, str, int, str]]:
    """The arrays of a site as rows of a list in `folder`: site, file, images, sha256.

    path: images.npy or shards.csv, below `folder`.
    """
    here = path.parent.relative_to(folder)
    if path.suffix != ".csv":
        return [(site, (here / path.name).as_posix(), len(open_array(path)), sha256(path))]
    rows = SHARDS.read(path).itertuples(index=False)
    return [(site, (here / row.file).as_posix(), row.images, row.sha256) for row in rows]


def locate(stacks: Sequence[np.ndarray], positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """In which array each image lies, and where there, int64 (n,); positions: among all, (n,)."""
    firsts = np.cumsum([0, *map(len, stacks)])
    stack = np.searchsorted(firsts, positions, side="right") - 1
    return stack, positions - firsts[stack]


def gather(stacks: Sequence[np.ndarray], stack: np.ndarray, position: np.ndarray) -> np.ndarray:
    """The images uint8 (n, S, S) at `position` (n,) of the arrays `stack` (n,)."""
    out = np.empty((len(position), *stacks[0].shape[1:]), dtype=np.uint8)
    for number in np.unique(stack):
        chosen = stack == number
        out[chosen] = stacks[number][position[chosen]]
    return out
