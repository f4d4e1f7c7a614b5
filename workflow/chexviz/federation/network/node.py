"""A site's side of Flower: it asks the SuperLink for messages, and answers with its own code.

It speaks Flower's Fleet API with Flower's own client, in place of `flower-supernode`, which would
run whatever code the server ships. Only the site opens connections; nothing listens here.
"""

import hashlib
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self, TypeVar

import httpx
from flwr.app import Error, Message
from flwr.app.message import remove_content_from_message
from flwr.common.constant import HEARTBEAT_MIN_INTERVAL, HEARTBEAT_PATIENCE, ErrorCode
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.proto.fab_pb2 import GetFabRequest
from flwr.proto.fleet_pb2 import (
    ActivateNodeRequest,
    DeactivateNodeRequest,
    PullMessagesRequest,
    PushMessagesRequest,
)
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest
from flwr.proto.message_pb2 import ConfirmMessageReceivedRequest, ObjectTree
from flwr.proto.node_pb2 import Node as Number
from flwr.proto.run_pb2 import GetRunRequest
from flwr.supercore.inflatable.inflatable_object import (
    get_all_nested_objects,
    get_object_tree,
    iterate_object_tree,
    no_object_id_recompute,
)
from flwr.supercore.inflatable.inflatable_protobuf_utils import (
    make_pull_object_fn_protobuf,
    make_push_object_fn_protobuf,
)
from flwr.supercore.inflatable.inflatable_utils import (
    ObjectPullError,
    ObjectPushError,
    pull_objects,
    push_objects,
)
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from chexviz.base.errors import InputError
from chexviz.federation.network import connection, credentials, refusals
from chexviz.federation.network.content import opened

LOG = logging.getLogger(__name__)
Asked = TypeVar("Asked")
Answer = TypeVar("Answer")
INTERVAL = HEARTBEAT_MIN_INTERVAL  # seconds; the SuperLink waits for two of them
LAPSE = HEARTBEAT_PATIENCE * INTERVAL
SECONDS_BETWEEN_BEATS = 5
SECONDS_TO_LET_GO = LAPSE + 5  # a killed process is forgotten by then
SECONDS_FOR_AN_ANSWER = 120  # of a server that stores the updates of many sites at once
SECONDS_TO_CONNECT = 10
POLL = (0.05, 1.0)  # seconds between two questions for messages: at first, and while nothing comes
RETRY = (0.5, 5.0)  # seconds between two tries of a lost connection
PUSHES = 3


class Lost(Exception):
    """No answer, or none that counts: it is worth another try.

    heard: whether the server may have heard the question all the same.
    """

    def __init__(self, text: str, heard: bool = True):
        super().__init__(text)
        self.heard = heard


class Held(Lost):
    """The SuperLink still has a connection with our key: of a killed process, or another one."""


class Stopped(Exception):
    """The caller wants no more."""


class NotRunning(Exception):
    """The run of a message is over."""


class Told(InputError):
    """An error of a site whose text the server is told; of all others it is told the kind alone."""


class Envelope(NamedTuple):
    """A message that waits at the SuperLink: whose it is, and what its content consists of."""

    message: Message
    tree: ObjectTree


