"""Train a federation of sites in one process; a federation of one site is its baseline."""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pandas as pd
from torch import Tensor

from chexviz.base.errors import run
from chexviz.base.files import replacing
from chexviz.base.options import finite_json
from chexviz.base.progress import Progress
from chexviz.base.tables.models import HISTORY
from chexviz.federation.checkpoint import Checkpoint, fingerprint
from chexviz.federation.device_threads import Crew
from chexviz.federation.exchange import combine
from chexviz.federation.memory import free_bytes, make_room
from chexviz.federation.methods import ALGORITHMS, FedAvg
from chexviz.federation.site import LocalSite
from chexviz.models import device, model
from chexviz.models.dataset import Dataset, load_datasets

STOPPED = os.EX_TEMPFAIL  # 75: stopped on request, a checkpoint is saved; run again to go on


class Federation:
    """A run of all rounds: every site trains, the server combines, the result goes back.

    sites: in the order of the sums; all representation blocks equal at the start. settings: rounds,
    local_epochs and method; of a training (see pipeline.settings.train). `shared` is the vector of
    the tensors that travel (see aggregate.Exchange), `history` has a row per round and site.
    """

    def __init__(self, sites: Sequence[LocalSite], settings: Mapping, method: FedAvg):
        self.sites, self.settings, self.method = sites, settings, method
        self.phases = method.phases(settings)
        self.shared = self.packed(sites[0])
        self.history: list[dict] = []
        self.round = 0
        self.devices = list(dict.fromkeys(site.device for site in sites))

    def packed(self, site: LocalSite) -> Tensor:
        """A site's update, checked, where the server computes."""
        state = site.model.representation.state_dict()
        return self.method.exchange.pack(state, site.name).to(self.sites[0].device)

    def train(self, checkpoint: Checkpoint, label: str, stop: threading.Event) -> None:
        """Run the rounds that are left, from the checkpoint if there is one.

        Once `stop` is set, it saves a checkpoint and ends the program with status STOPPED.
        """
        state = checkpoint.load(self.state())
        if state:
            self.load(state)
            print(f"{label}: goes on from round {self.round + 1}", file=sys.stderr, flush=True)
        total = self.settings["rounds"] * sum(
            len(site.losses) * len(self.phases) for site in self.sites
        )
        done = self.batches_done()
        with (
            Crew(self.devices) as crew,
            Progress(label, total=total, unit="batch", start=done) as progress,
        ):

            def meanwhile() -> None:
                if stop.is_set() or checkpoint.due():
                    with crew.paused():
                        checkpoint.save(self.state())
                    if stop.is_set():
                        # The reader of stderr may have been stopped as well.
                        with suppress(OSError):
                            print(
                                f"{label}: stopped in round {self.round + 1}; run again to go on",
                                file=sys.stderr,
                            )
                        sys.exit(STOPPED)
                if self.batches_done() < total:  # the last line waits for the last round's loss
                    tell()

            def tell() -> None:
                if self.batches_done() > progress.done:
                    progress.step(self.batches_done() - progress.done, **self.last_losses())

            while self.round < self.settings["rounds"]:
                crew.work(self.jobs(), meanwhile)
                self.average()
                tell()

    def jobs(self) -> list[list[Iterator]]:
        """What is left of this round for each device: the training of its sites."""
        return [
            [self.local(site) for site in self.sites if site.device == where]
            for where in self.devices
        ]

    def local(self, site: LocalSite) -> Iterator[None]:
        """A site's share of this round."""
        correct = self.method.correction(site, self.shared.to(site.device))
        yield from site.train(self.round, self.phases, correct)

    def average(self) -> None:
        """End a round: combine what the sites send, give it back, write the history."""
        method, updates = self.method, [self.packed(site) for site in self.sites]
        combined = combine(
            updates, method.weights, method.settings["combine"], method.settings["trim"]
        )
        self.round += 1
        sent = method.vectors * method.exchange.bytes if len(self.sites) > 1 else 0
        for site, update in zip(self.sites, updates, strict=True):
            self.history.append(
                {
                    "round": self.round,
                    "site": site.name,
                    "learning_rate": site.optimizer.param_groups[0]["lr"],
                    "loss": sum(site.means) / len(site.means),
                    "images": len(site.data) * len(site.means),
                    "drift": relative_distance(update, combined, method.exchange.parameters),
                    "sent": sent,
                }
            )
        self.shared = method.server(self.shared, combined)
        for site in self.sites:
            method.exchange.unpack(self.shared, site.model.representation)
            site.start_round()

    def batches_done(self) -> int:
        """Batches that all sites have trained since the first round."""
        whole = self.round * sum(len(site.losses) * len(self.phases) for site in self.sites)
        return whole + sum(site.epoch * len(site.losses) + site.batch for site in self.sites)

    def last_losses(self) -> dict[str, float]:
        """The mean loss of the last round, and its number, to be shown."""
        if not self.history:
            return {}
        losses = [row["loss"] for row in self.history[-len(self.sites) :]]
        return {"round": self.round, "loss": sum(losses) / len(losses)}

    def state(self) -> dict:
        """All that the run needs to go on from where it is."""
        return {
            "round": self.round,
            "history": self.history,
            "shared": self.shared,
            "method": self.method.state(),
            "sites": {site.name: site.state() for site in self.sites},
        }

    def load(self, state: Mapping) -> None:
        """Go on from where `state` was taken."""
        self.round, self.history = state["round"], state["history"]
        self.shared = state["shared"].to(self.sites[0].device)
        self.method.load(state["method"])
        for site in self.sites:
            site.load(state["sites"][site.name])

    def tensors(self) -> dict[str, Tensor]:
        """The model: the representation block, what each site keeps of it, and all task blocks.

        What no site keeps for itself and does not travel either is the same everywhere, or is
        BatchNorm's count of steps, which nothing reads: taken from the first site.
        """
        own = self.settings["method"]["batchnorm"] == "local"
        tensors = {}
        for site in reversed(self.sites):
            for name, tensor in site.model.representation.state_dict().items():
                kept = own and name not in self.method.exchange.shapes
                tensors[f"local.{site.name}.{name}" if kept else f"representation.{name}"] = tensor
            for name, tensor in site.model.tasks.state_dict().items():
                tensors[f"tasks.{name}"] = tensor
        return tensors


