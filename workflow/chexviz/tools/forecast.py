"""Say how long trainings will take on a machine without a GPU, from the speed that it has."""

import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import torch

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.settings import Settings, read
from chexviz.base.tables.study import DUPLICATES
from chexviz.federation.methods import read_training
from chexviz.federation.settings import Training
from chexviz.federation.site import ALL, LocalSite, site_of
from chexviz.models import device
from chexviz.models.dataset import Dataset, Images
from chexviz.models.model import build

SECONDS = 2.0  # of measuring, for each architecture
BATCH = 16  # images at most, so that a slow machine is done in time


class Kind(Settings, frozen=True):
    """Trainings that are equally fast."""

    architecture: str
    training: dict[str, Any]  # see Training


def draw(count: int, size: int, where: torch.device, name: str = "site") -> Dataset:
    """A site of smooth random images, each of a patient of its own, resident on a device."""
    generator = torch.Generator().manual_seed(count)
    small = torch.rand(count, 1, size // 8, size // 8, generator=generator)
    large = torch.nn.functional.interpolate(small, size=size, mode="bilinear")
    pixels = (255 * large[:, 0]).to(torch.uint8).numpy()
    index = np.arange(count)
    rows = pd.DataFrame({"site": name, "image": index.astype(str), "patient": index.astype(str)})
    images = Images([pixels], np.zeros_like(index), index, where)
    images.make_resident()
    labels = (torch.rand(count, 1, generator=generator) < 0.2).float().to(where)
    return Dataset(name, {name: ["a finding"]}, images, labels, rows)


def epoch(site: LocalSite) -> None:
    """One local epoch."""
    site.start_round()
    for _ in site.train(0, [ALL], None):
        pass


def images_per_second(
    architecture: str, size: int, settings: Training, where: torch.device, seconds: float
) -> float:
    """Training speed on a CPU, measured for some seconds after a batch that warms up.

    Nothing is compiled.
    """
    batch = min(settings.batch, BATCH)
    settings = msgspec.structs.replace(settings, batch=batch, compile=False)
    data = draw(batch, size, where)
    model = build(architecture, data.heads, seed=1)
    with tempfile.TemporaryDirectory() as folder:
        near = Path(folder) / "duplicates.csv"
        DUPLICATES.write(pd.DataFrame(columns=[*DUPLICATES.names]), near)
        site = site_of(data, model, settings, epochs=1, seed=1, duplicates=near, secret=1)
    epoch(site)
    start, taken, done = time.perf_counter(), 0.0, 0
    while taken < seconds:
        epoch(site)
        done += len(data)
        taken = time.perf_counter() - start
    return done / taken


def duration(seconds: float) -> str:
    """Seconds in the largest unit of which there are two, e.g. '9 days'."""
    for unit, length in (("days", 86_400), ("hours", 3600)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.0f} {unit}"
    return f"{max(seconds / 60, 2):.0f} minutes"


def sentence(
    work: Sequence[tuple[str, int]],
    speeds: Mapping[str, float],
    side_by_side: int,
    uncounted: Sequence[str],
) -> str:
    """How long trainings take, so many at a time, and why.

    work: kind and images of each training. speeds: images/s of a kind. uncounted: sites whose
    images are not in it.
    """
    seconds = [count / speeds[name] for name, count in work]
    side_by_side = min(side_by_side, len(work))
    whole = max(sum(seconds) / side_by_side, *seconds)
    measured = ", ".join(
        f"{name} {speed:,.{0 if speed >= 10 else 1}f} images/s of "
        f"{sum(count for other, count in work if other == name):,}"
        for name, speed in speeds.items()
    )
    left_out = f" Not counted yet: the images of {', '.join(uncounted)}." if uncounted else ""
    return (
        f"No GPU: training will take about {duration(whole)} on this machine, "
        f"{side_by_side} at a time (measured: {measured}).{left_out}\n"
        "Fewer epochs and smaller images take less (config/README.md), "
        "as does a machine or a cluster with GPUs (docs/cluster.md)."
    )


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--work", required=True, help="JSON of kind, images: each")
    parser.add_argument("--settings", required=True, help="JSON of a Kind by its name")
    parser.add_argument("--size", required=True, type=int, help="side of the images, pixels")
    parser.add_argument("--side-by-side", required=True, type=int, help="trainings at a time")
    parser.add_argument(
        "--uncounted", nargs="*", default=[], help="sites whose images are not known yet"
    )
    arguments = parser.parse_args(argv)
    kinds = read(arguments.settings, dict[str, Kind])
    trainings = [read_training(json.dumps(kind.training)) for kind in kinds.values()]
    where = device.choose(trainings[0].threads)
    if where.type != "cpu":
        return
    speeds = {
        name: images_per_second(kind.architecture, arguments.size, training, where, SECONDS)
        for (name, kind), training in zip(kinds.items(), trainings, strict=True)
    }
    work = read(arguments.work, list[tuple[str, int]])
    said = sentence(work, speeds, arguments.side_by_side, arguments.uncounted)
    print(said, file=sys.stderr)


if __name__ == "__main__":
    run(main)
