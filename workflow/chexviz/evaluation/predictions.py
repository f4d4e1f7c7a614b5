"""What models say of the images of a site: their predictions, read and checked."""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from chexviz.base import user_tables
from chexviz.base.errors import InputError
from chexviz.base.methods import BASELINE
from chexviz.base.sites import Site, add_findings, sites_of
from chexviz.base.tables.models import MEAN, PREDICTIONS, SHARED, answer
from chexviz.base.tables.study import SUBSETS
from chexviz.evaluation.cases import require_both_classes
from chexviz.evaluation.metrics import youden_threshold
from chexviz.evaluation.resamples import positive_units, units

PREDICTED = SUBSETS[1:]  # training images have no predictions
OTHER_SITES = "other sites"  # where the thresholds of an external site are chosen
IMAGE = ["image", "patient", "subset"]  # of a row, whatever the finding
SAID = [*IMAGE, "label", "score"]  # by one head
Name = tuple[str, str, str, str, str, int]  # of a Model: its first six fields


class Model(NamedTuple):
    """A head of a model on the images of one site: its name and what it says of them.

    table: SAID, sorted by image; of what is evaluated those whose label is known. elsewhere: SAID
    of the images of other sites that its thresholds are chosen on; None: they are its own.
    """

    site: str
    finding: str
    head: str
    architecture: str
    method: str
    seed: int
    file: str
    table: pd.DataFrame
    elsewhere: pd.DataFrame | None = None

    @property
    def name(self) -> Name:
        """What tables call it: site, finding, head, architecture, method, seed."""
        return self[:6]

    @property
    def evaluated(self) -> pd.DataFrame:
        """The rows of the images that evaluate, numbered from 0."""
        return self.rows("evaluation")

    @property
    def validation(self) -> pd.DataFrame:
        """The rows of the images that thresholds and temperatures are chosen on, if any."""
        return self.rows("validation")

    @property
    def choosing(self) -> pd.DataFrame:
        """The rows that thresholds are chosen on: see `chosen_on`."""
        return choosing(self.table) if self.elsewhere is None else self.elsewhere

    @property
    def chosen_on(self) -> str:
        """Which images those are: validation, evaluation (without any), or OTHER_SITES."""
        if self.elsewhere is not None:
            return OTHER_SITES
        return "evaluation" if self.validation.empty else "validation"

    def rows(self, subset: str) -> pd.DataFrame:
        """The rows of a subset, numbered from 0."""
        return self.table[self.table["subset"] == subset].reset_index(drop=True)


# What the heads of a model say by site and finding, then by the name of the head.
Heads = dict[tuple[str, str], dict[str, Model]]


# --- tables --------------------------------------------------------------------------------------


def read_predictions(file: str | Path) -> pd.DataFrame:
    """A table of predictions of this workflow, checked and sorted by image.

    Returns site, image, patient, subset, finding, head (categories), label (1, 0 or NaN) and score.
    Sorted, so that resamples do not depend on the order in which a file lists its images.
    Raises InputError for anything that could not be evaluated.
    """
    table = PREDICTIONS.read(file)
    key = ["site", "image", "finding", "head"]
    names = [*key, "patient", "subset"]
    table[names] = table[names].fillna("").astype("category")
    return checked(table, key, file, "remove the file and run the prediction again")


def read_foreign_predictions(file: str | Path) -> pd.DataFrame:
    """A table of predictions from elsewhere, of one site, likewise; it has no column site.

    Without a patient each image is a patient of its own, without a subset all images evaluate;
    other columns are left out.
    """
    fix = "correct the table; docs/evaluation.md says what it must hold"
    columns, optional = ["image", "label", "score"], ["patient", "subset"]
    table = user_tables.read(Path(file), columns, optional, fix=fix)
    table["label"] = user_tables.labels(table["label"])
    if "patient" in table:
        table["patient"] = user_tables.known(table["patient"])
    defaults = {"patient": table["image"], "subset": "evaluation"}
    table = table.assign(**{name: defaults[name] for name in defaults if name not in table})
    return checked(table[[*columns, *optional]], ["image"], file, fix).astype({"label": int})