def relative_distance(update: Tensor, average: Tensor, count: int) -> float:
    """Euclidean distance of the first `count` numbers, as a share of the average's length."""
    return ((update[:count] - average[:count]).norm() / average[:count].norm()).item()


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


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--architecture", required=True, choices=model.ARCHITECTURES)
    parser.add_argument("--site", nargs="+", required=True, help="names; one alone is a baseline")
    parser.add_argument("--images", required=True, type=Path, help="of the site, or of all sites")
    parser.add_argument("--split", required=True, type=Path, help="likewise")
    parser.add_argument(
        "--weights", nargs="?", type=Path, help="initial representation block; else random"
    )
    parser.add_argument("--task", nargs="*", type=Path, help="initial task block per site")
    parser.add_argument("--protocol", required=True, help="of the split, to be shown")
    parser.add_argument("--seed", required=True, type=int)
    parser.add_argument("--settings", required=True, type=finite_json)
    parser.add_argument("--checkpoint", required=True, type=Path)
    parser.add_argument("--model", required=True, type=Path)
    parser.add_argument("--history", required=True, type=Path)
    return parser.parse_args(argv)


def load_parties(arguments: argparse.Namespace, algorithm: type[FedAvg]) -> list[Dataset]:
    """The training images of each party, the parties dealt to the devices in turn."""
    devices = device.choose_all(arguments.settings["threads"])
    files = (arguments.images, arguments.split)
    return algorithm.gather([*load_datasets(arguments.site, *files, ["train"], devices)])


def build_sites(arguments: argparse.Namespace, datasets: Sequence[Dataset]) -> list[LocalSite]:
    """The parties with their models, once there is room for them on their devices."""
    settings = arguments.settings
    tasks = dict(zip(arguments.site, arguments.task or [], strict=False))
    method = ALGORITHMS[settings["method"]["algorithm"]]
    epochs = settings["rounds"] * len(method.phases(settings))

    def model_of(data: Dataset) -> model.Model:
        return model.initial(
            arguments.architecture, data.heads, arguments.seed, arguments.weights, tasks
        )

    for where in dict.fromkeys(data.images.device for data in datasets):
        here = [data for data in datasets if data.images.device == where]
        free = free_bytes(where)
        make_room(here, model_of(here[0]), settings["batch"], settings["precision"], free)
    return [
        LocalSite(data, model_of(data), settings, epochs=epochs, seed=arguments.seed)
        for data in datasets
    ]


def main(argv: list[str] | None = None) -> None:
    arguments = parse(argv)
    settings = arguments.settings
    method = ALGORITHMS[settings["method"]["algorithm"]]
    sites = build_sites(arguments, load_parties(arguments, method))
    federation = Federation(sites, settings, method(settings, sites))
    inputs = [arguments.images, arguments.split]
    inputs += [arguments.weights] if arguments.weights else []
    inputs += arguments.task or []
    about = {
        "architecture": arguments.architecture,
        "sites": arguments.site,
        "seed": arguments.seed,
        "settings": settings,
    }
    checkpoint = Checkpoint(arguments.checkpoint, fingerprint("federation.train", about, inputs))
    # Several protocols train side by side.
    label = f"train {arguments.architecture} on {' + '.join(arguments.site)}, {arguments.protocol}"
    with stop_requests() as stop:
        federation.train(checkpoint, label, stop)
    with replacing(arguments.history) as temporary:
        HISTORY.write(pd.DataFrame(federation.history), temporary)
    model.save(arguments.model, federation.tensors(), **about)
    checkpoint.remove()


if __name__ == "__main__":
    run(main)
