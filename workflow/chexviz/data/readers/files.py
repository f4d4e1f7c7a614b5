"""The files of a site: their names and ids, and what the spellings of a name share."""

import pandas as pd

from chexviz.base.user_tables import identifier
from chexviz.data.decoding.signature import suffix


def name_of(file: str) -> str:
    """The last part of a path; pathlib takes ten times as long, of every file."""
    return file.rpartition("/")[2]


def stem(file: str) -> str:
    """A file or path without the suffix of a radiograph; names have other dots, too."""
    return file.removesuffix(suffix(file))


def image_ids(files: pd.Series) -> pd.Series:
    """A unique id for every file: its name, or its path where several folders use the name."""
    paths = files.map(stem)
    ids = paths.map(name_of)
    ids = ids.where(~ids.duplicated(keep=False), paths)
    return ids.where(~ids.duplicated(keep=False), files)


def nesting(files: pd.Series) -> pd.Series:
    """Sort key: files of the outer folders first, then by path."""
    return files.map(lambda file: (file.count("/"), file))


def spelling(path: str) -> str:
    """What all spellings of a path share: see `identifier`, `stem`; no empty or '.' part."""
    parts = (stem(part.strip()) for part in path.replace("\\", "/").split("/"))
    return "/".join(identifier(part) for part in parts if part not in ("", "."))
