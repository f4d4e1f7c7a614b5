"""A site of a federation over a network: it answers the coordinator, and keeps all that is its own.

Its images, labels, task block and optimiser never leave it. What it has done lies in a folder of
the study, so that it can be killed at any time and a repeated message changes nothing.
"""

import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import NamedTuple

import torch
from flwr.app import Message
from torch import Tensor

from chexviz.base.files import replacing
from chexviz.base.progress import Progress
from chexviz.federation import checkpoint
from chexviz.federation.checkpoint import Checkpoint
from chexviz.federation.exchange import Exchange, digest
from chexviz.federation.memory import free_bytes, make_room
from chexviz.federation.methods import ALGORITHMS
from chexviz.federation.network.head_warmup import HeadWarmup
from chexviz.federation.network.kept import noise_secret, read_kept
from chexviz.federation.network.messages import (
    FINISH,
    ROUND,
    START,
    WARMUP,
    Content,
    Study,
    all_findings,
    check_vectors,
    content_of,
    odd,
    record,
)
from chexviz.federation.network.node import Told
from chexviz.federation.rounds import STOPPED
from chexviz.federation.server import Reply, reply_of
from chexviz.federation.site import site_of
from chexviz.federation.warmup import Party, warm_up
from chexviz.models import device, files
from chexviz.models.dataset import Dataset, load_datasets, with_shared_head
from chexviz.models.model import Model

COORDINATOR = "the coordinator"
MODEL = "model.safetensors"
KEPT = 2  # rounds whose end is kept: the coordinator may ask for the last one again

Tables = Callable[[Path], Mapping[str, str]]  # of a model: what the operator shares of its results


class Prepared(NamedTuple):
    """What a site has made ready: its images, its split under each protocol, and which images are
    nearly identical (duplicates.csv; None: it is in no study with `privacy` for patients)."""

    images: Path
    splits: Mapping[str, Path]
    duplicates: Path | None = None


class Participant:
    """The answers of one site.

    name: as the coordinator knows it. folder: where the state of each study is kept. tables: what
    is shared of the results of the last model. stop: once set, it saves what it has and ends the
    program with status STOPPED.
    """

    def __init__(
        self,
        name: str,
        prepared: Prepared,
        folder: Path,
        tables: Tables,
        stop: threading.Event,
    ):
        self.name, self.prepared, self.folder, self.tables = name, prepared, folder, tables
        self.stop = stop
        self.part: Part | None = None

    def answer(self, message: Message) -> Message:
        """The answer to a message of the coordinator. Raises InputError."""
        content = content_of(message, COORDINATOR)
        if content.study is None:
            raise odd(COORDINATOR, "a study", "none")
        how = {START: self.start, WARMUP: self.warm, ROUND: self.round, FINISH: self.finish}
        said = how[message.metadata.message_type](content.study, content)
        return Message(record(said), reply_to=message)

    def start(self, study: Study, content: Content) -> Content:
        """Make ready for the round after `round`: from the beginning, or from what is kept."""
        part = self.part = Part(self.name, study, self.prepared, self.folder / study.digest[:16])
        if content.numbers["round"] == 0:
            part.begin(content.vectors)
        done = part.go_back_to(int(content.numbers["round"]))  # type: ignore[arg-type]
        known = [int(one) for one in part.site.known]
        return Content({"round": done, "size": part.site.size, "known": known})

    def warm(self, study: Study, content: Content) -> Content:
        """Train the shared head for an epoch; the same answer however often it is asked."""
        number = int(content.numbers["round"])  # type: ignore[arg-type]
        loss, vectors = self.of(study).warm(number, content.vectors)
        return Content({"round": number, "loss": loss}, vectors)

    def round(self, study: Study, content: Content) -> Content:
        """Train a round from the average; the same answer however often it is asked."""
        part, number = self.of(study), int(content.numbers["round"])  # type: ignore[arg-type]
        counted = part.counted(content.numbers["counted"])
        reply = part.train(number, counted, content.vectors, self.stop)
        numbers = {"round": number, "learning_rate": reply.learning_rate}
        numbers |= {"loss": reply.loss, "images": reply.images, "epsilon": reply.epsilon}
        return Content(numbers, reply.vectors)

    def finish(self, study: Study, content: Content) -> Content:
        """Write the model with the last average and the site's own task block."""
        part = self.of(study)
        part.finish(content.vectors)
        tables = self.tables(part.folder / MODEL)
        return Content({"round": content.numbers["round"]}, tables=tables)

    def of(self, study: Study) -> "Part":
        """The site's part in a study, as it is kept if another process began it."""
        if self.part is None or self.part.study != study:
            self.part = Part(self.name, study, self.prepared, self.folder / study.digest[:16])
        return self.part


