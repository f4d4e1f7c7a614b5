"""The loop of a federation: sites train, the server combines, the result goes back."""

import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from torch import Tensor

from chexviz.base.progress import Progress
from chexviz.federation.checkpoint import Checkpoint
from chexviz.federation.device_threads import Crew
from chexviz.federation.exchange import batchnorm_names
from chexviz.federation.methods import FedAvg
from chexviz.federation.settings import Training
from chexviz.federation.site import LocalSite

STOPPED = os.EX_TEMPFAIL  # 75: stopped on request, a checkpoint is saved; run again to go on


class Federation:
    """A run of all rounds: every site trains, the server combines, the result goes back.

    sites: in the order of the sums; what they exchange is equal at the start. `shared` is the
    vector of the tensors that travel (see exchange.Exchange), `history` has a row per round and
    site.
    """

    def __init__(self, sites: Sequence[LocalSite], settings: Training, method: FedAvg):
        self.sites, self.settings, self.method = sites, settings, method
        self.phases = method.phases(settings)
        self.shared = self.packed(sites[0])
        self.history: list[dict] = []
        self.round = 0
        self.devices = list(dict.fromkeys(site.device for site in sites))

    def packed(self, site: LocalSite) -> Tensor:
        """A site's update, checked, where the server computes."""
        state = self.method.travelling(site.model).state_dict()
        return self.method.exchange.pack(state, site.name).to(self.sites[0].device)

    def train(self, checkpoint: Checkpoint, label: str, stop: threading.Event) -> None:
        """Run the rounds that are left, from the checkpoint if there is one.

        Once `stop` is set, it saves a checkpoint and ends the program with status STOPPED.
        """
        state = checkpoint.load(self.state())
        if state:
            self.load(state)
            print(f"{label}: goes on from round {self.round + 1}", file=sys.stderr, flush=True)
        total = self.settings.rounds * sum(
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

            while self.round < self.settings.rounds:
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
        combined = method.combine(updates)
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
            method.exchange.unpack(self.shared, method.travelling(site.model))
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
        kept = set()
        if self.settings.method.batchnorm == "local":
            kept = set(batchnorm_names(self.sites[0].model.representation))
        tensors = {}
        for site in reversed(self.sites):
            for name, tensor in site.model.representation.state_dict().items():
                owner = f"local.{site.name}" if name in kept else "representation"
                tensors[f"{owner}.{name}"] = tensor
            for name, tensor in site.model.tasks.state_dict().items():
                tensors[f"tasks.{name}"] = tensor
        return tensors

    def heads(self) -> dict[str, list[str]]:
        """The heads of that model, and the findings of each."""
        return {head: [*known] for site in self.sites for head, known in site.data.heads.items()}


def relative_distance(update: Tensor, average: Tensor, count: int) -> float:
    """Euclidean distance of the first `count` numbers, as a share of the average's length."""
    return ((update[:count] - average[:count]).norm() / average[:count].norm()).item()
