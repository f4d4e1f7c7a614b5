"""What all tests share: the folder of real radiographs, and small sites of drawn ones."""

import os
import signal
from pathlib import Path

# Tests run side by side; more threads than cores would wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
from hypothesis import settings

from drawn_sites import draw_federation

# How long an example takes depends on what else the machine does.
settings.register_profile("shared", deadline=None)
settings.load_profile("shared")

# A shell starts background jobs with Ctrl-C ignored, and they pass that on to what they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Real radiographs, label tables and predictions; tests that need them skip without."""
    default = REPOSITORY.parent / "shared" / "data"
    folder = Path(os.environ.get("CHEXVIZ_TEST_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"no real test data: {folder} is absent (set CHEXVIZ_TEST_DATA)")
    return folder


@pytest.fixture
def federation(tmp_path) -> Path:
    """Two small sites of a test's own."""
    return draw_federation(tmp_path)


@pytest.fixture(scope="module")
def shared_federation(tmp_path_factory) -> Path:
    """Two small sites that the tests of a module share."""
    return draw_federation(tmp_path_factory.mktemp("federation"))


@pytest.fixture(scope="module")
def larger_federation(tmp_path_factory) -> Path:
    """Two sites with enough images for intervals and tests, which the tests of a module share."""
    return draw_federation(tmp_path_factory.mktemp("federation"), north=300, south=300)


@pytest.fixture(scope="session")
def three_sites(tmp_path_factory) -> Path:
    """Three small sites: north, south and east. Nobody may change them."""
    folder = tmp_path_factory.mktemp("three")
    return draw_federation(folder, north=60, south=45, east=50)
