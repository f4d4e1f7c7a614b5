"""Items to radiographs, near-identical copies among them, and what is on each."""

from pathlib import Path

import numpy as np

from chexviz.data.phantom.item import Finding, Item
from chexviz.data.phantom.layout import Save
from chexviz.data.phantom.radiograph import Box, lung_mask, render
from chexviz.images import run_lengths


def write_item(item: Item, save: Save, folder: Path, size: int, lungs: bool) -> Finding:
    """Draw one radiograph of `size` pixels a side, write its file, and say what is on it.

    lungs: whether the lungs are outlined too, where there is a pneumonia or a pneumothorax.
    """
    pixels, boxes, masks = render(item.exam, size)
    shows = item.exam.pneumonia or item.exam.pneumothorax
    air = lung_mask(item.exam, size) if lungs and shows else None
    quality = int(item.exam.draws("quality").integers(90, 96))
    right = down = 0
    if item.edition is not None:
        draws = np.random.default_rng(item.edition)
        right, down = draws.integers(0, max(2, size // 256), 2).tolist()
        quality = int(draws.integers(80, 90))
        pixels = touched_up(shifted(pixels, right, down), draws)
        masks = [shifted(mask, right, down) for mask in masks]
        air = None if air is None else shifted(air, right, down)
    path = folder / item.file
    path.parent.mkdir(parents=True, exist_ok=True)
    save(item, pixels, quality, path)
    found = {name: [moved(box, right, down, size) for box in some] for name, some in boxes.items()}
    if masks:
        found["pneumothorax"] = [around(mask) for mask in masks if mask.any()]
    outlines = [relative_runs(mask) for mask in masks]
    return Finding(found, outlines, None if air is None else run_lengths.to_coco(air))


def shifted(pixels: np.ndarray, right: int, down: int) -> np.ndarray:
    """The image moved by whole pixels; its first column and row fill the gap."""
    moved = np.pad(pixels, ((down, 0), (right, 0)), mode="edge")
    return moved[: len(pixels), : len(pixels)]


def touched_up(pixels: np.ndarray, draws: np.random.Generator) -> np.ndarray:
    """Slightly brighter or darker."""
    grey = pixels * np.float32(draws.uniform(0.96, 1.03)) + np.float32(draws.uniform(-3, 3))
    return np.clip(grey, 0, 255).astype(np.uint8)


def moved(box: Box, right: int, down: int, size: int) -> Box:
    """A box moved by whole pixels: the part of it within the image."""
    x, y, width, height = box
    x, y = x + right, y + down
    return x, y, min(width, size - x), min(height, size - y)


def around(mask: np.ndarray) -> Box:
    """The box around a mask that is not empty."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    x, y = int(columns[0]), int(rows[0])
    return x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y


def relative_runs(mask: np.ndarray) -> str:
    """SIIM-ACR's run lengths, column by column: gap since the last run's end, length, ..."""
    starts, lengths = run_lengths.parse(run_lengths.from_mask(mask)).T
    ends = np.r_[0, (starts + lengths)[:-1]]
    return run_lengths.text(np.column_stack([starts - ends, lengths]))
