"""One raw file to one image: decoded, resized, hashed, with its annotations in its own pixels.

This is what the worker processes of `preprocess` run.
"""

import hashlib
import io
import math
import signal
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from chexviz.base.errors import InputError, Unreadable
from chexviz.data.decoding.radiograph import Radiograph, radiograph
from chexviz.data.workers import how_ended
from chexviz.images import run_lengths
from chexviz.images.resizing import Square, on_square, resized, square

# A baseline JPEG is decoded at reduced scale as long as that leaves so many pixels per pixel of
# the image: the resize then does nearly all of the antialiasing. At 2, edges of markers are up to
# 15 grey levels off; at 2.25, no image of 734 differs by more than 8 in one pixel of 1000.
OVERSAMPLING = 2.25
HASHED = 32  # side of the image that the perceptual hash looks at
BITS = 8  # and its bits along each side
EDGE = 1  # pixel by which rounding may put a box over the edge
# By which a fault in a decoder ends its process. Others come from elsewhere: SIGKILL from a system
# or a control group that is out of memory, SIGTERM or SIGXCPU from a cluster.
FAULTS = {
    signal.SIGABRT,
    signal.SIGBUS,
    signal.SIGFPE,
    signal.SIGILL,
    signal.SIGSEGV,
    signal.SIGTRAP,
}
MORE = "give the job more memory, or fewer threads, each of which reads a file; then run again"


@dataclass
class Task:
    """One file to be read.

    boxes: finding, x, y, width, height, of each. runs: finding and a mask, at most one of each.
    drawn_on: height and width of the image that they were drawn on; None: of the file, as it is.
    """

    slot: int
    path: Path
    image: str
    boxes: list[list]
    runs: list[list]
    drawn_on: tuple[int, int] | None = None


@dataclass
class Done:
    """What became of a file: what its header adds to its row and its annotations, or a reason.

    sha256: of the bytes that were read; '' if reading them ended the process.
    """

    sha256: str
    row: dict
    annotations: list[list]
    reason: str


def crashed(task: Task, exitcode: int) -> Done:
    """What became of a file that ended the process that did nothing but read it.

    exitcode: of the process, negative if a signal ended it. Raises InputError unless that was a
    fault in a decoder, since no image is to be lost because a machine has too little memory.
    """
    how = how_ended(exitcode)
    if -exitcode in FAULTS:
        return Done("", {}, [], f"it crashed the process that decoded it: {how}")
    raise InputError(
        task.path,
        expected="to be read by a process that is left to end",
        found=f"{how} ended the process, and once more when it read this file alone",
        fix=f"{MORE} (SIGKILL mostly comes from a system that is out of memory)",
    )


def convert_chunk(
    tasks: list[Task], images: Path, size: int, fit: str, max_pixels: int
) -> list[Done]:
    """Convert files and write the images into their slots of a .npy file that exists.

    tasks: of slots that follow each other. max_pixels: that a file may have. The images are
    hashed and written all at once, which takes a third of the time of doing it one by one.
    """
    made = np.zeros((len(tasks), size, size), dtype=np.uint8)
    done = [
        convert_into(image, task, fit, max_pixels) for image, task in zip(made, tasks, strict=True)
    ]
    for one, digits in zip(done, perceptual_hashes(made), strict=True):
        if not one.reason:
            one.row["phash"] = digits
    if tasks:
        with images.open("r+b") as file:
            file.seek(slot_start(tasks[0].slot, size))
            file.write(made.data)
    return done


def convert_into(image: np.ndarray, task: Task, fit: str, max_pixels: int) -> Done:
    """Convert a file into `image`, uint8 (size, size), which stays as it is if it is unreadable.

    Raises InputError if it cannot be opened, which it could be when it was downloaded, or if there
    is too little memory: an image is not to be lost because a disk, a network or a machine failed.
    """
    try:
        data = task.path.read_bytes()
    except OSError as error:
        raise unreachable(task.path, error) from error
    digest = hashlib.sha256(data).hexdigest()
    try:
        image[:], row, annotations = convert(data, task, len(image), fit, max_pixels)
    except Unreadable as error:
        return Done(digest, {}, [], str(error))
    except MemoryError as error:
        found = str(error) or "no memory left"
        raise InputError(
            task.path, expected="memory to decode it", found=found, fix=MORE
        ) from error
    return Done(digest, row, annotations, "")


def unreachable(path: Path, error: OSError) -> InputError:
    """The error of a file that a disk, a network or a permission withholds."""
    return InputError(
        path,
        expected="a file that can be read, as when it was downloaded",
        found=str(error.strerror),
        fix="see to its permissions, and to the disk or the network that holds it; then run again",
    )


@cache
def npy_header(count: int, size: int) -> bytes:
    """The header of an .npy file of uint8 (count, size, size); as long for every count."""
    buffer = io.BytesIO()
    layout = {"descr": "|u1", "fortran_order": False, "shape": (count, size, size)}
    np.lib.format.write_array_header_1_0(buffer, layout)
    return buffer.getvalue()


def slot_start(slot: int, size: int) -> int:
    """Where an image starts in an .npy file."""
    return len(npy_header(0, size)) + slot * size * size


def convert(
    data: bytes, task: Task, size: int, fit: str, max_pixels: int
) -> tuple[np.ndarray, dict, list[list]]:
    """Read one file: image uint8 (size, size), what its header adds to its row, its annotations.

    Raises Unreadable if the file is damaged, InputError if its annotations do not fit on it.
    """
    image, found, place = read_image(data, size, fit, max_pixels)
    shape = (found.height, found.width)
    return image, header(found, place.side / size), annotate(task, shape, place, size)


