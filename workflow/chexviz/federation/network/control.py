"""What the coordinator tells the SuperLink: who may join, and which run there is."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, Self

import httpx
from flwr.common.constant import HEARTBEAT_PATIENCE, Status
from flwr.common.serde import fab_to_proto
from flwr.proto.control_pb2 import (
    ListNodesRequest,
    ListRunsRequest,
    RegisterNodeRequest,
    StartRunRequest,
    StopRunRequest,
    UnregisterNodeRequest,
)
from flwr.proto.node_pb2 import NodeInfo
from flwr.supercore.constant import NodeStatus
from flwr.supercore.control import ControlHttpClient
from flwr.supercore.error import FlowerError
from flwr.supercore.fab import Fab
from flwr.supercore.primitives.asymmetric import public_key_to_bytes
from flwr.supercore.protobuf.client import ProtobufCall, ProtobufRequestContext

from chexviz.base.errors import InputError
from chexviz.federation.network import bundle, connection, credentials


class Access(NamedTuple):
    """How the coordinator's own commands reach the SuperLink, from wherever they are started.

    authority: the certificate to trust, None with insecure. secret: the file that opens Control.
    """

    address: str
    authority: Path | None
    secret: Path
    insecure: bool = False

    @classmethod
    def of(cls, folder: Path, address: str, insecure: bool = False) -> Self:
        """With the credentials of a coordinator's folder."""
        authority = None if insecure else folder / credentials.AUTHORITY
        return cls(address, authority, folder / credentials.SECRET, insecure)


class Site(NamedTuple):
    """A site that is registered.

    seen: when its last sign of life came, None if it was never there. node: its number in this
    SuperLink, by which messages reach it; sites are not told those of others.
    """

    name: str
    fingerprint: str
    online: bool
    seen: datetime | None
    node: int


class Bearer:
    """Shows the secret with each call, as Flower's command line shows what `flwr login` got."""

    def __init__(self, secret: bytes):
        self.secret = secret.decode()

    def intercept(self, context: ProtobufRequestContext, call_next: ProtobufCall) -> httpx.Response:
        context.request.headers["Authorization"] = f"Bearer {self.secret}"
        return call_next(context)


@contextmanager
def calling(access: Access) -> Iterator[ControlHttpClient]:
    """A client of the Control API, whose refusals are InputErrors."""
    authority = connection.trusted(access.authority, access.insecure)
    connection.check_server(access.address, authority)
    secret = credentials.read_secret(access.secret)
    with ControlHttpClient.from_server_address(
        access.address, access.insecure, authority, [Bearer(secret)]
    ) as client:
        try:
            yield client
        except httpx.HTTPStatusError as error:
            raise refused(access, error) from error
        except httpx.TransportError as error:
            raise connection.explained(access.address, error, access.insecure) from error


def refused(access: Access, error: httpx.HTTPStatusError) -> InputError:
    """What the SuperLink says where it does not do what it is asked for."""
    if error.response.status_code == httpx.codes.UNAUTHORIZED:
        return InputError(
            access.secret,
            expected=f"the secret that the server at {access.address} was started with",
            found="another one",
            fix="use the folder that the server was started with",
        )
    said = FlowerError.from_json(error.response.text)
    return InputError(
        access.address,
        expected="a server that does what the coordinator asks for",
        found=said.message if said else f"status {error.response.status_code}",
        fix="see the log of the server",
    )


def register(access: Access, name: str, public: bytes) -> None:
    """Let a site in that has the private half of a key, under a name that no other site has.

    public: as `credentials.read_public` gives it. Raises InputError if name or key is in use.
    """
    mark = credentials.fingerprint(public)
    for site in nodes(access):
        if name == site.name or mark == site.fingerprint:
            raise InputError(
                f"site {name}, key {mark}",
                expected="a name and a key that no registered site has",
                found=f"site {site.name}, key {site.fingerprint}",
                fix="unregister that one first, if the site has a new key",
            )
    key = public_key_to_bytes(credentials.public_key(public))
    with calling(access) as client:
        client.RegisterNode(RegisterNodeRequest(public_key=key, name=name))


def unregister(access: Access, name: str) -> None:
    """Let a site in no longer; a connection that it has ends with its next call."""
    known = nodes(access)
    node = next((site.node for site in known if site.name == name), None)
    if node is None:
        raise InputError(
            f"site {name}",
            expected=f"one of {', '.join(site.name for site in known) or 'none yet'}",
            found="no site of this name",
            fix="see which are registered: `chexviz server status`",
        )
    with calling(access) as client:
        client.UnregisterNode(UnregisterNodeRequest(node_id=node))


def nodes(access: Access) -> list[Site]:
    """The sites that are registered, by name."""
    with calling(access) as client:
        answer = client.ListNodes(ListNodesRequest())
    registered = [one for one in answer.nodes_info if one.status != NodeStatus.UNREGISTERED]
    return sorted(map(described, registered))


def described(node: NodeInfo) -> Site:
    online, seen = node.status == NodeStatus.ONLINE, None
    if online:
        beat = node.online_until - HEARTBEAT_PATIENCE * node.heartbeat_interval
        seen = datetime.fromtimestamp(beat, UTC)
    elif node.last_deactivated_at:
        seen = datetime.fromisoformat(node.last_deactivated_at)
    return Site(node.name, credentials.fingerprint(node.public_key), online, seen, node.node_id)


@contextmanager
def sole(access: Access) -> Iterator[None]:
    """Be the only server of a SuperLink on this machine, of those that use its secret's file.

    Two would stop each other's runs for ever. The lock ends with the process, however that ends.
    Raises InputError if there is another one.
    """
    with access.secret.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                access.secret,
                expected=f"no other server of the SuperLink at {access.address}",
                found="one that already runs",
                fix="wait for it, or stop it",
            ) from error
        yield


def submit(access: Access) -> int:
    """Start a run of our bundle and return its number; runs that are unfinished are stopped.

    What a killed server left is one of them: sites would go on answering it.
    """
    fab = Fab(bundle.sha256(), bundle.bundle(), {})
    with calling(access) as client:
        for number, run in client.ListRuns(ListRunsRequest()).run_dict.items():
            if run.status.status != Status.FINISHED:
                client.StopRun(StopRunRequest(run_id=number))
        return client.StartRun(StartRunRequest(fab=fab_to_proto(fab))).run_id
