"""What of a run's results is given away, and how it is made to name no patient."""

import csv
import json
import re
import secrets
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

import pandas as pd

from chexviz.base.progress import Progress
from chexviz.base.tables.models import PREDICTIONS
from chexviz.reporting.paper.inventory import figures

ABOUT_IMAGES = {"image", "image_a", "image_b", "patient", "file", "phash"}  # columns that name them
PLAIN = {".tex", ".md", ".html", ".pdf", ".png"}  # typeset: of figures, tables and cards
BUNDLED = {".json", ".onnx", ".safetensors"}
# A whole path of a machine, with spaces in it; `https://...` is none.
PLACE = re.compile(r"(?:(?<=://)|(?<![\w./$}]))/(?![/ ])[^\"'\\,:\n]+")

# Why a file stays behind, as README.md of the archive says it.
NAMES_IMAGES = "tables with a row for each image or file: they name images and patients"
RADIOGRAPHS = "the paper and the figures that show radiographs (`--radiographs` puts them in)"
OTHER = "radiographs, maps and models as files; bundles have the models to give away"


def reason_to_leave(file: Path, inside: PurePosixPath, radiographs: bool) -> str:
    """Why a result stays behind; '' if it goes in, be it under other names of its images.

    inside: its path below the results. radiographs: whether what shows some goes in.
    """
    if inside.suffix == ".csv":
        named = ABOUT_IMAGES.intersection(header(file))
        return NAMES_IMAGES if named and not has_scores(inside) else ""
    if inside.suffix in PLAIN:
        return RADIOGRAPHS if shows_radiographs(inside) and not radiographs else ""
    return "" if inside.suffix in BUNDLED and inside.parts[0] == "bundles" else OTHER


def header(file: Path) -> list[str]:
    """The columns of a CSV."""
    with file.open(encoding="utf-8", newline="") as lines:
        return next(csv.reader(lines), [])


def has_scores(inside: PurePosixPath) -> bool:
    """Whether a file is a table of predictions."""
    return inside.parts[0] == "predictions" and inside.suffix == ".csv"


def shows_radiographs(inside: PurePosixPath) -> bool:
    """Whether a PDF or PNG does; the paper has all figures."""
    figure = figures().get(inside.stem) if inside.parts[0] == "figures" else None
    return inside.name == "paper.pdf" or bool(figure and figure.radiographs)


class Pseudonyms:
    """Other names of images and patients: drawn at random, kept nowhere, the same in all tables."""

    def __init__(self, predictions: Iterable[Path]):
        said = pd.concat(
            PREDICTIONS.read(file, "site", "image", "patient").drop_duplicates()
            for file in predictions
        ).drop_duplicates()
        images = [*said[["site", "image"]].drop_duplicates().itertuples(index=False, name=None)]
        self.images = numbered("image", images)
        self.patients = numbered("patient", [*said["patient"].drop_duplicates()])

    def write(self, source: Path, target: Path) -> None:
        """A table of predictions under these names, in an order that says nothing either."""
        table = PREDICTIONS.read(source)
        keys = zip(table["site"], table["image"], strict=True)
        table["image"] = [self.images[key] for key in keys]
        table["patient"] = table["patient"].map(self.patients)
        order = ["site", "finding", "head", "image"]
        PREDICTIONS.write(table.sort_values(order, ignore_index=True), target)


def numbered(kind: str, names: list) -> dict:
    """A number for each name, in an order that nobody can guess."""
    secrets.SystemRandom().shuffle(names)
    width = len(str(len(names)))
    return {name: f"{kind}-{number:0{width}d}" for number, name in enumerate(names, 1)}


def without_places(record: Mapping, results: Path) -> str:
    """A record of a run as JSON, in which no path of the machine is left: each is a number.

    results: their folder, which is `results` there, wherever it was.
    """
    known: dict[str, str] = {}
    text = json.dumps(record, indent=1, sort_keys=True)

    def place(found: re.Match) -> str:
        return known.setdefault(found[0], f"(path {len(known) + 1} of that machine)")

    return PLACE.sub(place, text.replace(f"{results.as_posix()}/", "results/"))


def gather(
    record: Mapping, results: Path, folder: Path, radiographs: bool
) -> tuple[dict[PurePosixPath, str], dict[str, int]]:
    """Copy what goes into the archive to a folder, under the paths that it has in the results.

    Gives which job has made each, and how many files stay behind, by the reason.
    """
    made = {
        PurePosixPath(Path(file).relative_to(results)): (Path(file), about["job"])
        for file, about in sorted(record["artifacts"].items())
        if Path(file).is_relative_to(results)
    }
    scores = [file for inside, (file, _) in made.items() if has_scores(inside)]
    pseudonyms = Pseudonyms(scores)
    taken, left = {}, dict.fromkeys((NAMES_IMAGES, RADIOGRAPHS, OTHER), 0)
    with Progress("archive", total=len(made), unit="result") as progress:
        for inside, (file, job) in made.items():
            why = reason_to_leave(file, inside, radiographs)
            if why:
                left[why] += 1
            else:
                target = folder / inside
                target.parent.mkdir(parents=True, exist_ok=True)
                (pseudonyms.write if has_scores(inside) else shutil.copyfile)(file, target)
                taken[inside] = job
            progress.step()
    return taken, left
