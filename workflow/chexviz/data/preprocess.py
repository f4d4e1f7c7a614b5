"""A site's raw files to packed arrays and tables, on all cores.

Entry point: python -m chexviz.data.preprocess --site rsna --manifest CSV --settings JSON
--threads 4 --images NPY --samples CSV --annotations CSV --rejected CSV --contract CSV. What the
files hold is said in docs/architecture.md. Order and bytes do not depend on the number of threads.
With --shard 2 5 it is the second of five equal parts of the site, which `merge_shards` joins.
"""

import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
import pandas as pd

from chexviz.base import rejections
from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.files import replacing_all
from chexviz.base.formulas import no_formula
from chexviz.base.progress import Progress
from chexviz.base.settings import Positive
from chexviz.base.settings import read as read_settings
from chexviz.base.tables.sites import ANNOTATIONS, CONTRACT, MANIFEST, REJECTED, SAMPLES
from chexviz.data import contract
from chexviz.data.convert import (
    Done,
    Task,
    convert_chunk,
    crashed,
    npy_header,
    slot_start,
)
from chexviz.data.decoding.signature import is_named_radiograph
from chexviz.data.described import DESCRIPTIONS, completed
from chexviz.data.readers.listing import (
    BOX,
    Listing,
    Options,
    attribute_columns,
    empty_site,
    kept,
    label_columns,
    positives,
)
from chexviz.data.readers.registry import read
from chexviz.data.unchanged import check_files, check_tables, unchanged
from chexviz.data.workers import Workers

CHUNK = 32  # images a worker takes at once: enough to hide the exchange, few enough to end together
FLUSHED = 16  # chunks after which they are sent to the disk, lest a long flush waits at the end
REASONS = 8  # kinds of rejection named in the summary; all are in rejected.csv


class Preprocess(Options, frozen=True):
    """How a site's files become arrays of size x size pixels; see `contract` and `convert`."""

    reader: str
    contract: contract.Contract | None
    size: Positive
    fit: Literal["pad", "crop"]
    max_pixels: Positive


