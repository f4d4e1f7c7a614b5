"""Unpacking a zip of many empty files, against Python's own extraction and making the files."""

import contextlib
import io
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))
from chexviz.data.sources.archives import unpack

COUNTS = (20_000, 200_000)
FOLDERS = 100
GOAL = 3.0  # times as long as making the files alone


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of one call, the system's included: others may use the machine and its disk."""
    start = time.process_time()
    with contextlib.redirect_stderr(io.StringIO()):
        work()
    return time.process_time() - start


def make(names: list[str], folder: Path) -> None:
    """Empty files and nothing else."""
    for number in range(FOLDERS):
        (folder / str(number)).mkdir(parents=True)
    for name in names:
        (folder / name).touch()


def main() -> None:
    print("## Archives\n\nA zip of empty files in 100 folders; CPU seconds, one run.\n")
    print("| files | files alone | zipfile | ours | ours / files alone | goal |")
    print("|---|---|---|---|---|---|")
    for count in COUNTS:
        names = [f"{number % FOLDERS}/{number:06d}.dcm" for number in range(count)]
        with tempfile.TemporaryDirectory() as made:
            folder, archive = Path(made), Path(made) / "a.zip"
            with zipfile.ZipFile(archive, "w") as file:
                for name in names:
                    file.writestr(name, "")
            alone = seconds(lambda names=names, to=folder / "1": make(names, to))
            with zipfile.ZipFile(archive) as file:
                theirs = seconds(lambda file=file, to=folder / "2": file.extractall(to))
            ours = seconds(lambda archive=archive, to=folder / "3": unpack(archive, to))
        print(
            f"| {count:,} | {alone:.1f} | {theirs:.1f} | {ours:.1f} | {ours / alone:.2f}x "
            f"| {GOAL:g}x |",
            flush=True,
        )


if __name__ == "__main__":
    main()
