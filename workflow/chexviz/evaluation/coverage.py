"""How often 95 % intervals hold the truth and paired tests keep to their level."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import pandas as pd
from msgspec import Meta
from scipy.special import ndtr, ndtri

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.files import replacing
from chexviz.base.progress import Progress
from chexviz.base.randomness import stream
from chexviz.base.settings import Positive, Settings, Share
from chexviz.base.settings import read as read_settings
from chexviz.base.tables.evaluation import COVERAGE, LEVEL, METRICS
from chexviz.evaluation.cases import class_units
from chexviz.evaluation.intervals import wilson
from chexviz.evaluation.metrics import MEASURED, Measures, youden_threshold
from chexviz.evaluation.paired_tests import compare, compare_delong
from chexviz.evaluation.resamples import positive_units, resamples
from chexviz.evaluation.roc import Ranking, auroc

CONFIDENCE = 0.95
# What each interval should hold. Sensitivity and specificity: those of the best of all thresholds,
# which the chosen one estimates; and those that the chosen one itself has in other patients.
INTERVALS = ("auroc", "aupr", "sensitivity", "specificity")
CHOSEN = ("sensitivity_chosen", "specificity_chosen")
TESTS = ("bootstrap_patients", "bootstrap_images", "delong")
Correlation = Annotated[float, Meta(ge=0, lt=1)]
RECALLS = (np.arange(100_000) + 0.5) / 100_000  # where the area under a precision curve is taken


class Coverage(Settings, frozen=True):
    """repetitions: simulated studies of each design. replicates: resamples in each.

    patients: in a study, a design for each number. prevalence: of positive ones. images: of a
    patient, equally often, in a second design for each number; in the first each has one.
    similarity: correlation of the scores of a patient's images, within a class. auroc: of both
    models. correlation: of their scores, within a class. seed: of the draws.
    """

    repetitions: Positive
    replicates: Annotated[int, Meta(ge=2)]
    patients: Annotated[list[Positive], Meta(min_length=1)]
    prevalence: Share
    images: Annotated[list[Positive], Meta(min_length=1)]
    similarity: Correlation
    auroc: Annotated[float, Meta(ge=0.5, lt=1)]
    correlation: Correlation
    seed: int

    def __post_init__(self) -> None:
        for design in designs(self):
            if min(design.positives, design.patients - design.positives) < 2:
                raise ValueError(
                    f"{design.positives} of {design.patients} patients are positive; needed are "
                    "two of each class"
                )
        if max(self.images) == 1:
            raise ValueError("images: no patient has several")

    @property
    def distance(self) -> float:
        """Of the classes' mean scores, in standard deviations."""
        return float(np.sqrt(2) * ndtri(self.auroc))


class Design(NamedTuple):
    """patients, positives: their numbers in each study. images: of a patient, equally often."""

    patients: int
    positives: int
    images: list[int]


class Study(NamedTuple):
    """labels: 0 or 1 (n,). scores: probabilities of two models (2, n). patient: index (n,)."""

    labels: np.ndarray
    scores: np.ndarray
    patient: np.ndarray


def designs(settings: Coverage) -> list[Design]:
    """Those with one image a patient, then those with several."""
    return [
        Design(patients, round(settings.prevalence * patients), images)
        for images in ([1], settings.images)
        for patients in settings.patients
    ]


# --- studies -------------------------------------------------------------------------------------


def positive_images(images: np.ndarray | list[int]) -> np.ndarray:
    """How many images of a positive patient with so many show the finding: half, rounded up."""
    return (np.asarray(images) + 1) // 2


def draw_study(design: Design, settings: Coverage, generator: np.random.Generator) -> Study:
    """Patients with their images, and the scores of two equally good models.

    Binormal: within a class, scores are normal with variance 1, correlated between a patient's
    images and between the models; those of positive images are larger by `distance`. They become
    probabilities by an increasing function, which changes no rank.
    """
    sizes = generator.choice(design.images, design.patients)
    patient = np.repeat(np.arange(design.patients), sizes)
    position = np.arange(len(patient)) - np.repeat(sizes.cumsum() - sizes, sizes)
    is_positive = (patient < design.positives) & (position < positive_images(sizes)[patient])

    def noise() -> np.ndarray:
        shared = generator.normal(size=design.patients)[patient]
        own = generator.normal(size=len(patient))
        return np.sqrt(settings.similarity) * shared + np.sqrt(1 - settings.similarity) * own

    shared, weight = noise(), settings.correlation
    scores = [np.sqrt(weight) * shared + np.sqrt(1 - weight) * noise() for _ in range(2)]
    centred = np.stack(scores) + settings.distance * (is_positive - 0.5)
    return Study(is_positive.astype(int), ndtr(centred), patient)


