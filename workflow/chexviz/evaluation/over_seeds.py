"""One number, or one comparison of two models, from several trainings (docs/evaluation.md).

Of one training a number has an interval and a difference a p value, of several they are summarised:
mean and standard deviation, and the difference that is expected of such trainings.
"""

import math
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.special import stdtr, stdtrit

INTERVAL, SPREAD = "95 % interval", "SD over seeds"  # what goes with a value


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


class Effect(NamedTuple):
    """A difference of two models, its interval, and the p value of no difference."""

    difference: float
    low: float
    high: float
    p: float


def effect(tests: pd.DataFrame, confidence: float) -> Effect:
    """Of one seed its own test, of several that of the expected difference.

    tests: difference, low, high, standard_error and p, a row a seed. confidence: of the interval,
    as in the tests.
    """
    low, high = tests[["low", "high"]].iloc[0]
    if len(tests) > 1:
        low, high = over_trainings(tests).interval(confidence)
    return Effect(float(tests["difference"].mean()), float(low), float(high), p_value(tests))


def over_trainings(tests: pd.DataFrame) -> Expected:
    """The expected difference over the seeds of a comparison; tests: a row a seed."""
    return expected(tests["difference"].to_numpy(), tests["standard_error"].to_numpy())


def p_value(tests: pd.DataFrame) -> float:
    """Of one seed its own p value, of several that of the expected difference."""
    return float(tests["p"].iloc[0]) if len(tests) == 1 else over_trainings(tests).p()


def uncertainty(seeds: int) -> str:
    """What goes with a value over so many seeds: INTERVAL or SPREAD."""
    return INTERVAL if seeds == 1 else SPREAD


def over_seeds(name: str, runs: pd.DataFrame) -> dict[str, float]:
    """A value with its interval, or of several seeds mean and standard deviation.

    runs: the value and its lower and upper bound, in this order, a row a seed.
    """
    values, low, high = (runs.iloc[:, column] for column in range(3))
    one = len(runs) == 1
    return {
        name: values.mean(skipna=False),
        f"{name}_low": low.iloc[0] if one else np.nan,
        f"{name}_high": high.iloc[0] if one else np.nan,
        f"{name}_sd": np.nan if one else values.std(ddof=1, skipna=False),
    }


def holm(p: np.ndarray) -> np.ndarray:
    """p values (m,) corrected so that the chance of any false rejection among them is kept.

    Holm's step-down method (Scandinavian Journal of Statistics 1979); whatever their dependence.
    What was not tested (NaN) is none of them.
    """
    tested = np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested], kind="stable")]
    steps = np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1))
    corrected = np.full(len(p), math.nan)
    corrected[order] = np.minimum(steps, 1)
    return corrected