class Part:
    """A site's part in one study. folder: what is kept of it; `round`: the last one it has done."""

    def __init__(self, name: str, study: Study, prepared: Prepared, folder: Path):
        self.name, self.study, self.folder = name, study, folder
        self.settings = study.training()
        algorithm = ALGORITHMS[self.settings.method.algorithm]
        self.data = training_data(name, study, prepared, device.choose(self.settings.threads))
        self.phases = algorithm.phases(self.settings)
        epochs = self.settings.rounds * len(self.phases)
        model = self.model()
        room = free_bytes(self.data.images.device)
        private = self.settings.method.sites_add_noise
        batch, precision = self.settings.batch, self.settings.precision
        make_room([self.data], model, batch, precision, room, private=private)
        self.site = site_of(
            self.data,
            model,
            self.settings,
            epochs=epochs,
            seed=study.seed,
            duplicates=prepared.duplicates,
            secret=noise_secret(folder) if private else study.seed,
        )
        self.method = algorithm(self.settings, [self.site])
        self.before = deepcopy(self.method.state())  # what the method was at the round's start
        self.round = -1  # what is in memory is of no round yet
        self.head: HeadWarmup | None = None  # once a shared one is warmed up

    def model(self) -> Model:
        """A model with random weights, which the coordinator's and kept ones replace."""
        return files.initial(self.study.architecture, self.data.heads, self.study.seed, None)

    def path(self, number: int) -> Path:
        """What is kept of the end of a round; of 0: of the start."""
        return self.folder / f"round{number}.state"

    def begin(self, vectors: Sequence[Tensor]) -> None:
        """Start from a representation block: warm the head up, and keep that as round 0.

        What is kept of an earlier run of the study goes, but for a start from the same block.
        """
        kept = self.kept(0)
        same = kept is not None and kept["received"] == digest(vectors)
        for path in [*self.folder.glob("round*"), *self.folder.glob("warmup*")]:
            if not same or path.match("round[1-9]*"):
                path.unlink()
        if same:
            return
        model = self.model()
        every = Exchange(model.representation, "average")
        check_vectors(COORDINATOR, vectors, [sum(every.sizes)])
        every.unpack(vectors[0], model.representation)
        start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        warmup = self.study.head_warmup()
        if warmup and not self.study.shared_warmup:
            (head,) = self.data.heads
            party = Party(device.place(model, self.site.device), self.data, warmup, self.study.seed)
            warm_up([party], warmup)
            block = party.task.state_dict()
            start |= {f"tasks.{head}.{name}": tensor for name, tensor in block.items()}
        self.site.model.load_state_dict(start)
        self.round = 0
        self.keep(vectors, None)

    def warm(self, number: int, received: Sequence[Tensor]) -> tuple[float, list[Tensor]]:
        """The loss and the task block after an epoch (from 1) of the shared head's warm-up."""
        warmup = self.study.head_warmup()
        if warmup is None or not self.study.shared_warmup:
            raise odd(COORDINATOR, "no warm-up of a shared head in this study", "one")
        if self.head is None:
            self.go_back_to(0)
            model = self.model()
            model.load_state_dict(self.site.model.state_dict())
            party = Party(device.place(model, self.site.device), self.data, warmup, self.study.seed)
            self.head = HeadWarmup(party, self.folder)
        return self.head.epoch(number, received)

    def state(self) -> dict:
        """All that the site needs to go on."""
        return {
            "site": self.site.state(),
            "method": self.method.state(),
            "before": self.before,
        }

    def load(self, state: Mapping) -> None:
        """Take back what `state` gave."""
        self.site.load(state["site"])
        self.method.load(state["method"])
        self.before = state["before"]

    def counted(self, rounds: object) -> int:
        """The last round in which the site's answer counted. Raises InputError."""
        names = [*self.study.findings]
        if not isinstance(rounds, list) or len(rounds) != len(names):
            raise odd(COORDINATOR, f"the last counted round of {len(names)} sites", str(rounds))
        return int(rounds[names.index(self.name)])

    def keep(self, received: Sequence[Tensor], reply: Reply | None) -> None:
        """Keep the end of a round, with what was received and answered in it."""
        state = self.state() | {"received": digest(received)}
        state["reply"] = [] if reply is None else [reply.vectors, *reply[1:]]
        with replacing(self.path(self.round)) as temporary:
            checkpoint.write(state, temporary)
        for path in self.folder.glob("round*.state"):
            if 0 < int(path.stem.removeprefix("round")) <= self.round - KEPT:
                path.unlink()

    def kept(self, number: int) -> dict | None:
        """What is kept of the end of a round; None if nothing is, or it is damaged (said)."""
        path = self.path(number)
        state = read_kept(path)
        if state:
            own = self.state()
            checkpoint.check_like(path, {name: state.get(name) for name in own}, own)
        return state

    def go_back_to(self, number: int) -> int:
        """Bring what is in memory to the end of the last kept round up to `number`; which it is.

        Raises InputError if there is none.
        """
        if self.round == number:
            return number
        numbers = [
            int(path.stem.removeprefix("round")) for path in self.folder.glob("round*.state")
        ]
        for one in sorted((one for one in numbers if one <= number), reverse=True):
            state = self.kept(one)
            if state:
                self.load(state)
                self.round = one
                return one
        raise Told(
            f"state of site {self.name}",
            expected=f"what was kept of round {number} or an earlier one",
            found=f"rounds {', '.join(map(str, sorted(numbers))) or 'none'}",
            fix="bring the folder back, or let the coordinator start the study anew",
        )

    def train(
        self, number: int, counted: int, received: Sequence[Tensor], stop: threading.Event
    ) -> Reply:
        """The answer to a round (from 1): of the one kept, or trained now.

        counted: the last round in which an answer of the site counted. What the method keeps of a
        later one, which the coordinator has never seen, is taken back.
        """
        kept = self.kept(number)
        if kept and kept["received"] == digest(received):
            vectors, *numbers = kept["reply"]
            return Reply(vectors, *numbers)
        exchange, where = self.method.exchange, self.site.device
        check_vectors(COORDINATOR, received, [len(one) for one in self.expected()])
        self.head = None  # its features are no longer needed
        self.start_from(number - 1, counted)
        self.site.start_round()
        exchange.unpack(received[0].to(where), self.method.travelling(self.site.model))
        correct = self.method.correction(self.site, [vector.to(where) for vector in received])
        begun = Checkpoint(self.folder / "round.checkpoint", f"{number} {digest(received)}")
        state = begun.load(self.state())
        if state:
            self.load(state)
        self.round = -1  # until the round is over
        label = f"round {number} of {self.settings.rounds}"
        batches = len(self.site.losses) * len(self.phases)
        with Progress(label, total=batches, unit="batch", start=self.batches_done()) as progress:
            for _ in self.site.train(number - 1, self.phases, correct):
                progress.step()
                if stop.is_set() or begun.due():
                    begun.save(self.state())
                if stop.is_set():
                    print(f"{label}: stopped; join again to go on", file=sys.stderr, flush=True)
                    sys.exit(STOPPED)
        reply = reply_of(self.site, self.method, number)
        self.round = number
        self.keep(received, reply)
        begun.remove()
        return reply

    def start_from(self, number: int, counted: int) -> None:
        """Bring what is in memory to where the round after `number` starts. Raises InputError."""
        if self.go_back_to(number) < counted:
            raise Told(
                f"state of site {self.name}",
                expected=f"what was kept of round {counted}, the last in which it took part",
                found=f"that of round {self.round}",
                fix="bring the folder back, or let the coordinator start the study anew",
            )
        if self.round > counted:
            self.method.load(self.before)
        self.before = deepcopy(self.method.state())

    def batches_done(self) -> int:
        """Batches of this round that are trained."""
        return self.site.epoch * len(self.site.losses) + self.site.batch

    def expected(self) -> list[Tensor]:
        """Vectors as long as those of a round."""
        state = self.method.travelling(self.site.model).state_dict()
        return [self.method.exchange.pack(state, self.name), *self.method.extras()]

    def finish(self, vectors: Sequence[Tensor]) -> None:
        """Write the model of the last average, with what the site keeps of its own."""
        self.go_back_to(self.settings.rounds)
        check_vectors(COORDINATOR, vectors, [len(self.expected()[0])])
        self.method.exchange.unpack(vectors[0], self.method.travelling(self.site.model))
        files.save(
            self.folder / MODEL,
            self.site.model.state_dict(),
            architecture=self.study.architecture,
            heads={head: [*known] for head, known in self.data.heads.items()},
            seed=self.study.seed,
            settings=self.study.settings,
        )


def training_data(name: str, study: Study, prepared: Prepared, where: torch.device) -> Dataset:
    """The site's training images, with the labels of the head that learns from them.

    Raises InputError if the study does not name the site, or names findings without labels here.
    """
    if name not in study.findings:
        raise Told(
            f"study of {COORDINATOR}",
            expected=f"site {name} among its sites",
            found=", ".join(study.findings),
            fix="tell the coordinator the name of this site",
        )
    if study.protocol not in prepared.splits:
        raise Told(
            f"study of {COORDINATOR}",
            expected=f"a protocol that site {name} has a split of: {', '.join(prepared.splits)}",
            found=study.protocol,
            fix="prepare the site with this protocol, or train another one",
        )
    split = prepared.splits[study.protocol]
    sites = {name: study.findings[name]}
    (data,) = load_datasets(sites, prepared.images, split, ["train"], [where])
    if study.training().method.heads == "private":
        return data
    return with_shared_head(data, all_findings(study))
