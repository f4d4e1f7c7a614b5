"""Radiographs to packed images: ours against pydicom and torchvision, per core, and two workers.

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
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from pydicom import dcmread

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))
from chexviz.base.allocator import keep_freed_memory
from chexviz.data.convert import OVERSAMPLING, Task, convert_chunk, slot_start
from chexviz.data.decoding.radiograph import radiograph
from chexviz.data.phantom import site
from chexviz.data.preprocess import CHUNK
from chexviz.data.workers import KEPT, LARGE
from chexviz.images.resizing import resized, square

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("CHEXVIZ_TEST_DATA", ROOT.parent / "shared" / "data"))
SIZE, MAX_PIXELS = 224, 36_000_000
FILES, REPEATS, BLOCK = 240, 5, 48
MANY, RUNS = 12_000, 5  # images and repeats of the comparison of workers
WORKERS_GOAL = 1.8
ROWS = [  # work, compared with, the names of both in METHODS, and the goal
    ("decode and resize", "pydicom with Pillow", "Pillow", "ours", 2.5),
    ("decode and resize", "pydicom, default handler", "default", "ours", 5.0),
    ("decode and resize", "pydicom with Pillow, keeping memory", "Pillow, prepared", "ours", None),
    ("decode, resize, store", "pydicom, default handler, PNG files", "PNG", "packed", None),
    ("all of preprocessing", "those PNG files alone", "PNG", "all", 8.0),
]
PNG_ROWS = [  # the same of PNG files
    ("decode and resize", "torchvision: read_image, Resize", "read_image", "ours", 2.0),
    ("decode and resize", "torchvision: PIL, Resize", "PIL", "ours", 2.0),
    ("all of preprocessing", "torchvision: read_image, Resize", "read_image", "all", None),
]
OUTPUTS = ("images.npy", "samples.csv", "annotations.csv", "rejected.csv", "contract.csv")


def radiographs(folder: Path) -> tuple[list[Path], str]:
    """DICOM files of 1024 x 1024 pixels, and what they are."""
    for archive in DATA.glob("rsna-mini/*.zip"):
        with zipfile.ZipFile(archive) as files:
            for name in files.namelist():
                if name.endswith(".dcm"):
                    (folder / Path(name).name).write_bytes(files.read(name))
    files = [*folder.glob("*.dcm"), *DATA.glob("hospital-mini/dicom/*.dcm")]
    if files:
        return sorted(files, key=lambda path: path.name), "real radiographs"
    site.generate("table", folder, images=FILES, seed=2022, workers=os.cpu_count() or 1)
    return sorted(folder.rglob("*.dcm")), "phantom radiographs"


def rasters(files: list[Path], folder: Path) -> tuple[list[Path], str]:
    """PNG files of 1024 x 1024 pixels, and what they are. files: of `radiographs`."""
    real = sorted(DATA.glob("nih-mini/images_*/images/*.png"))
    if real:
        return real, "real PNG files of NIH ChestX-ray14"
    for path in files:
        pixels = radiograph(path.read_bytes()).pixels
        Image.fromarray(pixels).save(folder / f"{path.stem}.png")
    return sorted(folder.glob("*.png")), "PNG files of the same radiographs"


# --- one core ---


def pydicom_image(path: Path, plugin: str) -> np.ndarray:
    """What most people write. plugin: of the decoder; '': pydicom's first choice."""
    dataset = dcmread(path)
    dataset.pixel_array_options(decoding_plugin=plugin)
    whole = Image.fromarray(dataset.pixel_array)
    return np.asarray(whole.resize((SIZE, SIZE), Image.Resampling.BILINEAR))


def torchvision_image(path: Path, by_pillow: bool) -> np.ndarray:
    """What most people write for PNG files. by_pillow: or by torchvision's own decoder."""
    from torchvision.io import ImageReadMode, read_image
    from torchvision.transforms.functional import pil_to_tensor, resize

    if by_pillow:
        whole = pil_to_tensor(Image.open(path).convert("L"))
    else:
        whole = read_image(str(path), ImageReadMode.GRAY)
    return resize(whole, [SIZE, SIZE], antialias=True)[0].numpy()


def our_image(path: Path) -> np.ndarray:
    """The image alone, without what else preprocessing takes from the file."""
    found = radiograph(path.read_bytes(), enough=round(OVERSAMPLING * SIZE))
    shape = (found.height, found.width)
    return resized(found.pixels, shape, square(*shape, "pad"), SIZE)


