"""The sites of a run as an entry point is told them: their roles and findings."""

import argparse
from collections.abc import Sequence
from typing import NamedTuple

from chexviz.base.errors import InputError

ROLES = ("train", "external")


class Site(NamedTuple):
    """A site of the run. role: one of ROLES; an external site trains nothing.

    findings: what it learns, or what an external site's images evaluate.
    """

    name: str
    role: str
    findings: list[str]

    @property
    def trains(self) -> bool:
        """Whether it takes part in training."""
        return self.role == "train"


def add_findings(parser: argparse.ArgumentParser) -> None:
    """Add the option that tells the sites of the run; sites_of takes its values."""
    parser.add_argument(
        "--findings",
        action="append",
        nargs="+",
        required=True,
        metavar="SITE ROLE FINDING",
        help="a site of the run: train or external, and its findings (repeated)",
    )


def sites_of(values: Sequence[Sequence[str]]) -> dict[str, Site]:
    """The sites of the run by name, in order. Raises InputError where one makes no sense."""
    sites = {}
    for name, *about in values:
        if len(about) < 2 or about[0] not in ROLES or name in sites:
            raise InputError(
                f"--findings {' '.join([name, *about])}",
                expected=f"SITE ROLE FINDING..., each site once, of the roles {', '.join(ROLES)}",
                found="a second entry of the site" if name in sites else " ".join(about) or "none",
                fix="give --findings SITE ROLE FINDING... for every site",
            )
        sites[name] = Site(name, about[0], about[1:])
    return sites
