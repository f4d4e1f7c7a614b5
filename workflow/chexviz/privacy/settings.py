"""What the attacks are told."""

from typing import Annotated

from msgspec import Meta

from chexviz.base.settings import Positive, Settings, Share
from chexviz.evaluation.resamples import Resampling


class Inversion(Resampling, frozen=True):
    """images: of a site that are to be reconstructed. batch: of a gradient of several.

    seeds: reconstructions of each. steps: of a reconstruction.
    """

    images: Positive
    batch: Annotated[int, Meta(ge=2)]
    seeds: Positive
    steps: Positive


class Membership(Resampling, frozen=True):
    """false_positive_rates: at which the share of members that are found is told. threads: of the
    computation."""

    false_positive_rates: list[Share]
    threads: Positive


class Shadows(Settings, frozen=True):
    """seed: of the draw of who trains which shadow model."""

    seed: int
