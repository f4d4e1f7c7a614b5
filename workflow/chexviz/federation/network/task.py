"""The server's own part of a run: to the SuperLink it is one task, which somebody takes."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from flwr.common.constant import SubStatus
from flwr.common.serde import run_from_proto
from flwr.proto.runtime_pb2 import (
    AcquireTaskRequest,
    PullTaskInputRequest,
    SendTaskHeartbeatRequest,
)
from flwr.supercore.constant import TaskType
from flwr.supercore.interceptors import SuperExecAuthHttpInterceptor
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.supercore.task_identity import TaskIdentity

from chexviz.base.errors import InputError
from chexviz.federation.network import connection, credentials
from chexviz.federation.network.control import Access, refused
from chexviz.federation.network.grid import PromptGrid, RunEnded

LOG = logging.getLogger(__name__)
ACQUIRE = "/flwr.proto.Runtime/AcquireTask"
SECONDS_BETWEEN_BEATS = 10  # the SuperLink gives a run up after 60 without one


@contextmanager
def serving(access: Access, run: int) -> Iterator[PromptGrid]:
    """Take the task of a run and yield the Grid that reaches its sites.

    Calls of the Grid wait while the SuperLink is away, and raise RunEnded once it says that the run
    is over. On leaving, it is told whether the run is done or has failed.
    """
    grid = PromptGrid(access, acquire(access, run))
    client, over = grid._runtime_client, threading.Event()
    given = client.PullTaskInput(PullTaskInputRequest())
    grid.set_run(run_from_proto(given.run))
    # Every Message that is made in this process is now one of this run.
    TaskIdentity.task_id, TaskIdentity.run_id = given.task_id, run
    TaskIdentity.node_id = given.context.node_id
    threading.Thread(target=beat, args=(client, over), daemon=True).start()
    status, details = SubStatus.FAILED, "the server was stopped"
    try:
        yield grid
        status, details = SubStatus.COMPLETED, ""
    except Exception as error:
        details = f"{type(error).__name__} in the server"
        raise
    finally:
        over.set()
        grid.finish(status, details)


def acquire(access: Access, run: int) -> str:
    """The token of a run's task. Raises RunEnded if there is none to be had."""
    authority = connection.trusted(access.authority, access.insecure)
    connection.check_server(access.address, authority)
    signing = SuperExecAuthHttpInterceptor(
        master_secret=credentials.read_secret(access.secret), protected_methods={ACQUIRE}
    )
    request = AcquireTaskRequest(supported_task_types=[TaskType.SERVER_APP])
    with RuntimeHttpClient.from_server_address(
        access.address, access.insecure, authority, [signing]
    ) as client:
        try:
            answer = client.AcquireTask(request)
        except httpx.HTTPStatusError as error:
            raise refused(access, error) from error
        except httpx.TransportError as error:
            raise connection.explained(access.address, error, access.insecure) from error
    if not answer.token or answer.task.run_id != run:
        raise RunEnded(f"run {run} has no task that could be taken")
    return answer.token


def beat(client: RuntimeHttpClient, over: threading.Event) -> None:
    """Say that we are alive until told to stop; that a run is over is found by whoever uses it."""
    while not over.wait(SECONDS_BETWEEN_BEATS):
        try:
            client.SendTaskHeartbeat(SendTaskHeartbeatRequest())
        except (httpx.HTTPError, RuntimeError, InputError) as error:
            LOG.info("no more heartbeats: %s", error)
            return
