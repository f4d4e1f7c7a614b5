"""What models say of the images of a site: their predictions, read and checked."""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from chexviz.base import user_tables
from chexviz.base.errors import InputError
from chexviz.base.methods import BASELINE
from chexviz.base.tables.models import PREDICTIONS
from chexviz.base.tables.study import SUBSETS
from chexviz.evaluation.cases import require_both_classes
from chexviz.evaluation.metrics import youden_threshold
from chexviz.evaluation.resamples import positive_units, units

PREDICTED = SUBSETS[1:]  # training images have no predictions


class Model(NamedTuple):
    """A model on the images of one site: its name and its predictions (see read_predictions)."""

    site: str
    task: str
    architecture: str
    method: str
    seed: int
    file: str
    table: pd.DataFrame

    @property
    def name(self) -> tuple[str, str, str, str, int]:
        """What tables call it: site, task, architecture, method, seed."""
        return self[:5]

    @property
    def evaluated(self) -> pd.DataFrame:
        """The rows of the images that evaluate, numbered from 0."""
        return self.rows("evaluation")

    @property
    def validation(self) -> pd.DataFrame:
        """The rows of the images that thresholds and temperatures are chosen on, if any."""
        return self.rows("validation")

    def rows(self, subset: str) -> pd.DataFrame:
        """The rows of a subset, numbered from 0."""
        return self.table[self.table["subset"] == subset].reset_index(drop=True)


# --- tables --------------------------------------------------------------------------------------


def read_predictions(file: str | Path) -> pd.DataFrame:
    """A table of predictions of this workflow, checked and sorted by image.

    Returns site, image, patient, subset (str), label (0 or 1), and as float64 score and
    score_<site> of the heads of other sites (NaN at their own). Sorted, so that resamples do not
    depend on the order in which a file lists its images.
    Raises InputError for anything that could not be evaluated.
    """
    table = PREDICTIONS.read(file)
    names = ["site", "image", "patient", "subset"]
    table[names] = table[names].fillna("")
    return checked(table, file, "remove the file and run the prediction again")


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
    return checked(table[[*columns, *optional]], file, fix)


