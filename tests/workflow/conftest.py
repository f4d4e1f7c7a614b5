"""What the tests of the workflow share."""

import os
from pathlib import Path

import pytest
from filelock import FileLock

from job_server import serving
from opened import STRACE, traced
from running import THREE, TINY, Workflow

HERE = Path(__file__).parent
# They need the shared run, which the first module that needs it makes: later, so as not to wait.
LATER = {"test_methods_run.py", "test_phantom_run.py", "test_reruns.py"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests of the workflow first, since they are the long ones."""
    items.sort(key=lambda item: (item.path.parent != HERE, item.path.name in LATER))


@pytest.fixture
def workflow(tmp_path, repository) -> Workflow:
    """A workflow that has not run yet."""
    return Workflow(tmp_path, repository, TINY)


@pytest.fixture(scope="session")
def finished(tmp_path_factory, repository) -> Workflow:
    """A finished run of three sites, which is made once, for all workers. Nobody may change it.

    Where strace is installed, its traces are beside it, in the folder `traces`.
    """
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with FileLock(base / "finished.lock"):
        is_new = not (base / "finished").exists()
        (base / "finished").mkdir(exist_ok=True)
        workflow = Workflow(base / "finished", repository, THREE)
        if is_new:
            before = traced(base / "traces") if STRACE else []
            with serving(base / "jobs", before) as workflow.programs:
                workflow.before = before
                (base / "said").write_text(workflow.succeed())
    workflow.before, workflow.programs = [], None
    workflow.said = (base / "said").read_text()
    return workflow


@pytest.fixture(scope="module")
def done(finished, tmp_path_factory) -> Workflow:
    """A copy of it for the tests of a module."""
    workflow = finished.copy(tmp_path_factory.mktemp("done") / "run")
    workflow.said = finished.said
    return workflow
