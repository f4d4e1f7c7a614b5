"""Score a site's images with a model, and map where it looked (Grad-CAM)."""

import argparse
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from chexviz import device, models
from chexviz.dataset import Dataset, load_dataset, to_unit
from chexviz.errors import run
from chexviz.files import replacing
from chexviz.progress import Progress

BATCH = 64


def scores(model: models.Model, data: Dataset) -> pd.DataFrame:
    """Probabilities of every task block: `score` of the site's own, `score_<site>` of the others.

    In float32 whatever the training precision was: bfloat16 would tie scores that differ.
    """
    model.eval()
    parts = data.images.tensor_split(math.ceil(len(data) / BATCH))
    columns: dict[str, list[Tensor]] = {site: [] for site in model.tasks}
    with (
        torch.inference_mode(),
        Progress(f"score {data.site}", total=len(parts), unit="batch") as progress,
    ):
        for part in parts:
            features = model.features(to_unit(part))
            for site, task in model.tasks.items():
                columns[site].append(torch.sigmoid(task(features)))
            progress.step()
    table = data.rows[["image", "patient", "label", "subset"]].copy()
    table["label"] = table["label"].astype(int)
    for site in sorted(columns, key=lambda site: (site != data.site, site)):
        name = "score" if site == data.site else f"score_{site}"
        table[name] = torch.cat(columns[site]).cpu().numpy()
    return table


def gradcam(model: models.Model, images: Tensor, site: str) -> Tensor:
    """Grad-CAM of one site's logit (Selvaraju et al. 2017, equations 1 and 2).

    images: uint8 (n, S, S). Gives float32 (n, h, w), not negative: the maps of the representation
    block's output after its last ReLU, weighted by the pooled gradient of the logit, summed,
    and cut at zero.
    """
    model.eval()
    maps = model.representation(to_unit(images)).detach().requires_grad_()
    logits = model.tasks[site](maps.mean(dim=(2, 3)))
    (gradient,) = torch.autograd.grad(logits.sum(), maps)
    importance = gradient.mean(dim=(2, 3), keepdim=True)
    return torch.relu((importance * maps).sum(dim=1)).detach()


def maps_of_positives(model: models.Model, data: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """The image ids (n,) and Grad-CAM maps (n, h, w) of the evaluation images with label 1."""
    chosen = (data.rows["subset"] == "evaluation") & (data.rows["label"] == 1)
    positions = torch.from_numpy(np.flatnonzero(chosen)).to(data.images.device)
    parts = positions.tensor_split(math.ceil(len(positions) / BATCH))
    maps = [gradcam(model, data.images[part], data.site) for part in parts]
    return data.rows.loc[chosen, "image"].to_numpy(dtype=str), torch.cat(maps).cpu().numpy()


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True, type=Path)
    parser.add_argument("--site", required=True)
    parser.add_argument("--images", required=True, type=Path)
    parser.add_argument("--samples", required=True, type=Path)
    parser.add_argument("--split", required=True, type=Path)
    parser.add_argument("--settings", required=True, type=json.loads)
    parser.add_argument("--predictions", required=True, type=Path)
    parser.add_argument("--gradcam", required=True, type=Path)
    arguments = parser.parse_args(argv)
    where = device.choose(arguments.settings["threads"])
    model = models.load_model(arguments.model).to(where)
    subsets = ["validation", "evaluation"]
    data = load_dataset(
        arguments.site, arguments.images, arguments.samples, arguments.split, subsets, where
    )
    table = scores(model, data)
    images, maps = maps_of_positives(model, data)
    with replacing(arguments.predictions) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
    with replacing(arguments.gradcam) as temporary:
        np.savez(temporary, image=images, map=maps)


if __name__ == "__main__":
    run(main)
