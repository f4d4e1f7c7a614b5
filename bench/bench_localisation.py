"""Grad-CAM against the forward pass, and the scoring of all maps of a study of the paper's size.

Ratios are measured side by side in one run, alternating: same model, images, batch and device.
"""

import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))
from chexviz.base.tables.evaluation import MODEL_METRICS
from chexviz.base.tables.models import MODEL
from chexviz.evaluation import localise
from chexviz.models import device
from chexviz.models.dataset import to_unit
from chexviz.models.gradcam import gradcam
from chexviz.models.model import Model, build

THREADS = torch.get_num_threads()
DEVICE = device.choose(THREADS)
NAME = "rsna_pneumonia_rsna"  # site, finding and head
SIZE, BATCH, REPEATS = 224, 8, 5
GOAL = 1.1  # of the forward pass
# RSNA in the paper: positives of the evaluation set and, at a sensitivity of 0.8, the maps of all
# its models; annotations of the images that train.
POSITIVES, SENSITIVITY, OTHERS, MODELS, REPLICATES = 1205, 0.8, 4807, 4, 2000


def hooks(model: Model, images: torch.Tensor) -> torch.Tensor:
    """Grad-CAM as it is usually done: a hook, and a backward pass through the whole model."""
    kept = []
    hook = model.representation.register_forward_hook(lambda *call: kept.append(call[-1]))
    logits = model(to_unit(images), ["site"])
    hook.remove()
    kept[0].retain_grad()
    logits.sum().backward()
    model.zero_grad()
    return torch.relu((kept[0].grad.mean(dim=(2, 3), keepdim=True) * kept[0]).sum(dim=1)).detach()


def forward(model: Model, images: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        return model(to_unit(images), ["site"])


def closed_form(model: Model, images: torch.Tensor) -> torch.Tensor:
    """Grad-CAM as predict computes it, from the pass that scores an image."""
    with torch.no_grad():
        return gradcam(
            model.representation(to_unit(images)),
            lambda features: model.task("site")(features)[:, 0],
        )


def seconds(work: Callable, *arguments) -> float:
    """CPU seconds of this process, which other ones disturb less; on a GPU those of the clock."""
    clock = time.perf_counter if DEVICE.type == "cuda" else time.process_time
    start = clock()
    work(*arguments)
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return clock() - start


def gradcam_rows() -> list[tuple]:
    images = torch.randint(0, 256, (BATCH, SIZE, SIZE), dtype=torch.uint8, device=DEVICE)
    rows = []
    for architecture in ("standard", "densenet121"):
        model = device.place(build(architecture, {"site": ["a"]}, seed=0).eval(), DEVICE)
        works = (forward, closed_form, hooks)
        taken = [[seconds(work, model, images) for work in works] for _ in range(REPEATS + 1)][1:]
        passes, ours, usual = np.median(taken, axis=0) / BATCH * 1000
        ratios = np.array(taken)
        ratio = np.median(ratios[:, 1] / ratios[:, 0])
        saved = np.median(ratios[:, 2] / ratios[:, 1])
        rows.append((architecture, passes, ours, ratio, usual, saved))
    return rows


def write_study(folder: Path, generator: np.random.Generator) -> list[str]:
    """A site of the paper's size with random maps; the command line that scores it."""
    names = [f"i{number:06d}" for number in range(POSITIVES + OTHERS)]
    corner = generator.uniform(20, 120, (len(names), 2))
    extent = generator.uniform(20, 90, (len(names), 2))
    boxes = pd.DataFrame(np.hstack([corner, extent]), columns=["x", "y", "width", "height"])
    boxes.assign(image=names, runs="", finding="").to_csv(folder / "annotations.csv", index=False)
    subset = np.where(np.arange(len(names)) < POSITIVES, "evaluation", "train")
    rows = pd.DataFrame({"site": "rsna", "image": names, "subset": subset})
    rows.to_csv(folder / "split.csv", index=False)
    shown = names[:POSITIVES]
    scores = {"site": "rsna", "image": shown, "patient": shown, "subset": "evaluation"}
    scores |= {"finding": "pneumonia", "label": 1, "head": "rsna"}
    arguments, metrics = [], []
    for number in range(MODELS):
        model = ["standard" if number < 2 else "densenet121", ["baseline", "fedavg"][number % 2]]
        side = SIZE // (8 if number < 2 else 32)
        paths = [str(folder / f"{number}.csv"), str(folder / f"{number}.npz")]
        pd.DataFrame(scores).assign(score=generator.random(POSITIVES)).to_csv(paths[0], index=False)
        maps = generator.random((POSITIVES, side, side), dtype=np.float32)
        np.savez(paths[1], **{f"image_{NAME}": np.array(shown), f"map_{NAME}": maps})
        arguments += ["--prediction", *model, "1", *paths]
        key = dict(zip([*MODEL][:-1], ("rsna", "pneumonia", "rsna", *model), strict=True))
        metrics.append(key | {"seed": 1, "threshold": 1 - SENSITIVITY})
    unread = dict.fromkeys(MODEL_METRICS.names, 0) | {"note": ""}
    rows = [[(unread | row)[name] for name in MODEL_METRICS.names] for row in metrics]
    MODEL_METRICS.write(rows, folder / "metrics.csv")
    bootstrap = {"replicates": REPLICATES, "unit": "patient", "confidence": 0.95, "seed": 1}
    settings = {"bootstrap": bootstrap, "threshold": 0.5, "minimum_cases": 10, "size": SIZE}
    arguments += ["--site", "rsna", str(folder / "annotations.csv")]
    arguments += ["--split", str(folder / "split.csv"), "--metrics", str(folder / "metrics.csv")]
    arguments += ["--settings", json.dumps(settings), "--images", str(folder / "images.csv")]
    return [*arguments, "--summary", str(folder / "summary.csv")]


def main() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    with tempfile.TemporaryDirectory() as folder:
        arguments = write_study(Path(folder), np.random.default_rng(0))
        taken = seconds(localise.main, arguments)
        scored = pd.read_csv(Path(folder) / "summary.csv").drop_duplicates("method")["images"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
    rows = gradcam_rows()
    unit = "milliseconds" if DEVICE.type == "cuda" else "milliseconds of CPU"
    print(
        f"### Grad-CAM\n\nBatches of {BATCH}, {SIZE} px, float32, {THREADS} threads on "
        f"{DEVICE.type}; median of {REPEATS} runs in turn, {unit} an image.\n"
    )
    print("| architecture | forward pass | ours | ours / forward | hooks | hooks / ours | goal |")
    print("|---|---|---|---|---|---|---|")
    for name, *values in rows:
        cells = "{:.2f} | {:.2f} | {:.2f}x | {:.2f} | {:.2f}x".format(*values)
        print(f"| {name} | {cells} | {GOAL}x |")
    print(
        f"\nScoring {MODELS} models on {scored.min():,}-{scored.max():,} true positives each, "
        f"{SIZE} px, {REPLICATES:,} replicates: {taken:.1f} s, {peak:.0f} MiB above "
        f"{before:.0f} MiB after imports."
    )
    if max(row[3] for row in rows) > GOAL:
        sys.exit(1)


if __name__ == "__main__":
    main()
