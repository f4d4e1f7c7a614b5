"""Questions to sites and their answers: asked again where they were lost, refused by name."""

import math
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

from flwr.app import Message, RecordDict
from flwr.common.constant import ErrorCode
from flwr.serverapp import Grid

from chexviz.base.errors import InputError
from chexviz.base.progress import duration
from chexviz.federation.network.messages import Content, content_of, record
from chexviz.federation.rounds import STOPPED

SECONDS = (0.05, 0.5)  # between two looks for answers: at first, and while nothing comes
SECONDS_BETWEEN_ASKS = 1.0  # of a site whose answer was lost
SECONDS_BETWEEN_LISTS = 1.0  # of the sites that are there
SECONDS_BETWEEN_NOTES = 60.0  # of who is waited for
TTL = 30 * 24 * 3600.0  # seconds that an answer may take, local training included
# A message was lost with the process that had it; any other error is a site's own answer.
LOST = {
    ErrorCode.NODE_UNAVAILABLE,
    ErrorCode.MESSAGE_UNAVAILABLE,
    ErrorCode.REPLY_MESSAGE_UNAVAILABLE,
}

Check = Callable[[str, Content], None]  # raises InputError if a site's answer cannot be used
# Flower's number of the node of each site that is there, and since when it is.
Nodes = Callable[[], Mapping[str, tuple[int, str]]]


class Post:
    """What carries questions and answers. nodes: who is there; see Coordinator.

    missing: who was left out of the last question. late: Flower's ids of messages whose answers
    count for nothing any more, but would stay in the SuperLink's memory.
    """

    def __init__(self, grid: Grid, nodes: Nodes, stop: threading.Event):
        self.grid, self.nodes, self.stop = grid, nodes, stop
        self.missing: set[str] = set()
        self.late: set[str] = set()

    def ask(
        self,
        kind: str,
        content: Content,
        sites: Sequence[str],
        enough: int,
        deadline: float | None,
        check: Check,
    ) -> dict[str, Content]:
        """The answers of the sites to one question, by name.

        Waits for all sites, and from `deadline` seconds on for `enough` of them. Who comes back is
        asked again; who was left out of the last question is waited for only once it is there.
        Raises InputError, which names them, if too many refuse.
        """
        end_if_asked(self.stop)
        question = Question(kind, record(content), sites)
        began = listed = noted = time.monotonic()
        there, pause = self.nodes(), SECONDS[0]
        while question.open():
            self.send(question, there)
            pause = SECONDS[0] if self.collect(question, check) else min(1.5 * pause, SECONDS[1])
            waited = time.monotonic() - began
            late = deadline is not None and waited >= deadline
            if len(question.answers) >= enough and (late or self.away(question, there)):
                break
            if len(sites) - len(question.refused) < enough:
                raise too_few(question, enough, waited)
            end_if_asked(self.stop)
            if time.monotonic() - noted >= SECONDS_BETWEEN_NOTES and question.open():
                noted = time.monotonic()
                print(question.note(there, waited), file=sys.stderr, flush=True)
            if time.monotonic() - listed >= SECONDS_BETWEEN_LISTS:
                there, listed = self.nodes(), time.monotonic()
            if question.open():
                self.stop.wait(pause)
        if len(question.answers) < enough:
            raise too_few(question, enough, time.monotonic() - began)
        if len(question.answers) < len(sites):
            print(question.note(there, time.monotonic() - began), file=sys.stderr, flush=True)
        self.missing = {*question.waiting()}
        self.late |= {identity for identity, _ in question.asked.values()}
        return question.answers

    def away(self, question: "Question", there: Mapping[str, tuple[int, str]]) -> bool:
        """Whether those that have not answered were left out before, and have not come back."""
        return all(one in self.missing and one not in there for one in question.waiting())

    def send(self, question: "Question", there: Mapping[str, tuple[int, str]]) -> None:
        """Ask those who are there and have not been asked since they came."""
        names = [name for name in question.waiting() if question.unasked(name, there)]
        messages = [question.to(there[name][0]) for name in names]
        if messages:
            sent = self.grid.push_messages(messages)
            for name, identity in zip(names, sent, strict=True):
                question.asked[name] = (identity, there[name][1])

    def collect(self, question: "Question", check: Check) -> bool:
        """Take the answers that are there; whether there were any."""
        names = {identity: name for name, (identity, _) in question.asked.items()}
        messages = [*self.grid.pull_messages([*names, *self.late])] if names else []
        for message in messages:
            identity = message.metadata.reply_to_message_id
            if identity in self.late:
                self.late.remove(identity)
                continue
            name = names[identity]
            question.asked.pop(name, None)
            if message.has_error():
                if message.error.code in LOST:
                    question.lost[name] = time.monotonic()
                else:
                    question.refuse(name, message.error.reason or "no reason given")
                continue
            try:
                answer = content_of(message, f"site {name}")
                check(name, answer)
            except InputError as error:
                question.refuse(name, str(error))
            else:
                question.answers[name] = answer
        return bool(messages)