def truths(design: Design, settings: Coverage) -> dict[str, float]:
    """What the intervals should hold: of INTERVALS; AUPR at the prevalence of all such studies."""
    share = np.mean(positive_images(design.images)) / np.mean(design.images)
    prevalence = share * design.positives / design.patients
    true = prevalence * RECALLS
    false = (1 - prevalence) * ndtr(ndtri(RECALLS) - settings.distance)
    best = float(ndtr(settings.distance / 2))
    aupr = float(np.mean(true / (true + false)))
    return dict(zip(INTERVALS, (settings.auroc, aupr, best, best), strict=True))


def truths_of(threshold: float, settings: Coverage) -> dict[str, float]:
    """CHOSEN: sensitivity and specificity of a threshold (a probability) in all such studies."""
    half, chosen = settings.distance / 2, ndtri(threshold)
    return dict(zip(CHOSEN, (float(ndtr(half - chosen)), float(ndtr(half + chosen))), strict=True))


def resampled(
    statistic: Callable[[np.ndarray], np.ndarray],
    positive: np.ndarray,
    replicates: int,
    generator: np.random.Generator,
) -> np.ndarray:
    """A statistic of the units' weights (..., block), of the data and of resamples (..., 1 + B).

    positive: which units are, bool (units,).
    """
    blocks = [np.ones((len(positive), 1)), *resamples(positive, replicates, generator)]
    return np.concatenate([statistic(weights) for weights in blocks], axis=-1)


def outcomes(
    study: Study, truth: dict[str, float], replicates: int, generator: np.random.Generator
) -> Iterator[tuple[str, bool]]:
    """Whether the first model's intervals hold the truth, and which tests call the two different.

    As `evaluate` makes them with the threshold chosen on the same images, anew in each resample.
    """
    labels, scores, patient = study
    positive = positive_units(labels, patient)
    cases = class_units(labels, patient)
    measures = [Measures(labels, one, patient, None) for one in scores]
    metrics = resampled(
        lambda weights: np.stack([measure(weights)[0] for measure in measures]),
        *(positive, replicates, generator),
    )
    for name, value in truth.items():
        metric = name.removesuffix("_chosen")
        replicated = metrics[0, [*METRICS].index(metric)]
        low, high = MEASURED[metric].interval(replicated[0], replicated[1:], cases, CONFIDENCE)
        yield name, low <= value <= high
    areas = {"bootstrap_patients": metrics[:, [*METRICS].index("auroc")]}
    if len(patient) > len(positive):
        rankings = [Ranking(labels, one, np.arange(len(labels))) for one in scores]
        areas["bootstrap_images"] = resampled(
            lambda weights: np.stack([auroc(ranking.curve(weights)) for ranking in rankings]),
            *(labels == 1, replicates, generator),
        )
    for test, (one, other) in areas.items():
        yield test, compare((one - other)[0], (one - other)[1:], CONFIDENCE).p < LEVEL
    difference = float(np.subtract(*areas["bootstrap_patients"][:, 0]))
    yield "delong", compare_delong(difference, labels, scores, CONFIDENCE).p < LEVEL


def simulate(settings: Coverage) -> pd.DataFrame:
    """How often each interval holds the truth and each test rejects it, as COVERAGE.

    low, high: 95 % interval of the rate (Wilson). Where patients have one image, their bootstrap is
    that of images, which has no row.
    """
    rows = []
    planned = designs(settings)
    total = len(planned) * settings.repetitions
    with Progress("coverage", total=total, unit="study") as progress:
        for number, design in enumerate(planned):
            counts: dict[str, int] = {}
            truth = truths(design, settings)
            for repetition in range(settings.repetitions):
                # A stream for each: fewer repetitions are the first of more.
                seed = stream(settings.seed, "coverage", number, repetition)
                generator = np.random.default_rng(seed)
                study = draw_study(design, settings, generator)
                threshold = youden_threshold(study.labels, study.scores[0])
                sought = truth | truths_of(threshold, settings)
                for name, happened in outcomes(study, sought, settings.replicates, generator):
                    counts[name] = counts.get(name, 0) + bool(happened)
                progress.step()
            for name, count in counts.items():
                rate = count / settings.repetitions
                bounds = wilson(rate, settings.repetitions, CONFIDENCE)
                nominal = LEVEL if name in TESTS else CONFIDENCE
                key = [np.mean(design.images), design.patients, design.positives, name]
                rows.append([*key, settings.repetitions, count, rate, *bounds, nominal])
    return COVERAGE.frame(rows)


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--settings", required=True, metavar="JSON", help="a Coverage")
    parser.add_argument("--csv", required=True, type=Path, metavar="OUT")
    arguments = parser.parse_args(argv)
    table = simulate(read_settings(arguments.settings, Coverage))
    with replacing(arguments.csv) as file:
        COVERAGE.write(table, file)


if __name__ == "__main__":
    run(main)
