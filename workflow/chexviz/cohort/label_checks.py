"""Whether labels and tags can be trusted: conflicts, missing tags, class balance, confounders."""

from collections.abc import Iterator
from math import exp, log, sqrt
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import ndtri

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.files import replacing
from chexviz.base.tables.sites import SAMPLES
from chexviz.base.tables.study import DUPLICATES, LABEL_CHECKS, PAIR
from chexviz.cohort.leakage import known, person, positions, sharing

TAGS = ("patient", "label", "view", "sex", "age", "spacing")
VIEWS, SEXES = ("AP", "PA"), ("M", "F")  # of each, the odds of the first against the second
CONFIDENCE = 0.95
HALF = 0.5  # added to every cell of a table with an empty one (Haldane 1956, Anscombe 1956)


def check(images: pd.DataFrame, pairs: pd.DataFrame, tasks: dict[str, str]) -> pd.DataFrame:
    """The table of all checks (LABEL_CHECKS), site by site.

    images: all columns of samples.csv, and site. pairs: duplicates.csv. tasks: of each site.
    """
    rows, labels = [], by_finding(images, tasks)
    of = {site: (images["site"] == site).to_numpy() for site in tasks}
    for site in tasks:
        own = images[of[site]]
        found = [
            row for other in tasks if other != site for row in shared(images, pairs, site, other)
        ]
        for other in tasks:
            both = {
                finding: values
                for finding, values in labels.items()
                if not (np.isnan(values[of[site]]).all() or np.isnan(values[of[other]]).all())
            }
            found += [conflicts(images, pairs, both, site, other)] if both else []
        found += [*patients(own), *missing_tags(own), impossible_ages(own), *balance(own)]
        found += [odds_ratio(own, "view", VIEWS), odds_ratio(own, "sex", SEXES)]
        rows += [{"site": site} | row for row in found]
    return LABEL_CHECKS.frame(rows)


def share(check: str, group: str, images: int, count: int, note: str = "") -> dict:
    """A row that counts: `count` of `images`, also as a fraction."""
    value = count / images if images else np.nan
    row = {"check": check, "group": group, "images": images, "count": count, "value": value}
    return row | {"note": note}


def shared(images: pd.DataFrame, pairs: pd.DataFrame, site: str, other: str) -> Iterator[dict]:
    """Images of `site` that share a patient, a near-identical image or a file with `other`."""
    here, there = ((images["site"] == name).to_numpy() for name in (site, other))
    who = known(images, elsewhere=site != other)
    for kind, affected in sharing(images, pairs, here, there).items():
        if kind == "any":
            continue
        note, looked_at = "", here
        if kind == "patient":
            looked_at = here & who & (who & there).any()
            note = f"patients: {images.loc[affected & who, 'patient'].nunique()}"
            if not looked_at.any():
                note = "patients of one or both are unknown"
        yield share(f"shared {kind}", other, int(looked_at.sum()), int(affected.sum()), note)


def by_finding(images: pd.DataFrame, tasks: dict[str, str]) -> dict[str, np.ndarray]:
    """The labels (n,) of each finding, NaN where not annotated; `label` is of the site's task."""
    task = images["site"].map(tasks)
    others = {column.removeprefix("label_") for column in images if column.startswith("label_")}
    return {
        name: np.where(task == name, images["label"], images.get(f"label_{name}", np.nan))
        for name in sorted(others.union(tasks.values()))
    }


def conflicts(
    images: pd.DataFrame, pairs: pd.DataFrame, labels: dict[str, np.ndarray], site: str, other: str
) -> dict:
    """Labelled images of `site` with a near-identical one at `other`; how many differ in label.

    labels: (n,) of each finding to compare, NaN if not annotated.
    """
    one, two = positions(images, pairs)
    one, two = np.r_[one, two], np.r_[two, one]  # each image of a pair has the other one
    names = images["site"].to_numpy()
    chosen = (names[one] == site) & (names[two] == other)
    one, two = one[chosen], two[chosen]
    looked_at, wrong, notes = np.zeros(len(one), dtype=bool), np.zeros(len(one), dtype=bool), []
    for finding, values in labels.items():
        both = ~np.isnan(values[one]) & ~np.isnan(values[two])
        differ = both & (values[one] != values[two])
        looked_at |= both
        wrong |= differ
        if differ.any():
            example = [side[differ][0] for side in (one, two)]
            texts = [
                f"{names[at]}/{images['image'].iloc[at]} is {values[at]:.0f}" for at in example
            ]
            count = len(np.unique(one[differ]))
            notes.append(f"{finding}: {count}, e.g. {', '.join(texts)}")
    counts = len(np.unique(one[looked_at])), len(np.unique(one[wrong]))
    return share("conflicting labels", other, *counts, "; ".join(notes))


