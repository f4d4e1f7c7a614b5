"""How often each paired test calls two equally good models different."""

from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from msgspec import Meta
from scipy.special import ndtri, stdtr, stdtrit
from scipy.stats import binomtest

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.files import replacing
from chexviz.base.progress import Progress
from chexviz.base.randomness import stream
from chexviz.base.settings import Positive, Settings, Share
from chexviz.base.settings import read as read_settings
from chexviz.base.tables.evaluation import LEVEL, LITERAL, SIMULATION
from chexviz.evaluation.paired_tests import compare, compare_delong, compare_replicates
from chexviz.evaluation.resamples import resamples
from chexviz.evaluation.roc import Ranking, auroc

REPLICATES = np.array([10, 25, 50, 100, 250, 500, 1000])
CONFIDENCE = 0.95
RESAMPLED = ("bootstrap_images", LITERAL)


class Simulation(Settings, frozen=True):
    """repetitions: simulated studies. images: in each. prevalence: of positives.

    auroc: of both models. correlation: of their scores, within a class. seed: of the draws.
    """

    repetitions: Positive
    images: Positive
    prevalence: Share
    auroc: Annotated[float, Meta(ge=0.5, lt=1)]
    correlation: Annotated[float, Meta(ge=0, lt=1)]
    seed: int

    def __post_init__(self) -> None:
        if min(self.positives, self.images - self.positives) < 2:
            raise ValueError(
                f"{self.positives} of {self.images} images are positive; needed are two of each "
                "class"
            )

    @property
    def positives(self) -> int:
        """How many images are positive."""
        return round(self.prevalence * self.images)


def draw_study(
    settings: Simulation, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Labels (images,) and the scores of two equally good models (2, images).

    Binormal: within a class, scores of both models are normal with variance 1 and the given
    correlation; those of positives are larger by sqrt(2) times the normal quantile of the AUROC.
    """
    labels = (np.arange(settings.images) < settings.positives).astype(int)
    shared = generator.normal(size=settings.images)
    own = generator.normal(size=(2, settings.images))
    weight = settings.correlation
    shift = np.sqrt(2) * ndtri(settings.auroc)
    return labels, np.sqrt(weight) * shared + np.sqrt(1 - weight) * own + shift * labels


def p_values(labels: np.ndarray, scores: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """p of RESAMPLED for each of REPLICATES, then of DeLong's test (2 x len(REPLICATES) + 1,).

    Fewer replicates are the first of more.
    """
    rankings = [Ranking(labels, one, np.arange(len(labels))) for one in scores]

    def difference(weights: np.ndarray) -> np.ndarray:
        return np.subtract(*(auroc(ranking.curve(weights)) for ranking in rankings))

    observed = difference(np.ones((len(labels), 1))).item()
    drawn = resamples(labels == 1, REPLICATES.max(), generator)
    replicates = np.hstack([difference(weights) for weights in drawn])
    firsts = [replicates[:count] for count in REPLICATES]
    return np.array(
        [
            *(compare(observed, first, CONFIDENCE).p for first in firsts),
            *(compare_replicates(observed, first, CONFIDENCE).p for first in firsts),
            compare_delong(observed, labels, scores, CONFIDENCE).p,
        ]
    )


def literal_rejects(replicates: np.ndarray, level: float) -> np.ndarray:
    """How often a t-test over replicates rejects where two models are equally good (k,).

    replicates: numbers of them, >= 2 (k,). The observed difference of two such models is normal
    with a variance v. Replicates scatter around it with the same variance, so their mean is normal
    around 0 with variance v (1 + 1 / B), and t is sqrt(B + 1) times a variable of Student's t with
    B - 1 degrees of freedom. The test rejects where that exceeds the critical value: nearly always
    for a large B.
    """
    critical = -stdtrit(replicates - 1, level / 2)
    return 2 * stdtr(replicates - 1, -critical / np.sqrt(replicates + 1))


def simulate(settings: Simulation) -> pd.DataFrame:
    """False positives of each test and number of replicates, as SIMULATION; DeLong's has none.

    low, high: 95 % interval of the rate (Wilson). expected: what follows if differences are normal.
    """
    rejected = np.zeros(len(RESAMPLED) * len(REPLICATES) + 1, dtype=int)
    with Progress("simulation", total=settings.repetitions, unit="study") as progress:
        for repetition in range(settings.repetitions):
            # A stream for each: fewer repetitions are the first of more.
            seed = stream(settings.seed, "simulation", repetition)
            generator = np.random.default_rng(seed)
            rejected += p_values(*draw_study(settings, generator), generator) < LEVEL
            progress.step()
    # A standard error from B replicates makes z a variable of Student's t.
    expected = [2 * stdtr(REPLICATES - 1, ndtri(LEVEL / 2)), literal_rejects(REPLICATES, LEVEL)]
    rows = pd.DataFrame(
        {
            "test": [*np.repeat(RESAMPLED, len(REPLICATES)), "delong"],
            "replicates": pd.array([*np.tile(REPLICATES, len(RESAMPLED)), None], dtype="Int64"),
            "repetitions": settings.repetitions,
            "rejected": rejected,
            "rate": rejected / settings.repetitions,
            "expected": [*np.concatenate(expected), LEVEL],
        }
    )
    bounds = [
        binomtest(int(count), settings.repetitions).proportion_ci(CONFIDENCE, method="wilson")
        for count in rejected
    ]
    rows = rows.assign(low=[one.low for one in bounds], high=[one.high for one in bounds])
    return rows[SIMULATION.names]


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--settings", required=True, metavar="JSON", help="a Simulation")
    parser.add_argument("--csv", required=True, type=Path, metavar="OUT")
    arguments = parser.parse_args(argv)
    table = simulate(read_settings(arguments.settings, Simulation))
    with replacing(arguments.csv) as file:
        SIMULATION.write(table, file)


if __name__ == "__main__":
    run(main)
