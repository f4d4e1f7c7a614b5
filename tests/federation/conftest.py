"""Three sites and their SuperLink, and what their federation gives in one process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from chexviz.base.methods import DEFAULTS
from chexviz.federation import train
from chexviz.federation.network.messages import Study
from chexviz.models.files import load
from deployment import Deployment, Expected
from trainings import LABELLED, SETTINGS, arguments

# Rounds long enough that a process is ended within one, and not between two.
TRAINING = {"rounds": 4, "local_epochs": 8, "schedule": "constant"}


@pytest.fixture(scope="session")
def study() -> Study:
    """What the sites train together. Each test has it begun anew."""
    return Study(
        protocol="paper",
        architecture="standard",
        findings=LABELLED,
        seed=1,
        settings=SETTINGS | TRAINING | {"method": DEFAULTS | {"algorithm": "scaffold"}},
    )


@pytest.fixture(scope="session")
def expected(three_sites, study) -> Expected:
    """The same study in one process."""
    train.main(arguments(three_sites, [*LABELLED], "whole", **study.settings))
    tensors, _ = load(three_sites / "whole.safetensors")
    return Expected(tensors, (three_sites / "whole.history.csv").read_bytes())


@pytest.fixture(scope="module")
def deployment(tmp_path_factory, three_sites) -> Iterator[Deployment]:
    """A SuperLink and three sites that go from test to test."""
    with Deployment(tmp_path_factory.mktemp("deployment"), three_sites, [*LABELLED]) as made:
        yield made


@pytest.fixture
def sites(deployment) -> Deployment:
    """The same, with all sites connected."""
    deployment.start_missing()
    return deployment


@pytest.fixture
def state(tmp_path) -> Path:
    """Where the coordinator of a test keeps what it has done."""
    return tmp_path / "coordinator"
