"""What the stages of a run took: time and memory by Snakemake's benchmarks, and the disk.

Entry point: python -m chexviz.tools.costs --benchmarks FOLDER --data FOLDER FOLDER
--output MARKDOWN.
"""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run
from chexviz.base.files import replacing
from chexviz.base.progress import duration

STAGES = ["stage", "jobs", "wall time", "longest job", "memory of a job"]
FOLDERS = ["folder", "files", "size"]
NOTE = """\
A job counts by its last attempt. Memory is the most that all processes of a job took together,
shared pages counted once, as Snakemake samples it: every half second for 15 seconds, then every 30;
the shortest jobs have none. Of several hard links to a file, one counts."""


def stage(benchmark: Path) -> str:
    """What the benchmark of a job is of, by its path in their folder; models by architecture."""
    parts = benchmark.with_suffix("").parts
    return f"{parts[0]} {parts[2]}" if len(parts) > 3 else parts[0]


def by_stage(folder: Path) -> list[list[str]]:
    """Cells of STAGES for each stage, the longest first. Raises InputError without a benchmark."""
    paths = sorted(folder.rglob("*.tsv"))
    if not paths:
        raise InputError(
            folder,
            expected="the benchmarks of a run",
            found="none",
            fix="run the workflow first, or correct the path",
        )
    jobs = pd.concat([pd.read_csv(path, sep="\t", na_values="-") for path in paths])
    groups = jobs.groupby([stage(path.relative_to(folder)) for path in paths])
    table = groups.agg(
        jobs=("s", "size"),
        wall=("s", "sum"),
        longest=("s", "max"),
        memory=("max_pss", "max"),
    )
    return [
        [
            row.Index,
            str(row.jobs),
            *map(duration, (row.wall, row.longest)),
            f"{row.memory / 1024:.2f} GiB" if row.memory > 0 else "",
        ]
        for row in table.sort_values("wall", ascending=False).itertuples()
    ]


def on_disk(folder: Path) -> list[list[str]]:
    """Cells of FOLDERS for a folder, and for each folder in it."""
    sizes: dict[Path, dict[tuple[int, int], int]] = {}
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            state = path.stat()
            within = path.relative_to(folder).parts[:-1]
            for place in {folder, folder.joinpath(*within[:1])}:
                sizes.setdefault(place, {})[state.st_dev, state.st_ino] = state.st_size
    return [
        [str(place), f"{len(files):,}", f"{sum(files.values()) / 1e6:,.1f} MB"]
        for place, files in sorted(sizes.items())
    ]


def markdown(header: list[str], rows: Iterable[list[str]]) -> str:
    """A table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--benchmarks", required=True, type=Path)
    parser.add_argument("--data", required=True, type=Path, nargs="+", help="raw data, results")
    parser.add_argument("--output", required=True, type=Path)
    arguments = parser.parse_args(argv)
    stages = markdown(STAGES, by_stage(arguments.benchmarks))
    disk = markdown(FOLDERS, (row for folder in arguments.data for row in on_disk(folder)))
    text = f"{stages}\n\n{disk}\n\n{NOTE}\n"
    with replacing(arguments.output) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    run(main)
