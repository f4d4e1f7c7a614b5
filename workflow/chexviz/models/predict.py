"""Score all sites' images with a model, and map where it looked (Grad-CAM)."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.files import replacing
from chexviz.base.progress import Progress
from chexviz.base.settings import Positive, Settings, read
from chexviz.base.tables.models import PREDICTIONS
from chexviz.models import device
from chexviz.models.dataset import Dataset, load_datasets, to_unit
from chexviz.models.files import load_model
from chexviz.models.gradcam import gradcam, is_mapped
from chexviz.models.model import Model, pooled


class Prediction(Settings, frozen=True):
    """How images are scored."""

    threads: Positive


def predictions(
    trained: Sequence[Model], data: Dataset, heads: Sequence[str]
) -> tuple[pd.DataFrame, np.ndarray]:
    """The scores of all images, and the Grad-CAM maps (n, h, w) of those that `is_mapped` names.

    Scores are a row an image: site, image, patient, label, subset, then the probabilities: `score`
    of the site's own task, `score_<site>` of every other task block.
    heads: whose task blocks score the site's task; the mean of several (an ensemble). The maps are
    of the model that has the site's own task block; in an ensemble that is the site's baseline.
    In float32 whatever the training precision was: bfloat16 would tie scores that differ.
    """
    where = data.labels.device
    parts = data.in_order(device.forward_batch(where))
    mapped = torch.tensor(is_mapped(data.rows).to_numpy(), device=where)
    mapping = next(model for model in trained if data.site in model.tasks)
    columns: dict[str, list[Tensor]] = {head: [] for model in trained for head in model.tasks}
    maps = []
    with (
        torch.no_grad(),
        Progress(f"score {data.site}", total=len(parts), unit="batch") as progress,
    ):
        for part, images in zip(parts, data.images.batches(parts), strict=True):
            for model in trained:
                seen = model.representation(to_unit(images))
                features = pooled(seen)
                for head, task in model.tasks.items():
                    columns[head].append(torch.sigmoid(task(features)))
                if model is mapping:
                    maps.append(gradcam(seen[mapped[part]], model.task(data.site)))
            progress.step()
    scored = {head: torch.cat(values).cpu().numpy() for head, values in columns.items()}
    table = data.rows[["site", "image", "patient", "label", "subset"]].copy()
    table["label"] = table["label"].astype(int)
    table["score"] = np.mean([scored[head] for head in heads], axis=0)
    for head in sorted(scored.keys() - {data.site}):
        table[f"score_{head}"] = scored[head]
    return table, torch.cat(maps).cpu().numpy()


def used(
    site: str, sites: Sequence[str], tasks: Sequence[str], files: Sequence[Path], ensemble: bool
) -> tuple[list[Path], list[str]]:
    """The models that score a site, and whose task blocks score its task.

    files: one model of all sites, or a model a site, of which each scores its own site; in an
    ensemble all of them do, and the task blocks of all sites of the same task count.
    """
    place = sites.index(site)
    if ensemble:
        alike = zip(sites, tasks, strict=True)
        return list(files), [one for one, task in alike if task == tasks[place]]
    return [files[place if len(files) > 1 else 0]], [site]


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument(
        "--model", nargs="+", required=True, type=Path, help="one of all sites, or one per site"
    )
    parser.add_argument(
        "--ensemble", action="store_true", help="every model scores every site: their mean"
    )
    parser.add_argument("--site", nargs="+", required=True)
    parser.add_argument("--task", nargs="+", required=True, help="of each site")
    parser.add_argument("--images", required=True, type=Path, help="the list of all sites' arrays")
    parser.add_argument("--split", required=True, type=Path, help="of all sites")
    parser.add_argument("--settings", required=True, help="JSON of a Prediction")
    parser.add_argument("--predictions", required=True, type=Path)
    parser.add_argument("--gradcam", required=True, type=Path)
    arguments = parser.parse_args(argv)
    where = device.choose(read(arguments.settings, Prediction).threads)
    subsets = ["validation", "evaluation"]
    files = (arguments.images, arguments.split)
    tables, maps = [], {}
    for data in load_datasets(arguments.site, *files, subsets, [where]):
        paths, heads = used(
            data.site, arguments.site, arguments.task, arguments.model, arguments.ensemble
        )
        trained = [device.place(load_model(path, data.site), where).eval() for path in paths]
        table, maps[f"map_{data.site}"] = predictions(trained, data, heads)
        maps[f"image_{data.site}"] = table["image"][is_mapped(table)].to_numpy(dtype=str)
        tables.append(table)
    with replacing(arguments.predictions) as temporary:
        PREDICTIONS.write(pd.concat(tables), temporary)
    with replacing(arguments.gradcam) as temporary:
        np.savez(temporary, allow_pickle=False, **maps)


if __name__ == "__main__":
    run(main)
