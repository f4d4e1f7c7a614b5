"""What becomes of a site's images, from the files that were found to the subsets, in numbers."""

import numpy as np
import pandas as pd

from chexviz.base import rejections
from chexviz.base.tables.study import SUBSETS

KEYS = ["step", "protocol", "subset", "reason"]
COUNTS = ["images", "positives", "patients"]
COLUMNS = ["site", *KEYS, *COUNTS]
FOUND, REJECTED, USABLE, UNLABELLED, SUBSET = (
    *("found", "rejected", "usable", "unlabelled", "subset"),
)


def steps(
    site: str, samples: pd.DataFrame, rejected: pd.DataFrame, splits: dict[str, pd.DataFrame]
) -> pd.DataFrame:
    """The steps of one site (COLUMNS), in their order.

    samples, rejected: of the site, as in its tables; patient_known bool. splits: of all sites, by
    protocol. Every radiograph that was found is usable or rejected for a reason, every
    usable one is in a subset of each protocol or unlabelled. patients: known ones; NaN
    where none is known, and where images were not opened.
    """
    files = rejected[rejections.are_files(rejected["reason"])]
    reasons = rejections.kinds(files["reason"]).value_counts(sort=False)
    labelled = samples["label"].notna()
    rows = [row(FOUND, images=len(samples) + len(files))]
    for reason, count in sorted(reasons.items(), key=lambda item: (-item[1], item[0])):
        rows.append(row(REJECTED, reason=reason, images=count))
    rows.append(counted(USABLE, samples))
    rows.append(row(UNLABELLED, images=int((~labelled).sum()), positives=0))
    for protocol, split in splits.items():
        own = split[split["site"] == site].set_index("image")["subset"]
        subset = samples["image"].map(own)
        for name in SUBSETS:
            if (own == name).any():
                rows.append(
                    counted(SUBSET, samples[subset == name], protocol=protocol, subset=name)
                )
    return pd.DataFrame(rows).assign(site=site)[COLUMNS]


def row(step: str, **known: object) -> dict:
    """One step; a key that is not given is empty, a count unknown."""
    return {"step": step, **dict.fromkeys(KEYS[1:], ""), **dict.fromkeys(COUNTS, np.nan), **known}


def counted(step: str, samples: pd.DataFrame, **keys: str) -> dict:
    """The step that these samples are left at."""
    known = samples.loc[samples["patient_known"], "patient"]
    return row(
        step,
        images=len(samples),
        positives=int((samples["label"] == 1).sum()),
        patients=known.nunique() if len(known) else np.nan,
        **keys,
    )


def together(table: pd.DataFrame) -> pd.DataFrame:
    """The steps of all sites as one, called ''. Its patients are unknown: sites can share some."""
    joined = table.groupby(KEYS, sort=False, as_index=False)[COUNTS[:2]]
    return joined.sum(min_count=1).assign(site="", patients=np.nan)[COLUMNS]
