"""The original's Table 1 beside ours: every value, where a repetition would fall, and a verdict."""

from pathlib import Path
from string import ascii_lowercase
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.settings import Settings, read
from chexviz.base.tables.evaluation import read_metrics
from chexviz.base.tables.summaries import PUBLISHED
from chexviz.evaluation.over_seeds import bounds
from chexviz.reporting.selection import ENDPOINT
from chexviz.reporting.tables import grim
from chexviz.reporting.tables.models import read_models
from chexviz.reporting.tables.original import VALUES, read_data, read_table1
from chexviz.reporting.tables.outputs import add_outputs, write
from chexviz.reporting.tables.typesetting import Layout
from chexviz.reporting.titles import (
    Site,
    architecture_title,
    group_titles,
    is_percent,
    metric_title,
)
from chexviz.reporting.wording import bracketed, capitalised, p_text

INSIDE, ABOVE, BELOW, NOT_COMPARABLE = "inside", "above", "below", "not comparable"
CONFIDENCE = 0.95  # of the bounds, and of the intervals that they are made from
EVALUATION = 0.2  # of the images; the percentages of the original fit it, see `grim`
# As the original states it: section 2.2, experimental setup.
TRAINING: dict[str, dict] = {
    "standard": {
        # 'Scheduler' is all that is said of it.
        **{"pretrained": False, "warmup": None, "learning_rate": 1e-3, "schedule": "cosine"},
        **{"baseline": {"epochs": 300}, "federated": {"rounds": 300, "local_epochs": 1}},
    },
    "densenet121": {
        **{"pretrained": True, "warmup": {"epochs": 30, "learning_rate": 1e-3}},
        **{"learning_rate": 1e-5, "schedule": "constant", "baseline": {"epochs": 150}},
        "federated": {"rounds": 150, "local_epochs": 1},
    },
}
NO_MODEL = "no such model in this run"
P_REASON = (
    "the test is not stated in full, and its literal reading, a t test over bootstrap replicates, "
    "is no test"
)


class ExperimentSite(Site, frozen=True):
    """A site of the run, and where its images come from."""

    reader: str
    source: list[str]


class Experiment(Settings, frozen=True):
    """What tells whether a run repeats the original's. architectures: how each is trained."""

    sites: list[ExperimentSite]
    architectures: dict[str, dict[str, Any]]


def compare(
    published: pd.DataFrame,
    data: pd.DataFrame,
    models: pd.DataFrame,
    metrics: pd.DataFrame,
    settings: dict,
) -> pd.DataFrame:
    """A row for each published value, as in PUBLISHED with `group`; rates in percent.

    published, data: see `original`. models: see models.summarise. metrics: metrics.csv. settings:
    sites and architectures of the run. A finding that several sites train for is compared on the
    first of them.
    """
    titles, rows = group_titles(metrics, settings["sites"]), []
    sizes = grim.check(published, data).drop_duplicates("finding").set_index("finding")
    for value in published.to_dict("records"):
        finding = value["task"]
        found = models[(models["finding"] == finding) & (models["model"] == value["model"])]
        for metric in VALUES:
            if value[metric]:
                row = {"group": capitalised(finding), "finding": finding}
                row |= {"model": value["model"], "metric": metric, "published": value[metric]}
                row["reason"] = NO_MODEL
                if len(found):
                    model, size = found.iloc[0], sizes.loc[finding]
                    row |= {"group": titles[model["site"], finding], "site": model["site"]}
                    row |= ours(model, metrics, metric, size["fifth"]) | {"seeds": model["seeds"]}
                    row["reason"] = "; ".join(reasons(model, metric, data, size, settings))
                row["verdict"] = NOT_COMPARABLE if row["reason"] else verdict(row)
                rows.append(row)
    columns = [name for name in PUBLISHED.names if name != "mark"]
    return pd.DataFrame(rows, columns=["group", *columns]).astype({"seeds": "Int64"})


def ours(model: pd.Series, metrics: pd.DataFrame, metric: str, images: int) -> dict:
    """Our value (mean over seeds) and the bounds that a repetition would lie in (see repetition).

    images: of the original's evaluation set. A p value has no bounds.
    """
    if metric == "p":
        return {"ours": model["p"], "low": np.nan, "high": np.nan}
    keys = [*ENDPOINT, "architecture", "method"]
    runs = metrics[(metrics[keys] == model[keys].to_list()).all(axis=1)]
    scale = 100 if is_percent(metric) else 1
    found = scale * runs[[metric, f"{metric}_low", f"{metric}_high"]].to_numpy()
    low, high = repetition(found, model["images"] / images)
    return {"ours": found[:, 0].mean(), "low": low, "high": high}


def repetition(runs: np.ndarray, ratio: float) -> tuple[float, float]:
    """Where 95 % of values lie that others find with the same training on other such images.

    runs: our value and its 95 % interval, a row a seed (K, 3). ratio: our images by theirs. Both
    evaluations err independently, each by the chance of its own images: theirs as much as ours, but
    for the size. So each side of our interval grows by sqrt(1 + ratio). With several seeds the
    variance between trainings is added, of one training of theirs and the mean of K of ours.
    """
    return bounds(runs, CONFIDENCE, images=1 + ratio, trainings=1.0)


