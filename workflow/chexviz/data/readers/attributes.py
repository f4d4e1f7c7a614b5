"""What else is known of the images: columns of tables that group them (docs/subgroups.md)."""

from pathlib import Path

import pandas as pd

from chexviz.base import user_tables
from chexviz.base.errors import InputError
from chexviz.data.readers.files import spelling
from chexviz.data.readers.patients import id_column, known_of, knows_none

VALUES = 12  # of an attribute: each is a group of its own
YES_NO = {"0": "no", "1": "yes"}


def attribute(records: pd.DataFrame, path: Path, name: str, column: str) -> pd.Series:
    """The value of an attribute of each record, as text; '' where the table does not say it.

    name: of the attribute in the config. Raises InputError if the table knows none of the images.
    """
    known = values(path, name, column)
    found = known_of(records, known)
    if found.isna().all():
        raise knows_none(records, known, path, f"`attributes: {name}`", f"{column} of ")
    return found.fillna("")


def values(path: Path, name: str, column: str) -> pd.Series:
    """A column of a table, by image; of a column of 0 and 1 'no' and 'yes'.

    Raises InputError if it has no such column, names an image twice with different values, or has
    more values than groups can be told apart.
    """
    where = f"`attributes: {name}` of the site in the config"
    table = user_tables.read(path, [column], fix=f"check {where}")
    image = id_column(path, table, fix=f"check {where}")
    rows = pd.DataFrame(
        {"image": table[image].map(spelling), "value": user_tables.known(table[column])}
    )
    rows = rows[rows["value"] != ""].drop_duplicates()
    twice = rows["image"][rows["image"].duplicated()]
    if len(twice):
        raise InputError(
            path,
            expected=f"one {column} an image",
            found=f"{len(twice)} images with several, the first is {twice.iloc[0]}",
            fix="correct the table",
        )
    number = rows["value"].nunique()
    if number > VALUES:
        raise InputError(
            f"{path}, column {column}",
            expected=f"{VALUES} different values at most, each of which is a group of images",
            found=f"{number}",
            fix="bin them: into a column of, say, low, middle and high",
        )
    plain = user_tables.labels(rows["value"])
    if plain.isin([*YES_NO]).all():
        rows = rows.assign(value=plain.map(YES_NO))
    return rows.set_index("image")["value"]
