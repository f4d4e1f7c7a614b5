"""Radiographs to packed images: ours against pydicom, per core, and two workers against one.

The files are the real radiographs of CHEXVIZ_TEST_DATA (or of the tests' default folder), else
phantoms drawn for this. They are in the page cache before anything is measured.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from pydicom import dcmread

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))
from chexviz import phantom
from chexviz.convert import OVERSAMPLING, Task, convert_chunk
from chexviz.dicom import read_radiograph
from chexviz.geometry import resized, square
from chexviz.workers import keep_freed_memory

ROOT = Path(__file__).parents[1]
SIZE = 224
FILES, REPEATS, BLOCK = 240, 5, 12
MANY, RUNS = 6_000, 3  # images and repeats of the comparison of workers
GOALS = {"Pillow": 2.5, "default": 5.0, "PNG": 8.0, "workers": 1.8}
OUTPUTS = ("images.npy", "samples.csv", "annotations.csv", "rejected.csv", "contract.csv")


def radiographs(folder: Path) -> tuple[list[Path], str]:
    """DICOM files of 1024 x 1024 pixels, and what they are."""
    real = Path(os.environ.get("CHEXVIZ_TEST_DATA", ROOT.parent / "shared" / "data"))
    for archive in real.glob("rsna-mini/*.zip"):
        with zipfile.ZipFile(archive) as files:
            for name in files.namelist():
                if name.endswith(".dcm"):
                    (folder / Path(name).name).write_bytes(files.read(name))
    files = [*folder.glob("*.dcm"), *real.glob("hospital-mini/dicom/*.dcm")]
    if files:
        return sorted(files, key=lambda path: path.name), "real radiographs"
    phantom.generate("table", folder, images=FILES, seed=2022, workers=os.cpu_count() or 1)
    return sorted(folder.rglob("*.dcm")), "phantom radiographs"


# --- one core ---


def pydicom_image(path: Path, plugin: str) -> np.ndarray:
    """What most people write. plugin: of the decoder; '': pydicom's first choice."""
    dataset = dcmread(path)
    dataset.pixel_array_options(decoding_plugin=plugin)
    whole = Image.fromarray(dataset.pixel_array)
    return np.asarray(whole.resize((SIZE, SIZE), Image.Resampling.BILINEAR))


def our_image(path: Path) -> np.ndarray:
    """The image alone, without what else preprocessing takes from the file."""
    found = read_radiograph(path, enough=round(OVERSAMPLING * SIZE))
    shape = (found.height, found.width)
    grey = resized(found.pixels, shape, square(*shape, "pad"), SIZE)
    return np.ascontiguousarray(np.rint(grey).astype(np.uint8))


def measure(methods: dict[str, Callable], files: list[Path]) -> dict[str, np.ndarray]:
    """CPU milliseconds per file of every method, (REPEATS,) each, on this core.

    The methods take turns every few files, so that all meet the same disturbances.
    """
    spent = {name: np.zeros(REPEATS) for name in methods}
    for repeat in range(REPEATS):
        for start in range(0, len(files), BLOCK):
            for name, method in methods.items():
                began = time.process_time()
                method(files[start : start + BLOCK])
                spent[name][repeat] += time.process_time() - began
    return {name: 1000 * seconds / len(files) for name, seconds in spent.items()}


def one_core(files: list[Path], folder: Path) -> dict[str, np.ndarray]:
    """Time per image of decoding and resizing, and of preprocessing and storing."""
    store, numbers = folder / "images.npy", {path: number for number, path in enumerate(files)}
    store.write_bytes(b"")

    def each(image: Callable) -> Callable:
        return lambda paths: [image(path) for path in paths]

    def as_png(path: Path) -> None:
        Image.fromarray(pydicom_image(path, "")).save(folder / f"{path.stem}.png")

    def packed(paths: list[Path]) -> None:
        tasks = [Task(numbers[path], path, path.stem, [], "") for path in paths]
        done = convert_chunk(tasks, store, SIZE, "pad")
        assert not any(one.reason for one in done)

    methods = {
        "ours": each(our_image),
        "Pillow": each(lambda path: pydicom_image(path, "pillow")),
        "default": each(lambda path: pydicom_image(path, "")),
        "packed": packed,
        "PNG": each(as_png),
    }
    for method in methods.values():
        method(files[:BLOCK])  # imports, tables and caches are there when the clock starts
    return measure(methods, files)


def fidelity(files: list[Path]) -> str:
    """How far our images are from those of full decoding, on the worst file."""
    differences = [
        np.abs(our_image(path).astype(int) - pydicom_image(path, "pillow")) for path in files
    ]
    mean = max(one.mean() for one in differences)
    within = min((one <= 8).mean() for one in differences)
    return f"mean difference {mean:.2f} grey levels, {within:.2%} of pixels within 8"


