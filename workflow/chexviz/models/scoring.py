"""The probabilities of a site's images by the heads of its models, and their Grad-CAM maps."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from chexviz.base.progress import Progress
from chexviz.base.tables.sites import LABEL
from chexviz.models import device
from chexviz.models.dataset import Dataset, to_unit
from chexviz.models.gradcam import gradcam
from chexviz.models.model import Model, pooled

Known = tuple[str, str]  # a finding, and a head that knows it


def known_by(model: Model) -> list[Known]:
    """What the heads of a model know, in the order of their logits."""
    return [(one, head) for head, findings in model.heads.items() for one in findings]


def logits(model: Model, features: Tensor) -> dict[Known, Tensor]:
    """Pooled features (n, C) to the logits (n,) of all that a model's heads know."""
    columns = (one for task in model.tasks.values() for one in task(features).unbind(1))
    return dict(zip(known_by(model), columns, strict=True))


class Explained(NamedTuple):
    """What a map explains: the mean logit of some heads of one model for a finding.

    chosen: which images get a map, bool (n,).
    """

    model: Model
    heads: list[Known]
    chosen: Tensor

    def maps(self, seen: Tensor, part: Tensor) -> Tensor:
        """The maps of a batch: of its chosen images, (m, h, w). seen: the model's last maps."""

        def logit(features: Tensor) -> Tensor:
            found = logits(self.model, features)
            return torch.stack([found[one] for one in self.heads]).mean(dim=0)

        return gradcam(seen[self.chosen[part]], logit)


def explained(models: Sequence[Model], wanted: Known, chosen: Tensor) -> Explained:
    """What the map of a head explains; of a head that no model has (the mean), all that know it.

    It is of one model, the first that has such a head.
    """
    having = [model for model in models if wanted in known_by(model)]
    if having:
        return Explained(having[0], [wanted], chosen)
    for model in models:
        heads = [one for one in known_by(model) if one[0] == wanted[0]]
        if heads:
            return Explained(model, heads, chosen)
    raise ValueError(f"no model knows {wanted[0]}")


def score(
    models: Sequence[Model], data: Dataset, wanted: Sequence[Known]
) -> tuple[dict[Known, np.ndarray], dict[Known, np.ndarray], np.ndarray]:
    """The probabilities (n,) by each head of each finding, and the Grad-CAM maps (m, h, w).

    And the pooled features (n, C) of the first model.

    wanted: findings and heads whose maps are made, of the images that `is_mapped` names.
    In float32 whatever the training precision was: bfloat16 would tie scores that differ.
    """
    where = data.labels.device
    parts = data.in_order(device.forward_batch(where))
    chosen = {one: torch.tensor(is_mapped(data.rows, one[0]), device=where) for one in wanted}
    mappings = {one: explained(models, one, chosen[one]) for one in wanted}
    scores: dict[Known, list[Tensor]] = defaultdict(list)
    maps: dict[Known, list[Tensor]] = {one: [] for one in wanted}
    features = []
    with (
        torch.no_grad(),
        Progress(f"score {data.site}", total=len(parts), unit="batch") as progress,
    ):
        for part, images in zip(parts, data.images.batches(parts), strict=True):
            for model in models:
                seen = model.representation(to_unit(images))
                if model is models[0]:
                    features.append(pooled(seen))
                for one, column in logits(model, pooled(seen)).items():
                    scores[one].append(torch.sigmoid(column))
                for one, mapping in mappings.items():
                    if mapping.model is model:
                        maps[one].append(mapping.maps(seen, part))
            progress.step()
    return joined(scores), joined(maps), torch.cat(features).cpu().numpy()


def features_of(model: Model, data: Dataset) -> np.ndarray:
    """The pooled features (n, C) of a site's images alone."""
    parts = data.in_order(device.forward_batch(data.labels.device))
    with torch.no_grad():
        found = [model.features(to_unit(images)) for images in data.images.batches(parts)]
    return torch.cat(found).cpu().numpy()


def joined(parts: Mapping[Known, Sequence[Tensor]]) -> dict[Known, np.ndarray]:
    """What was computed batch by batch, for all images."""
    return {one: torch.cat([*values]).cpu().numpy() for one, values in parts.items()}


def is_mapped(rows: pd.DataFrame, finding: str) -> np.ndarray:
    """Whether an image gets a Grad-CAM map of a finding, bool (n,): those that are labelled with it
    do.

    Validation images too: they choose at which part of its maximum a map is binarised. Of a finding
    that the site does not label no image does.
    """
    if f"{LABEL}{finding}" not in rows:
        return np.zeros(len(rows), dtype=bool)
    return (rows[f"{LABEL}{finding}"] == 1).to_numpy()