def store_packed(paths: list[Path], folder: Path) -> None:
    """The images alone, into slots of an array."""
    with (folder / "images.npy").open("r+b") as file:
        file.seek(slot_start(0, SIZE))
        for path in paths:
            file.write(our_image(path).data)


def store_all(paths: list[Path], folder: Path) -> None:
    """All of our preprocessing of some files, with what their rows of the table get."""
    tasks = [Task(slot, path, path.stem, [], []) for slot, path in enumerate(paths)]
    for start in range(0, len(tasks), CHUNK):
        done = convert_chunk(
            tasks[start : start + CHUNK], folder / "images.npy", SIZE, "pad", MAX_PIXELS
        )
        assert not any(one.reason for one in done)


def store_png(paths: list[Path], folder: Path) -> None:
    """A PNG file each, by pydicom's default handler."""
    for path in paths:
        Image.fromarray(pydicom_image(path, "")).save(folder / f"{path.stem}.png")


def images(paths: list[Path], folder: Path, image: Callable) -> None:
    """The images, stored nowhere."""
    for path in paths:
        image(path)


PILLOW = partial(images, image=partial(pydicom_image, plugin="pillow"))
METHODS = {  # and whether its process is prepared as our workers are
    "ours": (partial(images, image=our_image), True),
    "Pillow": (PILLOW, False),
    "Pillow, prepared": (PILLOW, True),
    "default": (partial(images, image=partial(pydicom_image, plugin="")), False),
    "packed": (store_packed, True),
    "all": (store_all, True),
    "PNG": (store_png, False),
}
PNG_METHODS = {
    "ours": METHODS["ours"],
    "all": METHODS["all"],
    "read_image": (partial(images, image=partial(torchvision_image, by_pillow=False)), False),
    "PIL": (partial(images, image=partial(torchvision_image, by_pillow=True)), False),
}


def prepare(core: int, prepared: bool) -> None:
    """Put this process on one core; let it keep freed memory if it is one of ours."""
    os.sched_setaffinity(0, {core})
    os.environ["OMP_NUM_THREADS"] = "1"  # of torch
    warnings.simplefilter("ignore")
    if prepared:
        keep_freed_memory(KEPT, LARGE)


def timed(method: Callable, paths: list[Path], folder: Path) -> float:
    """CPU seconds of a method on some files."""
    began = time.process_time()
    method(paths, folder)
    return time.process_time() - began


def one_core(files: list[Path], folder: Path, methods: dict) -> dict[str, np.ndarray]:
    """CPU milliseconds per file of every method, (REPEATS,) each, all on one core.

    Each has a process of its own; they take turns every few files, so that all meet the same
    disturbances.
    """
    (folder / "images.npy").write_bytes(b"")
    core, context = min(os.sched_getaffinity(0)), get_context("spawn")
    spent = {name: np.zeros(REPEATS) for name in methods}
    blocks = [files[start : start + BLOCK] for start in range(0, len(files), BLOCK)]
    with ExitStack() as stack:
        turns = []
        for name, (method, prepared) in methods.items():
            pool = ProcessPoolExecutor(1, context, prepare, (core, prepared))
            turns.append((name, method, stack.enter_context(pool)))
            pool.submit(timed, method, blocks[0], folder).result()  # imports, tables, caches
        for repeat in range(REPEATS):
            for block in blocks:
                for name, method, process in turns:
                    spent[name][repeat] += process.submit(timed, method, block, folder).result()
    return {name: 1000 * seconds / len(files) for name, seconds in spent.items()}


def fidelity(files: list[Path], image: Callable) -> str:
    """How far our images are from those of another way, on the worst file."""
    differences = [np.abs(our_image(path).astype(int) - image(path)) for path in files]
    mean = max(one.mean() for one in differences)
    within = min((one <= 8).mean() for one in differences)
    return f"mean difference {mean:.2f} grey levels, {within:.2%} of pixels within 8"


# --- workers ---


def make_site(files: list[Path], folder: Path, count: int = MANY) -> None:
    """A site of `count` images: the same files under many names, with a table and a manifest."""
    (folder / "data").mkdir(parents=True)
    rows, labels = [], ["file,patient,finding"]
    known = [(len(data := path.read_bytes()), hashlib.sha256(data).hexdigest()) for path in files]
    for number in range(count):
        name = f"{number:05d}.dcm"
        (folder / "data" / name).symlink_to(files[number % len(files)])
        rows.append((name, *known[number % len(files)]))
        labels.append(f"{name},{number},{number % 2}")
    table = ("\n".join(labels) + "\n").encode()
    (folder / "data" / "labels.csv").write_bytes(table)
    rows.append(("labels.csv", len(table), hashlib.sha256(table).hexdigest()))
    manifest = pd.DataFrame(rows, columns=["file", "bytes", "sha256"])
    manifest.to_csv(folder / "manifest.csv", index=False)


