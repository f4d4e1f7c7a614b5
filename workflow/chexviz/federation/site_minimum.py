"""How many sites a robust combination needs. Light, so that the workflow can ask early."""

import math

from chexviz.base.errors import InputError


def trimmed(sites: int, trim: float) -> int:
    """How many of the values of `sites` sites a trimmed mean leaves out at each end."""
    return int(sites * trim)


def check_sites(name: str, how: str, trim: float, sites: int) -> None:
    """Raise InputError if so few sites cannot be combined as the method of a name asks.

    how, trim: see exchange.combine. A median of two is their mean, and a trimmed mean that leaves
    out nobody is the mean: neither would withstand a single wrong site.
    """
    needed = 1
    if how == "median":
        needed = 3
    if how == "trimmed" and trimmed(sites, trim) < 1:
        needed = math.ceil(1 / trim)
    if sites < needed:
        raise InputError(
            f"method {name}: combine: {how}",
            expected=f"at least {needed} sites",
            found=f"{sites}",
            fix="add sites that label the same findings, or use `combine: mean`",
        )
