"""Flower's Grid, which waits while the SuperLink is away, and never for one site alone.

Flower announces a reply before its content is there. Its own Grid then sleeps, up to ten seconds a
time, and hands out nothing meanwhile: for minutes, if a site dies while it sends. It also believes
what the content says of its sender.
"""

import logging
import threading
from collections.abc import Callable, Iterable
from typing import NamedTuple

import httpx
from flwr.app import Message
from flwr.common.constant import ErrorCode
from flwr.common.serde import message_from_proto
from flwr.proto.message_pb2 import ConfirmMessageReceivedRequest, ObjectTree
from flwr.proto.runtime_pb2 import PullAppMessagesRequest, PushTaskOutputRequest
from flwr.supercore.inflatable.inflatable_object import iterate_object_tree
from flwr.supercore.inflatable.inflatable_protobuf_utils import make_pull_object_fn_protobuf
from flwr.supercore.inflatable.inflatable_utils import (
    ObjectPullError,
    ObjectPushError,
    ObjectUnavailableError,
)
from flwr.supercore.retry import RetryInvoker, RetryState, exponential
from flwr.superlink.grid import HttpGrid

from chexviz.federation.network import connection
from chexviz.federation.network.content import failed, opened
from chexviz.federation.network.control import Access
from chexviz.federation.network.post import end_if_asked

LOG = logging.getLogger(__name__)
SECONDS_BETWEEN_TRIES = 5
PUSHES = 3
GONE = (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)


class RunEnded(RuntimeError):
    """The SuperLink has ended the run: it was stopped, or heard nothing of us for a minute.

    What was not yet pulled of it is lost; submit another one and go on from our own state.
    """


class Arriving(NamedTuple):
    """A reply that is announced: without its content, what that consists of, what is here."""

    message: Message
    tree: ObjectTree
    contents: dict[str, bytes]


class PromptGrid(HttpGrid):
    """Hands out each reply once it is whole. Raises RunEnded from any call, once that is so.

    stop: once set, a call that waits for the SuperLink ends the program with status STOPPED.
    """

    def __init__(self, access: Access, token: str):
        authority = connection.trusted(access.authority, access.insecure)
        super().__init__(access.address, access.insecure, authority, token=token)
        self.stop = threading.Event()
        self._retry_invoker = patience(access, lambda: end_if_asked(self.stop))
        self.arriving: dict[str, Arriving] = {}  # by the message that is replied to

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Send messages, whole; what was sent before a call was lost is not sent again."""
        sent = list(messages)
        for _ in range(PUSHES - 1):
            try:
                return super().push_messages(sent)
            except ObjectPushError as error:  # the SuperLink has it, and its answer was lost
                LOG.warning("a message is sent once more: %s", error)
        return super().push_messages(sent)

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        """Replies to these messages that are whole now, or cannot become so: those are errors.

        Ask for all that are still waited for: what is asked for no more is forgotten.
        """
        asked = set(message_ids)
        self.arriving = {one: reply for one, reply in self.arriving.items() if one in asked}
        if new := asked - set(self.arriving):
            answer = self._runtime_client.PullMessages(PullAppMessagesRequest(message_ids=new))
            for proto, tree in zip(answer.messages_list, answer.message_object_trees, strict=True):
                announced = message_from_proto(proto)
                reply = Arriving(announced, tree, {})
                self.arriving[announced.metadata.reply_to_message_id] = reply
        whole = {one: self.arrived(reply) for one, reply in self.arriving.items()}
        for one, message in whole.items():
            if message is not None:
                del self.arriving[one]
                if message.has_error():
                    self.confirm(one)  # or the SuperLink keeps what the site has not fetched
        return [message for message in whole.values() if message is not None]

    def arrived(self, reply: Arriving) -> Message | None:
        """A reply that is whole, or an error in its place; None if more of it has to come."""
        run = self.run.run_id
        pull = make_pull_object_fn_protobuf(self._runtime_client.PullObject, self.node, run)
        try:
            for tree in iterate_object_tree(reply.tree):
                if tree.object_id not in reply.contents:
                    reply.contents[tree.object_id] = pull(tree.object_id)
        except ObjectUnavailableError:
            return None
        except ObjectPullError as error:
            reason = f"the reply was not sent to its end: {error}"
            return failed(reply.message, ErrorCode.MESSAGE_UNAVAILABLE, reason)
        self.confirm(reply.tree.object_id)
        return opened(reply.message, reply.tree, reply.contents)

    def finish(self, status: str, details: str) -> None:
        """Tell the SuperLink, once and whatever was asked for, that the run is over and how."""
        self.stop = threading.Event()
        self._retry_invoker.max_tries = 1
        output = PushTaskOutputRequest(sub_status=status, details=details)
        try:
            self._runtime_client.PushTaskOutput(output)
        except (httpx.HTTPError, RunEnded) as error:
            LOG.warning("the SuperLink was not told that the run is over: %s", error)
        self.close()

    def confirm(self, message: str) -> None:
        """Tell the SuperLink that it need not keep the content of a message any longer."""
        run = self.run.run_id
        self._runtime_client.ConfirmMessageReceived(
            ConfirmMessageReceivedRequest(node=self.node, run_id=run, message_object_id=message)
        )


def patience(access: Access, look: Callable[[], None]) -> RetryInvoker:
    """Tries again while the SuperLink is away; Flower's own would stop this process at a 401.

    look: called before each further try; what it raises ends them.
    """

    def hopeless(error: Exception) -> bool:
        look()
        if isinstance(error, httpx.HTTPStatusError):
            if error.response.status_code in GONE:
                raise RunEnded("the SuperLink has ended the run") from error
            return error.response.is_client_error
        if connection.fatal(error):
            raise connection.explained(access.address, error, access.insecure) from error
        return False

    def said(state: RetryState) -> None:
        if state.tries == 1:
            LOG.warning("no answer from the SuperLink, trying again: %s", state.exception)

    def back(state: RetryState) -> None:
        if state.tries > 1:
            LOG.warning("the SuperLink answers again after %.0f s", state.elapsed_time)

    return RetryInvoker(
        lambda: exponential(max_delay=SECONDS_BETWEEN_TRIES),
        (httpx.TransportError, httpx.HTTPStatusError),
        max_tries=None,
        max_time=None,
        on_backoff=said,
        on_success=back,
        should_giveup=hopeless,
    )
