"""The coordinator of a federation over a network: rounds, averaging, checkpoints, quorum.

Flower's strategies average whoever replied, neither ask again nor go on after a crash; so the loop
is ours, on Flower's messages.
"""

import math
import sys
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from flwr.serverapp import Grid
from torch import Tensor

from chexviz.base.errors import InputError
from chexviz.base.methods import POOLED
from chexviz.base.progress import Progress
from chexviz.base.settings import Positive, Settings
from chexviz.base.tables.models import SHARED
from chexviz.federation.checkpoint import Checkpoint
from chexviz.federation.exchange import Exchange
from chexviz.federation.methods import ALGORITHMS, FedAvg
from chexviz.federation.network.messages import (
    FINISH,
    ROUND,
    START,
    WARMUP,
    Content,
    Numbers,
    Study,
    all_findings,
    check_vectors,
)
from chexviz.federation.network.post import Check, Nodes, Post
from chexviz.federation.server import Reply, Server, private_average
from chexviz.federation.settings import Rate
from chexviz.federation.warmup import combination
from chexviz.models.model import Model, build

CPU = torch.device("cpu")  # where the coordinator adds up


class Rules(Settings, frozen=True):
    """When a round goes on.

    quorum: answers that a round needs; null: of all sites. deadline: seconds that it waits for
    more than those; null: as long as it takes. largest_step: an update is refused whose Euclidean
    distance from the average that it started from is more than so many times that one's length.
    """

    quorum: Positive | None
    deadline: Positive | None
    largest_step: Rate


@dataclass
class Remote:
    """What the coordinator knows of a site, see methods.Member. model: one for all sites."""

    name: str
    size: int
    known: list[bool]
    model: Model
    device: torch.device = CPU


