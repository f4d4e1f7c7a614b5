"""The evaluation images of a site, their bootstrap resamples, and intervals of what they sum to."""

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from chexviz.base.randomness import stream
from chexviz.evaluation.intervals import mean_interval, normal_quantile, rate_interval
from chexviz.evaluation.resamples import (
    Resampling,
    defined,
    resamples_drawn_singly,
    units,
    why_no_interval,
)


class Sample:
    """A site's evaluation images and the bootstrap resamples of its units.

    Weights are how often each unit was drawn (units, 1 + B), the data itself as column 0. Unlike
    the resamples of AUROC these are not stratified: how frequent a finding is decides whether its
    probabilities hold, and stratified resamples would never vary it. images: drawn (1 + B,).
    note: of too few cases, which leave no value an interval; or ''.
    """

    def __init__(self, rows: pd.DataFrame, settings: Resampling, site: str):
        bootstrap = settings.bootstrap
        self.note = why_no_interval(rows, settings)
        self.labels, self.unit = rows["label"].to_numpy(), units(rows, bootstrap.unit)
        self.confidence = bootstrap.confidence
        count = self.unit.max() + 1
        generator = np.random.default_rng(stream(bootstrap.seed, "calibration", site))
        drawn = resamples_drawn_singly(count, bootstrap.replicates, generator)
        self.weights = np.ones((count, 1 + bootstrap.replicates))
        np.concatenate([*drawn], axis=1, out=self.weights[:, 1:])
        self.images = self.sums(np.zeros(len(rows), dtype=int), 1)[0]

    def sums(self, group: np.ndarray, groups: int, values: np.ndarray | None = None) -> np.ndarray:
        """Sums of the images' values (n,), 1 without any, in each group (groups, 1 + B).

        group: of each image (n,), integers in [0, groups).
        """
        values = np.ones(len(group)) if values is None else values
        kept = values != 0  # a stored 0 would cost as much as any value
        entries = values[kept], (group[kept], self.unit[kept])
        return csr_array(entries, shape=(groups, len(self.weights))) @ self.weights

    def units_of(self, chosen: np.ndarray) -> int:
        """How many units the chosen images, bool (n,), have."""
        return len(np.unique(self.unit[chosen]))

    def rate_bounds(self, values: np.ndarray, units: int) -> list[float]:
        """A rate with Wilson's interval (see intervals.rate_interval), all NaN if undefined.

        values: the rate and its replicates (1 + B,), of which some may be undefined (NaN). units:
        how many the rate is of.
        """
        if self.note or np.isnan(values[0]):
            return [values[0], np.nan, np.nan]
        bounds = rate_interval(values[0], defined(values[1:]), units, self.confidence)
        return [values[0], *bounds]

    def mean_bounds(self, values: np.ndarray) -> list[float]:
        """A mean in (0, 1) with an interval that is symmetric on the scale of the logit.

        values: the mean and its replicates (1 + B,). Where nothing varies there is none.
        """
        if self.note or np.ptp(values) < 1e-12:  # rounding
            return [values[0], np.nan, np.nan]
        units = len(self.weights)
        return [values[0], *mean_interval(values[0], values[1:], units, self.confidence)]

    def normal_bounds(self, value: float, error: float) -> list[float]:
        """A value with the interval of the normal distribution; none where nothing varies."""
        margin = normal_quantile(self.confidence) * error if error and not self.note else np.nan
        return [value, value - margin, value + margin]
