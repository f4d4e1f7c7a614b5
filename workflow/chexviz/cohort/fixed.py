"""Subsets that are not drawn: of external sites, of datasets' own splits, and what follows them."""

from collections.abc import Collection, Iterator, Mapping
from itertools import permutations
from typing import NamedTuple

import numpy as np
import pandas as pd

from chexviz.base.errors import InputError
from chexviz.base.tables.study import SUBSETS
from chexviz.cohort.leakage import sharing

DRAWN, GIVEN, EXTERNAL = "drawn", "given", "external"


class Site(NamedTuple):
    """How a site comes by its subsets (DRAWN, GIVEN or EXTERNAL), and the findings it labels."""

    kind: str
    findings: list[str]


def read_sites(findings: list[list[str]], given: Collection[str]) -> dict[str, Site]:
    """The sites by name, in order. findings: lists of SITE ROLE FINDING... given: named sites.

    All images of an external site evaluate, whatever split it comes with. Raises InputError.
    """
    sites = {}
    for name, *rest in findings:
        if len(rest) < 2 or rest[0] not in ("train", EXTERNAL):
            raise InputError(
                "--findings",
                expected=f"SITE, train or {EXTERNAL}, and at least one FINDING",
                found=" ".join([name, *rest]),
                fix="name the role and the findings of the site",
            )
        drawn_or_given = GIVEN if name in given else DRAWN
        sites[name] = Site(EXTERNAL if rest[0] == EXTERNAL else drawn_or_given, rest[1:])
    return sites


def named(sites: Mapping[str, Site], kind: str) -> list[str]:
    """The sites of a kind, in order."""
    return [name for name, site in sites.items() if site.kind == kind]


def fix(images: pd.DataFrame, sites: Mapping[str, Site]) -> pd.DataFrame:
    """The images that are in a subset, with the column `fixed`: which one; NaN: it is drawn.

    images: columns site, subset (of the split that the dataset comes with; NaN: in none).
    """
    given = images["site"].isin(named(sites, GIVEN))
    external = images["site"].isin(named(sites, EXTERNAL))
    fixed = images["subset"].where(given).mask(external, "evaluation")
    return images.assign(fixed=fixed)[fixed.notna() | ~given]


def to_validate(images: pd.DataFrame, given: list[str]) -> pd.DataFrame:
    """The images that validation may take from given splits that have none: those that train.

    images: columns site, group, fixed. A group that also trains at a site whose own split has
    validation images stays where it is.
    """
    validated = images.loc[images["fixed"] == "validation", "site"]
    training = images[images["fixed"] == "train"]
    lacking = training["site"].isin(given) & ~training["site"].isin(validated)
    bound = training["group"].isin(training.loc[~lacking, "group"])
    return training[lacking & ~bound]


def follow(images: pd.DataFrame) -> pd.Series:
    """The strictest subset of the fixed images of each image's group; NaN: there are none.

    images: columns group, fixed.
    """
    strictness = images["fixed"].map({name: number for number, name in enumerate(SUBSETS)})
    return strictness.groupby(images["group"]).transform("max").map(dict(enumerate(SUBSETS)))


def torn(images: pd.DataFrame, given: list[str]) -> pd.Series:
    """Images (bool) of given splits that have one group in several subsets.

    images: columns site, group, fixed. What these share, the audit counts.
    """
    several = images["fixed"].groupby(images["group"]).transform("nunique") > 1
    return several & images["site"].isin(given)


def require_apart(images: pd.DataFrame, pairs: pd.DataFrame, given: list[str]) -> None:
    """Refuse a given split that shares something with another subset that is fixed elsewhere.

    images: columns site, image, patient, sha256, fixed. pairs: duplicates.csv.
    """
    images = images[images["fixed"].notna()]
    site, fixed = images["site"].to_numpy(), images["fixed"].to_numpy()
    for name, (one, two) in ((name, both) for name in given for both in permutations(SUBSETS, 2)):
        here, there = (site == name) & (fixed == one), (site != name) & (fixed == two)
        affected = np.flatnonzero(sharing(images, pairs, here, there)["any"])
        if len(affected):
            raise InputError(
                f"protocol patient, site {name}: the split that its dataset comes with",
                expected="no patient or near-identical image of another subset of a site whose "
                "images have a given subset too, or all evaluate",
                found=f"{len(affected)} images of {one} that share one with {two} elsewhere, "
                f"e.g. {name}/{images['image'].iloc[affected[0]]}",
                fix=f"set `split: protocol` for the site {name}, which lets its images follow",
            )


def accounts(
    everything: pd.DataFrame, images: pd.DataFrame, sites: Mapping[str, Site]
) -> Iterator[str]:
    """What to tell of each site whose images are not all drawn.

    everything: the labelled images. images: those in a subset, with columns site, group, fixed (as
    `fix` has it), subset.
    """
    followed = images["fixed"].isna() & follow(images).notna()
    shared = torn(images, named(sites, GIVEN))
    for name, site in sites.items():
        here = images["site"] == name
        own = images[here]
        if site.kind == EXTERNAL:
            yield f"site {name} is external: all {len(own):,} labelled images evaluate"
        if site.kind == GIVEN:
            said = [f"site {name} has the split of its dataset: {counts(own['subset'])}"]
            if (own["fixed"] != own["subset"]).any():
                said.append("validation is taken from train, by whole groups")
            if left_out := (everything["site"] == name).sum() - len(own):
                said.append(f"{left_out:,} labelled images are in none")
            if leaking := (here & shared).sum():
                said.append(f"{leaking:,} share a group with another of its subsets")
            yield "; ".join(said)
        if (here & followed).any():
            yield (
                f"site {name}: {(here & followed).sum():,} images follow others of their group, "
                f"whose subset is fixed: {counts(images.loc[here & followed, 'subset'])}"
            )


def counts(subsets: pd.Series) -> str:
    """'800 train, 100 validation, 100 evaluation'."""
    return ", ".join(f"{(subsets == name).sum():,} {name}" for name in SUBSETS)
