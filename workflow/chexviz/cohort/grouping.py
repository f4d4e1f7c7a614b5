"""Folds of groups of images, with sites and findings balanced."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from chexviz.base.errors import InputError
from chexviz.base.tables.sites import LABEL


def strata(images: pd.DataFrame, findings: Mapping[str, Sequence[str]]) -> pd.Series:
    """What is balanced: the site of each image and its rarest finding, 'rsna 1'; 'rsna 0': none.

    images: columns site, label_<finding>. findings: of each site; it numbers them, rarest first.
    """
    number = pd.Series(0, index=images.index)
    for site, names in findings.items():
        of_site = images["site"] == site
        positive = images.loc[of_site, [f"{LABEL}{name}" for name in names]] == 1
        rarest = positive[positive.sum().sort_values(kind="stable").index].to_numpy()
        number[of_site] = np.where(rarest.any(axis=1), rarest.argmax(axis=1) + 1, 0)
    return images["site"] + " " + number.astype(str)


def fold(images: pd.DataFrame, fraction: float, seed: int) -> pd.Index:
    """One fold of whole groups with about `fraction` of the images of each stratum.

    images: columns site, stratum, group.
    """
    # Imported here because it takes seconds, and the other protocol needs none of it.
    from sklearn.model_selection import StratifiedGroupKFold

    count = round(1 / fraction)
    require_as_many(images, count)
    folds = StratifiedGroupKFold(count, shuffle=True, random_state=seed % 2**32)
    _, chosen = next(folds.split(images, images["stratum"], images["group"]))
    return images.index[chosen]


def require_as_many(images: pd.DataFrame, folds: int) -> None:
    """Refuse fewer groups than folds, and fewer images than folds in every stratum."""
    largest = images["stratum"].value_counts().max() if len(images) else 0
    if min(images["group"].nunique(), largest) < folds:
        sites = images.groupby("site")["group"].nunique()
        counts = ", ".join(f"{count} at {site}" for site, count in sites.items()) or "none"
        raise InputError(
            "protocol patient, labelled images of all sites",
            expected=f"at least {folds} groups (patients, unless patients share an image), since "
            f"one in {folds} is set aside, and {folds} images of one class at a site",
            found=f"groups to choose from: {counts}; "
            f"at most {largest} images of one class at a site",
            fix="add images of other patients, or raise the fractions in split: patient",
        )
