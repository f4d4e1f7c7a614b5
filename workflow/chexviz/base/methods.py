"""Methods that are no federation, and what every method is unless its config says otherwise."""

from collections.abc import Mapping
from typing import Any

BASELINE = "baseline"  # a model for each site, trained on its images alone
POOLED = "pooled"  # one model, trained on the images of all sites in one place
ENSEMBLE = "ensemble"  # all baselines together
DEFAULTS = {
    **{"weights": "size", "batchnorm": "average", "heads": "private"},
    **{"combine": "mean", "trim": 0.0},
}


def private_unit(method: Mapping[str, Any]) -> str:
    """What the privacy of a method is of, as the config has it: patient or site; '' without."""
    privacy = method.get("privacy")
    return privacy.get("unit", "patient") if privacy else ""