def checked(table: pd.DataFrame, key: list[str], file: str | Path, fix: str) -> pd.DataFrame:
    """The table of a reader as it returns it. Raises InputError where a row makes no sense.

    key: the columns that name a row.
    """
    # to_numeric tells numbers from text, but its parser may miss the nearest float64.
    label, score = (pd.to_numeric(table[name], errors="coerce") for name in ("label", "score"))
    others = [name for name in key if name != "image"]
    once = f"every image once{' by a head of a finding' * bool(others)}"
    for column, expected, valid in (
        ("image", "an id in every row", table["image"] != ""),
        *((name, f"a {name} in every row", table[name] != "") for name in others),
        ("image", once, ~table.duplicated(key)),
        ("patient", "a patient in every row (NA and the like are none)", table["patient"] != ""),
        ("subset", f"{' or '.join(PREDICTED)} in every row", table["subset"].isin(PREDICTED)),
        ("label", "a label of 0 or 1", label.isin([0, 1]) | table["label"].isna()),
        ("score", "a probability in [0, 1] in every row", score.between(0, 1)),
    ):
        if not valid.all():
            first = table[~valid].iloc[0]
            value = "" if pd.isna(first[column]) else str(first[column])
            raise InputError(
                file,
                expected=expected,
                found=f"{column} {value!r} of image {first['image']!r} "
                f"({(~valid).sum()} such rows)",
                fix=fix,
            )
    table = table.assign(label=label.astype(float), score=table["score"].astype(float))
    return table[[*others, *SAID]].sort_values("image", kind="stable", ignore_index=True)


# --- models --------------------------------------------------------------------------------------


def read_heads(
    predictions: Iterable[list[str]], sites: Mapping[str, Site]
) -> dict[tuple[str, str, int], Heads]:
    """What all heads say of all images, by model: lists of architecture, method, seed and file."""
    models: dict[tuple[str, str, int], Heads] = {}
    for architecture, method, seed, file in predictions:
        if not seed.isdecimal():
            raise InputError(
                f"--prediction {architecture} {method} {seed} {file}",
                expected="an integer as seed",
                found=repr(seed),
                fix="give ARCHITECTURE METHOD SEED FILE in this order",
            )
        key = (architecture, method, int(seed))
        heads = models.setdefault(key, {})
        for (site, finding, head), table in known_heads(file, sites).items():
            named = heads.setdefault((site, finding), {})
            model = Model(site, finding, head, *key, file, table)
            if head in named:
                raise InputError(
                    file,
                    expected="one file of predictions for each model",
                    found=f"{named[head].file} for the same {' '.join(map(str, model.name))}",
                    fix="name each model once",
                )
            named[head] = model
    return models


def known_heads(file: str, sites: Mapping[str, Site]) -> dict[tuple[str, str, str], pd.DataFrame]:
    """What a file says, see `by_head`; heads in the order of their sites, then those of several.

    Raises InputError for a site that is none of these, or a head of one that does not train.
    """
    tables = by_head(read_predictions(file))
    training = {name: site.findings for name, site in sites.items() if site.trains}
    learned = list(dict.fromkeys(one for findings in training.values() for one in findings))
    orders = {"sites": [*sites], "findings": learned, "heads": [*training, SHARED, MEAN]}
    for place, (what, known) in enumerate(orders.items()):
        if strangers := {key[place] for key in tables} - {*known}:
            raise InputError(
                file,
                expected=f"{what} among {', '.join(known)}",
                found=f"{what} {', '.join(sorted(strangers))}",
                fix="give --findings SITE ROLE FINDING... for every site",
            )

    def place_of(key: tuple[str, str, str]) -> tuple[int, int]:
        return orders["heads"].index(key[2]), learned.index(key[1])

    return {key: tables[key] for key in sorted(tables, key=place_of)}


