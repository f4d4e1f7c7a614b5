"""Annotations as JSON: COCO's, and the masks that CheXlocalize publishes."""

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd

from chexviz.base.errors import InputError
from chexviz.data.readers.files import stem
from chexviz.data.readers.listing import BOX
from chexviz.images import run_lengths
from chexviz.images.polygons import fill

Id = int | str


class Rle(msgspec.Struct):
    """A mask as run lengths: height and width, and COCO's counts, plain or packed."""

    size: tuple[int, int]
    counts: list[int] | str


class Image(msgspec.Struct):
    """An image of COCO."""

    id: Id
    file_name: str
    height: int
    width: int


class Category(msgspec.Struct):
    """What COCO's annotations are of: here findings."""

    id: Id
    name: str


class Annotation(msgspec.Struct):
    """A box (x, y, width, height), and where the outline is known run lengths or polygons.

    A polygon: x, y, x, y, ... of its corners.
    """

    image_id: Id
    category_id: Id
    bbox: list[float] | None = None
    segmentation: Rle | list[list[float]] | None = None


class Document(msgspec.Struct):
    """What is read of a file of COCO."""

    images: list[Image]
    annotations: list[Annotation]
    categories: list[Category]


def is_json(path: Path) -> bool:
    """Whether a file of annotations is one of these, and no table."""
    with path.open("rb") as file:
        return file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{"


def read(path: Path) -> pd.DataFrame:
    """A file as a table of text: image, finding, a box or a mask (segmentation).

    Where there is a mask, COCO's box is only what is around it, and is left out. The index says
    which annotation it is. Raises InputError if it is no such file, or an annotation makes no
    sense.
    """
    data = path.read_bytes().removeprefix(b"\xef\xbb\xbf")
    try:
        if "annotations" in msgspec.json.decode(data, type=dict[str, msgspec.Raw]):
            rows = dict(coco_rows(msgspec.json.decode(data, type=Document)))
        else:
            rows = dict(
                chexlocalize_rows(msgspec.json.decode(data, type=dict[str, dict[str, Rle]]))
            )
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise InputError(
            path,
            expected="COCO's images, annotations and categories, or run lengths by image and "
            "finding as CheXlocalize has them",
            found=str(error),
            fix="correct it, or write the annotations as a table (docs/data.md)",
        ) from None
    columns = ["image", "finding", *BOX, "segmentation"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns, dtype=str).fillna("")


def coco_rows(document: Document) -> Iterator[tuple[str, dict[str, str]]]:
    """The annotations of a file of COCO. Raises ValueError naming one that makes no sense."""
    images = {image.id: image for image in document.images}
    findings = {category.id: category.name for category in document.categories}
    for place, one in enumerate(document.annotations):
        name = f"{place} of annotations"
        image = images.get(one.image_id)
        if image is None or one.category_id not in findings:
            raise ValueError(
                f"{name} is of image_id {one.image_id!r} and category_id {one.category_id!r}, "
                "which are not both listed"
            )
        cells = {"image": image.file_name, "finding": findings[one.category_id]}
        if one.segmentation:
            try:
                cells["segmentation"] = segmentation_of(one.segmentation, image)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        elif one.bbox is not None:
            if len(one.bbox) != len(BOX):
                raise ValueError(f"{name} has a bbox of {len(one.bbox)} numbers")
            cells |= zip(BOX, map(str, one.bbox), strict=True)
        yield name, cells


def segmentation_of(outline: Rle | list[list[float]], image: Image) -> str:
    """Run lengths as JSON, of run lengths or of polygons on an image. Raises ValueError."""
    if isinstance(outline, Rle):
        return coded(outline)
    shape = run_lengths.within_limits(image.height, image.width)
    mask = np.zeros(shape, dtype=bool)
    for polygon in outline:
        if len(polygon) % 2:
            raise ValueError("a polygon has an odd number of coordinates")
        mask |= fill(np.reshape(polygon, (-1, 2)), shape)
    return json.dumps(run_lengths.to_coco(mask))


def chexlocalize_rows(
    images: dict[str, dict[str, Rle]],
) -> Iterator[tuple[str, dict[str, str]]]:
    """The masks of CheXlocalize; those without a pixel are of images without the finding."""
    for image, masks in images.items():
        for finding, mask in masks.items():
            cells = {"image": image, "finding": finding, "segmentation": coded(mask)}
            yield f"{image}: {finding}", cells


def coded(mask: Rle) -> str:
    """A mask as the JSON that a cell of a table would have."""
    return msgspec.json.encode(mask).decode()


def joined(file: str) -> str:
    """What CheXlocalize calls a file of CheXpert: its patient, study and view, joined."""
    return "_".join(stem(file).split("/")[-3:])