def command(folder: Path, threads: int) -> list[str]:
    """The command line that preprocesses a site that make_site wrote."""
    settings = {
        "reader": "table",
        "findings": ["finding"],
        "labels": None,
        "patients": None,
        "annotations": None,
        "columns": {},
        "given_split": False,
        "uncertain": None,
    }
    settings |= {"contract": None, "size": SIZE, "fit": "pad", "max_pixels": MAX_PIXELS}
    words = ["--site", "bench", "--manifest", folder / "manifest.csv", "--threads", threads]
    words += ["--settings", json.dumps(settings)]
    for name in OUTPUTS:
        words += [f"--{name.partition('.')[0]}", folder / "out" / name]
    return [sys.executable, "-m", "chexviz.data.preprocess", *map(str, words)]


def preprocess(folder: Path, threads: int) -> float:
    """Wall seconds of the entry point, its start included."""
    began = time.monotonic()
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow")}
    subprocess.run(command(folder, threads), check=True, stderr=subprocess.DEVNULL, env=environment)
    return time.monotonic() - began


def main() -> None:
    warnings.simplefilter("ignore")  # pydicom's, of ages that break the standard
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "files").mkdir()
        files, kind = radiographs(folder / "files")
        chosen = files[:: max(1, len(files) // FILES)][:FILES]
        spent = one_core(chosen, folder, METHODS)
        exact = fidelity(chosen, partial(pydicom_image, plugin="pillow"))
        pngs, png_kind = rasters(chosen, folder / "files")
        png_spent = one_core(pngs, folder, PNG_METHODS)
        png_exact = fidelity(pngs, partial(torchvision_image, by_pillow=True))
        make_site(files, folder / "site")
        seconds = {1: [], 2: []}
        for _ in range(RUNS):
            for threads in seconds:
                seconds[threads].append(preprocess(folder / "site", threads))

    print(
        f"### Preprocessing\n\n{len(chosen)} {kind}, 1024 x 1024 baseline JPEG, to {SIZE} pixels: "
        f"CPU time per image on one core, median of {REPEATS} repeats. Ours against full decoding "
        f"and Pillow's antialiased resize, worst image: {exact}. Every method has a process of its "
        "own; ours keeps the memory that it frees, and the third line gives the same to pydicom. "
        "The last line adds to ours what the PNG files lack: checksum, tags, perceptual hash.\n"
    )
    missed = compare(ROWS, spent)
    print(
        f"\n{len(pngs)} {png_kind}, 1024 x 1024, likewise. Ours against Pillow and torchvision's "
        f"antialiased Resize, worst image: {png_exact}.\n"
    )
    missed += compare(PNG_ROWS, png_spent)
    one, two = (np.median(seconds[threads]) for threads in (1, 2))
    ratios = np.divide(seconds[1], seconds[2])
    missed += ["workers"] if np.median(ratios) < WORKERS_GOAL else []
    print(
        f"\n| preprocess, {MANY:,} images | one worker | two workers | ratio | range | goal |\n"
        "|---|---|---|---|---|---|\n"
        f"| wall time, s | {one:.1f} | {two:.1f} | {shown(ratios)} | {WORKERS_GOAL}x |\n"
        f"| images/s | {MANY / one:.0f} | {MANY / two:.0f} | | | |"
    )
    print(f"\nGoals: {'MISSED: ' + '; '.join(missed) if missed else 'met'}.")
    if missed:
        sys.exit(1)


def compare(rows: list[tuple], spent: dict[str, np.ndarray]) -> list[str]:
    """Print a table of comparisons; return those that missed their goals."""
    print("| work on one core | compared with | theirs, ms | ours, ms | ratio | range | goal |")
    print("|---|---|---|---|---|---|---|")
    missed = []
    for work, theirs, name, own, goal in rows:
        ratios = spent[name] / spent[own]
        times = f"{np.median(spent[name]):.2f} | {np.median(spent[own]):.2f}"
        print(f"| {work} | {theirs} | {times} | {shown(ratios)} | {f'{goal}x' if goal else ''} |")
        missed += [f"{work}, {theirs}"] if goal and np.median(ratios) < goal else []
    return missed


def shown(ratios: np.ndarray) -> str:
    """The median and the range of ratios, as two cells."""
    return f"{np.median(ratios):.2f}x | {ratios.min():.2f}-{ratios.max():.2f}"


if __name__ == "__main__":
    main()