class Coordinator:
    """A run of a study over the sites of a grid.

    nodes: who is there; a name is bound to a key by whoever makes it, not by what a node says of
    itself. stop: once set, the program ends with status STOPPED. secret: what noise is drawn from
    if the server adds it, else None. tables: what the sites share of their results, by site and
    file, once the run is over. Raises InputError if the method cannot go over a network.
    """

    def __init__(
        self,
        study: Study,
        rules: Rules,
        grid: Grid,
        nodes: Nodes,
        stop: threading.Event,
        secret: int | None,
    ):
        self.study, self.rules, self.secret = study, rules, secret
        self.settings = study.training()
        check_study(study)
        self.post = Post(grid, nodes, stop)
        self.label = f"train {study.architecture} on {' + '.join(study.findings)}"
        self.tables: dict[str, Mapping[str, str]] = {}

    def run(self, block: Mapping[str, Tensor], kept: Checkpoint) -> Server:
        """All rounds that are left; the server at their end.

        block: the representation block that training starts from. kept: where the run is kept
        after every round. Raises InputError.
        """
        like = {name: {"size": 1, "known": [1]} for name in self.study.findings}
        server = self.server(like, block)
        saved = kept.load(self.state(server, like, 0, self.task()))
        sites = self.start(block, saved)
        server = self.server(sites, block)
        self.check_senders(server, sites)
        first = saved["server"]["round"] if saved else 0
        if saved and first:
            server.load(saved["server"])
            print(f"{self.label}: goes on from round {first + 1}", file=sys.stderr, flush=True)
        elif self.study.shared_warmup:
            self.warm_up(server, sites, saved, kept)
        total = self.settings.rounds
        with Progress(self.label, total=total, unit="round", start=first) as progress:
            while server.round < total:
                self.round(server)
                kept.save(self.state(server, sites, 0, self.task()))
                progress.step(1, **server.last_losses())
        answers = self.ask(FINISH, Content({"round": total}, [server.shared]), self.rules.quorum)
        self.tables = {name: answer.tables for name, answer in answers.items() if answer.tables}
        return server

    def state(self, server: Server, sites: Mapping, epoch: int, task: Tensor) -> dict:
        """What is kept of a run: rounds, sites, and of a shared head its warm-up so far."""
        return {"server": server.state(), "sites": sites, "epoch": epoch, "task": task}

    def task(self) -> Tensor:
        """The vector of a shared head at random; empty if no head is warmed up together."""
        if not self.study.shared_warmup:
            return torch.zeros(0)
        block = self.model().task(SHARED)
        return Exchange(block, "average").pack(block.state_dict(), "the start")

    def warm_up(
        self, server: Server, sites: Mapping, saved: Mapping | None, kept: Checkpoint
    ) -> None:
        """Warm the shared head up: the sites train it an epoch at a time, and it is averaged."""
        warmup = self.study.head_warmup()
        assert warmup is not None
        block = server.members[0].model.task(SHARED)
        exchange = Exchange(block, "average")
        epoch, task = (saved["epoch"], saved["task"]) if saved else (0, self.task())

        def check(name: str, answer: Content) -> None:
            check_vectors(f"site {name}", answer.vectors, [len(task)])

        label = f"warm up the head on {' + '.join(self.study.findings)}"
        with Progress(label, total=warmup.epochs, unit="epoch", start=epoch) as progress:
            while epoch < warmup.epochs:
                epoch += 1
                question = Content({"round": epoch}, [task])
                answers = self.ask(WARMUP, question, self.rules.quorum, check)
                senders = [one for one in server.members if one.name in answers]
                server.method.check(senders)
                combine = combination(exchange, warmup.method, senders)
                task = combine([answers[one.name].vectors[0] for one in senders])
                kept.save(self.state(server, sites, epoch, task))
                losses = [float(one.numbers["loss"]) for one in answers.values()]  # type: ignore[arg-type]
                progress.step(1, loss=sum(losses) / len(losses))
        exchange.unpack(task, block)
        server.shared = packed(server.method)

    def start(self, block: Mapping[str, Tensor], saved: Mapping | None) -> dict[str, dict]:
        """Let the sites make ready; size and known of each, see Remote.

        The first round needs all sites, since it decides what each weighs.
        """
        done = saved["server"]["round"] if saved else 0
        first = Content({"round": done}, [] if done else [whole(block, self.model())])
        answers = self.ask(START, first, self.rules.quorum if done else None, self.check_about)
        sites = {name: dict(about) for name, about in saved["sites"].items()} if saved else {}
        for name, answer in answers.items():
            self.check_round(name, answer, saved)
            about = {key: answer.numbers[key] for key in ("size", "known")}
            if sites.setdefault(name, about) != about:
                raise InputError(
                    f"site {name}",
                    expected=f"{sites[name]['size']} training images, as when the study began",
                    found=f"{about['size']}, or labels of other findings",
                    fix="let the site train on what it had then, or start the study anew",
                )
        return {name: sites[name] for name in self.study.findings}

    def check_about(self, name: str, answer: Content) -> None:
        """Refuse what no site can say of its images. Raises InputError."""
        size, known, done = (answer.numbers[key] for key in ("size", "known", "round"))
        private = self.settings.method.heads == "private"
        findings = self.study.findings[name] if private else all_findings(self.study)
        flags = isinstance(known, list) and len(known) == len(findings) and set(known) <= {0, 1}
        if not (isinstance(size, int) and size > 0 and isinstance(done, int) and flags):
            raise InputError(
                f"message of site {name}",
                expected=f"how many images it trains on, and 0 or 1 for each of {len(findings)} "
                "findings",
                found=f"{size}, {known}",
                fix="run the same version of the code at the coordinator and every site",
            )

    def model(self) -> Model:
        """A model whose travelling tensors are as those of every site."""
        findings = self.study.findings
        if self.settings.method.heads == "private":
            name = next(iter(findings))
            return build(self.study.architecture, {name: findings[name]}, self.study.seed)
        return build(self.study.architecture, {SHARED: all_findings(self.study)}, self.study.seed)

    def server(self, sites: Mapping[str, Mapping], block: Mapping[str, Tensor]) -> Server:
        """The server before the first round, of the sites in the order of the study."""
        model = self.model()
        model.representation.load_state_dict(dict(block))
        members = []
        for name in self.study.findings:
            about = sites[name]
            members.append(
                Remote(name, about["size"], [bool(one) for one in about["known"]], model)
            )
        method = ALGORITHMS[self.settings.method.algorithm](self.settings, members)
        private = private_average(self.settings, len(members), self.secret)
        return Server(method, members, packed(method), private)

    def check_round(self, name: str, answer: Content, saved: Mapping | None) -> None:
        """Refuse a site that has lost a round in which it took part."""
        last = last_round(saved["server"]["history"] if saved else [], name)
        if int(answer.numbers["round"]) < last:  # type: ignore[arg-type]
            raise InputError(
                f"site {name}",
                expected=f"its own state of round {last}, the last in which it took part",
                found=f"that of round {answer.numbers['round']}",
                fix="let the site bring back the folder of its state, or start the study anew",
            )

    def round(self, server: Server) -> None:
        """One round: ask all sites, combine what those sent whose answers can be used."""
        sent, number = server.sent(), server.round + 1
        lengths = [len(vector) for vector in sent]
        method = self.settings.method

        def check(name: str, answer: Content) -> None:
            private = method.sites_add_noise
            check_numbers(f"site {name}", answer.numbers, number, private=private)
            check_vectors(f"site {name}", answer.vectors, lengths)
            if not method.server_adds_noise:  # which shortens it, and tells nobody that it was long
                check_step(f"site {name}", answer.vectors[0], sent[0], self.rules.largest_step)

        counted = [last_round(server.history, name) for name in self.study.findings]
        question = Content({"round": number, "counted": counted}, sent)
        answers = self.ask(ROUND, question, self.rules.quorum, check)
        self.check_senders(server, answers)
        server.end_round({name: reply_in(answer) for name, answer in answers.items()})

    def check_senders(self, server: Server, answers: Collection[str]) -> None:
        """Refuse a round of so few sites that the method cannot combine them."""
        server.method.check([one for one in server.members if one.name in answers])

    def ask(
        self, kind: str, content: Content, quorum: int | None, check: Check = lambda *_: None
    ) -> dict[str, Content]:
        """The answers of the sites to a question about the study, by name; see Post.ask."""
        sites = [*self.study.findings]
        enough = len(sites) if quorum is None else min(quorum, len(sites))
        question = content._replace(study=self.study)
        return self.post.ask(kind, question, sites, enough, self.rules.deadline, check)


