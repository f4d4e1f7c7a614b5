"""Whether labels and tags can be trusted: conflicts, missing tags, class balance, confounders."""

from collections.abc import Iterator, Mapping, Sequence
from math import exp, log, sqrt
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import ndtri

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.files import replacing
from chexviz.base.records import positions
from chexviz.base.tables.sites import LABEL
from chexviz.base.tables.study import DUPLICATES, LABEL_CHECKS, PAIR
from chexviz.cohort.leakage import known, read_samples, sharing

TAGS = ("view", "sex", "age", "spacing")
VIEWS, SEXES = ("AP", "PA"), ("M", "F")  # of each, the odds of the first against the second
CONFIDENCE = 0.95
HALF = 0.5  # added to every cell of a table with an empty one (Haldane 1956, Anscombe 1956)


def check(
    images: pd.DataFrame, pairs: pd.DataFrame, findings: Mapping[str, Sequence[str]]
) -> pd.DataFrame:
    """The table of all checks (LABEL_CHECKS), site by site.

    images: all columns of samples.csv, and site. pairs: duplicates.csv. findings: that each site
    labels, evaluated ones too.
    """
    rows, near = [], positions(images, pairs)
    for site, names in findings.items():
        own = images[images["site"] == site]
        others = [other for other in findings if other != site]
        found = [row for other in others for row in shared(images, pairs, site, other)]
        for other, theirs in findings.items():
            both = [name for name in names if name in theirs]
            found += [conflicts(images, near, name, site, other) for name in both]
        found += [*patients(own), *missing_tags(own, names), impossible_ages(own)]
        for name in names:
            found += [*balance(own, name)]
            found += [odds_ratio(own, name, "view", VIEWS), odds_ratio(own, name, "sex", SEXES)]
        rows += [{"site": site, "finding": ""} | row for row in found]
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


def conflicts(
    images: pd.DataFrame, near: tuple[np.ndarray, np.ndarray], finding: str, site: str, other: str
) -> dict:
    """Labelled images of `site` with a near-identical one at `other`; how many differ in label.

    near: positions in `images` of the two images of each pair.
    """
    one, two = (
        np.concatenate(near),
        np.concatenate(near[::-1]),
    )  # each image of a pair has the other one
    names, labels = images["site"].to_numpy(), images[f"{LABEL}{finding}"].to_numpy(dtype=float)
    chosen = (names[one] == site) & (names[two] == other)
    chosen &= ~np.isnan(labels[one]) & ~np.isnan(labels[two])
    one, two = one[chosen], two[chosen]
    differ = labels[one] != labels[two]
    count, note = len(np.unique(one[differ])), ""
    if count:
        example = [side[differ][0] for side in (one, two)]
        texts = [f"{names[at]}/{images['image'].iloc[at]} is {labels[at]:.0f}" for at in example]
        note = f"{finding}: {count}, e.g. {', '.join(texts)}"
    row = share("conflicting labels", other, len(np.unique(one)), count, note)
    return row | {"finding": finding}


def patients(own: pd.DataFrame) -> Iterator[dict]:
    """Of images whose patient is known: how many patients, and images of those who have several.

    The value of the first row is the mean number of images of a patient.
    """
    who = own.loc[own["patient_known"], "patient"]
    sizes = who.value_counts()
    yield share("patients", "known", len(who), len(sizes)) | {"value": sizes.mean()}
    yield share("several images", "patient", len(who), int(sizes[sizes > 1].sum()))


def missing_tags(own: pd.DataFrame, findings: Sequence[str]) -> Iterator[dict]:
    """How many images lack a tag, or the label of a finding.

    For `patient`: how many images the source names no patient for.
    """
    absent = ~own["patient_known"]
    note = "shared patients cannot be found" if absent.any() else ""
    yield share("missing", "patient", len(own), int(absent.sum()), note)
    for finding in findings:
        unknown = own[f"{LABEL}{finding}"].isna()
        row = share("missing", "label", len(own), int(unknown.sum()))
        yield row | {"finding": finding}
    for tag in TAGS:
        yield share("missing", tag, len(own), int(own[tag].isna().sum()))


def impossible_ages(own: pd.DataFrame) -> dict:
    """Ages that the files state but nobody can have; they count as missing everywhere else."""
    stated = own[own["age_stated"].notna()]
    impossible = stated[stated["age"].isna()]
    values = impossible["age_stated"].value_counts().sort_index()
    note = ", ".join(f"{value!r}" if n == 1 else f"{value!r} x {n}" for value, n in values.items())
    return share("impossible", "age", len(stated), len(impossible), note)


def balance(own: pd.DataFrame, finding: str) -> Iterator[dict]:
    """Positive images among all labelled ones, and by view and sex, with Wilson intervals."""
    from scipy.stats import binomtest  # not above: the audit's figure and the paper import this too

    labelled = own[own[f"{LABEL}{finding}"].notna()]
    positive = labelled[f"{LABEL}{finding}"] == 1
    groups = [("all", positive)]
    for tag in ("view", "sex"):
        groups += [
            (f"{tag} {value}", part)
            for value, part in positive.groupby(labelled[tag].fillna("unknown"))
        ]
    for group, part in groups:
        row = share("positive", group, len(part), int(part.sum())) | {"finding": finding}
        if len(part):
            test = binomtest(int(part.sum()), len(part))
            low, high = test.proportion_ci(CONFIDENCE, method="wilson")
            row |= {"low": low, "high": high}
        yield row


def odds_ratio(own: pd.DataFrame, finding: str, tag: str, values: tuple[str, str]) -> dict:
    """Odds of a positive label in images of the first value against the second (Woolf 1955).

    Far from 1, the tag tells the label: a model may learn the tag instead of the finding.
    """
    labelled = own[own[f"{LABEL}{finding}"].notna() & own[tag].isin(values)]
    positive = labelled[f"{LABEL}{finding}"] == 1
    first = labelled[tag] == values[0]
    table = np.array(
        [[(positive & side).sum(), (~positive & side).sum()] for side in (first, ~first)]
    )
    row: dict = {"check": "odds ratio", "group": f"{tag} {values[0]} against {values[1]}"}
    row |= {"finding": finding, "images": len(labelled), "count": int(positive.sum())}
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
    parser.add_argument("--samples", nargs="+", required=True, type=Path, help="a file per site")
    parser.add_argument("--duplicates", required=True, type=Path)
    parser.add_argument("--output", required=True, type=Path)
    arguments = parser.parse_args(argv)
    tables = read_samples(arguments.site, arguments.samples)
    findings = {
        site: [name.removeprefix(LABEL) for name in samples if name.startswith(LABEL)]
        for site, samples in zip(arguments.site, tables, strict=True)
    }
    pairs = DUPLICATES.read(arguments.duplicates, *PAIR)
    table = check(pd.concat(tables, ignore_index=True), pairs, findings)
    for column in ("value", "low", "high"):
        table[column] = table[column].map("{:.6g}".format, na_action="ignore")
    with replacing(arguments.output) as temporary:
        LABEL_CHECKS.write(table, temporary)


if __name__ == "__main__":
    run(main)
