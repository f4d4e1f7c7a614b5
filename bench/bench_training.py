"""Training: our engine against what a user would write, and what its parts cost.

    python bench/run.py training            all tables
    python bench/bench_training.py epoch     one of: epoch path warmup round sites paper

Ratios are measured side by side in one run: same model, images, batch, epochs and device.
"""

import math
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from msgspec.structs import replace
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))
from chexviz.base.methods import DEFAULTS
from chexviz.federation import warmup
from chexviz.federation.checkpoint import SHARE, Checkpoint
from chexviz.federation.methods import FedAvg
from chexviz.federation.rounds import Federation
from chexviz.federation.settings import Method, Training
from chexviz.federation.site import LocalSite, batches, masked_loss
from chexviz.models import device
from chexviz.models.augment import Augmentation
from chexviz.models.dataset import Dataset, to_unit
from chexviz.models.device import autocast, computes_bfloat16
from chexviz.models.model import Heads, Model, build
from chexviz.tools.forecast import draw, epoch

THREADS = torch.get_num_threads()
DEVICE = device.choose(THREADS)
GPU = DEVICE.type == "cuda"
SETTINGS = Training(
    batch=64 if GPU else 32,
    threads=THREADS,
    precision="auto",
    compile=False,
    augmentation=Augmentation(rotation=10, zoom=0.1, contrast=0.1, flip=0.5),
    learning_rate=1e-4,
    schedule="constant",
    rounds=1,
    local_epochs=1,
    method=Method(algorithm="fedavg", **DEFAULTS),
)
REPEATS = 5 if GPU else 3
PAPER = {"rsna": 26_684, "siim": 12_047}
TRAINED = 0.8  # of the images, under the protocol `paper`


def site_of(data: Dataset, architecture: str, **changes) -> LocalSite:
    """A party that is about to train."""
    settings = replace(SETTINGS, **changes)
    model = build(architecture, data.heads, seed=1)
    return LocalSite(data, model, settings, epochs=100, seed=1)


def finish() -> None:
    """Wait for the GPU, so that the clock sees its work."""
    if GPU:
        torch.cuda.synchronize()


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    finish()
    start = time.perf_counter()
    work()
    finish()
    return time.perf_counter() - start


def side_by_side(*works: Callable[[], object], repeats: int = REPEATS) -> list[float]:
    """The median time of each, called in turn after one call that warms up."""
    times = [[seconds(work) for work in works] for _ in range(repeats + 1)][1:]
    return np.median(times, axis=0).tolist()


# --- a: an epoch against what a user would write -------------------------------------------------


class Pictures(torch.utils.data.Dataset):
    """PNG files and torchvision's transforms."""

    def __init__(self, folder: Path, labels: torch.Tensor):
        from torchvision import transforms

        self.paths, self.labels = sorted(folder.iterdir()), labels
        self.transform = transforms.Compose(
            [
                transforms.RandomAffine(10, scale=(0.9, 1.1)),
                transforms.RandomHorizontalFlip(),
                transforms.ColorJitter(contrast=0.1),
                transforms.ToTensor(),
            ]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int):
        with Image.open(self.paths[index]) as picture:
            return self.transform(picture), self.labels[index]


def usual_model(architecture: str, heads: Heads) -> Model:
    """The same layers as most have them: torchvision's DenseNet121, no memory layout chosen."""
    model = build(architecture, heads, seed=1)
    if architecture == "densenet121":
        from torchvision.models import densenet121

        model.representation.layers = densenet121(weights=None).features
    else:
        model.representation.takes_blocks = lambda images: False
    return model


def usual_epoch(data: Dataset, architecture: str, folder: Path, batch: int) -> Callable[[], None]:
    """An epoch as most would write it: DataLoader with all cores, float32, contiguous tensors."""
    for number, pixels in enumerate(data.images.pixels.cpu().numpy()):
        Image.fromarray(pixels).save(folder / f"{number:06d}.png")
    loader = torch.utils.data.DataLoader(
        Pictures(folder, data.labels.cpu()),
        batch_size=batch,
        shuffle=True,
        num_workers=THREADS,
        pin_memory=GPU,
        persistent_workers=True,
    )
    model = usual_model(architecture, data.heads).to(DEVICE).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)

    def run() -> None:
        total = 0.0
        for images, labels in loader:
            optimizer.zero_grad()
            logits = model(images.to(DEVICE, non_blocking=True), [*data.heads])
            loss = masked_loss(logits, labels.to(DEVICE, non_blocking=True))
            loss.backward()
            optimizer.step()
            total += loss.item() * len(labels)

    return run


