"""How much noise an epsilon takes, and what noise has spent, by the accountant of Opacus."""

import warnings
from functools import cache

from opacus.accountants import create_accountant
from opacus.accountants.utils import get_noise_multiplier

from chexviz.base.errors import InputError
from chexviz.federation.settings import Privacy

# A bound from the largest order, or from the smallest, holds as well.
warnings.filterwarnings("ignore", message="Optimal order is the")

ACCOUNTANT = "rdp"  # Renyi differential privacy: an upper bound that is quick at any sampling rate


@cache
def noise_multiplier(privacy: Privacy, rate: float, steps: int) -> float:
    """The noise, in units of `clip`, by which so many steps spend the epsilon.

    rate: the probability with which a record is in a step. Raises InputError.
    """
    try:
        return get_noise_multiplier(
            target_epsilon=privacy.epsilon,
            target_delta=privacy.delta,
            sample_rate=rate,
            steps=steps,
            accountant=ACCOUNTANT,
            epsilon_tolerance=min(0.01, privacy.epsilon / 100),
        )
    except ValueError as error:
        raise InputError(
            "methods: privacy: epsilon",
            expected="one that some noise gives",
            found=f"{privacy.epsilon:g}: {error}",
            fix="raise epsilon or delta, or train fewer rounds",
        ) from None


def spent(sigma: float, rate: float, steps: int, delta: float) -> float:
    """Epsilon after steps with noise `sigma`, in each of which a record is at this rate."""
    accountant = create_accountant(ACCOUNTANT)
    accountant.history = [(sigma, rate, steps)]
    return accountant.get_epsilon(delta=delta)
