"""A federation over a network without the network: the messages go from hand to hand."""

import itertools
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from flwr.app import Error, Message
from flwr.common.constant import ErrorCode
from flwr.supercore.task_identity import TaskIdentity

from chexviz.base.errors import InputError
from chexviz.federation.network.participant import Participant, Prepared


class MemoryGrid:
    """What of Flower's Grid the coordinator uses. sites: who answers, by name.

    lose: called with the name and the message before a site has it; True: it never arrives, and the
    site has gone and come back. seen: all messages, in both directions.
    """

    def __init__(self, sites: dict[str, Callable[[Message], Message]]):
        self.sites, self.names = sites, dict(enumerate(sites, 1))
        self.lose: Callable[[str, Message], bool] = lambda *_: False
        self.there = {name: (number, "0") for number, name in self.names.items()}
        self.messages: dict[str, Message] = {}
        self.seen: list[Message] = []
        self.count = itertools.count()
        TaskIdentity.run_id, TaskIdentity.task_id, TaskIdentity.node_id = 1, 1, 99

    def nodes(self) -> dict[str, tuple[int, str]]:
        return dict(self.there)

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        ids = []
        for message in messages:
            message.metadata.__dict__["_message_id"] = f"m{next(self.count)}"
            self.messages[message.metadata.message_id] = message
            self.seen.append(message)
            ids.append(message.metadata.message_id)
        return ids

    def pull_messages(self, ids: Iterable[str]) -> list[Message]:
        replies = []
        for identity in ids:
            message = self.messages.pop(identity, None)
            if message is None:
                continue
            name = self.names[message.metadata.dst_node_id]
            if self.lose(name, message):
                number, since = self.there[name]
                self.there[name] = (number, f"{since}1")
                lost = Error(ErrorCode.NODE_UNAVAILABLE, "gone")
                replies.append(Message(lost, reply_to=message))
                continue
            try:
                reply = self.sites[name](message)
            except InputError as error:
                code = ErrorCode.CLIENT_APP_RAISED_EXCEPTION
                reply = Message(Error(code, str(error)), reply_to=message)
            self.seen.append(reply)
            replies.append(reply)
        return replies


def participant(
    folder: Path,
    name: str,
    state: str = "state",
    tables=lambda _: {},
    duplicates: Path | None = None,
) -> Participant:
    """A site of the fixture `federation`."""
    splits = {"paper": folder / name / "split.csv"}
    prepared = Prepared(folder / name / "images.npy", splits, duplicates)
    return Participant(name, prepared, folder / state / name, tables, threading.Event())
