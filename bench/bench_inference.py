"""`chexviz predict` on a folder of radiographs against what people write for it, side by side.

One image at a time: pydicom, torchvision's transforms and DenseNet121, float32, eager. In batches:
the same with a centre crop and 16 images at once, as scripts around torchxrayvision do. Whole
programs are timed, start included, each in turn; the networks have the same size and random
weights. The files are the real radiographs of CHEXVIZ_TEST_DATA (or of the tests' default folder),
else phantoms drawn for this, and in the page cache before anything is measured.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "unit"))
import made_bundles
from chexviz.data.phantom import site
from chexviz.inference.bundle import Preprocessing
from chexviz.models.model import build

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("CHEXVIZ_TEST_DATA", ROOT.parent / "shared" / "data"))
HEADS = {"rsna": ["pneumonia"], "siim": ["pneumothorax"]}
SIZE, FILES, REPEATS = 224, 352, 3
GOALS = {"one at a time": 4.0, "in batches": 2.0}
START = 3.0  # seconds, of the command on one radiograph
READ = """
import sys
from pathlib import Path
import numpy as np
import pydicom
import torch
import torchvision
from torchvision.transforms import v2

def read(path):
    dataset = pydicom.dcmread(path)
    pixels = dataset.pixel_array.astype(np.float32)
    pixels = (pixels - pixels.min()) / (pixels.max() - pixels.min())
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        pixels = 1 - pixels
    return torch.from_numpy(pixels)[None]

model = torchvision.models.densenet121(num_classes=2).eval()
paths = sorted(Path(sys.argv[1]).glob("*.dcm"))
scores = []
"""
OTHERS = {
    "one at a time": READ
    + """
transform = v2.Compose([v2.Resize((224, 224), antialias=True), v2.Normalize([0.449], [0.226])])
with torch.no_grad():
    for path in paths:
        image = transform(read(path)).repeat(3, 1, 1)
        scores.append(torch.sigmoid(model(image[None]))[0])
print(len(scores))
""",
    "in batches": READ
    + """
def square(image):
    side = min(image.shape[1:])
    return v2.functional.resize(
        v2.functional.center_crop(image, [side, side]), [224, 224], antialias=True
    )

with torch.no_grad():
    for start in range(0, len(paths), 16):
        images = torch.stack([square(read(path)) for path in paths[start : start + 16]])
        scores += torch.sigmoid(model(images.repeat(1, 3, 1, 1)))
print(len(scores))
""",
}


def radiographs(folder: Path) -> tuple[Path, str]:
    """A folder of DICOM files of 1024 x 1024 pixels, and what they are."""
    real = sorted(DATA.glob("hospital-mini/dicom/*.dcm"))
    if real:
        return real[0].parent, "real radiographs"
    cores = os.cpu_count() or 1
    site.generate("table", folder / "drawn", images=FILES, seed=2022, workers=cores)
    there = folder / "dicom"
    there.mkdir()
    for path in sorted((folder / "drawn").rglob("*.dcm")):
        path.rename(there / path.name)
    return there, "phantom radiographs"


def bundle(folder: Path) -> Path:
    """A bundle of DenseNet121 with random weights."""
    model = build("densenet121", HEADS, seed=1).eval()
    made = Preprocessing(size=SIZE, fit="pad", max_pixels=36_000_000)
    about = made_bundles.about(model, "densenet121", SIZE, preprocessing=made)
    made_bundles.write(folder, model, about)
    return folder


def run(*words: str | Path) -> tuple[float, float]:
    """Wall seconds and CPU seconds of a Python program."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow")}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(
        [sys.executable, *map(str, words)], check=True, env=environment, capture_output=True
    )
    wall = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        there, what = radiographs(folder)
        ours = ["-m", "chexviz", "predict", bundle(folder / "bundle")]
        count = len(list(there.glob("*.dcm")))
        for path in there.glob("*.dcm"):
            path.read_bytes()
        programs = {"chexviz predict": [*ours, there]}
        programs |= {title: ["-c", text, there] for title, text in OTHERS.items()}
        taken = np.array(
            [[run(*words) for words in programs.values()] for _ in range(REPEATS)]
        )  # repeats, programs, (wall, CPU)
        one = sorted(there.glob("*.dcm"))[0]
        start = min(run(*ours, one)[0] for _ in range(REPEATS))
    print(
        f"### Inference\n\n{count} {what}, DenseNet121 at {SIZE} px, {os.cpu_count()} cores: whole "
        f"programs, median of {REPEATS} runs in turn; ratios within a turn.\n"
    )
    print("| program | wall time, s | CPU, s | ratio | of CPU | goal |\n|---|---|---|---|---|---|")
    for number, title in enumerate(programs):
        wall, spent = np.median(taken[:, number], axis=0)
        ratios = np.median(taken[:, number] / taken[:, 0], axis=0)
        goal = f"{GOALS[title]:g}x" if title in GOALS else ""
        shown = " | ".join(f"{ratio:.2f}x" for ratio in ratios)
        print(f"| {title} | {wall:.1f} | {spent:.1f} | {shown} | {goal} |")
    print(f"\nOne radiograph, start included: {start:.2f} s (goal: {START:g} s).")


if __name__ == "__main__":
    main()