def read_image(
    data: bytes, size: int, fit: str, max_pixels: int
) -> tuple[np.ndarray, Radiograph, Square]:
    """A file's bytes as an image uint8 (size, size), what it says, and which square of it that is.

    All that the models see comes by here, to train them and to use them. Raises Unreadable if the
    file is damaged.
    """
    found = radiograph(data, math.ceil(OVERSAMPLING * size), max_pixels)
    shape = (found.height, found.width)
    place = square(*shape, fit)
    grey = resized(found.pixels, shape, place, size)
    image = grey if grey.dtype == np.uint8 else np.rint(grey).astype(np.uint8)
    return image, found, place


def header(found: Radiograph, scale: float) -> dict:
    """The columns of a sample that come from its file; numbers as text, '' if missing."""
    spacing = found.spacing and found.spacing * scale
    return {
        "view": found.view,
        "sex": found.sex,
        "age": "" if found.age is None else f"{found.age:.4g}",
        "age_stated": found.age_stated,
        "spacing": "" if spacing is None else f"{spacing:.6g}",
    }


def annotate(task: Task, shape: tuple[int, int], place: Square, size: int) -> list[list]:
    """The annotations of an image in its own pixels: rows of ANNOTATIONS.

    What lies outside of a centre crop is cut off. Raises InputError if a box or mask does not fit
    on the file's `shape` (height, width): then labels and files do not belong together. The file is
    not rejected for it, as that would leave out positive images alone.
    """
    height, width = shape
    if task.drawn_on and (task.boxes or task.runs) and shape != task.drawn_on:
        down, across = task.drawn_on
        expected = f"{across} x {down} pixels, on which its boxes or masks were drawn"
        raise misfit(task.path, expected, f"{width} x {height}")
    rows = []
    for finding, *box in task.boxes:
        inside = within(box, shape)
        if not inside:
            found = f"x, y, width, height: {', '.join(f'{value:g}' for value in box)}"
            raise misfit(task.path, f"boxes within its {width} x {height} pixels", found)
        rows.append((finding, on_square(inside, place, size), ""))
    for finding, runs in task.runs:
        try:
            mask = run_lengths.to_mask(runs, shape)
        except ValueError as error:
            expected = f"a mask within its {width} x {height} pixels"
            raise misfit(task.path, expected, str(error)) from error
        if mask.any():
            rows.append((finding, *annotate_mask(mask, place, size)))
    return [[task.image, finding, *box, runs] for finding, box, runs in rows if box]


def within(box: list[float], shape: tuple[int, int]) -> tuple[float, ...] | None:
    """A box (x, y, width, height) cut at the edges; None if that takes more than rounding put over.

    shape: height, width.
    """
    height, width = shape
    x, y, across, down = box
    corners = np.array([[x, y], [x + across, y + down]])
    cut = corners.clip(0, [width, height])
    if np.abs(corners - cut).max() > EDGE or (cut[1] <= cut[0]).any():
        return None
    return (*cut[0], *(cut[1] - cut[0]))


def misfit(path: Path, expected: str, found: str) -> InputError:
    """The error of a file on which its annotations do not fit."""
    return InputError(
        path,
        expected=expected,
        found=found,
        fix="boxes and masks are in pixels of the files that they came with, so take "
        "those: on a resized, cropped or rotated copy they lie elsewhere",
    )


def annotate_mask(mask: np.ndarray, place: Square, size: int) -> tuple[tuple | None, str]:
    """The bounding box (None if all is cut off) and the run lengths of a mask (H, W), bool."""
    down, across = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    bounds = across[0], down[0], across[-1] + 1 - across[0], down[-1] + 1 - down[0]
    covered = resized(mask.astype(np.float32), mask.shape, place, size)
    # A mask thinner than a pixel covers none by half; keep where it covers most.
    runs = run_lengths.from_mask(covered >= min(0.5, max(covered.max(), 1e-6)))
    return (on_square(bounds, place, size) if runs else None), runs


def perceptual_hashes(images: np.ndarray) -> list[str]:
    """64 bits an image that survive small changes of brightness, contrast, scale and compression.

    images: uint8 (n, S, S), S a multiple of 32. The 8 x 8 lowest frequencies of the cosine
    transform of a 32 x 32 version, without the constant row and column, each against the median
    of all. Returns 16 hexadecimal digits for each.
    """
    count, size = images.shape[:2]
    step = size // HASHED
    strips = images.reshape(count, HASHED, step, size).sum(axis=2, dtype=np.uint16)
    down = lowest_cosines()
    across = down.repeat(step, axis=1) / step**2
    # Rounded, so that what is zero in theory has no sign.
    low = np.round(down @ strips @ across.T, 6).reshape(count, BITS**2)
    middle = np.median(low, axis=1, keepdims=True)
    return [bits.tobytes().hex() for bits in np.packbits(low > middle, axis=1)]


@cache
def lowest_cosines() -> np.ndarray:
    """Frequencies 1 to 8 of the orthonormal cosine transform of 32 values: (8, 32)."""
    frequency, position = np.arange(1, BITS + 1)[:, np.newaxis], np.arange(HASHED) + 0.5
    return np.sqrt(2 / HASHED) * np.cos(np.pi * frequency * position / HASHED)
