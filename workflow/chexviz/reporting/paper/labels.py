"""The checks of labels and tags, and whether the view is tied to the label."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from chexviz.base.tables.study import LABEL_CHECKS
from chexviz.reporting.selection import ENDPOINT
from chexviz.reporting.titles import finding_title
from chexviz.reporting.wording import NAMED, between, bracketed, joined, listed, share

CONFLICTS = "conflicting labels"
# The checks that the supplement shows, and what it calls them.
CHECKS = {
    CONFLICTS: "Conflicting labels of near-identical images",
    "patients": "Patients (where known)",
    "several images": "Images of patients with several",
    "missing": "Missing: {group}",
    "impossible": "Impossible: {group}",
    "positive": "Positive: {group}",
    "odds ratio": "Odds ratio: {group}",
}


def label_facts(path: Path, sites: list[dict]) -> dict:
    """The checks of labels and tags: a row a check, a cell a site; and confounders in numbers.

    Where a site has labels of several findings, a check of labels has a row for each finding.
    sites: see titles.
    """
    table = LABEL_CHECKS.read(path)
    several = (labelled_findings(table) > 1).any()
    table["told"] = table["finding"] if several else ""
    own = table["check"] != CONFLICTS
    table = table[own | (table["group"] == table["site"])]
    table["group"] = table["group"].where(own, "")
    cells = {(row.site, row.check, row.group, row.told): row for row in table.itertuples()}
    checks = table.loc[table["check"].isin(CHECKS), ["check", "group", "told"]].drop_duplicates()
    checks = checks.sort_values("check", key=lambda one: one.map([*CHECKS].index), kind="stable")
    return {
        "sites": [site["title"] for site in sites],
        "rows": [
            {
                "title": heading(check, group, finding),
                "cells": [
                    label_cell(cells.get((site["name"], check, group, finding))) for site in sites
                ],
            }
            for check, group, finding in checks.itertuples(index=False)
        ],
        "view": confounding(views(table, sites)),
    }


def labelled_findings(table: pd.DataFrame) -> pd.Series:
    """How many findings each site has labels of."""
    return table[table["finding"] != ""].groupby("site")["finding"].nunique()


def heading(check: str, group: str, finding: str) -> str:
    """What the table calls a check: 'Positive: view AP', 'Positive: view AP (pleural effusion)'."""
    title = CHECKS[check].format(group=group)
    return f"{title} ({finding_title(finding)})" if finding else title


def views(table: pd.DataFrame, sites: list[dict]) -> list["View"]:
    """How the view and each finding of a site go together."""
    odds = table[(table["check"] == "odds ratio") & (table["group"] == "view AP against PA")]
    rows = odds.set_index(ENDPOINT)
    found = []
    for site in sites:
        for finding in site["findings"]:
            row, alone = rows.loc[site["name"], finding], len(site["findings"]) == 1
            title = site["title"] if alone else f"{site['title']} ({finding_title(finding)})"
            found.append(View(title, row["value"], row["low"], row["high"]))
    return found


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
    """The odds ratio of a positive label, AP against PA, of a site; NaN where it is not known.

    site: with the finding, where it has several.
    """

    site: str
    ratio: float
    low: float
    high: float


def confounding(rows: Sequence[View]) -> str:
    """Whether the view is tied to the label."""
    if len(rows) > NAMED:
        return many(rows)
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


def many(rows: Sequence[View]) -> str:
    """The same of many findings of sites, in numbers."""
    known = [row for row in rows if not math.isnan(row.ratio)]
    tied = [row for row in known if row.low > 1 or row.high < 1]
    if not known:
        return "Whether the view (AP or PA) is tied to the labels is not known."
    sentence = (
        f"Of {len(rows)} labels of sites, {len(known)} have images of both views (AP and PA) and "
        f"both classes. The view is tied to {len(tied)} of them beyond chance"
    )
    if not tied:
        return f"{sentence}."
    ratios = between([row.ratio for row in tied], 2)
    return (
        f"{sentence} (odds ratios from {ratios}): a model may learn the view instead of these "
        "findings."
    )
