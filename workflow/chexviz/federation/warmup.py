"""Head warm-up: train task blocks while the representation block is frozen."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.progress import Progress
from chexviz.base.randomness import stream
from chexviz.base.settings import Positive, Settings, read
from chexviz.federation.exchange import Combination, Exchange
from chexviz.federation.methods import ALGORITHMS, labels_known, weights_of
from chexviz.federation.settings import Method, Rate, add_sites, findings_of
from chexviz.federation.site import batches, masked_loss
from chexviz.models import device, files
from chexviz.models.adam import Adam
from chexviz.models.architectures import ARCHITECTURES
from chexviz.models.dataset import Dataset, Known, load_datasets, to_unit
from chexviz.models.model import Model


class Warmup(Settings, frozen=True):
    """How task blocks are warmed up. method: who trains which heads, and how they are averaged."""

    batch: Positive
    threads: Positive
    epochs: Positive
    learning_rate: Rate
    method: Method


class Party:
    """Who warms up a head: the features of its images, its task block and its optimiser.

    The features are computed once: nothing that makes them changes, since the base is frozen, its
    BatchNorm uses its running statistics, and the images are not augmented.
    """

    def __init__(self, model: Model, data: Dataset, settings: Warmup, seed: int):
        (head,) = data.heads
        self.data, self.batch, self.task = data, settings.batch, model.task(head)
        self.features = frozen_features(model, data)
        self.optimizer = Adam(self.task.parameters(), lr=settings.learning_rate)
        self.draws = torch.Generator().manual_seed(stream(seed, "warmup", data.site))
        self.dropout = torch.Generator(self.features.device)
        self.dropout.manual_seed(stream(seed, "warmup dropout", data.site))
        self.task.dropout.generator = self.dropout
        self.task.train()

    def epoch(self) -> float:
        """Train the task block for an epoch; the loss of its last batch."""
        for batch in batches(len(self.data), self.batch, self.draws):
            loss = masked_loss(self.task(self.features[batch]), self.data.labels[batch])
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
        return loss.item()

    def state(self) -> dict:
        """All that the party needs to go on from the end of an epoch."""
        return {
            "task": self.task.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "draws": self.draws.get_state(),
            "dropout": self.dropout.get_state(),
        }

    def load(self, state: Mapping) -> None:
        """Go on from where `state` was taken."""
        self.task.load_state_dict(state["task"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.draws.set_state(state["draws"])
        self.dropout.set_state(state["dropout"])


def combination(exchange: Exchange, how: Method, parties: Sequence[Known]) -> Combination:
    """How the task blocks of parties become one after an epoch.

    What a shared head has for one finding alone is averaged over the parties that label it.
    """
    weights, labelled = weights_of(how, parties), labels_known(parties)
    return Combination(exchange, weights, how.combine, how.trim, labelled)


def warm_up(parties: Sequence[Party], settings: Warmup) -> None:
    """Train the task blocks of all parties in place; those of several are averaged every epoch."""
    exchange = Exchange(parties[0].task, "average")
    combine = combination(exchange, settings.method, [party.data for party in parties])
    sites = " + ".join(party.data.site for party in parties)
    with Progress(f"warm up the head on {sites}", total=settings.epochs, unit="epoch") as progress:
        for _ in range(settings.epochs):
            losses = [party.epoch() for party in parties]
            if len(parties) > 1:
                sent = [exchange.pack(one.task.state_dict(), one.data.site) for one in parties]
                combined = combine(sent)
                for one in parties:
                    exchange.unpack(combined, one.task)
            progress.step(loss=sum(losses) / len(losses))


def frozen_features(model: Model, data: Dataset) -> Tensor:
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


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argument_parser(main)
    parser.add_argument("--architecture", required=True, choices=ARCHITECTURES)
    add_sites(parser)
    parser.add_argument("--images", required=True, type=Path, help="of the site, or of all sites")
    parser.add_argument("--split", required=True, type=Path, help="likewise")
    parser.add_argument(
        "--weights", nargs="?", type=Path, help="initial representation block; else random"
    )
    parser.add_argument("--seed", required=True, type=int)
    parser.add_argument("--settings", required=True, help="JSON of a Warmup")
    parser.add_argument("--task", required=True, type=Path, help="the task block, written")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    arguments = parse(argv)
    settings, seed = read(arguments.settings, Warmup), arguments.seed
    where = device.choose(settings.threads)
    paths = (arguments.images, arguments.split)
    datasets = [*load_datasets(findings_of(arguments.site), *paths, ["train"], [where])]
    datasets = ALGORITHMS[settings.method.algorithm].gather(datasets, settings.method)
    parties = []
    for data in datasets:
        model = files.initial(arguments.architecture, data.heads, seed, arguments.weights)
        parties.append(Party(device.place(model, where), data, settings, seed))
    warm_up(parties, settings)
    about = {"architecture": arguments.architecture, "heads": datasets[0].heads}
    files.save(arguments.task, parties[0].task.state_dict(), **about)


if __name__ == "__main__":
    run(main)
