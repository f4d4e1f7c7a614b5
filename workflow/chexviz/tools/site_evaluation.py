"""Evaluate a federation's model at one site, on images that do not leave it.

Writes what the workflow writes of a site, and below `share/` the tables that may be given away. At
one site alone there is no comparison with other sites' baselines, no answer of other sites' heads,
and no correction for the comparisons of other sites, which tools.join_evaluations adds.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from chexviz.base.command import argument_parser
from chexviz.base.errors import InputError, run
from chexviz.base.files import remove, replacing, replacing_all
from chexviz.base.methods import BASELINE
from chexviz.base.settings import Positive, Share
from chexviz.base.settings import read as read_settings
from chexviz.base.sites import Site
from chexviz.base.tables.models import PREDICTIONS, SHARED
from chexviz.evaluation import calibrate, disclosure, evaluate
from chexviz.evaluation.predictions import Model, read_models
from chexviz.models import files, predict
from chexviz.tools.site.prepared import images_of

TABLES = evaluate.TABLES | calibrate.TABLES
SHARE = "share"  # the folder of what may leave the site


class Settings(calibrate.Settings, frozen=True):
    """margin: AUROC, of non-inferiority. smallest_cell: patients that a shared number rests on."""

    threads: Positive
    margin: Share
    smallest_cell: Positive


class Trained(NamedTuple):
    """A model's file, and what its header says of it. method: as tables shall call it."""

    file: Path
    method: str
    architecture: str
    seed: int


def trained(file: Path, site: Site, method: str | None) -> Trained:
    """A model that a site can evaluate by itself. method: None: the algorithm in its header.

    Raises InputError if it has heads of other sites, or none for this one.
    """
    about = files.load(file)[1]
    heads = [*about.get("heads", [])]
    if heads not in ([site.name], [SHARED]):
        raise InputError(
            file,
            expected=f"a model with a head of {site.name} alone, or one that all sites share",
            found=f"heads of {', '.join(heads) or 'nobody'}",
            fix="give the file that the federation has written at this site",
        )
    algorithm = about["settings"]["method"]["algorithm"]
    return Trained(file, method or algorithm, about["architecture"], about["seed"])


def require_alike(models: list[Trained]) -> None:
    """Raise InputError unless a baseline is of the architecture and seed of the other model."""
    first = models[0]
    for model in models[1:]:
        if model[2:] != first[2:]:
            raise InputError(
                model.file,
                expected=f"a baseline of the architecture and seed of {first.file}: "
                f"{first.architecture}, {first.seed}",
                found=f"{model.architecture}, {model.seed}",
                fix="train the baseline as the federation was trained",
            )


def score(model: Trained, site: Site, images: Path, split: Path, threads: int, to: Path) -> Path:
    """Let a model score the site's images that do not train, for the findings that it labels.

    Returns the file of the predictions, which lies in the folder `to`.
    """
    predictions = to / f"{model.method}.csv"
    predict.main(
        [
            *("--model", str(model.file), "--findings", site.name, site.role, *site.findings),
            *("--images", str(images), "--split", str(split)),
            *("--settings", json.dumps({"threads": threads})),
            *("--predictions", str(predictions), "--gradcam", str(to / f"{model.method}.npz")),
        ]
    )
    # A head that all sites share knows findings that this one does not label.
    table = PREDICTIONS.read(predictions)
    with replacing(predictions) as temporary:
        PREDICTIONS.write(table[table["finding"].isin(site.findings)], temporary)
    return predictions


def measured(models: list[Model], settings: Settings) -> dict[str, pd.DataFrame]:
    """All TABLES of these models; without a baseline all but the comparisons."""
    with_baseline = any(model.method == BASELINE for model in models)
    tables = evaluate.evaluate(models, settings, settings.margin if with_baseline else None)
    tables |= calibrate.calibrate(models, settings)
    return {name: tables[name] for name in TABLES if name != "comparisons" or with_baseline}


def evaluate_site(
    site: Site,
    folder: Path,
    split: Path,
    models: list[Trained],
    settings: Settings,
    output: Path,
) -> dict[str, pd.DataFrame]:
    """Evaluate models at a site, a federation's and perhaps its own baseline; see the module.

    folder: of the prepared site. Writes predictions and all tables below `output`, and those that
    may leave the site below `output`/share; returns the latter. Raises InputError before any work
    if the models do not belong together, and if the images cannot be evaluated.
    """
    require_alike(models)
    images = images_of(folder)
    remove(output / SHARE)  # what an earlier evaluation would have shared
    predictions = [
        [
            *(model.architecture, model.method, str(model.seed)),
            str(score(model, site, images, split, settings.threads, output / "predictions")),
        ]
        for model in models
    ]
    evaluated = read_models(predictions, [[site.name, site.role, *site.findings]])
    tables = measured(evaluated, settings)
    offered = {name: table for name, table in tables.items() if name in disclosure.TABLES}
    shared = disclosure.share(offered, evaluated, settings.smallest_cell)
    write(tables, output)
    write(shared, output / SHARE)
    return shared


def write(tables: Mapping[str, pd.DataFrame], folder: Path) -> None:
    """Write tables into a folder, all of them or none."""
    with replacing_all({name: folder / f"{name}.csv" for name in tables}) as temporaries:
        for name, table in tables.items():
            TABLES[name].write(table, temporaries[name])


def account(shared: Mapping[str, pd.DataFrame], output: Path) -> str:
    """What may be given away, in words."""
    counts = ", ".join(f"{name} ({len(table)} rows)" for name, table in shared.items())
    return f"{output / SHARE} may be shared: {counts}. All else in {output} stays here."


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument(
        "--site", nargs="+", required=True, metavar="NAME FINDING", help="and its findings"
    )
    parser.add_argument("--folder", required=True, type=Path, help="of the prepared site")
    parser.add_argument("--split", required=True, type=Path, help="of the site")
    parser.add_argument("--model", required=True, type=Path, help="of the federation")
    parser.add_argument("--method", help="what tables call it (its algorithm)")
    parser.add_argument("--baseline", type=Path, help="the model of this site alone, if any")
    parser.add_argument("--settings", required=True, help="JSON, see Settings")
    parser.add_argument("--output", required=True, type=Path, metavar="FOLDER")
    arguments = parser.parse_args(argv)
    settings = read_settings(arguments.settings, Settings)
    name, *findings = arguments.site
    site = Site(name, "train", findings)
    models = [trained(arguments.model, site, arguments.method)]
    if arguments.baseline:
        models.append(trained(arguments.baseline, site, BASELINE))
    folders = (arguments.folder, arguments.split)
    shared = evaluate_site(site, *folders, models, settings, arguments.output)
    print(account(shared, arguments.output))


if __name__ == "__main__":
    run(main)
