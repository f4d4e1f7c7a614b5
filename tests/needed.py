"""What tests need beside the environment: without it they are skipped, but never in CI."""

import os
from typing import NoReturn

import pytest


def absent(reason: str) -> NoReturn:
    """End the test for want of something. reason: what it is, and how to install it."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