def by_head(table: pd.DataFrame) -> dict[tuple[str, str, str], pd.DataFrame]:
    """A table of read_predictions as rows SAID by site, finding and head."""
    texts = dict.fromkeys(IMAGE, str)
    return {
        key: rows[SAID].astype(texts).reset_index(drop=True)
        for key, rows in table.groupby(["site", "finding", "head"], observed=True)
    }


def read_models(predictions: Iterable[list[str]], findings: Sequence[Sequence[str]]) -> list[Model]:
    """The models of every endpoint (site, finding), on its images whose label is known.

    predictions: lists of architecture, method, seed and file. findings: see sites_of. At a site
    that trains the answer of each model, at an external one every head of it.
    """
    sites = sites_of(findings)
    models = read_heads(predictions, sites)
    return [
        model
        for site, about in sites.items()
        for finding in about.findings
        for model in endpoint(site, finding, models.values(), sites)
    ]


def endpoint(
    site: str, finding: str, models: Iterable[Heads], sites: Mapping[str, Site]
) -> list[Model]:
    """What is evaluated of all models at one endpoint. Raises InputError if there is nothing."""
    found = []
    for heads in models:
        known = heads.get((site, finding), {})
        if not sites[site].trains:
            found += [
                labelled(model)._replace(elsewhere=elsewhere(model, heads, sites))
                for model in known.values()
            ]
        elif known:
            found.append(labelled(known[answer(site, known)]))
    if not found:
        raise InputError(
            f"--findings {site}",
            expected=f"predictions of {finding} for the images of {site}",
            found="none",
            fix=f"evaluate {finding} together with a site that learns it, or leave it out",
        )
    return found


def labelled(model: Model) -> Model:
    """The same on the images whose label is known, as an integer."""
    table = model.table[model.table["label"].notna()]
    return model._replace(table=table.astype({"label": int}).reset_index(drop=True))


def elsewhere(model: Model, heads: Heads, sites: Mapping[str, Site]) -> pd.DataFrame:
    """The rows that a head's thresholds are chosen on where it is not the site's own answer.

    Those of the site whose head it is; of a head of several sites those of all sites that learn the
    finding, together: their validation images, or without any the evaluation images.
    heads: of the same model. Raises InputError where a site's predictions are not there.
    """
    learning = [
        site
        for site, about in sites.items()
        if about.trains and model.finding in about.findings and model.head in (site, SHARED, MEAN)
    ]
    found = [heads.get((site, model.finding), {}).get(model.head) for site in learning]
    tables = [labelled(one).table for one in found if one is not None]
    if not tables or len(tables) < len(learning):
        names = " and ".join(learning) or "a site that learns it"
        raise InputError(
            model.file,
            expected=f"predictions of {model.finding} by the head {model.head} for the images of "
            f"{names}, for its threshold",
            found=f"such predictions of {len(tables)} sites",
            fix="evaluate every site of the federation together",
        )
    return choosing(pd.concat(tables, ignore_index=True))