def bench_epoch() -> None:
    """Table a."""
    size = 224 if GPU else 128
    cases = {
        "densenet121": (4096 if GPU else 96, 2, 4),
        "standard": (8192 if GPU else 512, 4, 10),
    }
    print(f"### An epoch against PNG files, torchvision and DataLoader\n\n{size} px.\n")
    print("| architecture | images | usual, images/s | ours, images/s | ratio | goal |")
    print("|---|---|---|---|---|---|")
    for architecture, (count, cpu_goal, gpu_goal) in cases.items():
        data = draw(count, size, DEVICE)
        with tempfile.TemporaryDirectory() as folder:
            usual = usual_epoch(data, architecture, Path(folder), SETTINGS.batch)
            site = site_of(data, architecture)
            theirs, ours = side_by_side(usual, lambda site=site: epoch(site))
        goal = gpu_goal if GPU else cpu_goal
        print(
            f"| {architecture} | {count:,} | {count / theirs:.1f} | {count / ours:.1f} | "
            f"{theirs / ours:.2f}x | {goal}x |"
        )


# --- b: an epoch against the bare step -----------------------------------------------------------


def bare_steps(site: LocalSite, steps: int) -> None:
    """Steps on one resident batch: no gathering, no augmentation, no epoch around them."""
    size = SETTINGS.batch
    images = to_unit(site.data.images.pixels[:size]).to(memory_format=torch.channels_last)
    labels = site.data.labels[:size]
    site.set_up(0, "all")
    for _ in range(steps):
        with autocast(DEVICE, SETTINGS.precision):
            logits = site.model(images, [*site.data.heads])
        loss = masked_loss(logits.float(), labels)
        site.optimizer.zero_grad()
        loss.backward()
        site.optimizer.step()


def bench_path() -> None:
    """Table b."""
    size = 224 if GPU else 128
    print(f"### What the data path costs\n\nOur epoch against as many bare steps, {size} px.\n")
    print("| architecture | bare, images/s | epoch, images/s | epoch / bare | goal |")
    print("|---|---|---|---|---|")
    for architecture, steps in (("densenet121", 4), ("standard", 12)):
        steps *= 16 if GPU else 1
        count = steps * SETTINGS.batch
        site = site_of(draw(count, size, DEVICE), architecture)
        bare, whole = side_by_side(
            lambda site=site, steps=steps: bare_steps(site, steps), lambda site=site: epoch(site)
        )
        print(
            f"| {architecture} | {count / bare:.1f} | {count / whole:.1f} | {bare / whole:.3f} "
            "| 0.95 |"
        )


# --- c: the head warm-up --------------------------------------------------------------------------


