"""One comparison of two models from those of several trainings of both."""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import stdtr, stdtrit


class Expected(NamedTuple):
    """The expected difference over trainings: estimate, standard error and its degrees of freedom.

    They are infinite where the normal distribution holds. NaN all three where a training has no
    standard error of its own.
    """

    difference: float
    standard_error: float
    freedom: float

    def p(self) -> float:
        """Two-sided p against no difference; without any spread 0 or 1."""
        return 2 * self.above(abs(self.difference))

    def p_non_inferior(self, margin: float) -> float:
        """One-sided p against a difference of -margin or less; NaN without any spread."""
        return self.above(self.difference + margin) if self.standard_error else math.nan

    def above(self, distance: float) -> float:
        """The chance that an estimate lies further above the truth than this (>= 0)."""
        if self.standard_error == 0:
            return 0.0 if distance else 0.5
        return float(stdtr(self.freedom, -distance / self.standard_error))

    def interval(self, confidence: float) -> tuple[float, float]:
        """Low and high of the interval that agrees with p."""
        half = self.standard_error * float(stdtrit(self.freedom, (1 + confidence) / 2))
        return self.difference - half, self.difference + half


def expected(differences: np.ndarray, standard_errors: np.ndarray) -> Expected:
    """The difference of two models that is expected of such trainings, in such patients.

    differences, standard_errors: of K trainings (seeds) on the same images (K,). With one training
    a p value speaks of that training alone, with several of their expectation. Its variance is that
    of the images, at most the square of the mean standard error (as if all trainings erred alike),
    and that between trainings over K; t with the degrees of freedom of Satterthwaite (Biometrics
    1946). Trainings that contradict each other thus show no difference.
    """
    count, mean = len(differences), float(np.mean(differences))
    images = float(np.mean(standard_errors)) ** 2
    trainings = float(np.var(differences, ddof=1)) / count if count > 1 else 0.0
    if math.isnan(images):
        return Expected(math.nan, math.nan, math.nan)
    total = images + trainings
    freedom = (count - 1) * (total / trainings) ** 2 if trainings else math.inf
    return Expected(mean, math.sqrt(total), freedom)


def bounds(
    runs: np.ndarray, confidence: float, *, images: float = 1.0, trainings: float = 0.0
) -> tuple[float, float]:
    """Low and high of the mean of a value over K trainings, from the value and interval of each.

    runs: value, low and high (K, 3). Each side of the interval keeps its own length, as a mean over
    trainings. images: how many times their variance is that of the images. trainings: how many
    times that between trainings over K is added, besides once. As in `expected`, t with the degrees
    of freedom of Satterthwaite; of one training the variance between trainings is unknown, and left
    out. NaN where a training has no interval.
    """
    count, mean = len(runs), float(runs[:, 0].mean())
    between = float(runs[:, 0].var(ddof=1)) * (trainings + 1 / count) if count > 1 else 0.0
    sides = np.abs(runs[:, 1:] - runs[:, :1]).mean(axis=0)
    total = images * (sides / stdtrit(np.inf, (1 + confidence) / 2)) ** 2 + between
    freedom = (count - 1) * (total / between) ** 2 if between else np.full(2, np.inf)
    low, high = stdtrit(freedom, (1 + confidence) / 2) * np.sqrt(total)
    return mean - float(low), mean + float(high)
