"""What tests of commands share."""

import sys

import pytest

from chexviz.__main__ import main


@pytest.fixture
def chexviz(monkeypatch):
    """Run a command in this process, given as words."""
    monkeypatch.setattr(sys, "argv", [*sys.argv])  # a command changes what it calls itself

    def run(*words: object) -> None:
        main([str(word) for word in words])

    return run
