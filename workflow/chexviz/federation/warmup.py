"""Head warm-up: train a site's task block while the representation block is frozen."""

from pathlib import Path

import torch

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.progress import Progress
from chexviz.base.randomness import stream
from chexviz.base.settings import Positive, Settings, read
from chexviz.federation.settings import Rate
from chexviz.federation.site import batches, masked_loss
from chexviz.models import device, files
from chexviz.models.adam import Adam
from chexviz.models.architectures import ARCHITECTURES
from chexviz.models.dataset import Dataset, load_dataset, to_unit
from chexviz.models.model import Model


class Warmup(Settings, frozen=True):
    """How a task block is warmed up."""

    batch: Positive
    threads: Positive
    epochs: Positive
    learning_rate: Rate


def warm_up(model: Model, data: Dataset, settings: Warmup, seed: int) -> None:
    """Train the task block of `model` in place, on the frozen base's features of the images.

    The features are computed once: nothing that makes them changes, since the base is frozen,
    its BatchNorm uses its running statistics, and the images are not augmented.
    """
    site, task = data.site, model.task(data.site)
    features = frozen_features(model, data)
    optimizer = Adam(task.parameters(), lr=settings.learning_rate)
    draws = torch.Generator().manual_seed(stream(seed, "warmup", site))
    dropout = torch.Generator(features.device).manual_seed(stream(seed, "warmup dropout", site))
    task.dropout.generator = dropout
    task.train()
    epochs = settings.epochs
    with Progress(f"warm up the head on {site}", total=epochs, unit="epoch") as progress:
        for _ in range(epochs):
            for batch in batches(len(data), settings.batch, draws):
                loss = masked_loss(task(features[batch]), data.labels[batch, 0])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            progress.step(loss=loss.item())


def frozen_features(model: Model, data: Dataset) -> torch.Tensor:
    """The representation block's features (n, C) of all images, in inference mode."""
    model.eval()
    parts = data.in_order(device.forward_batch(data.labels.device))
    with (
        torch.inference_mode(),
        Progress(f"features of {data.site}", total=len(parts), unit="batch") as progress,
    ):
        features = []
        for images in data.images.batches(parts):
            features.append(model.features(to_unit(images)))
            progress.step()
    # A copy outside inference mode, which autograd may save for the backward pass.
    return torch.cat(features).clone()


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--architecture", required=True, choices=ARCHITECTURES)
    parser.add_argument("--site", required=True)
    parser.add_argument("--images", required=True, type=Path)
    parser.add_argument("--split", required=True, type=Path)
    parser.add_argument(
        "--weights", nargs="?", type=Path, help="initial representation block; else random"
    )
    parser.add_argument("--seed", required=True, type=int)
    parser.add_argument("--settings", required=True, help="JSON of a Warmup")
    parser.add_argument("--task", required=True, type=Path, help="the task block, written")
    arguments = parser.parse_args(argv)
    settings = read(arguments.settings, Warmup)
    where = device.choose(settings.threads)
    data = load_dataset(arguments.site, arguments.images, arguments.split, ["train"], where)
    model = files.initial(
        arguments.architecture, [arguments.site], arguments.seed, arguments.weights
    )
    warm_up(device.place(model, where), data, settings, arguments.seed)
    about = {"architecture": arguments.architecture, "sites": [arguments.site]}
    files.save(arguments.task, model.tasks[arguments.site].state_dict(), **about)


if __name__ == "__main__":
    run(main)
