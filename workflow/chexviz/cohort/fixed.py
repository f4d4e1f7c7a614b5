"""Subsets that are not drawn: of external sites, of datasets' own splits, and what follows them."""

from collections.abc import Collection, Iterator, Mapping
from itertools import permutations

import numpy as np
import pandas as pd

from chexviz.base.errors import InputError
from chexviz.base.sites import Site
from chexviz.base.tables.study import SUBSETS
from chexviz.cohort.leakage import sharing


def fix(images: pd.DataFrame, sites: Mapping[str, Site], given: Collection[str]) -> pd.DataFrame:
    """The images that are in a subset, with the column `fixed`: which one; NaN: it is drawn.

    images: columns site, subset (of the split that the dataset comes with; NaN: in none). given:
    the training sites whose own splits count.
    """
    external = images["site"].isin([name for name, site in sites.items() if not site.trains])
    own = images["site"].isin(given)
    fixed = images["subset"].where(own).mask(external, "evaluation")
    return images.assign(fixed=fixed)[fixed.notna() | ~own]


def to_validate(images: pd.DataFrame, given: Collection[str]) -> pd.DataFrame:
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


def torn(images: pd.DataFrame, given: Collection[str]) -> pd.Series:
    """Images (bool) of given splits that have one group in several subsets.

    images: columns site, group, fixed. What these share, the audit counts.
    """
    several = images["fixed"].groupby(images["group"]).transform("nunique") > 1
    return several & images["site"].isin(given)


def require_apart(images: pd.DataFrame, pairs: pd.DataFrame, given: Collection[str]) -> None:
    """Refuse a given split that shares something with another subset that is fixed elsewhere.

    images: columns site, image, patient, sha256, fixed. pairs: duplicates.csv.
    """
    images = images[images["fixed"].notna()]
    site, fixed = images["site"].to_numpy(), images["fixed"].to_numpy()
    for name, (one, two) in ((name, both) for name in given for both in permutations(SUBSETS, 2)):
        here, there = (site == name) & (fixed == one), (site != name) & (fixed == two)
        affected = np.flatnonzero(sharing(images, pairs, here, there)["any"])
        if len(affected):
            others = np.unique(site[sharing(images, pairs, there, here)["any"]])
            raise InputError(
                f"protocol patient, site {name}: the split that its dataset comes with",
                expected="no patient, file or near-identical image that is in another subset of "
                "another given split, or of an external site, all of which evaluates",
                found=f"{len(affected)} images of {one} that share one with {two} of "
                f"{', '.join(others)}, e.g. {name}/{images['image'].iloc[affected[0]]}",
                fix=f"set `split: protocol` for the site {name}, which lets its images follow, or "
                "leave out the protocol patient: under paper the audit counts what leaks",
            )


def accounts(
    everything: pd.DataFrame,
    images: pd.DataFrame,
    sites: Mapping[str, Site],
    given: Collection[str],
) -> Iterator[str]:
    """What to tell of each site whose images are not all drawn.

    everything: the labelled images. images: those in a subset, with columns site, group, fixed (as
    `fix` has it), subset.
    """
    followed = images["fixed"].isna() & follow(images).notna()
    shared = torn(images, given)
    for name, site in sites.items():
        here = images["site"] == name
        own = images[here]
        if not site.trains:
            yield f"site {name} is external: all {len(own):,} labelled images evaluate"
        if name in given:
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
