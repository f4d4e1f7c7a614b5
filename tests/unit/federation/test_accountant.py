"""What noise spends of an epsilon: against published values, and against a closed form."""

import math

import numpy as np
import pytest
from opacus.accountants.analysis.rdp import compute_rdp
from scipy.optimize import brentq
from scipy.stats import norm

from chexviz.federation.accountant import noise_multiplier, spent
from chexviz.federation.settings import Privacy


@pytest.mark.parametrize(
    ("sigma", "epochs", "published"), [(1.12, 60, 2.92), (0.6, 30, 9.74), (1.2, 10, 1.20)]
)
def test_the_accountant_gives_published_values(sigma, epochs, published):
    """The table of tutorials/README.md of github.com/tensorflow/privacy: MNIST, 60,000 images,
    batches of 256, delta 1e-5.

    It converts Renyi privacy by Mironov 2017; the bound of Balle et al. 2020, which the accountant
    takes, is lower by at most a quarter.
    """
    rate, steps = 256 / 60_000, epochs * 60_000 // 256
    orders = np.array([1 + x / 10 for x in range(1, 100)] + [*range(12, 64)])
    renyi = np.array(compute_rdp(q=rate, noise_multiplier=sigma, steps=steps, orders=orders))
    mironov = np.min(renyi + np.log(1e5) / (orders - 1))
    assert mironov == pytest.approx(published, rel=0.01)
    assert 0.75 * mironov < spent(sigma, rate, steps, 1e-5) < mironov


@pytest.mark.parametrize("epsilon", [0.5, 1.0, 3.0, 8.0, 30.0])
@pytest.mark.parametrize(("steps", "epochs"), [(1, 1), (10, 12), (334, 300)])
def test_noise_spends_what_it_may_and_hardly_less(epsilon, steps, epochs):
    privacy = Privacy(epsilon=epsilon, delta=1e-5, clip=1.0)
    sigma = noise_multiplier(privacy, 1 / steps, steps * epochs)
    found = spent(sigma, 1 / steps, steps * epochs, 1e-5)
    assert 0.98 * epsilon < found <= epsilon


@pytest.mark.parametrize(("sigma", "steps"), [(1.0, 1), (5.0, 12), (20.0, 300)])
def test_without_sampling_it_is_an_upper_bound_of_the_exact_epsilon(sigma, steps):
    """Of the Gaussian mechanism (Balle and Wang 2018, theorem 8); steps add up as sigma / sqrt."""

    def delta(epsilon: float) -> float:
        scale = sigma / math.sqrt(steps)
        one, other = 1 / (2 * scale), epsilon * scale
        return norm.cdf(one - other) - math.exp(epsilon) * norm.cdf(-one - other)

    exact = brentq(lambda epsilon: delta(epsilon) - 1e-5, 0.01, 50)
    assert exact < spent(sigma, 1.0, steps, 1e-5) < 1.15 * exact


def test_less_epsilon_is_more_noise():
    budgets = [Privacy(epsilon=one, delta=1e-3, clip=1.0) for one in (0.5, 1, 3, 8)]
    noise = [noise_multiplier(one, 1 / 4, 12) for one in budgets]
    assert noise == sorted({*noise}, reverse=True)
