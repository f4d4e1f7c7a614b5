"""The same federation over a network, on Flower: who may join, and how messages travel."""

import os

LOOPBACK = ("localhost", "127.0.0.1", "::1")

# Flower reads them when it is used; nobody is told that a federation is under way.
os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
os.environ["FLWR_DISABLE_UPDATE_CHECK"] = "1"
# A proxy that leads out of a house leads nowhere on the way to this machine itself.
os.environ["no_proxy"] = ",".join(
    [*filter(None, [os.environ.get("no_proxy") or os.environ.get("NO_PROXY")]), *LOOPBACK]
)
