"""The network of a site cut and healed, while the site and all else go on."""

import time
from collections.abc import Iterator

import pytest

from cable import Cable, lacking
from deployment import Deployment, assert_same
from needed import absent
from trainings import LABELLED


@pytest.fixture(scope="module")
def cable() -> Iterator[Cable]:
    if reason := lacking():
        absent(reason)
    with Cable() as made:
        yield made


@pytest.fixture(scope="module")
def wired(tmp_path_factory, three_sites, cable) -> Iterator[Deployment]:
    """Three sites, of which south has a network of its own."""
    folder = tmp_path_factory.mktemp("wired")
    with Deployment(folder, three_sites, [*LABELLED], [cable.host]) as made:
        made.before["south"], made.host["south"] = cable.before, cable.host
        yield made


@pytest.mark.parametrize("seconds", [5, 30])  # the SuperLink forgets who is silent for 20
def test_a_site_whose_network_is_cut_goes_on_once_it_is_back(
    wired, cable, study, state, expected, seconds
):
    wired.start_missing()
    south = wired.sites["south"]
    before = len(south.said)
    coordinator = wired.coordinate(state, study)
    wired.catch("south", 2, study)
    cable.cut()
    time.sleep(seconds)
    assert wired.rounds("south", study) == 2  # it trains on, and keeps what it cannot send
    assert not coordinator.ended
    assert south.said[before:].count("no connection to") <= 1  # however often it tries
    cable.heal()
    wired.succeed(coordinator)
    assert not south.ended
    said = south.said[before:]
    # Once, and once more for each connection that was open before and is found dead after.
    assert said.count("no connection to") == said.count("connected to") >= 1
    assert_same(wired, study, state, expected)
