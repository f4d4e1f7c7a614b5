"""Radiographs to images as the model was trained on them, or the reason why not.

This is what the worker processes of `predict` run: the reading and resizing of preprocessing.
"""

import zipfile
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from chexviz.base.errors import InputError, Unreadable
from chexviz.data.convert import read_image
from chexviz.data.sources.archives import saying_why
from chexviz.data.workers import how_ended
from chexviz.inference.bundle import Preprocessing
from chexviz.inference.inputs import Source, one_line, unreadable

BYTES = 4  # of a pixel in a file, at most
HEADER = 2**24  # bytes beside the pixels, at most


class Read(NamedTuple):
    """A radiograph that was read, or `reason`, why not, on one line.

    image: uint8 (S, S). view: '' where the file says none. shape: height and width of the file.
    lossy: whether it was compressed with a loss.
    """

    image: np.ndarray | None
    view: str = ""
    shape: tuple[int, int] = (0, 0)
    lossy: bool = False
    reason: str = ""


def read_chunk(sources: list[Source], made: Preprocessing) -> list[Read]:
    """Read some radiographs, one after the other."""
    return [read(source, made) for source in sources]


def read(source: Source, made: Preprocessing) -> Read:
    """Read one; whatever is wrong with it or its disk is its own."""
    try:
        data = content(source, made)
        image, found, _ = read_image(data, made.size, made.fit, made.max_pixels)
    except Unreadable as error:
        return Read(None, reason=str(error))
    except InputError as error:
        return Read(None, reason=one_line(error))
    except MemoryError:
        return Read(None, reason="not enough memory to decode it")
    except OSError as error:
        return Read(None, reason=unreadable(error))
    return Read(image, found.view, (found.height, found.width), found.lossy)


def content(source: Source, made: Preprocessing) -> bytes:
    """The bytes of a radiograph's file. Raises Unreadable if it has none, or more than it can."""
    most = BYTES * made.max_pixels + HEADER
    if source.member:
        with saying_why(source.path), archive(source.path).open(source.member) as file:
            data = file.read(most + 1)
    else:
        with source.path.open("rb") as opened:
            data = opened.read(most + 1)
    if not data:
        raise Unreadable("empty: the file has 0 bytes")
    if len(data) > most:
        raise Unreadable(f"too large: more than {most} bytes")
    return data


@lru_cache(maxsize=1)
def archive(path: Path) -> zipfile.ZipFile:
    """An open archive: members are asked for one after the other."""
    return zipfile.ZipFile(path)


def crashed(source: Source, exitcode: int) -> Read:
    """What became of a radiograph that ended the process which did nothing but read it."""
    how = how_ended(exitcode)
    return Read(None, reason=f"it ended the process that decoded it: {how}")