# --- workers ---


def make_site(files: list[Path], folder: Path) -> None:
    """A site of MANY images: the same files under many names, with a table and a manifest."""
    (folder / "data").mkdir(parents=True)
    rows, labels = [], ["file,patient,finding"]
    known = [(len(data := path.read_bytes()), hashlib.sha256(data).hexdigest()) for path in files]
    for number in range(MANY):
        name = f"{number:05d}.dcm"
        (folder / "data" / name).symlink_to(files[number % len(files)])
        rows.append((name, *known[number % len(files)]))
        labels.append(f"{name},{number},{number % 2}")
    table = ("\n".join(labels) + "\n").encode()
    (folder / "data" / "labels.csv").write_bytes(table)
    rows.append(("labels.csv", len(table), hashlib.sha256(table).hexdigest()))
    manifest = pd.DataFrame(rows, columns=["file", "bytes", "sha256"])
    manifest.to_csv(folder / "manifest.csv", index=False)


def preprocess(folder: Path, threads: int) -> float:
    """Wall seconds of the entry point, its start included."""
    settings = {"reader": "table", "task": "finding", "labels": None, "patients": None}
    settings |= {"contract": None, "size": SIZE, "fit": "pad"}
    words = ["--site", "bench", "--manifest", folder / "manifest.csv", "--threads", threads]
    words += ["--settings", json.dumps(settings)]
    for name in OUTPUTS:
        words += [f"--{name.partition('.')[0]}", folder / "out" / name]
    command = [sys.executable, "-m", "chexviz.preprocess", *map(str, words)]
    began = time.monotonic()
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow")}
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL, env=environment)
    return time.monotonic() - began


def main() -> None:
    warnings.simplefilter("ignore")  # pydicom's, of ages that break the standard
    cores = os.sched_getaffinity(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "files").mkdir()
        files, kind = radiographs(folder / "files")
        chosen = files[:: max(1, len(files) // FILES)][:FILES]
        os.sched_setaffinity(0, {min(cores)})
        keep_freed_memory()  # what our workers do; it helps all methods
        spent = one_core(chosen, folder)
        exact = fidelity(chosen)
        os.sched_setaffinity(0, cores)
        make_site(files, folder / "site")
        seconds = {1: [], 2: []}
        for _ in range(RUNS):
            for threads in seconds:
                seconds[threads].append(preprocess(folder / "site", threads))

    ratios = {
        "Pillow": spent["Pillow"] / spent["ours"],
        "default": spent["default"] / spent["ours"],
        "PNG": spent["PNG"] / spent["packed"],
        "workers": np.divide(seconds[1], seconds[2]),
    }
    rows = [
        ("decode and resize", "pydicom with Pillow", "Pillow", "ours"),
        ("decode and resize", "pydicom, default handler", "default", "ours"),
        ("preprocess and store", "pydicom, default handler, PNG files", "PNG", "packed"),
    ]
    print(
        f"### Preprocessing\n\n{len(chosen)} {kind}, 1024 x 1024 baseline JPEG, to {SIZE} pixels: "
        f"CPU time per image on one core, median of {REPEATS} repeats. Ours against full decoding "
        f"and Pillow's antialiased resize, worst image: {exact}. What is stored by ours includes "
        "checksum, tags and perceptual hash.\n"
    )
    print("| work on one core | compared with | theirs, ms | ours, ms | ratio | range | goal |")
    print("|---|---|---|---|---|---|---|")
    for work, theirs, name, own in rows:
        times = f"{np.median(spent[name]):.2f} | {np.median(spent[own]):.2f}"
        print(f"| {work} | {theirs} | {times} | {shown(ratios[name])} | {GOALS[name]}x |")
    one, two = (np.median(seconds[threads]) for threads in (1, 2))
    print(
        f"\n| preprocess, {MANY:,} images | one worker | two workers | ratio | range | goal |\n"
        "|---|---|---|---|---|---|\n"
        f"| wall time, s | {one:.1f} | {two:.1f} | {shown(ratios['workers'])} | "
        f"{GOALS['workers']}x |\n| images/s | {MANY / one:.0f} | {MANY / two:.0f} | | | |"
    )
    missed = [name for name, goal in GOALS.items() if np.median(ratios[name]) < goal]
    print(f"\nGoals: {'MISSED: ' + ', '.join(missed) if missed else 'met'}.")
    if missed:
        sys.exit(1)


def shown(ratios: np.ndarray) -> str:
    """The median and the range of ratios, as two cells."""
    return f"{np.median(ratios):.2f}x | {ratios.min():.2f}-{ratios.max():.2f}"


if __name__ == "__main__":
    main()