def recomputed(model: Model, data: Dataset, epochs: int) -> None:
    """Warm-up that computes the frozen features anew in every epoch."""
    optimizer = torch.optim.Adam(model.tasks.parameters(), lr=1e-3)
    for number in range(epochs):
        order = batches(len(data), SETTINGS.batch, torch.Generator().manual_seed(number))
        for batch in order:
            batch = batch.to(DEVICE)
            with torch.no_grad():
                features = model.eval().features(to_unit(data.images.pixels[batch]))
            loss = masked_loss(model.tasks["site"].train()(features), data.labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def bench_warmup() -> None:
    """Table c."""
    epochs, size = 30, 224 if GPU else 64
    data = draw(2048 if GPU else 128, size, DEVICE)
    model = build("densenet121", {"site": ["a"]}, seed=1).to(DEVICE)
    settings = warmup.Warmup(
        batch=SETTINGS.batch,
        threads=THREADS,
        epochs=epochs,
        learning_rate=1e-3,
        method=SETTINGS.method,
    )
    once, anew = side_by_side(
        lambda: warmup.warm_up([warmup.Party(model, data, settings, seed=1)], settings),
        lambda: recomputed(model, data, epochs),
        repeats=1,
    )
    print(
        f"### Head warm-up\n\nDenseNet121, {len(data):,} images, {size} px, {epochs} epochs.\n\n"
        "| features every epoch, s | features once, s | ratio | goal |\n|---|---|---|---|\n"
        f"| {anew:.1f} | {once:.2f} | {anew / once:.1f}x | 20x |"
    )


# --- d, e: what federating costs ------------------------------------------------------------------


def federation(
    architecture: str, sites: int, images: int, size: int, batch: int = SETTINGS.batch
) -> Federation:
    """A federation of equal sites."""
    settings = replace(SETTINGS, batch=batch)
    parties = [
        site_of(draw(images // sites, size, DEVICE, f"site{number}"), architecture, batch=batch)
        for number in range(sites)
    ]
    return Federation(parties, settings, FedAvg(settings, parties))


def one_round(made: Federation) -> None:
    """One round through the whole loop."""
    made.server.round = 0
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Checkpoint(Path(folder) / "none", "")
        checkpoint.saved = math.inf  # never due: what a save takes is measured by itself
        made.train(checkpoint, "round", threading.Event())


def save(made: Federation) -> None:
    """A checkpoint."""
    with tempfile.TemporaryDirectory() as folder:
        Checkpoint(Path(folder) / "state", "").save(made.state())


def local_epochs(made: Federation) -> None:
    """The local epochs of a round alone."""
    for site in made.sites:
        epoch(site)
        site.start_round()


def bench_round() -> None:
    """Table d."""
    size = 128
    print(
        f"### A round of FedAvg against its local epochs\n\nDenseNet121, {size} px. Checkpoints "
        f"are left out: by their own rule they take at most {SHARE:.0%} of the time, after the "
        "first.\n"
    )
    print("| sites | images a site | local epochs, s | round, s | more | goal | checkpoint, s |")
    print("|---|---|---|---|---|---|---|")
    for sites, images in ((2, 256), (50, 3200)):
        images *= 8 if GPU else 1
        made = federation("densenet121", sites, images, size)
        alone, whole = side_by_side(
            lambda made=made: local_epochs(made), lambda made=made: one_round(made), repeats=2
        )
        more = 100 * (whole / alone - 1)
        print(
            f"| {sites} | {images // sites} | {alone:.2f} | {whole:.2f} | {more:+.1f} % | 2 % "
            f"| {seconds(lambda made=made: save(made)):.1f} |",
            flush=True,
        )


def bench_sites() -> None:
    """Table e."""
    batch, size = 64 if GPU else 16, 128
    images = 100 * batch
    print(
        "### Cost of a round by number of sites\n\n"
        f"{images:,} images in all, batches of {batch}, {size} px.\n"
    )
    print("| architecture | sites | round, s | against 2 sites | goal |\n|---|---|---|---|---|")
    for architecture in ("standard", "densenet121"):
        numbers = (2, 10, 100)
        federations = [federation(architecture, sites, images, size, batch) for sites in numbers]
        works = [lambda made=made: one_round(made) for made in federations]
        times = side_by_side(*works, repeats=REPEATS if architecture == "standard" or GPU else 1)
        for sites, taken in zip(numbers, times, strict=True):
            against = f"{100 * (taken / times[0] - 1):+.1f} %"
            print(f"| {architecture} | {sites} | {taken:.2f} | {against} | 10 % |", flush=True)


# --- f: the whole paper ---------------------------------------------------------------------------


def images_per_second(architecture: str, size: int) -> float:
    """Our training speed."""
    count = SETTINGS.batch * (32 if GPU else 2)
    site = site_of(draw(count, size, DEVICE), architecture)
    (taken,) = side_by_side(lambda: epoch(site))
    return count / taken


def bench_paper() -> None:
    """Table f: from the measured speed, the time of config.yaml's trainings, one after another."""
    import yaml

    config = yaml.safe_load((Path(__file__).parents[1] / "config/config.yaml").read_text())
    images = TRAINED * sum(PAPER.values())
    size = config["preprocess"]["size"]
    methods = [
        name
        for name, method in config["methods"].items()
        if method["algorithm"] != "ensemble" and method.get("combine") != "median"
    ]
    print(
        f"### The whole paper\n\n{sum(PAPER.values()):,} images, {size} px, "
        f"{TRAINED:.0%} of them trained on, one protocol and seed, one device; from the measured "
        "speed. 'All methods': " + ", ".join(methods) + ".\n"
    )
    print("| architecture | images/s | baselines | FedAvg | all methods |\n|---|---|---|---|---|")
    for architecture, chosen in config["architectures"].items():
        speed = images_per_second(architecture, size)
        alone = chosen["baseline"]["epochs"] * images / speed / 3600
        rounds = chosen["federated"]["rounds"] * chosen["federated"]["local_epochs"]
        fedavg = rounds * images / speed / 3600
        # FedRep's epochs of the task block alone cost a forward pass, about a third of a step.
        everything = alone + fedavg * (len(methods) + 1 / 3)
        print(
            f"| {architecture} | {speed:.1f} | {alone:.1f} h | {fedavg:.1f} h "
            f"| {everything:.1f} h |"
        )


TABLES = {
    "epoch": bench_epoch,
    "path": bench_path,
    "warmup": bench_warmup,
    "round": bench_round,
    "sites": bench_sites,
    "paper": bench_paper,
}


def main() -> None:
    arithmetic = "bfloat16" if computes_bfloat16(DEVICE) else "float32 (no bfloat16 arithmetic)"
    hardware = torch.cuda.get_device_name(DEVICE) if GPU else f"{THREADS} CPU threads"
    print(
        f"## Training\n\n{hardware}; ours in {arithmetic} and channels_last, batches of "
        f"{SETTINGS.batch}. Median of {REPEATS} runs in turn.\n"
    )
    for name in sys.argv[1:] or TABLES:
        TABLES[name]()
        print(flush=True)


if __name__ == "__main__":
    main()
