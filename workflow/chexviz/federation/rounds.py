"""A federation in one process: sites train, the server combines, the result goes back."""

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
from chexviz.federation.server import Server, joined, private_average, reply_of
from chexviz.federation.settings import Training
from chexviz.federation.site import LocalSite

STOPPED = os.EX_TEMPFAIL  # 75: stopped on request, a checkpoint is saved; run again to go on


class Federation:
    """A run of all rounds: every site trains, the server combines, the result goes back.

    sites: in the order of the sums; what they exchange is equal at the start. Raises InputError if
    they are too few for the method.
    """

    def __init__(self, sites: Sequence[LocalSite], settings: Training, method: FedAvg):
        method.check(sites)
        self.sites, self.settings, self.method = sites, settings, method
        self.phases = method.phases(settings)
        start = method.exchange.pack(method.travelling(sites[0].model).state_dict(), sites[0].name)
        private = private_average(settings, len(sites), sites[0].seed)
        self.server = Server(method, sites, start, private)
        self.devices = list(dict.fromkeys(site.device for site in sites))

    def train(self, checkpoint: Checkpoint, label: str, stop: threading.Event) -> None:
        """Run the rounds that are left, from the checkpoint if there is one.

        Once `stop` is set, it saves a checkpoint and ends the program with status STOPPED.
        """
        state = checkpoint.load(self.state())
        if state:
            self.load(state)
            following = self.server.round + 1
            print(f"{label}: goes on from round {following}", file=sys.stderr, flush=True)
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
                                f"{label}: stopped in round {self.server.round + 1}; "
                                "run again to go on",
                                file=sys.stderr,
                            )
                        sys.exit(STOPPED)
                if self.batches_done() < total:  # the last line waits for the last round's loss
                    tell()

            def tell() -> None:
                if self.batches_done() > progress.done:
                    progress.step(self.batches_done() - progress.done, **self.server.last_losses())

            while self.server.round < self.settings.rounds:
                crew.work(self.jobs(), meanwhile)
                self.average()
                tell()

    def jobs(self) -> list[list[Iterator]]:
        """What is left of this round for each device: the training of its sites."""
        sent = self.server.sent()
        return [
            [self.local(site, sent) for site in self.sites if site.device == where]
            for where in self.devices
        ]

    def local(self, site: LocalSite, sent: Sequence[Tensor]) -> Iterator[None]:
        """A site's share of this round, from what the server sent."""
        correct = self.method.correction(site, [vector.to(site.device) for vector in sent])
        yield from site.train(self.server.round, self.phases, correct)

    def average(self) -> None:
        """End a round: combine what the sites send, and give it back."""
        following = self.server.round + 1
        replies = {site.name: reply_of(site, self.method, following) for site in self.sites}
        self.server.end_round(replies)
        for site in self.sites:
            self.method.exchange.unpack(self.server.shared, self.method.travelling(site.model))
            site.start_round()

    def batches_done(self) -> int:
        """Batches that all sites have trained since the first round."""
        whole = self.server.round * sum(len(site.losses) * len(self.phases) for site in self.sites)
        return whole + sum(site.epoch * len(site.losses) + site.batch for site in self.sites)

    def state(self) -> dict:
        """All that the run needs to go on from where it is."""
        return self.server.state() | {"sites": {site.name: site.state() for site in self.sites}}

    def load(self, state: Mapping) -> None:
        """Go on from where `state` was taken."""
        self.server.load(state)
        for site in self.sites:
            site.load(state["sites"][site.name])

    def tensors(self) -> dict[str, Tensor]:
        """The model, see server.joined."""
        own = self.settings.method.batchnorm == "local"
        kept = batchnorm_names(self.sites[0].model.representation) if own else []
        return joined({site.name: site.model.state_dict() for site in self.sites}, kept)

    def heads(self) -> dict[str, list[str]]:
        """The heads of that model, and the findings of each."""
        return {head: [*known] for site in self.sites for head, known in site.data.heads.items()}
