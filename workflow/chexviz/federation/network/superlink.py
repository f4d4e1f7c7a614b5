"""Flower's SuperLink, started with its doors closed: the process that `link.Link` runs.

It serves three interfaces on one port: Fleet (sites), Control (who may join, what runs) and Runtime
(our server). Each call of a site is signed with its key, and a task of the Runtime is only given to
who has the secret. Control has no login in the open SuperLink: whoever reaches the port could
register a key of their own or stop the run. So it gets one here, through the plugin that Flower has
for logins: the same secret, as a bearer token.
"""

import argparse
import hmac
import logging
import os
from base64 import b64decode
from collections.abc import Sequence
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from flwr.common.constant import (
    ACCESS_TOKEN_KEY,
    ISOLATION_MODE_PROCESS,
    NOOP_ACCOUNT_NAME,
    NOOP_FLWR_AID,
    TRANSPORT_TYPE_GRPC_RERE,
)
from flwr.server.superlink.linkstate import LinkStateFactory
from flwr.supercore.app_utils import start_parent_process_monitor
from flwr.supercore.auth.typing import AccountInfo
from flwr.supercore.constant import FLEET_HTTP_PUBLIC_KEY_HEADER, FLWR_IN_MEMORY_DB_NAME
from flwr.supercore.http_logging import get_uvicorn_log_config
from flwr.supercore.logger import update_console_handler
from flwr.supercore.object_store import ObjectStoreFactory
from flwr.superlink import main as superlink_app
from flwr.superlink.auth_plugin import NoOpControlAuthnPlugin
from flwr.superlink.cli.flower_superlink import SuperLinkLifespan
from flwr.superlink.config_loader import SuperLinkLifespanConfig
from flwr.superlink.federation import FederationManager
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chexviz.federation.network import credentials
from chexviz.federation.network.refusals import CONNECTED, REASON, UNKNOWN

LOG = logging.getLogger("uvicorn.error")  # the SuperLink's own log
DATABASE = "link.db"
ACTIVATE = "/v1/fleet/activate-node"
SECONDS_TO_SHUT = 3  # that connections have to end: one whose network is cut never would


class Login(NoOpControlAuthnPlugin):
    """Lets those into the Control API who have the secret."""

    def __init__(self, secret: bytes):
        self.secret = secret

    def validate_tokens_in_metadata(
        self, metadata: Sequence[tuple[str, str | bytes]]
    ) -> tuple[bool, AccountInfo | None]:
        given = dict(metadata).get(ACCESS_TOKEN_KEY, "")
        token = given.encode() if isinstance(given, str) else given
        if not hmac.compare_digest(token, self.secret):
            return False, None
        return True, AccountInfo(flwr_aid=NOOP_FLWR_AID, account_name=NOOP_ACCOUNT_NAME)


class Refusals:
    """Says why a site was not let in: to the site in a header, to the coordinator in the log.

    Flower refuses a key that nobody registered and one that is in use with the same words.
    """

    def __init__(self, app: ASGIApp, served: FastAPI):
        self.app, self.served = app, served

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 412:
                message["headers"].append((REASON.encode(), self.reason(scope).encode()))
            await send(message)

        asked = scope["type"] == "http" and scope["path"] == ACTIVATE
        await self.app(scope, receive, sending if asked else send)

    def reason(self, scope: Scope) -> str:
        """Of a request whose signature is that of the key, or Flower would have said 401."""
        key = b64decode(dict(scope["headers"])[FLEET_HTTP_PUBLIC_KEY_HEADER.lower().encode()])
        known = self.served.state.linkstate_factory.state().get_node_id_by_public_key(key)
        reason, words = (
            (UNKNOWN, "nobody registered it")
            if known is None
            else (CONNECTED, "the last connection with it has not ended, or not long enough ago")
        )
        client = scope["client"][0] if scope.get("client") else "unknown"
        LOG.warning("refused key %s from %s: %s", credentials.fingerprint(key), client, words)
        return reason


def in_memory_contents(
    database: str, federation_manager: FederationManager
) -> tuple[ObjectStoreFactory, LinkStateFactory]:
    """Sites, runs and who waits for what in the database; what messages contain, in memory alone.

    Flower has one place for both. On a disk, contents cost the SuperLink twice the time, and what
    sites send would lie there. What a killed SuperLink had is asked for again.
    """
    objects = ObjectStoreFactory(FLWR_IN_MEMORY_DB_NAME)
    return objects, LinkStateFactory(database, federation_manager, objects)


def configuration(folder: Path, host: str, port: int, insecure: bool) -> SuperLinkLifespanConfig:
    """What `flower-superlink` makes of its options, with registered keys alone even without TLS."""
    secret = credentials.read_secret(folder / credentials.SECRET)
    authority, certificate, key = (
        None if insecure else str(folder / name)
        for name in (credentials.AUTHORITY, credentials.CERTIFICATE, credentials.CERTIFICATE_KEY)
    )
    return SuperLinkLifespanConfig(
        control_address="",
        health_server_address=None,
        host=host,
        port=port,
        insecure=insecure,
        certificates=None,  # of the older interfaces, which are off
        superexec_auth_secret=secret,
        authn_plugin=Login(secret),
        event_log_plugin=None,
        fleet_event_log_plugin=None,
        enable_event_log=False,
        artifact_provider=None,
        enable_supernode_auth=True,
        fleet_api_type=TRANSPORT_TYPE_GRPC_RERE,
        fleet_api_address=None,
        simulation=False,
        ssl_ca_certfile=authority,
        ssl_certfile=certificate,
        ssl_keyfile=key,
        database=str(folder / DATABASE),
        isolation=ISOLATION_MODE_PROCESS,  # the server's code runs in a process of ours
        runtime_dependency_install=False,
    )


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--folder", type=Path, required=True, help="the coordinator's credentials")
    made.add_argument("--host", required=True)
    made.add_argument("--port", type=int, required=True)
    made.add_argument("--parent", type=int, required=True, help="the process that it ends with")
    made.add_argument("--insecure", action="store_true", help="serve without encryption")
    return made


def main(argv: list[str] | None = None) -> None:
    arguments = parser().parse_args(argv)
    os.umask(0o077)  # its database holds keys and tokens of runs
    start_parent_process_monitor(arguments.parent)
    config = configuration(arguments.folder, arguments.host, arguments.port, arguments.insecure)
    superlink_app.get_objectstore_linkstate_factories = in_memory_contents
    app = superlink_app.create_app(config, SuperLinkLifespan)
    app.add_middleware(Refusals, served=app)
    update_console_handler(timestamps=True, colored=False)
    uvicorn.run(
        app,
        host=config.host,
        port=config.port,
        ssl_certfile=config.ssl_certfile,
        ssl_keyfile=config.ssl_keyfile,
        log_config=get_uvicorn_log_config(logging.INFO),
        timeout_graceful_shutdown=SECONDS_TO_SHUT,
        access_log=False,  # a line for each of a site's questions would fill the disk
    )


if __name__ == "__main__":
    main()
