"""The files of a site: which are radiographs, and what the spellings of a name share."""

from pathlib import Path

import pandas as pd

from chexviz.base.user_tables import identifier
from chexviz.data.decoding.signature import LENGTH, RADIOGRAPHS, kind

SUFFIXES = (".dcm", ".dicom", ".png", ".jpg", ".jpeg")  # of radiographs, in any case


def is_named_radiograph(file: str) -> bool:
    """Whether a file claims to be a radiograph by its suffix."""
    return suffix(file) != ""


def suffix(file: str) -> str:
    """The suffix of a file or path if it is that of a radiograph, as it is spelt, else ''."""
    end = file[file.rfind(".") :] if "." in file else ""
    return end if end.lower() in SUFFIXES else ""


def is_radiograph(folder: Path, file: str) -> bool:
    """Whether a file claims to be a radiograph: by its suffix, or by its first bytes."""
    if is_named_radiograph(file):
        return True
    with (folder / file).open("rb") as opened:
        return kind(opened.read(LENGTH)) in RADIOGRAPHS


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
