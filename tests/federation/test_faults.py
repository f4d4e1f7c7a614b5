"""What happens to a federation of processes, and that it ends in the bits of one in a process."""

import signal
import time

from chexviz.federation.network.coordinator import Rules
from chexviz.federation.network.node import LAPSE
from deployment import assert_same, rounds_kept, rounds_of

TWO = Rules(quorum=2, deadline=8, largest_step=10.0)
ROUNDS = [1, 2, 3, 4]


def test_a_site_that_is_killed_in_a_round_comes_back(sites, study, state, expected):
    coordinator = sites.coordinate(state, study)
    sites.catch("south", 2, study).kill()
    assert sites.rounds("south", study) == 1
    sites.start("south")
    sites.succeed(coordinator)
    assert "waiting up to" in sites.sites["south"].said  # for the SuperLink to forget the killed
    assert_same(sites, study, state, expected)


def test_a_site_that_is_told_to_stop_goes_on_from_where_it_was(sites, study, state, expected):
    coordinator = sites.coordinate(state, study)
    stopped = sites.catch("south", 2, study)
    assert stopped.stop() == 75
    assert "round 2 of 4: stopped; join again to go on" in stopped.said
    sites.start("south")
    sites.succeed(coordinator)
    assert_same(sites, study, state, expected)


def test_a_coordinator_that_is_killed_goes_on_from_its_last_round(sites, study, state, expected):
    coordinator = sites.coordinate(state, study)
    sites.wait(lambda: rounds_kept(state) >= 2, "second round")
    coordinator.kill()
    assert rounds_kept(state) == 2
    coordinator = sites.coordinate(state, study)
    sites.succeed(coordinator)
    assert "goes on from round 3" in coordinator.said
    assert_same(sites, study, state, expected)


def test_a_superlink_that_is_killed_is_waited_for(sites, study, state, expected):
    coordinator = sites.coordinate(state, study)
    sites.catch("north", 3, study)
    sites.restart_link()
    sites.succeed(coordinator)
    assert_same(sites, study, state, expected)


def test_a_second_process_with_the_key_of_a_site_is_refused(sites, study, state, expected):
    coordinator = sites.coordinate(state, study)
    first = sites.sites["south"]
    second = sites.start("south")
    sites.wait(lambda: second.ended, "refusal")
    assert "stop the other process of this site" in second.said
    sites.sites["south"] = first
    sites.succeed(coordinator)
    assert_same(sites, study, state, expected)


def test_a_slow_site_is_left_out_after_the_deadline_and_has_a_part_again(sites, study, state):
    """It answers no question that the coordinator has given up, and the newest one at once."""
    coordinator = sites.coordinate(state, study, TWO)
    slow, began = sites.catch("south", 2, study), time.monotonic()
    slow.send(signal.SIGSTOP)
    sites.catch("east", 4, study)  # which is asked after south
    assert rounds_kept(state) == 3
    slow.send(signal.SIGCONT)
    paused = time.monotonic() - began
    sites.succeed(coordinator)
    assert rounds_of(state) == {"north": ROUNDS, "east": ROUNDS, "south": [1, 4]}
    assert coordinator.said.count("2 of 3 sites have answered after") == 2
    assert coordinator.said.count("without south\n") == 2
    assert "overtaken" in slow.said or paused > LAPSE  # then both questions were withdrawn


def test_a_site_that_is_gone_for_good_is_waited_for_once(sites, study, state):
    coordinator = sites.coordinate(state, study, TWO)
    sites.catch("south", 2, study).kill()
    began = time.monotonic()
    sites.succeed(coordinator)
    assert rounds_of(state) == {"north": ROUNDS, "east": ROUNDS, "south": [1]}
    assert "without south (not connected)" in coordinator.said
    assert time.monotonic() - began < 3 * TWO.deadline
