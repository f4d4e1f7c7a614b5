"""How many sites a robust combination needs. Light, so that the workflow can ask early."""

import math
from collections.abc import Mapping

from chexviz.base.errors import InputError


def trimmed(sites: int, trim: float) -> int:
    """How many of the values of `sites` sites a trimmed mean leaves out at each end."""
    return int(sites * trim)


def check_sites(name: str, method: Mapping, sites: int) -> None:
    """Raise InputError if so few sites cannot be combined as a method asks.

    method: combine ('mean', 'median', 'trimmed') and trim. A median of two is their mean, and a
    trimmed mean that leaves out nobody is the mean: neither would withstand a single wrong site.
    """
    how, trim, needed = method["combine"], method["trim"], 1
    if how == "median":
        needed = 3
    if how == "trimmed" and trimmed(sites, trim) < 1:
        needed = math.ceil(1 / trim)
    if sites < needed:
        raise InputError(
            f"method {name}: combine: {how}",
            expected=f"at least {needed} sites",
            found=f"{sites}",
            fix="add sites, or use `combine: mean`",
        )