def verdict(row: dict) -> str:
    """Where the published value lies: inside if our bounds meet the range that rounds to it."""
    half = 0.5 * 10.0 ** -len(row["published"].partition(".")[2])
    if float(row["published"]) - half > row["high"]:
        return ABOVE
    return BELOW if float(row["published"]) + half < row["low"] else INSIDE


def reasons(
    model: pd.Series, metric: str, data: pd.DataFrame, size: pd.Series, settings: dict
) -> list[str]:
    """Why our value and the published one are not of the same experiment; none if they are.

    size: the finding's row of grim.check.
    """
    site = next(one for one in settings["sites"] if one["name"] == model["site"])
    training = settings["architectures"][model["architecture"]]
    found = [
        other_data(site, model["finding"], int(model["images"]), data),
        other_training(model["architecture"], training),
        unknown_set(size),
        P_REASON if metric == "p" else "",
        "undefined in our evaluation" if metric != "p" and np.isnan(model[metric]) else "",
        model["note"],
    ]
    return [each for each in found if each]


def other_data(site: dict, finding: str, images: int, data: pd.DataFrame) -> str:
    """How a site differs from the dataset of the original. images: in its evaluation set."""
    if any(one.partition(":")[0] == "phantom" for one in site["source"]):
        return "phantom radiographs"
    dataset = data[data["task"] == finding].iloc[0]
    if site["reader"] != dataset["reader"]:
        return f"not the {dataset['dataset']} dataset"
    expected = int(EVALUATION * dataset["images"])
    # A few damaged files make no other dataset.
    if abs(images - expected) > 0.01 * expected:
        return f"{images:,} evaluation images instead of {expected:,}"
    return ""


def unknown_set(size: pd.Series) -> str:
    """Whether the published percentages fit no set of the size that a fifth of the dataset has."""
    if size["divisions"]:
        return ""
    return f"no {size['fifth']:,} images, a fifth of the dataset, give the published percentages"


def other_training(architecture: str, training: dict) -> str:
    """In which of the original's stated settings the training differs."""
    chosen = training | {"pretrained": training["weights"] != "random"}
    stated = TRAINING[architecture]
    differing = [key for key in stated if chosen.get(key) != stated[key]]
    if not differing:
        return ""
    return f"{architecture_title(architecture)} trained otherwise ({', '.join(differing)})"


def letters(table: pd.DataFrame) -> dict[str, str]:
    """A letter for each distinct reason, in order of appearance."""
    found = [each for cell in table["reason"] if cell for each in cell.split("; ")]
    return dict(zip(dict.fromkeys(found), ascii_lowercase, strict=False))


def our_text(row: pd.Series) -> str:
    """Our value as readers see it: '82.6 (80.1–84.6)'; '–' if there is none."""
    if np.isnan(row["ours"]):
        return "–"
    if row["metric"] == "p":
        return p_text(row["ours"])
    digits = 1 if is_percent(row["metric"]) else 3
    return bracketed(row["ours"], row["low"], row["high"], digits)


def layout(table: pd.DataFrame) -> Layout:
    """The table as readers see it: a row a model, below each published value ours."""
    marks = letters(table)
    groups: dict[str, list] = {}
    for (group, model), rows in table.groupby(["group", "model"], sort=False):
        cells = dict.fromkeys(VALUES, "–")
        for _, row in rows.iterrows():
            why = ", ".join(sorted(marks[each] for each in row["reason"].split("; ") if each))
            judged = f"({why})" if why else row["verdict"]
            cells[row["metric"]] = f"{row['published']} {judged}\n{our_text(row)}"
        groups.setdefault(group, []).append([model, *cells.values()])
    why = "; ".join(f"({letter}) {each}" for each, letter in marks.items())
    several = (table["seeds"] > 1).any()
    variation = "The bounds hold that trainings differ" + (
        ", as our seeds do." if several else " only if there are several seeds, and so not here."
    )
    return Layout(
        head=["Model", *map(metric_title, VALUES)],
        groups=groups,
        caption="The original's Table 1 beside ours.",
        note="Above: the published value, and whether it lies inside, above or below the bounds "
        "below it, given its rounding. Below: our value and, in brackets, where 95 % of "
        "repetitions on other images would lie: both evaluations err, and both chose their "
        f"threshold on the images that they evaluate. {variation}"
        + (f" Not comparable: {why}." if why else ""),
    )


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--published", required=True, type=Path, help="the original's Table 1")
    parser.add_argument("--data", required=True, type=Path, help="the original's datasets")
    parser.add_argument("--metrics", required=True, type=Path)
    parser.add_argument("--comparisons", required=True, type=Path)
    parser.add_argument("--settings", required=True, help="JSON, see Experiment")
    add_outputs(parser)
    arguments = parser.parse_args(argv)

    settings = msgspec.to_builtins(read(arguments.settings, Experiment))
    sites = settings["sites"]
    models = read_models(arguments.metrics, arguments.comparisons, sites)
    metrics = read_metrics(arguments.metrics)
    original = read_table1(arguments.published), read_data(arguments.data)
    table = compare(*original, models, metrics, settings)
    write(PUBLISHED, table, layout(table), arguments)


if __name__ == "__main__":
    run(main)
