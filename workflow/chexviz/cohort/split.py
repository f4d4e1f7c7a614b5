"""Which images train, choose thresholds and evaluate, by either protocol."""

import sys
from collections.abc import Collection, Mapping
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run
from chexviz.base.files import replacing_all
from chexviz.base.randomness import stream
from chexviz.base.records import groups
from chexviz.base.settings import Settings, Share, read
from chexviz.base.sites import Site, add_findings, sites_of
from chexviz.base.tables.sites import LABEL
from chexviz.base.tables.study import DUPLICATES, PAIR, SPLIT, SUBSETS
from chexviz.cohort import fixed
from chexviz.cohort.grouping import fold, strata
from chexviz.cohort.leakage import as_written, prove_disjoint, read_samples


class ImageSplit(Settings, frozen=True):
    """evaluation: the fraction of each site's n images that evaluates, floor(fraction x n)."""

    seed: int
    evaluation: Share


class PatientSplit(Settings, frozen=True):
    """evaluation, validation: fractions of all images, met as nearly as whole groups allow."""

    seed: int
    evaluation: Share
    validation: Share


def labelled(sites: Mapping[str, Site], paths: list[Path]) -> dict[str, pd.DataFrame]:
    """The images of each site that have a known label of one of its findings, see `read_samples`.

    Raises InputError for a site that has none.
    """
    tables = dict(zip(sites, read_samples([*sites], paths), strict=True))
    for (name, table), path in zip(tables.items(), paths, strict=True):
        findings = sites[name].findings
        columns = [f"{LABEL}{finding}" for finding in findings]
        absent = [column for column in columns if column not in table]
        known = table.reindex(columns=columns).notna().any(axis=1)
        if absent or not known.any():
            raise InputError(
                f"{path}: site {name}",
                expected=f"images with a known label of {', '.join(findings)}",
                found=f"no column {', '.join(absent)}" if absent else f"none, of {len(table)}",
                fix="correct the label table of the site, or its `findings`",
            )
        tables[name] = table[known]
    return tables


def by_image(images: pd.DataFrame, settings: ImageSplit) -> pd.Series:
    """The paper's protocol: a random fraction of each site's images evaluates, the rest trains.

    images: columns site, image. The draw of one site depends on the seed and its own images alone.
    """
    subset = pd.Series("train", index=images.index)
    for site, rows in images.groupby("site", sort=True):
        draws = np.random.default_rng(stream(settings.seed, "split", "paper", str(site)))
        order = draws.permutation(rows.sort_values("image").index)
        subset[order[: int(settings.evaluation * len(rows))]] = "evaluation"
    return subset


def by_patient(images: pd.DataFrame, settings: PatientSplit) -> pd.Series:
    """The patient protocol: no group is in two subsets; strata are balanced.

    images: columns site, stratum, group. Fractions are taken as 1 / round(1 / fraction).
    """
    subset = pd.Series("train", index=images.index)
    if images.empty:
        return subset
    seed = stream(settings.seed, "split", "evaluation")
    subset[fold(images, settings.evaluation, seed)] = "evaluation"
    subset[validating(images[subset == "train"], settings)] = "validation"
    return subset


def validating(images: pd.DataFrame, settings: PatientSplit, *key: str) -> pd.Index:
    """The fold that validates, of images that do not evaluate. key: which draw it is, if another.

    images: columns site, stratum, group.
    """
    share = settings.validation / (1 - settings.evaluation)
    return fold(images, share, stream(settings.seed, "split", "validation", *key))


def by_group(
    images: pd.DataFrame,
    pairs: pd.DataFrame,
    sites: Mapping[str, Site],
    given: Collection[str],
    settings: PatientSplit,
) -> pd.Series:
    """The patient protocol where some subsets are fixed: what is grouped with them follows.

    images: columns site, image, patient, sha256, group, fixed, label_<finding>. given: the sites
    with a split of their own. If that has no validation images, it gets whole groups of training
    images.
    """
    findings = {name: site.findings for name, site in sites.items()}
    images = images.assign(stratum=strata(images, findings))
    offered = fixed.to_validate(images, given)
    if len(offered):
        images.loc[validating(offered, settings, "given"), "fixed"] = "validation"
    fixed.require_apart(images, pairs, given)
    images["subset"] = images["fixed"].fillna(fixed.follow(images))
    drawn = by_patient(images[images["subset"].isna()], settings)
    images["subset"] = images["subset"].fillna(drawn)
    prove_disjoint(images[~fixed.torn(images, given)], pairs)
    return images["subset"]