def end_if_asked(stop: threading.Event) -> None:
    """End the program with status STOPPED if it is asked to stop."""
    if stop.is_set():
        print("stopped; resume to go on", file=sys.stderr, flush=True)
        sys.exit(STOPPED)


class Question:
    """One message to several sites, and what came of it.

    asked: Flower's id of the message to each site that has it, and since when that site was there.
    lost: when an answer of a site was lost last.
    """

    def __init__(self, kind: str, content: RecordDict, sites: Sequence[str]):
        self.kind, self.content, self.sites = kind, content, sites
        self.asked: dict[str, tuple[str, str]] = {}
        self.answers: dict[str, Content] = {}
        self.refused: dict[str, str] = {}
        self.lost: dict[str, float] = {}

    def waiting(self) -> Iterator[str]:
        """The sites that have neither answered nor refused."""
        return (one for one in self.sites if one not in self.answers and one not in self.refused)

    def open(self) -> bool:
        """Whether there are any."""
        return any(True for _ in self.waiting())

    def unasked(self, name: str, there: Mapping[str, tuple[int, str]]) -> bool:
        """Whether a site is there and not asked, or came back since, and so lost the question."""
        rests = time.monotonic() - self.lost.get(name, -math.inf) < SECONDS_BETWEEN_ASKS
        if name not in there or rests:
            return False
        return name not in self.asked or self.asked[name][1] != there[name][1]

    def to(self, node: int) -> Message:
        """The message to a node."""
        return Message(self.content, dst_node_id=node, message_type=self.kind, ttl=TTL)

    def refuse(self, name: str, reason: str) -> None:
        """Note that an answer of a site cannot be used, and say why."""
        self.refused[name] = reason
        print(f"site {name} has no part in {self.kind}: {reason}", file=sys.stderr, flush=True)

    def note(self, there: Mapping[str, tuple[int, str]], seconds: float) -> str:
        """Who is waited for, and since when."""
        missing = [name if name in there else f"{name} (not connected)" for name in self.waiting()]
        missing += [f"{name} (refused)" for name in self.refused]
        done = f"{len(self.answers)} of {len(self.sites)} sites have answered"
        return f"{self.kind}: {done} after {duration(seconds)}, without {', '.join(missing)}"


def too_few(question: Question, enough: int, seconds: float) -> InputError:
    """The error of a question that too few answer."""
    reasons = [f"{name}: {reason}" for name, reason in question.refused.items()]
    missing = ", ".join(question.waiting())
    reasons += [f"no answer of {missing} in {duration(seconds)}"] if missing else []
    return InputError(
        f"the federation, {question.kind}",
        expected=f"answers of at least {enough} of the sites {', '.join(question.sites)}",
        found=f"{len(question.answers)}; {'; '.join(reasons)}",
        fix="mend what they say and resume: all rounds that are over are kept",
    )
