"""A site's part in warming up a head that all sites share: an epoch at a time, averaged between."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from chexviz.base.files import replacing
from chexviz.federation import checkpoint
from chexviz.federation.exchange import Exchange, digest
from chexviz.federation.network.kept import read_kept
from chexviz.federation.network.messages import check_vectors
from chexviz.federation.network.node import Told
from chexviz.federation.warmup import Party

KEPT = 2  # epochs: the coordinator may ask for the last one again


class HeadWarmup:
    """The epochs of one site. folder: where the end of each is kept. done: the last in memory."""

    def __init__(self, party: Party, folder: Path):
        self.party, self.folder, self.done = party, folder, 0
        self.exchange = Exchange(party.task, "average")

    def path(self, number: int) -> Path:
        """What is kept of the end of an epoch."""
        return self.folder / f"warmup{number}.state"

    def epoch(self, number: int, received: Sequence[Tensor]) -> tuple[float, list[Tensor]]:
        """Loss and task block after an epoch (from 1) on `received`: as kept, or trained now."""
        kept = read_kept(self.path(number))
        if kept and kept["received"] == digest(received):
            return kept["loss"], kept["vectors"]
        check_vectors("the coordinator", received, [sum(self.exchange.sizes)])
        self.go_back_to(number - 1)
        self.exchange.unpack(received[0].to(self.party.features.device), self.party.task)
        loss, self.done = self.party.epoch(), number
        vectors = [self.exchange.pack(self.party.task.state_dict(), self.party.data.site)]
        state = {"received": digest(received), "loss": loss, "vectors": vectors}
        with replacing(self.path(number)) as temporary:
            checkpoint.write(state | {"party": self.party.state()}, temporary)
        self.path(number - KEPT).unlink(missing_ok=True)
        return loss, vectors

    def go_back_to(self, number: int) -> None:
        """Bring the party to the end of an epoch. Raises Told if nothing is kept of it."""
        if self.done == number:
            return
        kept = read_kept(self.path(number))
        if kept is None:
            raise Told(
                f"warm-up of the shared head at site {self.party.data.site}",
                expected=f"what was kept of epoch {number}",
                found="nothing, or a damaged file",
                fix="bring the folder back, or let the coordinator start the study anew",
            )
        self.party.load(kept["party"])
        self.done = number
