"""The same federation over a network, on Flower: who may join, and how messages travel."""

import os

# Flower reads them when it is used; nobody is told that a federation is under way.
os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
os.environ["FLWR_DISABLE_UPDATE_CHECK"] = "1"