def patients(own: pd.DataFrame) -> Iterator[dict]:
    """Of images whose patient is known: how many patients, and images of those who have several.

    The value of the first row is the mean number of images of a patient.
    """
    who = own.loc[own["patient_known"], "patient"]
    sizes = who.value_counts()
    yield share("patients", "known", len(who), len(sizes)) | {"value": sizes.mean()}
    yield share("several images", "patient", len(who), int(sizes[sizes > 1].sum()))


def missing_tags(own: pd.DataFrame) -> Iterator[dict]:
    """How many images lack a tag; for `patient`, how many the source names no patient for."""
    for tag in TAGS:
        absent = ~own["patient_known"] if tag == "patient" else own[tag].isna()
        note = "shared patients cannot be found" if tag == "patient" and absent.any() else ""
        yield share("missing", tag, len(own), int(absent.sum()), note)


def impossible_ages(own: pd.DataFrame) -> dict:
    """Ages that the files state but nobody can have; they count as missing everywhere else."""
    stated = own[own["age_stated"].notna()]
    impossible = stated[stated["age"].isna()]
    values = impossible["age_stated"].value_counts().sort_index()
    note = ", ".join(f"{value!r}" if n == 1 else f"{value!r} x {n}" for value, n in values.items())
    return share("impossible", "age", len(stated), len(impossible), note)


def balance(own: pd.DataFrame) -> Iterator[dict]:
    """Positive images among all labelled ones, and by view and sex, with Wilson intervals."""
    from scipy.stats import binomtest  # not above: the audit's figure and the paper import this too

    labelled = own[own["label"].notna()]
    positive = labelled["label"] == 1
    groups = [("all", positive)]
    for tag in ("view", "sex"):
        groups += [
            (f"{tag} {value}", part)
            for value, part in positive.groupby(labelled[tag].fillna("unknown"))
        ]
    for group, part in groups:
        test = binomtest(int(part.sum()), len(part))
        low, high = test.proportion_ci(CONFIDENCE, method="wilson")
        yield share("positive", group, len(part), int(part.sum())) | {"low": low, "high": high}


def odds_ratio(own: pd.DataFrame, tag: str, values: tuple[str, str]) -> dict:
    """Odds of a positive label in images of the first value against the second (Woolf 1955).

    Far from 1, the tag tells the label: a model may learn the tag instead of the finding.
    """
    labelled = own[own["label"].notna() & own[tag].isin(values)]
    positive = labelled["label"] == 1
    first = labelled[tag] == values[0]
    table = np.array(
        [[(positive & side).sum(), (~positive & side).sum()] for side in (first, ~first)]
    )
    row: dict = {"check": "odds ratio", "group": f"{tag} {values[0]} against {values[1]}"}
    row |= {"images": len(labelled), "count": int(positive.sum())}
    if not (table.sum(axis=0).all() and table.sum(axis=1).all()):
        return row | {"value": np.nan, "note": "needs both values and both labels"}
    cells = table if table.all() else table + HALF
    middle = log(cells[0, 0] * cells[1, 1] / (cells[0, 1] * cells[1, 0]))
    margin = ndtri((1 + CONFIDENCE) / 2) * sqrt((1 / cells).sum())
    row |= {"value": exp(middle), "low": exp(middle - margin), "high": exp(middle + margin)}
    return row | {"note": "" if table.all() else f"{HALF} added to every count, as one is 0"}


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--site", nargs="+", required=True)
    parser.add_argument("--task", nargs="+", required=True, help="of each site")
    parser.add_argument("--samples", nargs="+", required=True, type=Path, help="a file per site")
    parser.add_argument("--duplicates", required=True, type=Path)
    parser.add_argument("--output", required=True, type=Path)
    arguments = parser.parse_args(argv)
    tables = [SAMPLES.read(path) for path in arguments.samples]
    images = pd.concat(tables, keys=arguments.site, names=["site", None]).reset_index("site")
    images["patient"] = person(images)
    pairs = DUPLICATES.read(arguments.duplicates, *PAIR)
    tasks = dict(zip(arguments.site, arguments.task, strict=True))
    table = check(images.reset_index(drop=True), pairs, tasks)
    for column in ("value", "low", "high"):
        table[column] = table[column].map("{:.6g}".format, na_action="ignore")
    with replacing(arguments.output) as temporary:
        LABEL_CHECKS.write(table, temporary)


if __name__ == "__main__":
    run(main)
