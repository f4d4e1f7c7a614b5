"""The files of a site by their names: which are DICOM, and what spellings of a name share."""

from pathlib import Path

import pandas as pd

from chexviz.base.user_tables import identifier


def is_named_dicom(file: str) -> bool:
    """Whether a file claims to be DICOM by its suffix."""
    return file.lower().endswith(".dcm")


def is_dicom(folder: Path, file: str) -> bool:
    """Whether a file claims to be DICOM: by its suffix, or by its first bytes (PS3.10 7.1)."""
    if is_named_dicom(file):
        return True
    with (folder / file).open("rb") as opened:
        return opened.read(132)[128:] == b"DICM"


def name_of(file: str) -> str:
    """The last part of a path; pathlib takes ten times as long, of every file."""
    return file.rpartition("/")[2]


def stem(file: str) -> str:
    """A file or path without .dcm; SOP instance identifiers have dots of their own."""
    return file[:-4] if is_named_dicom(file) else file


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
    """What all spellings of a path share: see `identifier`; slashes; no empty or '.' part."""
    parts = (part.strip() for part in path.replace("\\", "/").split("/"))
    return "/".join(identifier(part) for part in parts if part not in ("", "."))
