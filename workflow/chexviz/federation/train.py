"""Train a federation of sites in one process; a federation of one site is its baseline."""

import argparse
import json
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.files import replacing
from chexviz.base.tables.models import HISTORY
from chexviz.federation.checkpoint import Checkpoint, fingerprint
from chexviz.federation.memory import free_bytes, make_room
from chexviz.federation.methods import ALGORITHMS, read_training
from chexviz.federation.rounds import Federation
from chexviz.federation.settings import Training, add_sites, findings_of
from chexviz.federation.site import LocalSite, site_of
from chexviz.models import device, files
from chexviz.models.architectures import ARCHITECTURES
from chexviz.models.dataset import Dataset, load_datasets
from chexviz.models.model import Heads, Model


@contextmanager
def stop_requests() -> Iterator[threading.Event]:
    """An event that SIGTERM (a cluster's warning) and SIGINT (Ctrl-C) set instead of killing."""
    asked = threading.Event()
    signals = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, lambda *_: asked.set()) for number in signals]
    try:
        yield asked
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)


def add_start(parser: argparse.ArgumentParser) -> None:
    """Add the options of what `load_parties` and `build_sites` make: a training at its start."""
    parser.add_argument("--architecture", required=True, choices=ARCHITECTURES)
    add_sites(parser)
    parser.add_argument("--images", required=True, type=Path, help="of the site, or of all sites")
    parser.add_argument("--split", required=True, type=Path, help="likewise")
    parser.add_argument(
        "--weights", nargs="?", type=Path, help="initial representation block; else random"
    )
    parser.add_argument(
        "--duplicates",
        nargs="?",
        type=Path,
        help="near-identical images, for a method with `privacy`",
    )
    parser.add_argument("--task", nargs="*", type=Path, help="initial task block of each head")
    parser.add_argument("--seed", required=True, type=int)
    parser.add_argument("--settings", required=True, help="JSON of a Training")


def parser_of(main: Callable) -> argparse.ArgumentParser:
    """Takes what trains a model, in this process or over a network."""
    parser = argument_parser(main)
    add_start(parser)
    parser.add_argument("--protocol", required=True, help="of the split, to be shown")
    parser.add_argument("--checkpoint", required=True, type=Path)
    parser.add_argument("--model", required=True, type=Path)
    parser.add_argument("--history", required=True, type=Path)
    return parser


def load_parties(arguments: argparse.Namespace, settings: Training) -> list[Dataset]:
    """The training images of each party, the parties dealt to the devices in turn."""
    devices = device.choose_all(settings.threads)
    paths = (arguments.images, arguments.split)
    datasets = [*load_datasets(findings_of(arguments.site), *paths, ["train"], devices)]
    return ALGORITHMS[settings.method.algorithm].gather(datasets, settings.method)


def build_sites(
    arguments: argparse.Namespace, settings: Training, datasets: Sequence[Dataset]
) -> list[LocalSite]:
    """The parties with their models, once there is room for them on their devices."""
    heads = dict.fromkeys(head for data in datasets for head in data.heads)
    tasks = dict(zip(heads, arguments.task, strict=True)) if arguments.task else None
    phases = ALGORITHMS[settings.method.algorithm].phases(settings)
    epochs = settings.rounds * len(phases)

    def model_of(data: Dataset) -> Model:
        return files.initial(
            arguments.architecture, data.heads, arguments.seed, arguments.weights, tasks
        )

    for where in dict.fromkeys(data.images.device for data in datasets):
        here = [data for data in datasets if data.images.device == where]
        free = free_bytes(where)
        private = settings.method.sites_add_noise
        model = model_of(here[0])
        make_room(here, model, settings.batch, settings.precision, free, private=private)
    how = {"epochs": epochs, "seed": arguments.seed, "duplicates": arguments.duplicates}
    return [
        # All sites are in one process: whoever runs it knows what noise is drawn from.
        site_of(data, model_of(data), settings, **how, secret=arguments.seed)
        for data in datasets
    ]


def about_model(arguments: argparse.Namespace, heads: Heads) -> dict:
    """What the header of a model says of it."""
    return {
        "architecture": arguments.architecture,
        "heads": heads,
        "seed": arguments.seed,
        "settings": json.loads(arguments.settings),
    }


def main(argv: list[str] | None = None) -> None:
    arguments = parser_of(main).parse_args(argv)
    settings = read_training(arguments.settings)
    sites = build_sites(arguments, settings, load_parties(arguments, settings))
    method = ALGORITHMS[settings.method.algorithm](settings, sites)
    federation = Federation(sites, settings, method)
    inputs = [arguments.images, arguments.split]
    inputs += [arguments.weights] if arguments.weights else []
    inputs += arguments.task or []
    inputs += [arguments.duplicates] if arguments.duplicates else []
    about = about_model(arguments, federation.heads())
    checkpoint = Checkpoint(arguments.checkpoint, fingerprint("federation.train", about, inputs))
    # Several protocols train side by side.
    label = f"train {arguments.architecture} on {' + '.join(findings_of(arguments.site))}"
    label += f", {arguments.protocol}"
    with stop_requests() as stop:
        federation.train(checkpoint, label, stop)
    with replacing(arguments.history) as temporary:
        HISTORY.write(pd.DataFrame(federation.server.history), temporary)
    about |= federation.server.privacy("seed")
    files.save(arguments.model, federation.tensors(), **about)
    checkpoint.remove()


if __name__ == "__main__":
    run(main)
