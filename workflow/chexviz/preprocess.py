"""A site's raw files to packed arrays and tables, on all cores.

Entry point: python -m chexviz.preprocess --site rsna --manifest CSV --settings JSON --threads 4
--images NPY --samples CSV --annotations CSV --rejected CSV. What the files hold is said in
docs/architecture.md. Order and bytes do not depend on the number of threads.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from scipy.fft import dctn

from chexviz import runlength
from chexviz.dicom import Radiograph, Unreadable, read_radiograph
from chexviz.errors import InputError, run
from chexviz.files import replacing
from chexviz.progress import Progress
from chexviz.readers import BOX, Listing, empty_site, read

SAMPLES = ["image", "file", "patient", "patient_known", "label", "view", "sex", "age", "spacing"]
SAMPLES += ["sha256", "phash"]
ANNOTATIONS = ["image", *BOX, "runs"]
CHUNK = 16  # images a worker takes at once: enough to hide the exchange, few enough to end together
REASONS = 8  # kinds of rejection named in the summary; all are in rejected.csv


@dataclass
class Square:
    """The square of a radiograph that becomes an image: padded around it, or cut out of it.

    side: of the square. left, top: what is added (positive) or cut off (negative) there. All in
    pixels of the file.
    """

    side: int
    left: int
    top: int


@dataclass
class Task:
    """One file to be read. boxes: (n, 4) x, y, width, height; runs: '' or a mask; file pixels."""

    slot: int
    path: Path
    image: str
    boxes: list[list[float]]
    runs: str


def square(height: int, width: int, fit: str) -> Square:
    """The square for an image. fit: 'pad' (black around all of it) or 'crop' (its centre)."""
    side = max(height, width) if fit == "pad" else min(height, width)
    # Truncated towards zero for both, so that the odd pixel goes to the right and the bottom.
    return Square(side, int((side - width) / 2), int((side - height) / 2))


def resized(pixels: np.ndarray, shape: tuple[int, int], place: Square, size: int) -> np.ndarray:
    """Cut or pad pixels to `place` and resize to float32 or uint8 (size, size), antialiased.

    pixels: uint8 or float32, all of a file's `shape` (height, width), possibly at reduced scale.
    The filter is the triangle as wide as the reduction (Pillow's BILINEAR): it averages over all
    pixels, and neither rings nor overshoots at edges as sharper ones do.
    """
    scale = len(pixels) / shape[0]
    side, left, top = (round(value * scale) for value in (place.side, place.left, place.top))
    canvas = np.zeros((side, side), dtype=pixels.dtype)
    part = pixels[max(-top, 0) :, max(-left, 0) :][:side, :side]
    canvas[max(top, 0) :, max(left, 0) :][: part.shape[0], : part.shape[1]] = part
    return np.asarray(Image.fromarray(canvas).resize((size, size), Image.Resampling.BILINEAR))


def perceptual_hash(image: np.ndarray) -> str:
    """64 bits that survive small changes of brightness, contrast, scale and compression, in hex.

    image: uint8 (S, S). The 8 x 8 lowest frequencies of the cosine transform of a 32 x 32 version,
    without the constant row and column, each against the median of all.
    """
    small = Image.fromarray(image).resize((32, 32), Image.Resampling.BOX)
    low = dctn(np.asarray(small, dtype=np.float64), norm="ortho")[1:9, 1:9]
    return np.packbits(low > np.median(low)).tobytes().hex()


def annotate(task: Task, shape: tuple[int, int], place: Square, size: int) -> list[list]:
    """The annotations of an image in its own pixels: rows of ANNOTATIONS.

    What lies outside of a centre crop is cut off. Raises Unreadable if a box or mask does not fit
    on the file's `shape` (height, width): then label and file do not belong together.
    """
    height, width = shape
    rows = []
    for x, y, w, h in task.boxes:
        if x < 0 or y < 0 or x + w > width or y + h > height:
            raise Unreadable(f"a box reaches beyond its {width} x {height} pixels")
        rows += on_square((x, y, w, h), place, size, "")
    if task.runs:
        try:
            mask = runlength.to_mask(task.runs, shape)
        except ValueError as error:
            raise Unreadable(f"its mask does not fit: {error}") from error
        if mask.any():
            down, across = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
            x, y = across[0], down[0]
            covered = resized(mask.astype(np.float32), shape, place, size)
            # A mask thinner than a pixel covers none by half; keep where it covers most.
            runs = runlength.from_mask(covered >= min(0.5, max(covered.max(), 1e-6)))
            bounds = (x, y, across[-1] + 1 - x, down[-1] + 1 - y)
            rows += on_square(bounds, place, size, runs) if runs else []
    return [[task.image, *row] for row in rows]


def on_square(box, place: Square, size: int, runs: str) -> list[list]:
    """A box of file pixels in pixels of the (size, size) image, clipped to it: one row, or none."""
    x, y, width, height = (float(value) for value in box)
    scale = size / place.side
    left, right = np.clip([x + place.left, x + place.left + width], 0, place.side) * scale
    top, bottom = np.clip([y + place.top, y + place.top + height], 0, place.side) * scale
    if right <= left or bottom <= top:
        return []
    corners = (left, top, right - left, bottom - top)
    return [[*(round(float(value), 4) for value in corners), runs]]


def convert(task: Task, size: int, fit: str) -> tuple[np.ndarray, dict, list[list]]:
    """Read one file: image uint8 (size, size), what its header adds to its row, its annotations.

    Raises Unreadable if the file or its annotations are damaged.
    """
    # Twice the resolution that is needed leaves the antialiasing to the resize.
    radiograph = read_radiograph(task.path, enough=2 * size)
    shape = (radiograph.height, radiograph.width)
    place = square(*shape, fit)
    grey = resized(radiograph.pixels, shape, place, size)
    image = np.clip(np.rint(grey), 0, 255).astype(np.uint8)
    return image, header(radiograph, place.side / size, image), annotate(task, shape, place, size)


def header(radiograph: Radiograph, scale: float, image: np.ndarray) -> dict:
    """The columns of a sample that come from its file; numbers as text, '' if missing."""
    spacing = radiograph.spacing and radiograph.spacing * scale
    return {
        "view": radiograph.view,
        "sex": radiograph.sex,
        "age": "" if radiograph.age is None else f"{radiograph.age:.4g}",
        "spacing": "" if spacing is None else f"{spacing:.6g}",
        "phash": perceptual_hash(image),
    }


def convert_chunk(tasks: list[Task], scratch: Path, size: int, fit: str) -> list:
    """Convert files into their slots of the scratch file; per task a row, annotations, reason."""
    done = []
    with scratch.open("r+b") as file:
        for task in tasks:
            try:
                image, row, annotations = convert(task, size, fit)
                file.seek(task.slot * image.nbytes)
                file.write(image.tobytes())
                done.append((row, annotations, ""))
            except Unreadable as error:
                done.append(({}, [], str(error)))
    return done


def tasks_of(listing: Listing, folder: Path) -> list[Task]:
    """One task a record, in the order of the records."""
    boxes = {image: rows[BOX].values.tolist() for image, rows in listing.boxes.groupby("image")}
    runs = dict(zip(listing.runs["image"], listing.runs["runs"], strict=True))
    return [
        Task(slot, folder / row.file, row.image, boxes.get(row.image, []), runs.get(row.image, ""))
        for slot, row in enumerate(listing.records.itertuples())
    ]


def convert_all(
    tasks: list[Task], scratch: Path, size: int, fit: str, threads: int, label: str
) -> Iterator[tuple]:
    """Convert every file with `threads` processes; yields the results in the order of the tasks."""
    scratch.write_bytes(b"")
    chunks = [tasks[start : start + CHUNK] for start in range(0, len(tasks), CHUNK)]
    work = partial(convert_chunk, scratch=scratch, size=size, fit=fit)
    with ExitStack() as stack:
        progress = stack.enter_context(Progress(label, total=len(tasks), unit="image"))
        if threads == 1:
            results = map(work, chunks)
        else:
            # Spawned workers share no locks or open files with this process, unlike forked ones.
            context = get_context("spawn")
            pool = ProcessPoolExecutor(min(threads, len(chunks)), mp_context=context)
            results = stack.enter_context(pool).map(work, chunks)
        for result in results:
            yield from result
            progress.step(len(result))


def pack(scratch: Path, keep: np.ndarray, size: int, target: Path) -> None:
    """Write the images in the slots `keep` (n,) of the scratch file as .npy, one at a time."""
    with scratch.open("rb") as source, target.open("wb") as file:
        layout = {"descr": "|u1", "fortran_order": False, "shape": (len(keep), size, size)}
        np.lib.format.write_array_header_1_0(file, layout)
        for slot in keep.tolist():
            source.seek(slot * size * size)
            file.write(source.read(size * size))


def check_files(folder: Path, files: pd.DataFrame) -> None:
    """Raise InputError unless every file of the manifest is there, with the size it had."""
    for file, size in zip(files["file"], files["bytes"], strict=True):
        path = folder / file
        found = f"{path.stat().st_size} bytes" if path.is_file() else "no such file"
        if found != f"{size} bytes":
            raise InputError(
                path,
                expected=f"{size} bytes, as in the manifest",
                found=found,
                fix=f"remove {folder.parent / 'manifest.csv'} and run again",
            )


def summary(site: str, samples: pd.DataFrame, rejected: pd.DataFrame) -> str:
    """One line: how many images, how many positive, how many rejected and the main reasons."""
    # Names and sizes in reasons give way to '...', so that one kind of reason counts as one.
    names = r"(?<![\w/.-])(?![\w/.-]*\.csv)[\w/.-]*\d[\w/.-]*"
    kinds = rejected["reason"].str.replace(names, "...", regex=True).value_counts()
    why = [f"{count} x {reason}" for reason, count in kinds.head(REASONS).items()]
    if len(kinds) > REASONS:
        why.append(f"{kinds[REASONS:].sum()} x others")
    positive = (samples["label"] == "1").sum()
    line = (
        f"preprocess {site}: {len(samples)} images, {positive} positive, {len(rejected)} rejected"
    )
    return f"{line} ({'; '.join(why)})" if why else line


def preprocess(
    site: str, manifest: Path, settings: Mapping, threads: int, outputs: Mapping[str, Path]
) -> str:
    """Read a site's files and write its four outputs (images, samples, annotations, rejected).

    All four appear together at the end, or none. Returns a line that sums them up.
    Raises InputError if a table is not as expected or no labelled image is left.
    """
    folder = manifest.parent / "data"
    files = pd.read_csv(manifest, dtype={"file": str, "sha256": str}, keep_default_na=False)
    check_files(folder, files)
    listing = read(settings["reader"], folder, files, settings)
    listing.records = listing.records.sort_values("image").reset_index(drop=True)
    tasks, size = tasks_of(listing, folder), settings["size"]
    with ExitStack() as stack:
        paths = {name: stack.enter_context(replacing(path)) for name, path in outputs.items()}
        scratch = outputs["images"].with_name(".images.scratch")
        stack.callback(scratch.unlink, missing_ok=True)
        results = convert_all(
            tasks, scratch, size, settings["fit"], threads, label=f"preprocess {site}"
        )
        rows, annotations, reasons = map(list, zip(*results, strict=True))
        samples, rejected = tabulate(listing, files, rows, reasons)
        if not (samples["label"] != "").any():
            raise empty_site(folder, summary(site, samples, rejected))
        keep = np.flatnonzero([not reason for reason in reasons])
        pack(scratch, keep, size, paths["images"])
        write(samples, paths["samples"])
        flat = [row for some in annotations for row in some]
        write(pd.DataFrame(flat, columns=ANNOTATIONS), paths["annotations"])
        write(rejected, paths["rejected"])
    return summary(site, samples, rejected)


def tabulate(listing: Listing, files: pd.DataFrame, rows: list[dict], reasons: list[str]):
    """The tables samples and rejected, from a row or a reason for every record."""
    records = listing.records.assign(reason=reasons)
    samples = pd.concat([records, pd.DataFrame(rows, index=records.index)], axis=1)
    samples["sha256"] = samples["file"].map(files.set_index("file")["sha256"])
    samples = samples[samples["reason"] == ""].reindex(columns=SAMPLES)
    rejected = pd.concat(
        [listing.rejected, records.loc[records["reason"] != "", ["file", "reason"]]]
    )
    return samples, rejected.sort_values(["file", "reason"])


def write(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV."""
    table.to_csv(path, index=False, lineterminator="\n")


def main(argv=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--site", required=True)
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--settings", type=json.loads, required=True)
    parser.add_argument("--threads", type=int, default=1)
    outputs = ("images", "samples", "annotations", "rejected")
    for name in outputs:
        parser.add_argument(f"--{name}", type=Path, required=True)
    arguments = parser.parse_args(argv)
    line = preprocess(
        arguments.site,
        arguments.manifest,
        arguments.settings,
        arguments.threads,
        {name: getattr(arguments, name) for name in outputs},
    )
    print(line, file=sys.stderr)


if __name__ == "__main__":
    run(main)
