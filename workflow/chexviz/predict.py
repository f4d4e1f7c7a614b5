"""Score all sites' images with a model, and map where it looked (Grad-CAM)."""

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from chexviz import device, models
from chexviz.dataset import Dataset, load_datasets, to_unit
from chexviz.errors import run
from chexviz.files import replacing
from chexviz.progress import Progress

BATCH = 64


def scores(trained: Sequence[models.Model], data: Dataset, heads: Sequence[str]) -> pd.DataFrame:
    """Probabilities: `score` of the site's own task, `score_<site>` of every other task block.

    A row an image: site, image, patient, label, subset, then these.

    heads: whose task blocks score the site's task; the mean of several (an ensemble).
    In float32 whatever the training precision was: bfloat16 would tie scores that differ.
    """
    parts = data.in_order(BATCH)
    columns: dict[str, list[Tensor]] = {head: [] for model in trained for head in model.tasks}
    with (
        torch.inference_mode(),
        Progress(f"score {data.site}", total=len(parts), unit="batch") as progress,
    ):
        for images in data.images.batches(parts):
            for model in trained:
                features = model.features(to_unit(images))
                for head, task in model.tasks.items():
                    columns[head].append(torch.sigmoid(task(features)))
            progress.step()
    scored = {head: torch.cat(values).cpu().numpy() for head, values in columns.items()}
    table = data.rows[["site", "image", "patient", "label", "subset"]].copy()
    table["label"] = table["label"].astype(int)
    table["score"] = np.mean([scored[head] for head in heads], axis=0)
    for head in sorted(scored.keys() - {data.site}):
        table[f"score_{head}"] = scored[head]
    return table


def gradcam(model: models.Model, images: Tensor, site: str) -> Tensor:
    """Grad-CAM of one site's logit (Selvaraju et al. 2017, equations 1 and 2), in closed form.

    images: uint8 (n, S, S). Gives float32 (n, h, w), not negative: the maps of the representation
    block's output after its last ReLU, weighted by the pooled gradient of the logit, summed,
    and cut at zero.

    The task block sees the maps only through their means, so the gradient is the same at every
    place of a channel: that of the pooled feature over the area. One forward pass and the
    backward pass of the task block alone are all it takes.
    """
    with torch.no_grad():
        maps = model.representation(to_unit(images))
    features = maps.mean(dim=(2, 3)).requires_grad_()
    (gradient,) = torch.autograd.grad(model.tasks[site](features).sum(), features)
    importance = gradient / maps[0, 0].numel()
    return torch.relu(torch.einsum("nc,nchw->nhw", importance, maps))


def maps_of_positives(
    trained: Sequence[models.Model], data: Dataset
) -> tuple[np.ndarray, np.ndarray]:
    """The image ids (n,) and Grad-CAM maps (n, h, w) of the evaluation images with label 1.

    Of the model that has the site's own task block; in an ensemble that is the site's baseline.
    """
    model = next(model for model in trained if data.site in model.tasks)
    chosen = (data.rows["subset"] == "evaluation") & (data.rows["label"] == 1)
    positions = torch.from_numpy(np.flatnonzero(chosen)).to(data.images.device)
    parts = positions.tensor_split(math.ceil(len(positions) / BATCH))
    maps = [gradcam(model, images, data.site) for images in data.images.batches(parts)]
    return data.rows.loc[chosen, "image"].to_numpy(dtype=str), torch.cat(maps).cpu().numpy()


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
    parser = argparse.ArgumentParser(description=__doc__)
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
    parser.add_argument("--settings", required=True, type=json.loads)
    parser.add_argument("--predictions", required=True, type=Path)
    parser.add_argument("--gradcam", required=True, type=Path)
    arguments = parser.parse_args(argv)
    where = device.choose(arguments.settings["threads"])
    subsets = ["validation", "evaluation"]
    files = (arguments.images, arguments.split)
    tables, maps = [], {}
    for data in load_datasets(arguments.site, *files, subsets, [where]):
        paths, heads = used(
            data.site, arguments.site, arguments.task, arguments.model, arguments.ensemble
        )
        trained = [models.load_model(path, data.site).to(where).eval() for path in paths]
        tables.append(scores(trained, data, heads))
        maps[f"image_{data.site}"], maps[f"map_{data.site}"] = maps_of_positives(trained, data)
    with replacing(arguments.predictions) as temporary:
        pd.concat(tables).to_csv(temporary, index=False, lineterminator="\n")
    with replacing(arguments.gradcam) as temporary:
        np.savez(temporary, allow_pickle=False, **maps)


if __name__ == "__main__":
    run(main)
