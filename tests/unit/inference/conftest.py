"""A bundle that the tests of a module share."""

from pathlib import Path

import pytest

import made_bundles


@pytest.fixture(scope="session")
def bundle_folder(tmp_path_factory) -> Path:
    """A whole bundle of a small model. Nobody may change it."""
    folder = tmp_path_factory.mktemp("bundles") / "bundle"
    model = made_bundles.model_of()
    made_bundles.write(folder, model, made_bundles.about(model))
    return folder
