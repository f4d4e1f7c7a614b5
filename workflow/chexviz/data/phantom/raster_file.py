"""Drawn radiographs to PNG and JPEG files."""

from pathlib import Path

import numpy as np
from PIL import Image

from chexviz.data.phantom.item import Item

COLOURED = 20  # one PNG in so many has four channels, as a few of NIH's have


def save_png(item: Item, pixels: np.ndarray, quality: int, path: Path) -> None:
    """An 8-bit PNG: grey, or the same grey in RGBA. Nothing is lost, whatever the quality."""
    image = Image.fromarray(pixels)
    if int(item.identity.name, 16) % COLOURED == 0:
        image = image.convert("RGBA")
    image.save(path, "PNG", compress_level=1)


def save_jpeg(item: Item, pixels: np.ndarray, quality: int, path: Path) -> None:
    """An 8-bit grey JPEG."""
    Image.fromarray(pixels).save(path, "JPEG", quality=quality)
