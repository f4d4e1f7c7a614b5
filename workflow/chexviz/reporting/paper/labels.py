"""The checks of labels and tags, and whether the view is tied to the label."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from chexviz.base.tables.study import LABEL_CHECKS
from chexviz.reporting.wording import bracketed, joined, listed, share

# The checks that the supplement shows, and what it calls them.
CHECKS = {
    "conflicting labels": "Conflicting labels of near-identical images",
    "patients": "Patients (where known)",
    "several images": "Images of patients with several",
    "missing": "Missing: {group}",
    "impossible": "Impossible: {group}",
    "positive": "Positive: {group}",
    "odds ratio": "Odds ratio: {group}",
}


def label_facts(path: Path, sites: list[dict]) -> dict:
    """The checks of labels and tags: a row a check, a cell a site; and confounders in numbers."""
    table = LABEL_CHECKS.read(path)
    cells = {(row.site, row.check, row.group): row for row in table.itertuples()}
    checks = table.loc[table["check"].isin(CHECKS), ["check", "group"]].drop_duplicates()
    own = checks["check"] == "conflicting labels"
    rows = [("conflicting labels", "")] * bool(own.any()) + checks[~own].values.tolist()
    view = [cells[site["name"], "odds ratio", "view AP against PA"] for site in sites]
    return {
        "sites": [site["title"] for site in sites],
        "rows": [
            {
                "title": CHECKS[check].format(group=group),
                "cells": [
                    label_cell(cells.get((site["name"], check, group or site["name"])))
                    for site in sites
                ],
            }
            for check, group in rows
        ],
        "view": confounding(
            [
                View(site["title"], row.value, row.low, row.high)
                for site, row in zip(sites, view, strict=True)
            ]
        ),
    }


def label_cell(row: Any) -> str:
    """What the table shows of a check: 'count of images (percent)', patients, or the odds ratio."""
    if row is None or np.isnan(row.value):
        return "–"
    if row.check == "odds ratio":
        return bracketed(row.value, row.low, row.high, 2)
    if row.check == "patients":
        return f"{row.count:,.0f} ({row.value:.2f} images each)"
    return f"{row.count:,.0f} of {row.images:,.0f} ({share(row.value)})"


class View(NamedTuple):
    """The odds ratio of a positive label, AP against PA, of a site; NaN where it is not known."""

    site: str
    ratio: float
    low: float
    high: float


def confounding(rows: Sequence[View]) -> str:
    """Whether the view is tied to the label."""
    unknown = [row.site for row in rows if math.isnan(row.ratio)]
    tied = [row for row in rows if row.low > 1 or row.high < 1]
    blind = f"For {listed(unknown)} that is not known." if unknown else ""
    if tied:
        sites = listed(
            f"{'more' if row.ratio > 1 else 'less'} often positive at {row.site} (odds ratio "
            f"{bracketed(row.ratio, row.low, row.high, 2)})"
            for row in tied
        )
        sentence = (
            f"The view is tied to the label: AP images are {sites}. A model may learn the view "
        )
        return joined([f"{sentence}instead of the finding.", blind])
    known = [row.site for row in rows if row.site not in unknown]
    if not known:
        return "Whether the view (AP or PA) is tied to the label is not known."
    sentence = (
        f"At {listed(known)} the view (AP or PA) is not shown to be tied to the label."
        if unknown
        else "In no dataset is the view (AP or PA) tied to the label beyond chance."
    )
    return joined([sentence, blind])
