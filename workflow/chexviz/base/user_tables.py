"""Tables that users bring (labels, patients, predictions), whatever program wrote them.

What can mean one thing only is read; everything else is refused, with its cause said once.
docs/data.md lists both.
"""

import codecs
import csv
import gzip
import io
import re
import sys
import unicodedata
import zlib
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import pandas as pd

from chexviz.base.errors import InputError

ENCODINGS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16"}
ENCODINGS |= {codecs.BOM_UTF16_BE: "utf-16"}
GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"
DELIMITERS = ",;\t"
# What R, pandas, SQL, Excel, SAS and people write where they know nothing.
MISSING = {"", "na", "nan", "<na>", "n/a", "#n/a", "nat", "null", "none", "unknown", ".", "-", "?"}
# How a patient is written whose images are known to be of one person, but not of whom: images of
# other sites may be of the same one.
NAMELESS = "group:"
BOOLEANS = {"true": "1", "false": "0"}
# Other names of a column `patient`, in lower-case letters and digits; no name of a tag such as age.
WHO = re.compile(
    r"(patient|subject|person)s?(ids?|no|nr|num|number|key|code|uid|uuid|hash|name)?|pid|mrn"
)


def read(
    path: Path,
    columns: Sequence[str],
    optional: Iterable[str] = (),
    *,
    fix: str = "check that this is the right table and names its columns so",
) -> pd.DataFrame:
    """All named columns of a table as stripped text; the index is the line in the file.

    columns: that it must have. optional: that it may have, but under no other name. fix: what to do
    about a table that is refused. Raises InputError if it is no table or has not these columns.
    """
    text = decoded(path, columns, fix)
    expected = f"a CSV file with {named(columns)}"
    try:
        rows = list(lines(text))
    except csv.Error as error:
        raise InputError(path, expected=expected, found=f"no CSV: {error}", fix=fix) from None
    if not rows:
        raise InputError(path, expected=expected, found="no header: the file is empty", fix=fix)
    header = rows[0][1]
    while not header[-1]:
        header.pop()
    check_widths(path, header, rows[1:])
    table = pd.DataFrame(
        [row[: len(header)] for _, row in rows[1:]],
        index=[line for line, _ in rows[1:]],
        columns=range(len(header)),
        dtype=str,
    )
    table = without_copies(path, table, header)
    if absent := [name for name in columns if name not in table]:
        found = f"no column {', '.join(absent)} in {', '.join(table)}"
        raise InputError(path, expected=named(columns), found=found, fix=fix)
    for name in optional:
        refuse_near_misses(path, table, name, columns)
    return table


def named(columns: Sequence[str]) -> str:
    """The columns as a message names them."""
    return f"the columns {', '.join(columns)}" if columns else "a header"


def decoded(path: Path, columns: Sequence[str], fix: str) -> str:
    """The text of a file, which may be compressed (gzip). Raises InputError if it is no text."""
    expected = f"a CSV file with {named(columns)}"
    try:
        data = path.read_bytes()
        data = gzip.decompress(data) if data.startswith(GZIP) else data
    except (OSError, EOFError, zlib.error) as error:
        found = f"{type(error).__name__}: {error}"
        raise InputError(path, expected=expected, found=found, fix=fix) from error
    if data.startswith(ZIP):
        found = "a workbook (.xlsx, .ods) or a .zip"
        raise InputError(path, expected=expected, found=found, fix="save its sheet as CSV")
    marked = [encoding for mark, encoding in ENCODINGS.items() if data.startswith(mark)]
    try:
        if marked or b"\0" not in data:
            return data.decode(*marked or ["utf-8"])
        problem = "bytes of value 0, as in UTF-16 without its mark"
    except UnicodeDecodeError as error:
        try:
            text = "" if marked else data.decode("cp1252")
        except UnicodeDecodeError:
            text = ""
        if text:
            remark(f"{path}: not in UTF-8, so it is read as Latin-1 (Windows-1252)")
            return text
        problem = str(error)
    fix = "save it as CSV in UTF-8"
    raise InputError(path, expected=expected, found=f"no text: {problem}", fix=fix)


def lines(text: str) -> Iterable[tuple[int, list[str]]]:
    """The number and the stripped cells of every line that has any.

    The delimiter is the one that splits the first line into most cells.
    """
    first = io.StringIO(text.lstrip(), newline="").readline()
    widths = {mark: len(next(csv.reader([first], delimiter=mark), [])) for mark in DELIMITERS}
    rows = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=max(widths, key=lambda mark: widths[mark]),
        skipinitialspace=True,
        strict=True,
    )
    for row in rows:
        cells = [cell.strip() for cell in row]
        if any(cells):
            yield rows.line_num, cells


def check_widths(path: Path, header: list[str], rows: list[tuple[int, list[str]]]) -> None:
    """Raise InputError unless all rows have the cells of the header, and beyond it empty ones."""
    width = len(header)
    wrong = [(line, row) for line, row in rows if len(row) < width or any(row[width:])]
    if wrong:
        line, row = wrong[0]
        raise InputError(
            f"{path}, row {line}",
            expected=f"{width} cells, as in the header",
            found=f"{len(row)} ({len(wrong)} such rows)",
            fix="put values with a comma in quotes; if the end of the table is cut, get it again",
        )


def without_copies(path: Path, table: pd.DataFrame, header: list[str]) -> pd.DataFrame:
    """The columns that have a name, each once. Raises InputError if two of a name differ."""
    kept: dict[str, int] = {}
    for number, name in enumerate(header):
        first = kept.setdefault(name, number)
        if name and number != first and not table[number].equals(table[first]):
            raise InputError(
                path,
                expected="every column once",
                found=f"two columns {name} with different values",
                fix="remove or rename one of them",
            )
    kept.pop("", None)
    return table[list(kept.values())].set_axis(list(kept), axis=1)


def refuse_near_misses(
    path: Path, table: pd.DataFrame, name: str, besides: Iterable[str] = ()
) -> None:
    """Raise InputError if a column seems to be the one called `name`, which is not there.

    It would be ignored, and nobody would know. besides: columns that are something else.
    """
    if found := near_misses(table, name, besides):
        raise InputError(
            path,
            expected=f"a column {name}, or none of that kind",
            found=", ".join(found),
            fix=f"if it says what `{name}` would, rename it to {name}; else remove it",
        )


def near_misses(table: pd.DataFrame, name: str, besides: Iterable[str] = ()) -> list[str]:
    """The columns that seem to be the one called `name`; none if that is there."""
    plain = {column: re.sub(r"[\W_]+", "", column).casefold() for column in table}
    return [
        column
        for column, words in plain.items()
        if name not in table
        and column not in besides
        and (words == name.replace("_", "") or (name == "patient" and WHO.fullmatch(words)))
    ]


def known(column: pd.Series) -> pd.Series:
    """A column of text with '' for everything that says that there is no value."""
    return column.where(~column.str.casefold().isin(MISSING), "")


def labels(column: pd.Series) -> pd.Series:
    """A column with '1', '0' or '' for all that mean it (1.0, True, NA); the others as they are."""
    values = known(column)
    numbers = pd.to_numeric(values.str.casefold().replace(BOOLEANS), errors="coerce")
    return values.mask(numbers == 1, "1").mask(numbers == 0, "0")


def identifier(name: str) -> str:
    """What different spellings of one file's name share: no .dcm, no spaces around it, NFC."""
    return unicodedata.normalize("NFC", re.sub(r"(?i)\.dcm$", "", name.strip())).strip()


@cache
def remark(text: str) -> None:
    """Say once what was done to read an input."""
    print(f"NOTE {text}", file=sys.stderr)
