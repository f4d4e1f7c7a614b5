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
    PushTaskOutputRequest,
    SendTaskHeartbeatRequest,
)
from flwr.serverapp import Grid
from flwr.supercore.constant import TaskType
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor, SuperExecAuthHttpInterceptor
from flwr.supercore.protobuf.client import ProtobufClientInterceptor
from flwr.supercore.retry import RetryInvoker, RetryState, exponential
from flwr.supercore.runtime import RuntimeHttpClient
from flwr.supercore.task_identity import TaskIdentity
from flwr.superlink.grid import HttpGrid

from chexviz.federation.network import connection, credentials
from chexviz.federation.network.control import Access

LOG = logging.getLogger(__name__)
ACQUIRE = "/flwr.proto.Runtime/AcquireTask"
SECONDS_BETWEEN_BEATS = 10  # the SuperLink gives a run up after 60 without one
SECONDS_BETWEEN_TRIES = 10
GONE = (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN)


class RunEnded(RuntimeError):
    """The SuperLink has ended the run: it was stopped, or heard nothing of us for a minute.

    What was not yet pulled of it is lost; submit another one and go on from our own state.
    """


@contextmanager
def serving(access: Access, run: int) -> Iterator[Grid]:
    """Take the task of a run and yield the Grid that reaches its sites.

    Calls of the Grid wait while the SuperLink is away, and raise RunEnded once it says that the run
    is over. On leaving, it is told whether the run is done or has failed.
    """
    authority = connection.trusted(access.authority, access.insecure)
    grid = HttpGrid(access.address, access.insecure, authority, token=acquire(access, run))
    grid._retry_invoker = patience(access)
    client, stop = grid._runtime_client, threading.Event()
    given = client.PullTaskInput(PullTaskInputRequest())
    grid.set_run(run_from_proto(given.run))
    # Every Message that is made in this process is now one of this run.
    TaskIdentity.task_id, TaskIdentity.run_id = given.task_id, run
    TaskIdentity.node_id = given.context.node_id
    heart = threading.Thread(target=beat, args=(client, stop), daemon=True)
    heart.start()
    status, details = SubStatus.FAILED, "the server was stopped"
    try:
        yield grid
        status, details = SubStatus.COMPLETED, ""
    except Exception as error:
        details = f"{type(error).__name__} in the server"
        raise
    finally:
        stop.set()
        grid._retry_invoker.max_tries = 1
        try:
            client.PushTaskOutput(PushTaskOutputRequest(sub_status=status, details=details))
        except (httpx.HTTPError, RunEnded) as error:
            LOG.warning("the SuperLink was not told that the run is over: %s", error)
        heart.join()
        grid.close()


def acquire(access: Access, run: int) -> str:
    """The token of a run's task; those of other runs, which nobody will serve, are failed."""
    interceptors: list[ProtobufClientInterceptor] = [
        RuntimeVersionHttpInterceptor("server"),
        SuperExecAuthHttpInterceptor(
            master_secret=credentials.read_secret(access.secret), protected_methods={ACQUIRE}
        ),
    ]
    authority = connection.trusted(access.authority, access.insecure)
    request = AcquireTaskRequest(supported_task_types=[TaskType.SERVER_APP])
    with RuntimeHttpClient.from_server_address(
        access.address, access.insecure, authority, interceptors
    ) as client:
        answer = client.AcquireTask(request)
    if not answer.token or answer.task.run_id != run:
        raise RunEnded(f"run {run} has no task that could be taken")
    return answer.token


def patience(access: Access) -> RetryInvoker:
    """Tries again while the SuperLink is away; Flower's own would stop this process at a 401."""

    def hopeless(error: Exception) -> bool:
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
            LOG.info("the SuperLink answers again after %.0f s", state.elapsed_time)

    return RetryInvoker(
        lambda: exponential(max_delay=SECONDS_BETWEEN_TRIES),
        (httpx.TransportError, httpx.HTTPStatusError),
        max_tries=None,
        max_time=None,
        on_backoff=said,
        on_success=back,
        should_giveup=hopeless,
    )


def beat(client: RuntimeHttpClient, stop: threading.Event) -> None:
    """Say that we are alive until told to stop; that a run is over is found by whoever uses it."""
    while not stop.wait(SECONDS_BETWEEN_BEATS):
        try:
            client.SendTaskHeartbeat(SendTaskHeartbeatRequest())
        except (httpx.HTTPError, RunEnded):
            return