def require_both_classes(
    images: pd.DataFrame,
    sites: Mapping[str, Site],
    given: Collection[str],
    files: Mapping[str, Path],
    used: list[str],
) -> None:
    """Refuse a split that no AUROC can be computed on, or no threshold chosen on.

    files: where the split of each site will be. used: the subsets of the protocol; an external site
    has evaluation alone, and a given split may have one more.
    """
    for name, site in sites.items():
        own = images[images["site"] == name]
        needed = {*own["subset"], *(used if site.trains else ["evaluation"])}
        for subset, finding in product(sorted(needed), site.findings):
            labels = own.loc[own["subset"] == subset, f"{LABEL}{finding}"].dropna()
            positive = int(labels.sum())
            if positive in (0, len(labels)):
                raise InputError(
                    f"{files[name]}: site {name}, subset {subset}, {finding}",
                    expected="images of both classes",
                    found=f"{positive} positive and {len(labels) - positive} negative images; "
                    f"patients of the site: {own['patient'].nunique()}",
                    fix=remedy(site, given),
                )


def remedy(site: Site, given: Collection[str]) -> str:
    """What to do about a subset of a site in which a finding has one class."""
    add, leave = "add images of the missing class", "leave the finding to `evaluated_findings`"
    if not site.trains:
        return f"{add} to the site, or {leave}"
    if site.name in given:
        return f"set `split: protocol` for the site, or {leave}"
    return f"{add} and of other patients to the site, or change split: seed"


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--protocol", required=True, choices=("paper", "patient"))
    add_findings(parser)
    parser.add_argument(
        "--given",
        nargs="*",
        default=[],
        help="sites that train and keep the split of their dataset",
    )
    parser.add_argument("--samples", nargs="+", required=True, type=Path, help="a file per site")
    parser.add_argument("--duplicates", type=Path, help="protocol patient keeps them together")
    parser.add_argument("--settings", required=True, help="JSON, see ImageSplit, PatientSplit")
    parser.add_argument("--split", nargs="+", required=True, type=Path, help="a file per site")
    arguments = parser.parse_args(argv)
    sites = sites_of(arguments.findings)
    given = [name for name in sites if sites[name].trains and name in arguments.given]
    tables = labelled(sites, arguments.samples)
    everything = pd.concat(tables.values(), ignore_index=True)
    images = fixed.fix(everything, sites, given)
    if arguments.protocol == "paper":
        images["group"] = np.arange(len(images))  # none follows another
        drawn = by_image(images[images["fixed"].isna()], read(arguments.settings, ImageSplit))
        images["subset"] = images["fixed"].fillna(drawn)
        used = ["evaluation", "train"]
    else:
        pairs = DUPLICATES.read(arguments.duplicates, *PAIR)
        images["group"] = groups(images, pairs)
        settings = read(arguments.settings, PatientSplit)
        images["subset"] = by_group(images, pairs, sites, given, settings)
        used = [*SUBSETS]
    files = dict(zip(sites, arguments.split, strict=True))
    require_both_classes(images, sites, given, files, used)
    for line in fixed.accounts(everything, images, sites, given):
        print(f"split {arguments.protocol}, {line}", file=sys.stderr)
    with replacing_all(files) as temporaries:
        for name, temporary in temporaries.items():
            labels = [column for column in tables[name] if column.startswith(LABEL)]
            own = images.loc[images["site"] == name, [*SPLIT.names, *labels]]
            SPLIT.write(as_written(own), temporary)


if __name__ == "__main__":
    run(main)
