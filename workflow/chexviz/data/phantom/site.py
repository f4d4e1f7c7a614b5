"""Radiographs of plausible chests in the layouts of public datasets, and in a hospital's own."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run
from chexviz.base.options import SEED, whole
from chexviz.base.progress import Progress
from chexviz.data.phantom.drawing import write_item
from chexviz.data.phantom.item import Finding, Item
from chexviz.data.phantom.layout import Layout, Save
from chexviz.data.phantom.layouts import LAYOUTS
from chexviz.data.phantom.population import plan
from chexviz.data.workers import Workers, how_ended

CHUNK = 16  # radiographs that a worker takes at once


def generate(
    layout: str,
    folder: Path,
    *,
    images: int,
    seed: int,
    workers: int,
    positives: Mapping[str, int] | None = None,
    unlabelled: int | None = None,
    size: int | None = None,
    number: int = 1,
) -> None:
    """Write a site of drawn radiographs into `folder`; the bytes do not depend on `workers`.

    layout, images, positives, unlabelled, number: see `plan`, which raises InputError. size: pixels
    a side, a multiple of 4; None: as many as the layout says.
    """
    items = plan(layout, images, seed, positives, unlabelled, number)
    chosen = LAYOUTS[layout]
    folder.mkdir(parents=True, exist_ok=True)
    with Progress(f"draw {layout} phantoms", total=len(items), unit="image") as progress:
        findings = draw(items, chosen, folder, size or chosen.size, workers, progress)
    chosen.write_tables(items, findings, folder, seed)


def draw(
    items: list[Item], layout: Layout, folder: Path, size: int, workers: int, progress: Progress
) -> list[Finding]:
    """Write all items on `workers` processes; what was drawn on each."""
    # Exams of one patient follow one another, and share what they have in common (anatomy.once).
    order = sorted(range(len(items)), key=lambda number: items[number].exam.patient)
    chunks = [order[start : start + CHUNK] for start in range(0, len(order), CHUNK)]
    work = partial(write_items, save=layout.save, folder=folder, size=size, lungs=layout.lungs)
    findings: dict[int, Finding] = {}
    with Workers(workers) as pool:
        drawn = pool.in_order(work, [[items[n] for n in chunk] for chunk in chunks], crashed)
        for chunk, results in zip(chunks, drawn, strict=True):
            findings |= zip(chunk, results, strict=True)
            progress.step(len(chunk))
    return [findings[number] for number in range(len(items))]


def write_items(
    items: list[Item], save: Save, folder: Path, size: int, lungs: bool
) -> list[Finding]:
    """The work of a process on some of the items."""
    return [write_item(item, save, folder, size, lungs) for item in items]


def crashed(item: Item, exitcode: int) -> Finding:
    """Raise InputError for an item that ended a process which did nothing but draw it."""
    raise InputError(
        item.file,
        expected="to be drawn by a process that is left to end",
        found=f"{how_ended(exitcode)} ended the process, and once more when it drew this one alone",
        fix="give the job more memory, or fewer threads; then run again",
    )


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--layout", required=True, choices=sorted(LAYOUTS))
    parser.add_argument("--images", required=True, type=whole(20, 10**7), help="labelled images")
    parser.add_argument("--seed", required=True, type=whole(0, SEED), help="of the population")
    parser.add_argument("--output", required=True, type=Path, help="folder")
    parser.add_argument("--workers", type=whole(1, 1000), default=2)
    parser.add_argument("--size", type=whole(32, 8192), help="pixels a side")
    arguments = parser.parse_args(argv)
    generate(
        arguments.layout,
        arguments.output,
        images=arguments.images,
        seed=arguments.seed,
        workers=arguments.workers,
        size=arguments.size,
    )


if __name__ == "__main__":
    run(main)