def checked(table: pd.DataFrame, file: str | Path, fix: str) -> pd.DataFrame:
    """The table of a reader as it returns it. Raises InputError where a row makes no sense."""
    key = [name for name in ("site", "image") if name in table]
    scores = [name for name in table if name == "score" or name.startswith("score_")]
    # to_numeric tells numbers from text, but its parser may miss the nearest float64.
    values = {name: pd.to_numeric(table[name], errors="coerce") for name in ("label", *scores)}
    own = "score_" + table[key[0]]  # which is empty: `score` is that of the site's own head
    for column, expected, valid in (
        ("image", "an id in every row", table["image"] != ""),
        ("image", "every image once", ~table.duplicated(key)),
        ("patient", "a patient in every row (NA and the like are none)", table["patient"] != ""),
        ("subset", f"{' or '.join(PREDICTED)} in every row", table["subset"].isin(PREDICTED)),
        ("label", "a label of 0 or 1 in every row", values["label"].isin([0, 1])),
        *(
            (
                score,
                "a probability in [0, 1] in every row",
                values[score].between(0, 1) | ((own == score) & table[score].isna()),
            )
            for score in scores
        ),
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
    table = table.assign(label=values["label"].astype(int))
    table[scores] = table[scores].astype(float)
    return table[[*key, "patient", "subset", "label", *scores]].sort_values(
        "image", ignore_index=True
    )


# --- models --------------------------------------------------------------------------------------


def require_classes(model: Model, unit: str) -> None:
    """Raise InputError where a subset has one class only, or all its resampled units do."""
    for subset in PREDICTED:
        rows = model.rows(subset)
        if subset == "evaluation" or len(rows):
            positives = rows["label"].sum()
            if positives in (0, len(rows)):
                raise InputError(
                    model.file,
                    expected=f"{subset} images with and without {model.task}",
                    found=f"{positives} with and {len(rows) - positives} without",
                    fix=f"split again with a larger {subset} subset or another seed, or add "
                    "images of the class that is missing",
                )
    rows = model.evaluated
    try:
        require_both_classes(
            positive_units(rows["label"].to_numpy(), units(rows, unit)), "patients"
        )
    except ValueError as error:
        raise InputError(
            model.file,
            expected=f"evaluation patients with and without {model.task}, to resample both",
            found=str(error),
            fix="set bootstrap.unit to 'image' (compare: --unit image), or add patients",
        ) from None


def require_same_images(models: list[Model]) -> None:
    """Raise InputError unless all models of a site have the same images and labels."""
    first = models[0]
    for model in models[1:]:
        columns = ["image", "patient", "label", "subset"]
        both = first.table[columns].merge(model.table[columns], how="outer", indicator=True)
        differing = both[both["_merge"] != "both"]
        if len(differing):
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


def find_baselines(models: list[Model]) -> dict[int, int]:
    """For each model that is no baseline (by position): its baseline's position.

    The baseline of a model has its site, architecture and seed. Raises InputError where there is
    none, or where two files claim to be the same model.
    """
    positions: dict[tuple, int] = {}
    for position, model in enumerate(models):
        key = (model.site, model.architecture, model.method, model.seed)
        if key in positions:
            raise InputError(
                model.file,
                expected="one file of predictions for each model",
                found=f"{models[positions[key]].file} for the same {' '.join(map(str, key))}",
                fix="name each model once",
            )
        positions[key] = position
    baselines = {}
    for (site, architecture, method, seed), position in positions.items():
        if method != BASELINE:
            if (site, architecture, BASELINE, seed) not in positions:
                raise InputError(
                    models[position].file,
                    expected=f"predictions of {site} {architecture} {BASELINE} {seed} to compare",
                    found="none",
                    fix=f"add the method '{BASELINE}' for this architecture and seed",
                )
            baselines[position] = positions[site, architecture, BASELINE, seed]
    return baselines


def threshold(table: pd.DataFrame) -> float:
    """Youden's threshold on the validation images, or on the evaluation images without any."""
    chosen = table[table["subset"] == "validation"]
    rows = chosen if len(chosen) else table
    return youden_threshold(rows["label"].to_numpy(), rows["score"].to_numpy())


def by_site(models: list[Model]) -> dict[str, list[Model]]:
    """The models of each site. Raises InputError where those of a site differ in their images."""
    sites: dict[str, list[Model]] = {model.site: [] for model in models}
    for model in models:
        sites[model.site].append(model)
    for group in sites.values():
        require_same_images(group)
    return sites


def comparable(models: list[Model], unit: str) -> dict[str, list[Model]]:
    """The same. Raises InputError unless they can be compared with baselines and resampled."""
    find_baselines(models)
    sites = by_site(models)
    for group in sites.values():
        require_classes(group[0], unit)
    return sites


def read_models(predictions: Iterable[list[str]], tasks: Iterable[list[str]]) -> list[Model]:
    """Models on the images of each site, from lists of architecture, method, seed and file.

    tasks: lists of site and task.
    """
    task_of = dict(tasks)
    models = []
    for architecture, method, seed, file in predictions:
        if not seed.isdecimal():
            raise InputError(
                f"--prediction {architecture} {method} {seed} {file}",
                expected="an integer as seed",
                found=repr(seed),
                fix="give ARCHITECTURE METHOD SEED FILE in this order",
            )
        table = read_predictions(file)
        if strangers := set(table["site"]) - task_of.keys():
            raise InputError(
                file,
                expected=f"images of {', '.join(task_of)}",
                found=f"images of {', '.join(sorted(strangers))}",
                fix="give --task SITE TASK for every site",
            )
        for site in task_of:
            rows = table[table["site"] == site]
            if len(rows):
                rows = rows.drop(columns=["site", f"score_{site}"], errors="ignore")
                key = (site, task_of[site], architecture, method, int(seed), file)
                models.append(Model(*key, rows.reset_index(drop=True)))
    return models


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
    parser.add_argument(
        "--task",
        nargs=2,
        action="append",
        required=True,
        metavar=("SITE", "TASK"),
        help="what the labels of a site's images are of (repeated)",
    )
