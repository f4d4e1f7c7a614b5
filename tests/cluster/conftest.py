"""A cluster for the tests, which ends with them."""

import shutil

import pytest

from slurm import COMMANDS, PACKAGES, Cluster


@pytest.fixture(scope="session")
def cluster(tmp_path_factory):
    """A SLURM of two nodes that takes jobs."""
    absent = [name for name in COMMANDS if not shutil.which(name, path=Cluster.path())]
    if absent:
        pytest.fail(f"SLURM is not installed: no {', '.join(absent)}. apt-get install {PACKAGES}")
    cluster = Cluster(tmp_path_factory.mktemp("slurm"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
