"""What becomes of a site's images, from the files that were found to the subsets, in numbers."""

import numpy as np
import pandas as pd

from chexviz.base import rejections
from chexviz.base.tables.study import SUBSETS
from chexviz.reporting.tables.characteristics import NONE, labels_of

KEYS = ["step", "protocol", "subset", "reason"]
COUNTS = ["images", "positives", "patients"]
FOUND, REJECTED, USABLE, UNLABELLED, SUBSET = (
    *("found", "rejected", "usable", "unlabelled", "subset"),
)


def steps(
    site: str,
    findings: list[str],
    samples: pd.DataFrame,
    rejected: pd.DataFrame,
    splits: dict[str, pd.DataFrame],
) -> pd.DataFrame:
    """The steps of one site (see FLOW), in their order.

    findings, samples, rejected: of the site, as in its tables. splits: of all sites, by protocol.
    Every radiograph that was found is usable or rejected for a reason, every usable one is in a
    subset of each protocol, or in NONE where the split of the dataset leaves it out, or unlabelled.
    patients: known ones; NaN where none is known, and where images were not opened.
    """
    files = rejected[rejections.are_files(rejected["reason"])]
    reasons = rejections.kinds(files["reason"]).value_counts(sort=False)
    labels = labels_of(samples, findings)
    labelled = labels.notna().any(axis=1)
    samples = samples.assign(positive=(labels == 1).any(axis=1))
    rows = [row(site, FOUND, images=len(samples) + len(files))]
    for reason, count in sorted(reasons.items(), key=lambda item: (-item[1], item[0])):
        rows.append(row(site, REJECTED, reason=reason, images=count))
    rows.append(counted(site, USABLE, samples))
    rows.append(row(site, UNLABELLED, images=int((~labelled).sum()), positives=0))
    for protocol, split in splits.items():
        own = split[split["site"] == site].set_index("image")["subset"]
        subset = samples["image"].map(own).where(labelled).fillna(NONE)
        for name in (*SUBSETS, NONE):
            if (chosen := labelled & (subset == name)).any():
                keys = {"protocol": protocol, "subset": name}
                rows.append(counted(site, SUBSET, samples[chosen], **keys))
    return pd.DataFrame(rows)


def row(site: str, step: str, **known: object) -> dict:
    """One step; a key that is not given is empty, a count unknown."""
    return {
        "site": site,
        "step": step,
        **dict.fromkeys(KEYS[1:], ""),
        **dict.fromkeys(COUNTS, np.nan),
        **known,
    }


def counted(site: str, step: str, samples: pd.DataFrame, **keys: str) -> dict:
    """The step that these samples of a site are left at. samples: with the column positive."""
    known = samples.loc[samples["patient_known"], "patient"]
    return row(
        *(site, step),
        images=len(samples),
        positives=int(samples["positive"].sum()),
        patients=known.nunique() if len(known) else np.nan,
        **keys,
    )


def together(table: pd.DataFrame) -> pd.DataFrame:
    """The steps of all sites as one, called ''. Its patients are unknown: sites can share some."""
    joined = table.groupby(KEYS, sort=False, as_index=False)[COUNTS[:2]]
    return joined.sum(min_count=1).assign(site="", patients=np.nan)[list(table)]
