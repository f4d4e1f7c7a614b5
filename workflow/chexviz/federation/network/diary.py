"""What a site is asked and what it answers, for its log: which round, how many bytes, how long."""

import logging
import time
from collections.abc import Callable
from pathlib import Path

from flwr.app import Message, RecordDict

from chexviz.base.files import replacing
from chexviz.base.progress import duration
from chexviz.base.settings import read
from chexviz.federation.network.messages import FINISH, ROUND, START, WARMUP, Study
from chexviz.federation.settings import Method

LOG = logging.getLogger(__name__)
STUDY = "study.json"  # in the folder of a study's state: what the coordinator said of it


class Diary:
    """The answers of a site, each with a line in the log.

    answer: what gives them. folder: where the state of each study is kept; beside it goes what the
    study is, so that the operator can read it.
    """

    def __init__(
        self,
        answer: Callable[[Message], Message],
        folder: Path,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.give, self.folder, self.clock = answer, folder, clock
        self.study: Study | None = None
        self.first: tuple[int, float] | None = None  # round that began this process's count, when

    def answer(self, message: Message) -> Message:
        """The answer to a message of the coordinator. Raises what the site raises."""
        began, received = self.clock(), size(message.content)
        if said := message.content.config_records.get("study"):
            self.meet(read(str(said.get("json")), Study, "study"))
            self.begin(message)
        reply = self.give(message)
        self.note(message, received, size(reply.content), began)
        return reply

    def meet(self, study: Study) -> None:
        """Say what is asked for, and keep it, where this process has not heard of it yet."""
        if study != self.study:
            self.study, self.first = study, None
            LOG.info("%s", account(study))
            with replacing(self.place(study) / STUDY) as temporary:
                temporary.write_text(study.text, encoding="utf-8")

    def begin(self, message: Message) -> None:
        """Say what will take long, before it does."""
        kind = message.metadata.message_type
        if kind in (ROUND, WARMUP):
            number = message.content.metric_records["numbers"].get("round")
            what = "round" if kind == ROUND else "epoch of the warm-up"
            LOG.info("%s %s begins", what, number)

    def note(self, message: Message, received: int, sent: int, began: float) -> None:
        """Say what was done; of a message that the site could answer."""
        kind, numbers = message.metadata.message_type, message.content.metric_records["numbers"]
        study, done = self.study, numbers["round"]
        assert study is not None
        assert isinstance(done, int)
        total = study.training().rounds
        words = {
            START: f"ready for round {done + 1} of {total}",
            WARMUP: f"epoch {done} of the warm-up of the shared head is over",
            ROUND: f"round {done} of {total} is over",
            FINISH: f"the last of {total} rounds is over; the model is in {self.place(study)}",
        }[kind]
        if kind == START:  # the coordinator may have been away for long
            self.first = None
        took = duration(self.clock() - began)
        LOG.info("%s: %s, received %s, sent %s", words, took, bytes_of(received), bytes_of(sent))
        if kind == ROUND and done < total:
            self.say_left(done, total, began)

    def say_left(self, number: int, total: int, began: float) -> None:
        """How long the rounds that are left will take, the other sites and the network included."""
        if self.first is None or number <= self.first[0]:
            self.first = number - 1, began
        before, since = self.first
        left = (self.clock() - since) / (number - before) * (total - number)
        LOG.info("about %s left, if all sites go on as they do", duration(left))

    def place(self, study: Study) -> Path:
        """The folder of a study's state."""
        return self.folder / study.digest[:16]


def size(content: RecordDict) -> int:
    """Bytes of the vectors of a message, which are nearly all that travels."""
    records = content.array_records.values()
    return sum(len(array.data) for record in records for array in record.values())


def bytes_of(count: int) -> str:
    """A number of bytes as people say it."""
    for unit, factor in (("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} bytes"


def account(study: Study) -> str:
    """What the coordinator asks for, in one line."""
    training = study.training()
    method, sites = training.method.algorithm, " + ".join(study.findings)
    return (
        f"study {study.digest[:16]}: {study.architecture} on {sites} by {method}, protocol "
        f"{study.protocol}, seed {study.seed}, {training.rounds} rounds{promise(training.method)}"
    )


def promise(method: Method) -> str:
    """What a study says of privacy, and of whom it asks trust."""
    if method.privacy is None:
        return ""
    epsilon = f"epsilon {method.privacy.epsilon:g}, delta {method.privacy.delta:g}"
    if method.sites_add_noise:
        return f", private for each patient ({epsilon}): the site adds the noise"
    return f", private for each site ({epsilon}): the server adds the noise to what it is sent"
