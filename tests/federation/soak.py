"""Kill processes of a federation at random, again and again, and see what comes out.

    make soak KILLS=20

A supervisor starts what has ended, as one would at a hospital. A study is trained first undisturbed
and then disturbed; both have to end in the bits of the federation in one process.
"""

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from chexviz.base.methods import DEFAULTS
from chexviz.base.progress import duration
from chexviz.federation import train
from chexviz.federation.network.messages import Study
from chexviz.models.files import load
from deployment import Deployment, Expected, Program, assert_same, rounds_kept
from drawn_sites import draw_federation
from trainings import LABELLED, SETTINGS, arguments

KINDS = ("site", "coordinator", "SuperLink")
ROUNDS = 3  # for each kill; they leave some over
AT_ONCE = 0.3  # of the kills follow the last one, whatever it is that still recovers from that
SECONDS_AFTER = 15  # at most, of those
PAUSE = 0.05


class Kill(NamedTuple):
    """What was killed, in which round, and the seconds until one more was kept than before."""

    kind: str
    round: int
    seconds: float


class Soak:
    """A run of a study in a deployment, with a supervisor. state: of the coordinator."""

    def __init__(self, sites: Deployment, study: Study, state: Path):
        self.sites, self.study, self.state = sites, study, state
        self.ended: list[str] = []  # what ended by itself, which the supervisor started again
        self.began = time.monotonic()
        self.coordinator = sites.coordinate(state, study)

    @property
    def done(self) -> bool:
        """Whether the coordinator has come to its end."""
        return self.coordinator.ended and self.coordinator.process.returncode == 0

    def start(self, name: str) -> Program:
        """Start a site or the coordinator."""
        if name in self.sites.names:
            return self.sites.start(name)
        self.coordinator = self.sites.coordinate(self.state, self.study)
        return self.coordinator

    def supervise(self, seconds: float) -> None:
        """Start again what ends within some seconds."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.done:
            for name, program in {**self.sites.sites, "coordinator": self.coordinator}.items():
                if program.ended and not self.done:
                    self.ended.append(f"{name}: {program.said.strip().splitlines()[-1]}")
                    self.start(name)
            time.sleep(PAUSE)

    def supervise_until(self, number: int) -> float:
        """Supervise until a round is kept; the seconds that it took."""
        began = time.monotonic()
        while rounds_kept(self.state) < number and not self.done:
            self.supervise(PAUSE)
        return time.monotonic() - began

    def kill(self, kind: str, draws: np.random.Generator) -> None:
        """Kill a process of a kind, and start it again."""
        if kind == "SuperLink":
            self.sites.restart_link()
            return
        name = str(draws.choice(self.sites.names)) if kind == "site" else kind
        (self.sites.sites[name] if kind == "site" else self.coordinator).kill()
        self.start(name)

    def finish(self) -> float:
        """Supervise to the end; the seconds of the whole run."""
        self.supervise(float("inf"))
        return time.monotonic() - self.began


def disturb(soak: Soak, kills: int, usual: float, draws: np.random.Generator) -> list[Kill]:
    """Kill so many processes. usual: seconds of an undisturbed round."""
    seen = []
    for _ in range(kills):
        at_once = draws.random() < AT_ONCE
        soak.supervise(draws.uniform(0, SECONDS_AFTER if at_once else 2 * usual))
        kind, number = str(draws.choice(KINDS)), rounds_kept(soak.state)
        assert not soak.done, "the last round came before the last kill"
        print(f"round {number + 1}: {kind}", file=sys.stderr, flush=True)
        began = time.monotonic()
        soak.kill(kind, draws)
        if not at_once:
            soak.supervise_until(number + 1)
        seen.append(Kill(kind, number + 1, time.monotonic() - began if not at_once else np.nan))
    return seen


def study_of(rounds: int) -> Study:
    changes = {"rounds": rounds, "local_epochs": 2, "schedule": "constant"}
    return Study(
        protocol="paper",
        architecture="standard",
        findings=LABELLED,
        seed=1,
        settings=SETTINGS | changes | {"method": DEFAULTS | {"algorithm": "scaffold"}},
    )


def report(seen: list[Kill], undisturbed: float, disturbed: float, soak: Soak, rounds: int) -> None:
    """Print what was measured as Markdown."""
    lost = (disturbed - undisturbed) / len(seen)
    print(
        f"{rounds} rounds of three sites: {duration(undisturbed)} undisturbed, "
        f"{duration(disturbed)} with {len(seen)} kills, {lost:.0f} s more a kill. "
        f"{len(soak.ended)} processes ended by themselves and were started again. "
        "All bits are those of the federation in one process.\n"
    )
    print("| killed | times | median s to the next round | most |\n|---|---|---|---|")
    for kind in KINDS:
        times = [kill.seconds for kill in seen if kill.kind == kind]
        alone = [one for one in times if not np.isnan(one)]
        figures = f"{np.median(alone):.0f} | {max(alone):.0f}" if alone else "- | -"
        print(f"| {kind} | {len(times)} | {figures} |")
    for line in soak.ended:
        print(f"- {line}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # and so are its processes
    rounds = ROUNDS * chosen.kills
    study, draws = study_of(rounds), np.random.default_rng(chosen.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images = draw_federation(folder / "images", north=60, south=45, east=50)
        train.main(arguments(images, [*LABELLED], "whole", **study.settings))
        history = (images / "whole.history.csv").read_bytes()
        expected = Expected(load(images / "whole.safetensors")[0], history)
        with Deployment(folder / "deployment", images, [*LABELLED]) as sites:
            sites.start_missing()
            quiet = Soak(sites, study, folder / "undisturbed")
            undisturbed = quiet.finish()
            assert_same(sites, study, quiet.state, expected)
            soak = Soak(sites, study, folder / "disturbed")
            seen = disturb(soak, chosen.kills, undisturbed / rounds, draws)
            disturbed = soak.finish()
            assert_same(sites, study, soak.state, expected)
    report(seen, undisturbed, disturbed, soak, rounds)


if __name__ == "__main__":
    main()
