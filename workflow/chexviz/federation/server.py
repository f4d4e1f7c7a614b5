"""The server of a federation, wherever its sites are: the average, its rounds and their history."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor

from chexviz.federation.methods import FedAvg, Member
from chexviz.federation.settings import Training
from chexviz.federation.site import LocalSite

if TYPE_CHECKING:
    from chexviz.federation.private_average import PrivateAverage


class Reply(NamedTuple):
    """What a site sends after a round.

    vectors: the travelling tensors (see exchange.Exchange), and what the method's `report` adds.
    images: passed in this round. loss: the mean of its epochs; NaN if it is not told. epsilon: what
    a patient of the site has spent since the first round. bytes of it: see `sent`.
    """

    vectors: list[Tensor]
    learning_rate: float
    loss: float
    images: int
    epsilon: float

    @property
    def sent(self) -> int:
        """Bytes that the site sends, and the server's answer has as many."""
        return sum(vector.nbytes for vector in self.vectors)


def reply_of(site: LocalSite, method: FedAvg, number: int) -> Reply:
    """What a site sends after round `number` (from 1), which it has trained.

    Raises InputError, see Exchange.pack.
    """
    state = method.travelling(site.model).state_dict()
    return Reply(
        [method.exchange.pack(state, site.name), *method.report(site)],
        site.optimizer.param_groups[0]["lr"],
        site.loss,
        len(site.data) * len(site.means),
        site.epsilon(number),
    )


class Server:
    """The server of a run. `shared` is the average, `round` how many rounds are over.

    members: all sites, in the order of the sums. shared: what they start from. private: see
    private_average. history: a row per round and site.
    """

    def __init__(
        self,
        method: FedAvg,
        members: Sequence[Member],
        shared: Tensor,
        private: "PrivateAverage | None" = None,
    ):
        self.method, self.members, self.shared, self.private = method, members, shared, private
        self.round = 0
        self.history: list[dict] = []

    def sent(self) -> list[Tensor]:
        """What every site gets at the start of the next round."""
        return [self.shared, *self.method.extras()]

    def end_round(self, replies: Mapping[str, Reply]) -> None:
        """Combine what sites sent, by their names; those that are missing have no say in it."""
        method, where = self.method, self.shared.device
        senders = [one for one in self.members if one.name in replies]
        updates = [replies[one.name].vectors[0].to(where) for one in senders]
        self.round += 1
        if self.private:
            step = method.combination(senders)
            combined = self.private(step, self.shared, updates, self.round)
        else:
            combined = method.combine(updates, senders)
        method.receive({one.name: replies[one.name].vectors[1:] for one in senders})
        for one, update in zip(senders, updates, strict=True):
            reply = replies[one.name]
            if self.private:  # the history goes where the model goes: nothing without noise
                loss, drift, epsilon = math.nan, math.nan, self.private.epsilon(self.round)
            else:
                drift = relative_distance(update, combined, method.exchange.parameters)
                loss, epsilon = reply.loss, reply.epsilon
            row = {
                "round": self.round,
                "site": one.name,
                "learning_rate": reply.learning_rate,
                "loss": loss,
                "images": reply.images,
                "drift": drift,
                "sent": reply.sent if len(self.members) > 1 else 0,
                "epsilon": epsilon,
            }
            self.history.append({key: told(value) for key, value in row.items()})
        self.shared = method.server(self.shared, combined)

    def last_losses(self) -> dict[str, float]:
        """The mean loss of the last round, and its number, to be shown."""
        rows = [row for row in self.history if row["round"] == self.round]
        losses = [row["loss"] for row in rows if row["loss"] is not None]
        mean = {"loss": sum(losses) / len(losses)} if losses else {}
        return {"round": self.round, **mean} if rows else {}

    def privacy(self, noise: str) -> dict:
        """What the header of a model says of its privacy; nothing without.

        noise: what it was drawn from, the run's `seed` or a `secret` of whoever added it.
        """
        how = self.method.settings.privacy
        if how is None:
            return {}
        epsilon = max(row["epsilon"] for row in self.history)
        said = {"unit": how.unit, "epsilon": epsilon, "delta": how.delta, "noise": noise}
        return {"privacy": said}

    def state(self) -> dict:
        """All that the server needs to go on from where it is."""
        return {
            "round": self.round,
            "history": self.history,
            "shared": self.shared,
            "method": self.method.state(),
        }

    def load(self, state: Mapping) -> None:
        """Go on from where `state` was taken."""
        self.round, self.history = state["round"], list(state["history"])
        self.shared = state["shared"].to(self.shared.device)
        self.method.load(state["method"])


def told(value: Any) -> Any:
    """A value of the history; None of what is not told, or not bounded."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def private_average(settings: Training, sites: int, secret: int | None) -> "PrivateAverage | None":
    """What the server averages by if it adds the noise of a training; else None.

    sites: how many there are. secret: what noise is drawn from. Raises InputError.
    """
    if not settings.method.server_adds_noise:
        return None
    # Its library takes seconds to import.
    from chexviz.federation.private_average import PrivateAverage

    assert settings.method.privacy is not None
    assert secret is not None
    return PrivateAverage(settings.method.privacy, settings.rounds, sites, secret)


def relative_distance(update: Tensor, average: Tensor, count: int) -> float:
    """Euclidean distance of the first `count` numbers, as a share of the average's length."""
    return ((update[:count] - average[:count]).norm() / average[:count].norm()).item()


def joined(states: Mapping[str, Mapping[str, Tensor]], kept: Sequence[str]) -> dict[str, Tensor]:
    """The model: the representation block, what each site keeps of it, and all task blocks.

    states: of each site's model. kept: tensors of the representation block that each site has of
    its own. What no site keeps for itself and does not travel either is the same everywhere, or is
    BatchNorm's count of steps, which nothing reads: taken from the first site.
    """
    tensors = {}
    for site in reversed([*states]):
        for name, tensor in states[site].items():
            block, _, rest = name.partition(".")
            own = block == "representation" and rest in kept
            tensors[f"local.{site}.{rest}" if own else name] = tensor
    return tensors