def check_study(study: Study) -> None:
    """Raise InputError if a study cannot go over a network, with the reason."""
    method = study.training().method
    if method.algorithm == POOLED:
        raise InputError(
            f"method {POOLED} over a network",
            expected="a method by which images stay at their sites",
            found="one that needs all images in one place",
            fix="train it with `engine: in-process`, or leave it out",
        )


def packed(method: FedAvg) -> Tensor:
    """What travels of the model that a method's members have in common."""
    state = method.travelling(method.members[0].model).state_dict()
    return method.exchange.pack(state, "the start")


def whole(block: Mapping[str, Tensor], model: Model) -> Tensor:
    """All floating tensors of a representation block as one vector."""
    return Exchange(model.representation, "average").pack(block, "the start")


def last_round(history: Sequence[Mapping], name: str) -> int:
    """The last round in which a site's answer counted; 0 if none did."""
    return max((row["round"] for row in history if row["site"] == name), default=0)


def check_numbers(sender: str, numbers: Numbers, number: int, *, private: bool) -> None:
    """Refuse an answer to another round, or of a training that diverged. Raises InputError.

    private: the site tells what its patients have spent, and no loss.
    """
    told = "epsilon" if private else "loss"
    said = [numbers[key] for key in ("round", "images", "learning_rate", told)]
    scalars = [one for one in said if isinstance(one, int | float) and math.isfinite(one)]
    if len(scalars) < len(said) or said[0] != number:
        raise InputError(
            f"message of {sender}",
            expected=f"finite numbers of round {number}",
            found=f"round, images, learning rate, {told}: {', '.join(map(str, said))}",
            fix="ask the site what happened; its training may have diverged",
        )


def check_step(sender: str, update: Tensor, start: Tensor, largest: float) -> None:
    """Refuse an update that lies too far from where it started. Raises InputError."""
    step, length = (update - start).norm().item(), start.norm().item()
    if step > largest * length:
        raise InputError(
            f"message of {sender}",
            expected=f"an update at most {largest:g} times the length of the average from it "
            "(`largest_step`)",
            found=f"{step / length:.3g} times",
            fix="ask the site what happened; its training may have diverged",
        )


def reply_in(answer: Content) -> Reply:
    """The reply that an answer to ROUND carries."""
    keys = ("learning_rate", "loss", "images", "epsilon")
    rate, loss, images, epsilon = (float(answer.numbers[key]) for key in keys)  # type: ignore[arg-type]
    return Reply([*answer.vectors], rate, loss, int(images), epsilon)