def choosing(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of the validation images, or of all without any."""
    chosen = table[table["subset"] == "validation"]
    return chosen if len(chosen) else table


def threshold(model: Model) -> float:
    """Youden's threshold on the images that choose it."""
    rows = model.choosing
    return youden_threshold(rows["label"].to_numpy(), rows["score"].to_numpy())


# --- checks --------------------------------------------------------------------------------------


def require_classes(model: Model, unit: str) -> None:
    """Raise InputError where a subset has one class only, or all its resampled units do."""
    for subset in PREDICTED:
        rows = model.rows(subset)
        if subset == "evaluation" or len(rows):
            positives = rows["label"].sum()
            if positives in (0, len(rows)):
                raise InputError(
                    model.file,
                    expected=f"{subset} images of {model.site} with and without {model.finding}",
                    found=f"{positives} with and {len(rows) - positives} without",
                    fix=f"split again with a larger {subset} subset or another seed, add images "
                    "of the class that is missing, or leave the finding out",
                )
    rows = model.evaluated
    try:
        require_both_classes(
            positive_units(rows["label"].to_numpy(), units(rows, unit)), "patients"
        )
    except ValueError as error:
        raise InputError(
            model.file,
            expected=f"evaluation patients of {model.site} with and without {model.finding}, to "
            "resample both",
            found=str(error),
            fix="set bootstrap.unit to 'image' (compare: --unit image), or add patients",
        ) from None


def require_same_images(
    models: Sequence[Model], columns: Sequence[str] = (*IMAGE, "label")
) -> None:
    """Raise InputError unless all models have the same images, with the same in these columns."""
    first, columns = models[0], [*columns]
    for model in models[1:]:
        if first.table[columns].equals(model.table[columns]):
            continue
        both = first.table[columns].merge(model.table[columns], how="outer", indicator=True)
        differing = both[both["_merge"] != "both"]
        image, count = differing["image"].iloc[0], differing["image"].nunique()
        raise InputError(
            model.file,
            expected=f"the images, patients, labels and subsets of {first.file}: "
            f"{describe(first.table, image)}",
            found=f"{describe(model.table, image)} ({count} images differ)",
            fix="predict with both models on the same split: remove both files and run again",
        )


def describe(table: pd.DataFrame, image: str) -> str:
    """What a table says of an image, for a message."""
    for row in table[table["image"] == image].itertuples():
        return f"image {image!r} of patient {row.patient!r}, label {row.label}, in {row.subset}"
    return f"no image {image!r}"


def find_baselines(models: list[Model]) -> dict[int, list[int]]:
    """For each model that is no baseline (by position): the positions of its baselines.

    A baseline has the endpoint, architecture and seed of the model, and its head; a head of several
    sites has all of them: the one of a site that trains, several at an external one. Raises
    InputError where there is none.
    """

    def alike(model: Model) -> tuple:
        return model.site, model.finding, model.architecture, model.seed

    baselines: dict[tuple, dict[str, int]] = {}
    for position, model in enumerate(models):
        if model.method == BASELINE:
            baselines.setdefault(alike(model), {})[model.head] = position
    found = {}
    for position, model in enumerate(models):
        if model.method != BASELINE:
            known = baselines.get(alike(model), {})
            wanted = [*known] if model.head in (SHARED, MEAN) else [model.head]
            if not wanted or not known.keys() >= {*wanted}:
                site, finding, architecture, seed = alike(model)
                raise InputError(
                    model.file,
                    expected=f"predictions of {site} {finding} {architecture} {BASELINE} {seed} "
                    f"to compare the head {model.head} with",
                    found="none",
                    fix=f"add the method '{BASELINE}' for this architecture and seed",
                )
            found[position] = [known[head] for head in wanted]
    return found


def by_endpoint(models: list[Model]) -> dict[tuple[str, str], list[Model]]:
    """The models by site and finding. Raises InputError where their images differ."""
    endpoints: dict[tuple[str, str], list[Model]] = {}
    for model in models:
        endpoints.setdefault((model.site, model.finding), []).append(model)
    for group in endpoints.values():
        require_same_images(group)
    return endpoints


def measurable(models: list[Model], unit: str) -> dict[tuple[str, str], list[Model]]:
    """The same. Raises InputError unless their images can be resampled, too."""
    endpoints = by_endpoint(models)
    for group in endpoints.values():
        require_classes(group[0], unit)
    return endpoints


def comparable(models: list[Model], unit: str) -> dict[tuple[str, str], list[Model]]:
    """The same. Raises InputError unless they can be compared with baselines, too."""
    find_baselines(models)
    return measurable(models, unit)


# --- command line --------------------------------------------------------------------------------


def add_predictions(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name each model's predictions; read_models takes their values."""
    parser.add_argument(
        "--prediction",
        nargs=4,
        action="append",
        required=True,
        metavar=("ARCHITECTURE", "METHOD", "SEED", "FILE"),
        help="a model's predictions on the images of all sites (repeated)",
    )
    add_findings(parser)