def part(listing: Listing, number: int, count: int) -> Listing:
    """Shard `number` (from 1) of `count` of the records, in order.

    What is rejected without a record goes to the first shard.
    """
    first, stop = (len(listing.records) * end // count for end in (number - 1, number))
    records = listing.records[first:stop].reset_index(drop=True)
    rejected = listing.rejected if number == 1 else listing.rejected[:0]
    return replace(
        listing,
        records=records,
        boxes=kept(listing.boxes, records),
        runs=kept(listing.runs, records),
        rejected=rejected,
    )


def tasks_of(listing: Listing, folder: Path) -> list[Task]:
    """One task a record, in the order of the records."""
    boxes, runs = (
        {image: rows[columns].values.tolist() for image, rows in table.groupby("image")}
        for table, columns in (
            (listing.boxes, ["finding", *BOX]),
            (listing.runs, ["finding", "runs"]),
        )
    )
    side = (listing.side, listing.side) if listing.side else None
    tasks = []
    for slot, row in enumerate(listing.records.itertuples()):
        drawn = boxes.get(row.image, []), runs.get(row.image, [])
        drawn_on = listing.sizes.get(row.image, side)
        tasks.append(Task(slot, folder / row.file, row.image, *drawn, drawn_on))
    return tasks


def convert_all(
    tasks: list[Task], images: Path, settings: Preprocess, workers: Workers, label: str
) -> Iterator[Done]:
    """Convert every file into its slot of the new file `images`."""
    images.write_bytes(b"")
    chunks = [tasks[start : start + CHUNK] for start in range(0, len(tasks), CHUNK)]
    work = partial(
        convert_chunk,
        images=images,
        size=settings.size,
        fit=settings.fit,
        max_pixels=settings.max_pixels,
    )
    with images.open("rb") as file, Progress(label, total=len(tasks), unit="image") as progress:
        for number, done in enumerate(workers.in_order(work, chunks, crashed), 1):
            yield from done
            progress.step(len(done))
            if number % FLUSHED == 0:
                os.fsync(file.fileno())


def close_gaps(images: Path, keep: np.ndarray, size: int) -> None:
    """Make the slots `keep` (n,), ascending, the whole of the .npy file, moving one at a time."""
    with images.open("r+b") as file:
        file.write(npy_header(len(keep), size))
        for target, slot in enumerate(keep.tolist()):
            if slot != target:
                file.seek(slot_start(slot, size))
                image = file.read(size * size)
                file.seek(slot_start(target, size))
                file.write(image)
        file.truncate(slot_start(len(keep), size))


def summary(site: str, samples: pd.DataFrame, rejected: pd.DataFrame) -> str:
    """One line: images, positives, rejected files and the main reasons, known patients."""
    kinds = rejections.kinds(rejected["reason"]).value_counts()
    why = [f"{count} x {reason}" for reason, count in kinds.head(REASONS).items()]
    if len(kinds) > REASONS:
        why.append(f"{kinds[REASONS:].sum()} x others")
    counts = [f"{count} with {finding}" for finding, count in positives(samples).items()]
    line = (
        f"preprocess {site}: {len(samples)} images, {', '.join(counts)}, {len(rejected)} rejected"
    )
    line += f" ({'; '.join(why)})" * bool(why)
    known = samples.loc[samples["patient_known"], "patient"]
    if known.empty:
        return f"{line}; no patient is known, so that shared ones cannot be found"
    return f"{line}; {known.nunique()} patients are known, of {len(known)} images"


def left_alone(site: str, listing: Listing) -> str:
    """One line: the files that are neither radiographs nor in a table, by kind."""
    kinds = Counter(PurePosixPath(file).suffix.lower() or "no suffix" for file in listing.others)
    counts = ", ".join(f"{count} x {kind}" for kind, count in kinds.most_common(REASONS))
    total = f"{len(listing.others)} other files were not read"
    return f"preprocess {site}: {total}, being neither radiographs nor in the label table: {counts}"


def list_shard(
    site: str, folder: Path, files: pd.DataFrame, settings: Preprocess, shard: tuple[int, int]
) -> tuple[Listing, pd.DataFrame]:
    """The listing of a shard, sorted by image, and the site's contract (see contract.check).

    The shard's files, and those that are no image, are known to be those of the manifest then, but
    for the bytes of images, which are compared when they are decoded.
    """
    named = files["file"].map(is_named_radiograph)
    check_files(folder, files[~named])  # which the reader opens
    listing = read(settings.reader, folder, files, settings)
    listing.records = listing.records.sort_values("image").reset_index(drop=True)
    agreed = contract.check(site, settings.contract, folder, files, listing)
    check_tables(folder, files, set(listing.records["file"]))
    mine = part(listing, *shard)
    others = ~listing.records["file"].isin(mine.records["file"])
    check_files(folder, files[~files["file"].isin(listing.records["file"][others])])
    return mine, agreed


def preprocess(
    site: str,
    manifest: Path,
    settings: Preprocess,
    threads: int,
    outputs: Mapping[str, Path],
    shard: tuple[int, int] = (1, 1),
) -> str:
    """Read a site's files and write its outputs (images, samples, annotations, rejected, contract).

    shard: its number, from 1, and how many there are. All five appear together at the end, or none.
    Returns a line that sums them up. Raises InputError if a table is not as expected, a strict
    contract is not met or no labelled image is left (of a site; a shard may have none).
    """
    folder = manifest.parent / "data"
    files = MANIFEST.read(manifest)
    with Workers(min(threads, 1 + len(files) // CHUNK)) as workers:
        listing, agreed = list_shard(site, folder, files, settings, shard)
        name = site if shard == (1, 1) else f"{site}, shard {shard[0]} of {shard[1]}"
        if listing.others and shard[0] == 1:
            print(left_alone(site, listing), file=sys.stderr)
        tasks, size = tasks_of(listing, folder), settings.size
        checksums = listing.records["file"].map(files.set_index("file")["sha256"]).tolist()
        with replacing_all(outputs) as paths:
            results = convert_all(
                tasks, paths["images"], settings, workers, label=f"preprocess {name}"
            )
            done = list(unchanged(results, tasks, checksums))
            samples, rejected = tabulate(listing, checksums, done)
            line = summary(name, samples, rejected)
            if shard == (1, 1):  # merge does it for several
                if samples[label_columns(samples)].isna().all(axis=None):
                    raise empty_site(folder, line)
                kept_ones = contract.check_kept(site, settings.contract, folder, samples, line)
                agreed = pd.concat([agreed, kept_ones])
            keep = np.flatnonzero([not one.reason for one in done])
            close_gaps(paths["images"], keep, size)
            SAMPLES.write(without_formulas(samples), paths["samples"])
            flat = [row for one in done for row in one.annotations]
            annotations = without_formulas(ANNOTATIONS.frame(flat))
            ANNOTATIONS.write(annotations, paths["annotations"])
            REJECTED.write(without_formulas(rejected), paths["rejected"])
            CONTRACT.write(without_formulas(agreed), paths["contract"])
    return line


def tabulate(
    listing: Listing, checksums: list[str], done: list[Done]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables samples and rejected, from what became of every record."""
    records = listing.records.assign(reason=[one.reason for one in done], sha256=checksums)
    rows = pd.DataFrame([one.row for one in done], index=records.index)
    samples = pd.concat([records.drop(columns=DESCRIPTIONS, errors="ignore"), rows], axis=1)
    labels, attributes = label_columns(records), attribute_columns(records)
    samples = samples[samples["reason"] == ""]
    samples = samples.reindex(columns=[*SAMPLES.names, *labels, *attributes])
    samples = completed(samples, records)
    samples[labels] = samples[labels].replace("", None).astype("Int64")
    rejected = pd.concat(
        [listing.rejected, records.loc[records["reason"] != "", ["file", "reason"]]]
    )
    return samples, rejected.sort_values(["file", "reason"])


def without_formulas(table: pd.DataFrame) -> pd.DataFrame:
    """A table in which no text is a formula to a spreadsheet.

    All later tables take their names of images, patients and files from those of this stage.
    """
    texts = table.select_dtypes(["object", "string"])
    return table.assign(**{column: texts[column].map(no_formula) for column in texts})


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--site", required=True)
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--settings", required=True, help="JSON, see Preprocess")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--shard", nargs=2, type=int, default=(1, 1), metavar=("NUMBER", "COUNT"))
    outputs = ("images", "samples", "annotations", "rejected", "contract")
    for name in outputs:
        parser.add_argument(f"--{name}", type=Path, required=True)
    arguments = parser.parse_args(argv)
    line = preprocess(
        arguments.site,
        arguments.manifest,
        read_settings(arguments.settings, Preprocess),
        arguments.threads,
        {name: getattr(arguments, name) for name in outputs},
        tuple(arguments.shard),
    )
    print(line, file=sys.stderr)


if __name__ == "__main__":
    run(main)
