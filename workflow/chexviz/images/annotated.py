"""Radiographs, Grad-CAM maps and annotations by image, and all of them on one grid."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from chexviz.base.errors import InputError
from chexviz.base.tables.sites import SAMPLES
from chexviz.base.tables.table import missing
from chexviz.images.arrays import gather, locate, open_images
from chexviz.images.resizing import weights
from chexviz.images.run_lengths import to_mask


def read_images(images_path: str, samples_path: str, images: Sequence[str]) -> np.ndarray:
    """The radiographs uint8 (n, S, S) of n images, in their order."""
    order = pd.Index(SAMPLES.read(samples_path, "image")["image"])
    positions = order.get_indexer(list(images))
    if (positions < 0).any():
        raise InputError(
            samples_path,
            expected=f"the image {images[positions.argmin()]}, as in the predictions",
            found="no such image",
            fix="predict again on the present images",
        )
    stacks = open_images(images_path)
    return gather(stacks, *locate(stacks, positions))


def read_maps(
    path: str | Path, site: str, finding: str, head: str, images: Sequence[str]
) -> np.ndarray:
    """The Grad-CAM maps (n, h, w) of a finding by a head of n images of a site, in their order."""
    name = f"{site}_{finding}_{head}"
    try:
        with np.load(path, allow_pickle=False) as archive:
            if f"map_{name}" not in archive:
                raise no_maps(path, f"maps called map_{name}", ", ".join(archive))
            held, maps = archive[f"image_{name}"], archive[f"map_{name}"]
    except FileNotFoundError:
        raise missing(path) from None
    positions = pd.Index(held).get_indexer(list(images))
    if (positions < 0).any():
        image = images[positions.argmin()]
        raise no_maps(path, f"a map of the image {image}", f"maps of {len(held)} other images")
    return maps[positions]


def no_maps(path: str | Path, expected: str, found: str) -> InputError:
    """The error of maps that are not in their file."""
    return InputError(
        path, expected=expected, found=found, fix="run the prediction of this model again"
    )


def masks(annotations: pd.DataFrame, images: Sequence[str], size: int) -> np.ndarray:
    """Where n images are annotated, bool (n, size, size): the union of an image's boxes and masks.

    A pixel belongs to a box if its centre does. A box so small that it holds no centre has the
    pixel that its corner lies in: what survived preprocessing is never lost here.
    """
    inside = np.zeros((len(images), size, size), dtype=bool)
    position = pd.Series(range(len(images)), index=images)
    for row in annotations[annotations["image"].isin(images)].itertuples():
        mask = inside[position[row.image]]
        if isinstance(row.runs, str):
            mask |= to_mask(row.runs, mask.shape)
        else:
            mask[pixels(row.y, row.height, size), pixels(row.x, row.width, size)] = True
    return inside


def pixels(start: float, length: float, size: int) -> slice:
    """The pixels of one axis whose centres lie in [start, start + length), at least one."""
    first, stop = np.ceil(np.array([start, start + length]) - 0.5).astype(int)
    if first >= stop:
        first = min(int(start), size - 1)
        stop = first + 1
    return slice(first, stop)


def upsample(maps: np.ndarray, size: int) -> np.ndarray:
    """Maps (n, h, w), not negative, as float32 (n, size, size) in [0, 1], bilinear.

    Scaled before they are resized: the maximum of a coarse map is what counts as 1. Those that are
    all zero stay so.
    """
    largest = maps.max(axis=(1, 2), keepdims=True)
    scaled = np.divide(maps, largest, out=np.zeros(maps.shape, np.float32), where=largest > 0)
    rows, columns = (weights(n, n, 0, n, size).toarray() for n in maps.shape[1:])
    return rows @ scaled @ columns.T