class Node:
    """A connection to the SuperLink under a registered key, while the context is entered.

    address: host:port. key: the private key. authority: the certificate to trust; None, with
    insecure, for a connection without encryption. Raises InputError, on entering or later, for what
    waiting does not mend; a lost connection is tried again for ever, until `stop` is set.
    """

    def __init__(self, address: str, key: Path, authority: Path | None, insecure: bool = False):
        self.address, self.key, self.authority, self.insecure = address, key, authority, insecure
        self.stop = threading.Event()
        self.left = threading.Event()
        self.lock = threading.Lock()
        self.beaten, self.lost, self.doubtful = 0.0, False, False
        self.apps: dict[int, str] = {}

    def __enter__(self) -> Self:
        private = credentials.read_key(self.key)
        authority = connection.trusted(self.authority, self.insecure)
        if self.insecure:
            LOG.warning(connection.INSECURE.format(address=self.address))
        connection.check_server(self.address, authority)
        self.public = public_key_to_bytes(private.public_key())
        url, verify = connection.web(self.address, authority)
        self.client = FleetHttpClient(
            url,
            interceptors=[
                RuntimeVersionHttpInterceptor("site"),
                NodeAuthHttpInterceptor(private, private.public_key()),
            ],
            verify=verify,
            # Of the kinds that httpx takes, Flower's annotation knows one.
            timeout=httpx.Timeout(SECONDS_FOR_AN_ANSWER, connect=SECONDS_TO_CONNECT),  # type: ignore[arg-type]
        )
        try:
            self.join()
        except BaseException:
            self.client.close()
            raise
        threading.Thread(target=self.live, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.left.set()
        with self.lock:
            if not self.lost:
                try:
                    self.client.DeactivateNode(self.leaving())
                except httpx.HTTPError as problem:
                    LOG.info("the server was not told that this site leaves: %s", problem)
            self.client.close()

    def join(self) -> None:
        """Be let in; while the SuperLink holds the last connection of this key, wait and say so."""
        end = time.monotonic() + SECONDS_TO_LET_GO
        said = False
        while True:
            try:
                return self.activate()
            except Held as error:
                if time.monotonic() > end:
                    raise refusals.held(self.key, SECONDS_TO_LET_GO) from error
                if not said:
                    LOG.warning("%s; waiting up to %d s for it to end", error, SECONDS_TO_LET_GO)
                    said = True
            except Lost as error:
                raise connection.explained(self.address, error, self.insecure) from error
            self.pause(1)

    def activate(self) -> None:
        """Raises InputError if nobody registered the key, Held if it is in use."""
        began = time.monotonic()
        request = ActivateNodeRequest(public_key=self.public, heartbeat_interval=INTERVAL)
        try:
            answer = self.call(self.client.ActivateNode, request)
        except httpx.HTTPStatusError as error:
            if error.response.headers.get(refusals.REASON) == refusals.UNKNOWN:
                raise refusals.unregistered(self.address, self.key, self.public) from error
            raise Held("the server still has a connection with this key") from error
        self.number, self.beaten = Number(node_id=answer.node_id), began

    def beat(self) -> None:
        """Stay online; after a pause so long that another process may have joined, join anew."""
        with self.lock:
            if self.left.is_set():
                return
            if self.lapsed():
                return self.activate()
            began = time.monotonic()
            request = SendNodeHeartbeatRequest(node=self.number, heartbeat_interval=INTERVAL)
            if not self.call(self.client.SendNodeHeartbeat, request).success:
                raise refusals.unregistered(self.address, self.key, self.public)
            self.beaten = began

    def lapsed(self) -> bool:
        """Whether the SuperLink may have forgotten us."""
        return time.monotonic() - self.beaten > LAPSE

    def renew(self) -> None:
        """Leave and join again, by which the server knows that it has to ask again."""
        with self.lock:
            if not self.lapsed():
                with suppress(httpx.HTTPStatusError):  # it was done, and the answer was lost
                    self.call(self.client.DeactivateNode, self.leaving())
            self.activate()
            self.doubtful = False

    def leaving(self) -> DeactivateNodeRequest:
        return DeactivateNodeRequest(node_id=self.number.node_id)

    def live(self) -> None:
        """The heartbeats, in a thread of their own; what ends them ends the next call as well."""
        while not self.left.wait(SECONDS_BETWEEN_BEATS):
            try:
                self.beat()
                self.found()
            except Lost as error:
                self.missed(error)
            except InputError:
                return

    def receive(self) -> Message | None:
        """The next message, whole and confirmed; None if there is none now."""
        envelope = self.ask()
        return envelope and self.open(envelope)

    def ask(self) -> Envelope | None:
        """Whether a message waits. The SuperLink names each once: whoever asked has to answer.

        If the name was lost on its way, the server would wait for ever, so that we join anew.
        """

        def attempt() -> Envelope | None:
            if self.doubtful or self.lapsed():
                self.renew()
            try:
                answer = self.call(self.client.PullMessages, PullMessagesRequest(node=self.number))
            except Lost as error:
                self.doubtful = error.heard
                raise
            if not answer.messages_list:
                return None
            message = message_from_proto(answer.messages_list[0])
            return Envelope(message, answer.message_object_trees[0])

        return self.patiently(attempt)

    def newest(self) -> Envelope | None:
        """The last message that waits: who sent it waits for no answer to those before it."""
        last = None
        while envelope := self.ask():
            if last:
                LOG.warning("a message was overtaken by a newer one, and is not answered")
                with suppress(NotRunning):
                    self.confirm(last)
            last = envelope
        return last

    def open(self, envelope: Envelope) -> Message | None:
        """Pull the content of a message; None if it is gone, which the server is told."""
        metadata = envelope.message.metadata
        pull = make_pull_object_fn_protobuf(
            lambda request: self.patiently(lambda: self.call(self.client.PullObject, request)),
            self.number,
            metadata.run_id,
        )
        try:
            contents = pull_objects(
                [tree.object_id for tree in iterate_object_tree(envelope.tree)],
                pull,
                initial_backoff=POLL[0],  # it is announced before it is there
                backoff_cap=POLL[1],
            )
        except ObjectPullError as error:
            LOG.warning("a message of run %d is gone: %s", metadata.run_id, error)
            gone = Error(ErrorCode.MESSAGE_UNAVAILABLE, "the SuperLink has lost its content")
            self.reply(Message(gone, reply_to=envelope.message))
            return None
        self.confirm(envelope)
        return opened(envelope.message, envelope.tree, contents)

    def confirm(self, envelope: Envelope) -> None:
        """Tell the SuperLink that it need not keep a message any longer."""
        metadata = envelope.message.metadata
        request = ConfirmMessageReceivedRequest(
            node=self.number, run_id=metadata.run_id, message_object_id=metadata.message_id
        )
        self.patiently(lambda: self.call(self.client.ConfirmMessageReceived, request))

    def app_of(self, run: int) -> str:
        """The SHA-256 of a run's app, as stated and as found. Raises InputError if they differ."""
        if run not in self.apps:
            asked = GetRunRequest(node=self.number, run_id=run)
            stated = self.patiently(lambda: self.call(self.client.GetRun, asked)).run.fab_hash
            wanted = GetFabRequest(node=self.number, run_id=run, hash_str=stated)
            app = self.patiently(lambda: self.call(self.client.GetFab, wanted)).fab.content
            found = hashlib.sha256(app).hexdigest()
            if found != stated:
                raise InputError(
                    self.address,
                    expected=f"the app {stated}, which the server announces for run {run}",
                    found=f"the app {found}",
                    fix="nothing was answered. Call the coordinator: do not trust the server",
                )
            self.apps[run] = found
        return self.apps[run]

    def reply(self, message: Message) -> None:
        """Send an answer, whole. Raises NotRunning if nobody waits for it any more."""
        for _ in range(PUSHES):
            try:
                return self.push(message)
            except ObjectPushError as error:  # it was interrupted for longer than Flower waits
                LOG.warning("an answer is sent once more: %s", error)
        LOG.error("an answer could not be sent, %d times; the server will ask again", PUSHES)

    def push(self, message: Message) -> None:
        run = message.metadata.run_id
        with no_object_id_recompute():
            message.metadata.__dict__["_message_id"] = message.object_id
            request = PushMessagesRequest(
                node=self.number,
                messages_list=[message_to_proto(remove_content_from_message(message))],
                message_object_trees=[get_object_tree(message)],
            )
            answer = self.patiently(lambda: self.call(self.client.PushMessages, request))
            send = make_push_object_fn_protobuf(
                lambda request: self.patiently(lambda: self.call(self.client.PushObject, request)),
                self.number,
                run,
                answer.session_id,
            )
            needed = set(answer.objects_to_push)
            push_objects(get_all_nested_objects(message), send, object_ids_to_push=needed)

    def patiently(self, attempt: Callable[[], Answer]) -> Answer:
        """Try until it works. Raises Stopped, InputError or NotRunning."""
        pause, longest = RETRY
        while True:
            try:
                answer = attempt()
                self.found()
                return answer
            except Lost as error:
                self.missed(error)
            self.pause(pause)
            pause = min(2 * pause, longest)

    def call(self, method: Callable[[Asked], Answer], request: Asked) -> Answer:
        """One call, whose failures are Lost, NotRunning, InputError or, of activation, 412."""
        try:
            return method(request)
        except httpx.RequestError as error:
            if connection.fatal(error):
                raise connection.explained(self.address, error, self.insecure) from error
            heard = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
            raise Lost(f"{type(error).__name__}: {error}", heard) from error
        except httpx.HTTPStatusError as error:
            code = error.response.status_code
            if code == httpx.codes.UNAUTHORIZED:
                response = error.response
                raise refusals.unsigned(self.address, self.key, self.public, response) from error
            if code == httpx.codes.FORBIDDEN:
                raise NotRunning from error
            if error.response.is_server_error:
                raise Lost(f"the server has a fault: {code}") from error
            if code == httpx.codes.PRECONDITION_FAILED:
                raise
            raise refusals.misunderstood(self.address, error.response) from error
        except ValueError as error:  # of Flower's client, if no message of Flower came back
            raise Lost(str(error)) from error

    def pause(self, seconds: float) -> None:
        if self.stop.wait(seconds):
            raise Stopped

    def missed(self, error: Exception) -> None:
        """Say once that the connection is lost."""
        if not self.lost:
            self.lost = True
            LOG.warning("no connection to %s, trying again: %s", self.address, error)

    def found(self) -> None:
        """Say once that it is back."""
        if self.lost:
            self.lost = False
            LOG.warning("connected to %s again", self.address)


def serve(
    node: Node, answer: Callable[[Message], Message], approved: str, stop: threading.Event
) -> None:
    """Answer the server's messages until `stop` is set; of several that wait, the newest.

    answer: called in this thread with messages of runs whose app has the SHA-256 `approved`, and
    no others. Of what it raises the server is told the kind, or the text if it is Told.
    """
    node.stop = stop
    pause, longest = POLL
    while not stop.is_set():
        try:
            if envelope := node.newest():
                pause = POLL[0]
                if reply := answered(node, envelope, answer, approved):
                    node.reply(reply)
            else:
                stop.wait(pause)
                pause = min(2 * pause, longest)
        except NotRunning:
            LOG.warning("a message belonged to a run that is over; nothing was answered")
        except Stopped:
            return


def answered(
    node: Node, envelope: Envelope, answer: Callable[[Message], Message], approved: str
) -> Message | None:
    """The reply to one message; its content is pulled only if its run may be answered."""
    run = envelope.message.metadata.run_id
    app = node.app_of(run)
    if app != approved:
        LOG.error("refused run %d: its app is %s, approved is %s", run, app, approved)
        node.confirm(envelope)
        reason = f"this site approved the app {approved}, not {app}"
        return Message(Error(ErrorCode.INVALID_FAB, reason), reply_to=envelope.message)
    message = node.open(envelope)
    if message is None:
        return None
    try:
        if message.has_error():
            raise Told(
                f"message of run {run}",
                expected="one that can be read",
                found=str(message.error.reason),
                fix="see that server and site have the same versions",
            )
        return answer(message)
    except Told as error:
        LOG.error("%s", error)
        reason = str(error)
    except Exception as error:
        LOG.exception("a message of run %d could not be answered", run)
        reason = type(error).__name__
    return Message(Error(ErrorCode.CLIENT_APP_RAISED_EXCEPTION, reason), reply_to=envelope.message)
