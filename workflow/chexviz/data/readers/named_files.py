"""What the paths in a hospital's tables mean: files of the site, in any spelling."""

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from chexviz.base.errors import InputError
from chexviz.data.readers.files import spelling, stem

ABSOLUTE = re.compile(r"[/\\]|[A-Za-z]:[/\\]")


def files_named(path: Path, names: pd.Series, folder: Path, files: pd.Series) -> list[str]:
    """The file of the site that each row of a label table means; '' where there is none.

    See `meanings`. Raises InputError also for files with several rows.
    """
    chosen = meanings(path, names, folder, files)
    again = pd.Series(chosen, names.index)
    again = again[(again != "") & again.duplicated()]
    if len(again):
        raise InputError(
            f"{path}, row {again.index[0]}",
            expected="one row a file",
            found=f"another row for {again.iloc[0]}",
            fix="remove one of them",
        )
    return chosen


def meanings(path: Path, names: pd.Series, folder: Path, files: pd.Series) -> list[str]:
    """The file of the site that each name in a table means; '' where there is none.

    names: relative to the table, by row; other spellings, and those without a suffix, are
    understood if they mean one file. files: relative to `folder`. Raises InputError for paths that
    lead elsewhere, and names that mean several files.
    """
    base = path.relative_to(folder).parent.as_posix() if path.is_relative_to(folder) else "."
    roots = (f"{folder.absolute().as_posix()}/", f"{folder.resolve().as_posix()}/")
    if elsewhere := [n for n in names if ABSOLUTE.match(n) and not n.startswith(roots)]:
        raise InputError(
            path,
            expected="paths relative to the folder of the table, or within the site's data",
            found=f"{len(elsewhere)} that lead elsewhere, such as {elsewhere[0]}",
            fix="write them relative to the folder of the table",
        )
    within = [relative(name, base, roots) for name in names]
    exact = set(files)
    by_spelling = {} if exact.issuperset(within) else spellings(files)
    chosen = []
    for row, name in zip(names.index, within, strict=True):
        found = [name] if name in exact else by_spelling.get(spelling(name), [""])
        if len(found) > 1:
            raise InputError(
                f"{path}, row {row}",
                expected="a name that means one file",
                found=f"{name} may mean {', '.join(found)}",
                fix="write the whole name of the file",
            )
        chosen += found
    return chosen


def spellings(files: pd.Series) -> dict[str, list[str]]:
    """The files that a name may mean, in any spelling, by that; it may lack its suffix."""
    found: dict[str, list[str]] = {}
    for file in files:
        for name in {spelling(file), spelling(stem(file))}:
            found.setdefault(name, []).append(file)
    return found


def relative(name: str, base: str, roots: Sequence[str]) -> str:
    """A path of a table as seen from the data folder.

    base: the table's folder there. roots: where the data folder is, with a slash.
    """
    for root in roots:
        if name.startswith(root):
            return name.removeprefix(root)
    return name if base == "." else f"{base}/{name}"
