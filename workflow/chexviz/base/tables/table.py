"""A CSV of the workflow: which columns it has, of which type, and how it is read and written.

The Snakefile looks at declarations at every start, so pandas is imported by who reads or writes.
"""

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pandas as pd

from chexviz.base.errors import InputError

# Of each type of a column: the kinds of NumPy that it may be read as, and its name.
KINDS = {float: "iuf", int: "iu", bool: "b"}
EXPECTED = {float: "a number or nothing", int: "an integer", bool: "True or False"}
AGAIN = "make the file again with this version of the workflow"


class Column(NamedTuple):
    """What a column holds: its type as `Table.read` gives it, and what it means.

    type: str (an empty cell is NaN), float (an empty cell is NaN), int, bool; or None: text of
    which an empty cell is ''.
    """

    type: type | None
    meaning: str = ""


def text(meaning: str = "") -> Column:
    """A column of names, which may be missing (NaN)."""
    return Column(str, meaning)


def note(meaning: str = "") -> Column:
    """A column of text for readers; '' where there is nothing to say."""
    return Column(None, meaning)


def number(meaning: str = "") -> Column:
    """A column of numbers, which may be missing (NaN)."""
    return Column(float, meaning)


def whole(meaning: str = "") -> Column:
    """A column of integers, in every row."""
    return Column(int, meaning)


def flag(meaning: str = "") -> Column:
    """A column of True or False, in every row."""
    return Column(bool, meaning)


def bounds(name: str, meaning: str = "", *, spread: bool = False) -> dict[str, Column]:
    """A value and its interval: `name`, `name_low`, `name_high`; spread: also `name_sd`."""
    ends = ("_low", "_high", "_sd") if spread else ("_low", "_high")
    return {name: number(meaning)} | {f"{name}{end}": number() for end in ends}


class Table:
    """A CSV: UTF-8, comma, one header row, an empty cell is missing.

    name: of the file. about: what a row is. columns: in the order of the file; one whose name ends
    in '_' stands for all columns that a config adds, which begin so.
    """

    def __init__(self, name: str, about: str, /, **columns: Column):
        self.name, self.about, self.columns = name, about, columns

    @property
    def names(self) -> list[str]:
        """The columns that every such file has, in order."""
        return [name for name in self.columns if not name.endswith("_")]

    def column(self, name: str) -> Column | None:
        """The column of this name; None if the table has none."""
        added = (key for key in self.columns if key.endswith("_") and name.startswith(key))
        return self.columns.get(name) or self.columns.get(next(added, ""))

    def read(self, path: str | Path, *names: str) -> "pd.DataFrame":
        """The columns `names` of a file, or all that it has, with their types.

        Raises InputError when the file is absent, is no such table, lacks one of the columns (of
        all of them without `names`), or has a cell of another type.
        """
        import pandas as pd

        wanted = list(names) or self.names
        columns = {name: self.column(name) for name in wanted}
        texts = [name for name, one in columns.items() if one and one.type in (str, None)]
        try:
            with warnings.catch_warnings(action="error", category=pd.errors.ParserWarning):
                table = pd.read_csv(
                    path,
                    dtype=dict.fromkeys(texts, str),  # an image called '007' keeps its name
                    usecols=(lambda name: name in names) if names else None,
                    index_col=False,
                    keep_default_na=False,
                    na_values=[""],
                    float_precision="round_trip",
                )
        except FileNotFoundError:
            raise missing(path) from None
        except (ValueError, pd.errors.ParserWarning) as error:  # of pandas and of the encoding
            raise InputError(
                path, expected=f"a table (CSV, UTF-8) like {self.name}", found=str(error), fix=AGAIN
            ) from None
        absent = [name for name in wanted if name not in table]
        if absent:
            raise InputError(
                path,
                expected="the columns " + ", ".join(wanted),
                found="no " + ", ".join(absent),
                fix=AGAIN,
            )
        return table.assign(**{name: self.typed(table[name], path) for name in table})

    def typed(self, values: "pd.Series", path: str | Path) -> "pd.Series":
        """A column as its type says. Raises InputError where a cell is of another one."""
        column = self.column(str(values.name))
        if column is None or column.type is str:
            return values
        if column.type is None:
            return values.fillna("")
        if values.isna().all() and (column.type is float or values.empty):
            return values.astype(column.type)
        if values.dtype.kind not in KINDS[column.type]:
            raise InputError(
                path,
                expected=f"{EXPECTED[column.type]} in every row of the column {values.name}",
                found=", ".join(map(repr, strangers(values, column.type).head(3))),
                fix=AGAIN,
            )
        return values

    def frame(self, rows: "pd.DataFrame | Iterable") -> "pd.DataFrame":
        """Rows as a table with these columns. Raises ValueError if they have others."""
        import pandas as pd

        table = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(rows, columns=self.names)
        found = [name for name in table if name in self.names]
        strange = [name for name in table if self.column(str(name)) is None]
        if found != self.names or strange:
            raise ValueError(f"{self.name} has {self.names}; found {list(table)}")
        return table

    def write(self, rows: "pd.DataFrame | Iterable", path: Path) -> None:
        """Write rows, of which a DataFrame names its columns in the order of the file."""
        self.frame(rows).to_csv(path, index=False, lineterminator="\n")


def strangers(values: "pd.Series", kind: type) -> "pd.Series":
    """The cells of a column that are not of a type."""
    import pandas as pd

    if kind is bool:
        return values[~values.isin([True, False, "True", "False"])]
    numbers = pd.to_numeric(values, errors="coerce")
    wrong = numbers % 1 != 0 if kind is int else numbers.isna()  # NaN % 1 is not 0 either
    return values[wrong & (values.notna() | (kind is int))]


def missing(path: str | Path) -> InputError:
    """The error for an input file that is not there."""
    return InputError(
        path,
        expected="a file made by an earlier stage",
        found="no such file",
        fix="run the workflow, which makes it, or correct the path",
    )
