"""What a training is told: how its sites train, in how many rounds, and by which method."""

import argparse
from collections.abc import Sequence
from typing import Annotated, Generic, Literal, TypeVar

import msgspec

from chexviz.base.settings import Positive, Settings, Share
from chexviz.models.augment import Augmentation

Rate = Annotated[float, msgspec.Meta(gt=0)]


class Privacy(Settings, frozen=True):
    """How a training is private: (epsilon, delta) that no record may spend more of.

    unit: what a record is, a `patient` of a site (DP-SGD at the sites, Abadi et al. 2016) or a
    whole `site` (noise at the server, McMahan et al. 2018). clip: the length at most of a
    patient's gradient, or of a site's step of a round.
    """

    epsilon: Rate
    delta: Share
    clip: Rate
    unit: Literal["patient", "site"] = "patient"


class Method(Settings, frozen=True, kw_only=True):
    """A federated method: its algorithm, and what goes with every one (docs/methods.md).

    An algorithm that needs more has a subclass of its own (see methods.FedAvg.Settings). privacy:
    None: nobody adds noise.
    """

    algorithm: str
    weights: Literal["size", "uniform"]
    batchnorm: Literal["average", "local", "frozen"]
    heads: Literal["private", "shared"]
    combine: Literal["mean", "median", "trimmed"]
    trim: Annotated[float, msgspec.Meta(ge=0, lt=0.5)]
    privacy: Privacy | None = None

    @property
    def sites_add_noise(self) -> bool:
        """Whether the training is private for each patient."""
        return self.privacy is not None and self.privacy.unit == "patient"

    @property
    def server_adds_noise(self) -> bool:
        """Whether it is private for each site."""
        return self.privacy is not None and self.privacy.unit == "site"


class Named(msgspec.Struct):
    """What of a method says which settings it has."""

    algorithm: str


class Outline(msgspec.Struct):
    """The same of a training, whatever else is in it."""

    method: Named


Chosen = TypeVar("Chosen", bound=Method)


class Training(Settings, Generic[Chosen], frozen=True):
    """A training by a method; the baseline of a site is a federation of one."""

    batch: Positive
    threads: Positive
    precision: Literal["auto", "bfloat16", "float32"]
    compile: bool
    augmentation: Augmentation
    learning_rate: Rate
    schedule: Literal["constant", "cosine"]
    rounds: Positive
    local_epochs: Positive
    method: Chosen


def add_sites(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the sites that train, and what each labels; see findings_of."""
    parser.add_argument(
        "--site",
        action="append",
        nargs="+",
        required=True,
        metavar="NAME FINDING",
        help="a site and its findings (repeated; one alone is a baseline)",
    )


def findings_of(sites: Sequence[Sequence[str]]) -> dict[str, list[str]]:
    """The findings of each site, from the values of that option."""
    return {name: list(findings) for name, *findings in sites}
