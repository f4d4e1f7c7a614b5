"""Prediction against the bare forward pass over the same images, and the memory of both stages.

Time is that of the CPU on one thread, side by side in one run; memory is what a process has beyond
the files that it maps, at the paper's size.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))
from chexviz.models import device, files
from chexviz.models.architectures import ARCHITECTURES
from chexviz.models.dataset import Dataset, load_datasets, to_unit
from chexviz.models.model import Model, build
from chexviz.models.scoring import score
from chexviz.pipeline.settings import take, train

ROOT = Path(__file__).parents[1]
THREADS = 1
DEVICE = device.choose(THREADS)
FINDINGS = {"rsna": ["pneumonia"]}
SIZE, REPEATS, PREVALENCE = 224, 3, 0.22
PASSED = 256  # images whose pass is timed
TRAINED = 30_985  # images of both sites in the paper
EVALUATED, STEPS = 128, 6  # images and batches after which the memory grows no more
GOAL = 4  # GiB
MEASURED = """
import sys, threading, time
from pathlib import Path
from chexviz.models import predict
from chexviz.federation import train

def watch():
    while True:
        status = Path("/proc/self/status").read_text()
        peak[0] = max(peak[0], int(status.split("RssAnon:")[1].split()[0]) / 2**20)
        time.sleep(0.02)

peak = [0]
threading.Thread(target=watch, daemon=True).start()
{work}
print(peak[0])
"""
STAGES = {
    "train": f"""
arguments = train.parse(sys.argv[1:])
settings = train.read_training(arguments.settings)
sites = train.build_sites(arguments, settings, train.load_parties(arguments, settings))
for _ in zip(range({STEPS}), sites[0].train(0, ["all"], None)):
    pass
""",
    "predict": "predict.main(sys.argv[1:])",
}


def write_site(folder: Path, count: int, subset: str) -> list[str]:
    """Random images of a site, a quick stand-in for those of a study; the words that name them."""
    generator = np.random.default_rng(0)
    some = generator.integers(256, size=(64, SIZE, SIZE), dtype=np.uint8)
    np.save(folder / "images.npy", np.resize(some, (count, SIZE, SIZE)))
    names = [f"i{number:06d}" for number in range(count)]
    rows = {"site": "rsna", "image": names, "patient": names, "subset": subset}
    rows |= {
        "label_pneumonia": (generator.random(count) < PREVALENCE) * 1,
        "position": range(count),
    }
    pd.DataFrame(rows).to_csv(folder / "split.csv", index=False)
    return [
        f"--images={folder / 'images.npy'}",
        f"--split={folder / 'split.csv'}",
    ]


def model_of(architecture: str) -> Model:
    return device.place(build(architecture, FINDINGS, seed=1), DEVICE).eval()


def forward(model: Model, data: Dataset) -> None:
    """The forward pass alone."""
    with torch.inference_mode():
        for images in data.images.batches(data.in_order(device.forward_batch(DEVICE))):
            model(to_unit(images), ["rsna"])


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of this process, which other ones disturb less."""
    start = time.process_time()
    work()
    return time.process_time() - start


def pass_rows(folder: Path) -> list[tuple]:
    """For each architecture: milliseconds an image of the pass alone and of prediction."""
    write_site(folder, PASSED, "evaluation")
    paths = (folder / "images.npy", folder / "split.csv")
    (data,) = load_datasets(FINDINGS, *paths, ["evaluation"], [DEVICE])
    rows = []
    for architecture in ARCHITECTURES:
        model = model_of(architecture)
        works = (
            lambda model=model: forward(model, data),
            lambda model=model: score([model], data, [("pneumonia", "rsna")]),
        )
        taken = np.array([[seconds(work) for work in works] for _ in range(REPEATS + 1)][1:])
        ratio = np.median(taken[:, 1] / taken[:, 0])
        rows.append((architecture, *np.median(taken, axis=0) / PASSED * 1000, ratio))
    return rows


def memory_rows(folder: Path) -> list[tuple[str, str, float]]:
    """Stage, architecture and GiB beyond mapped files."""
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    rows = []
    for stage, count, subset in (("train", TRAINED, "train"), ("predict", EVALUATED, "evaluation")):
        words = write_site(folder, count, subset)
        for architecture in ARCHITECTURES:
            model = folder / "model.safetensors"
            about = {"architecture": architecture, "heads": FINDINGS}
            files.save(model, model_of(architecture).state_dict(), **about)
            settings = train(config, architecture, "baseline")
            if stage == "predict":
                settings = take(settings, "threads")
            line = [*words, f"--settings={json.dumps(settings)}", f"--model={model}"]
            if stage == "train":
                line += ["--site", "rsna", "pneumonia", f"--architecture={architecture}"]
                line += ["--seed=1", "--protocol=paper"]
                line += [f"--checkpoint={folder / 'none'}", f"--history={folder / 'none'}"]
            else:
                line += ["--findings", "rsna", "train", "pneumonia"]
                line += [f"--predictions={folder / 'p.csv'}"]
                line += [f"--gradcam={folder / 'p.npz'}"]
            run = subprocess.run(
                [sys.executable, "-c", MEASURED.format(work=STAGES[stage]), *line],
                check=True,
                stdout=subprocess.PIPE,
                env={"PYTHONPATH": str(ROOT / "workflow")},
                text=True,
            )
            rows.append((stage, architecture, float(run.stdout)))
    return rows


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        print(
            f"### Prediction\n\n{PASSED} images of {SIZE} px in batches of "
            f"{device.forward_batch(DEVICE)}, float32, {THREADS} thread on {DEVICE.type}: CPU "
            f"milliseconds an image, median of {REPEATS} runs in turn.\n"
        )
        print("| architecture | forward pass | prediction | ratio |\n|---|---|---|---|")
        for architecture, alone, whole, ratio in pass_rows(Path(folder)):
            print(f"| {architecture} | {alone:.2f} | {whole:.2f} | {ratio:.2f}x |", flush=True)
        print(
            f"\nPeak memory beyond mapped files, as config.yaml trains and scores: {STEPS} batches "
            f"of {TRAINED:,} images, and {EVALUATED:,} images.\n"
        )
        print("| stage | architecture | GiB | goal |\n|---|---|---|---|")
        for stage, architecture, peak in memory_rows(Path(folder)):
            print(f"| {stage} | {architecture} | {peak:.2f} | {GOAL} |", flush=True)


if __name__ == "__main__":
    main()
