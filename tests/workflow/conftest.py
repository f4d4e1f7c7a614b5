"""What the tests of the workflow share."""

import pytest

from running import TINY, Workflow


@pytest.fixture
def workflow(tmp_path, repository) -> Workflow:
    """A workflow that has not run yet."""
    return Workflow(tmp_path, repository, TINY)
