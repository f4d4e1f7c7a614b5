"""A radiograph for the page: its own pixels for the eye, the model's image, and where maps lie.

This is what the viewer's worker process runs.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from chexviz.base.errors import InputError, Unreadable
from chexviz.data.convert import read_image
from chexviz.data.decoding.radiograph import Radiograph, radiograph
from chexviz.images.annotated import upsample
from chexviz.images.resizing import Square
from chexviz.inference.bundle import Preprocessing
from chexviz.inference.inputs import one_line
from chexviz.inference.reading import Read

SIDE = 1536  # pixels of the longer side that the page gets at most
FINE = 257  # grey levels of 8 bits in those of 16: 255 is 65535


class Picture(NamedTuple):
    """Grey levels (h, w) to be seen: uint8 where the file has no more, else uint16.

    shape: height and width of the file. places: the square of the file that each model sees.
    """

    pixels: np.ndarray
    shape: tuple[int, int]
    places: list[Square]


class Opened(NamedTuple):
    """A file of the page: for each model what it sees, or why not; a picture if that is there.

    sex: 'F', 'M' or ''. age: in years; None: not known.
    """

    reads: list[Read]
    picture: Picture | None = None
    sex: str = ""
    age: float | None = None


def open_chunk(files: list[bytes], made: Sequence[Preprocessing]) -> list[Opened]:
    """Open some files, one after the other. made: of each model."""
    return [open_file(data, made) for data in files]


def open_file(data: bytes, made: Sequence[Preprocessing]) -> Opened:
    """Open one; whatever is wrong with it is its own."""
    try:
        if not data:
            raise Unreadable("empty: the file has 0 bytes")
        images, places = [], []
        for one in made:
            image, found, place = read_image(data, one.size, one.fit, one.max_pixels)
            images.append(image)
            places.append(place)
        shape = (found.height, found.width)
        limit = min(one.max_pixels for one in made)
        seen = radiograph(data, min(SIDE, *shape), limit)
    except Unreadable as error:
        return refused(str(error), made)
    except InputError as error:
        return refused(one_line(error), made)
    except MemoryError:
        return refused("not enough memory to decode it", made)
    reads = [Read(image, found.view, shape, found.lossy) for image in images]
    return Opened(reads, Picture(for_eyes(seen), shape, places), found.sex, found.age)


def refused(reason: str, made: Sequence[Preprocessing]) -> Opened:
    """A file that cannot be shown."""
    return Opened([Read(None, reason=reason)] * len(made))


def for_eyes(found: Radiograph) -> np.ndarray:
    """The grey levels of a radiograph on its own shape, at most SIDE long: see Picture."""
    longer = max(found.height, found.width)
    share = min(1, SIDE / longer)
    height, width = (max(1, round(side * share)) for side in (found.height, found.width))
    pixels = found.pixels
    if pixels.shape != (height, width):
        # Each pixel is a mean of those that it stands for: nothing rings at edges.
        small = Image.fromarray(pixels.astype(np.float32, copy=False))
        grey = np.asarray(small.resize((width, height), Image.Resampling.HAMMING))
    else:
        grey = pixels
    if pixels.dtype == np.uint8:
        return np.rint(grey).astype(np.uint8)
    return np.rint(FINE * grey.clip(0, 255)).astype(np.uint16)


def on_picture(heat: np.ndarray, place: Square, picture: Picture) -> np.ndarray:
    """A map (h, w), not negative, as uint8 on the pixels of a picture; 255 is its own maximum.

    place: the square that it covers; beyond that nothing was seen, and it is zero.
    """
    height, width = picture.pixels.shape
    scale = height / picture.shape[0]
    side, left, top = (round(scale * one) for one in (place.side, place.left, place.top))
    (whole,) = upsample(heat[np.newaxis], max(side, 1))
    rows, columns = np.arange(height) + top, np.arange(width) + left
    within = np.ix_((rows >= 0) & (rows < side), (columns >= 0) & (columns < side))
    seen = np.zeros((height, width), np.uint8)
    inside = whole[
        np.ix_(rows[(rows >= 0) & (rows < side)], columns[(columns >= 0) & (columns < side)])
    ]
    seen[within] = np.rint(255 * inside)
    return seen
