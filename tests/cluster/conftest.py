"""Clusters for the tests, which end with them."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from slurm import COMMANDS, PACKAGES, Cluster


@contextmanager
def started(folder: Path) -> Iterator[Cluster]:
    """A SLURM of two nodes that takes jobs."""
    absent = [name for name in COMMANDS if not shutil.which(name, path=Cluster.path())]
    if absent:
        pytest.fail(f"SLURM is not installed: no {', '.join(absent)}. apt-get install {PACKAGES}")
    cluster = Cluster(folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory) -> Iterator[Cluster]:
    """The cluster of the tests of the workflow."""
    with started(tmp_path_factory.mktemp("slurm")) as made:
        yield made


@pytest.fixture
def own_cluster(tmp_path_factory) -> Iterator[Cluster]:
    """A cluster of a test's own."""
    with started(tmp_path_factory.mktemp("slurm")) as made:
        yield made
