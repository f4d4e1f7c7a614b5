"""The paper's config, for all tests of what the workflow makes of it."""

import pytest
import yaml


@pytest.fixture
def config(repository):
    return yaml.safe_load((repository / "config" / "config.yaml").read_text())
