"""A model that was trained on images with a shortcut is caught, and one without it is not.

Small images are noise with a spot where the finding is, and a bright line for a chest tube.
"""

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from chexviz.evaluation.shortcuts import main
from chexviz.models.model import build
from made_heads import Federation

SIZE, TRAINING, EPOCHS = 32, 160, 12


def draw(labels: np.ndarray, tubes: np.ndarray, draws: np.random.Generator) -> torch.Tensor:
    """Images (n, 1, S, S) in [0, 1]."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    images = draws.normal(0.4, 0.1, (len(labels), SIZE, SIZE))
    for image, label, tube in zip(images, labels, tubes, strict=True):
        x, y = draws.integers(8, 24, 2)
        image += 0.35 * label * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 16)
        place = draws.integers(4, 28)
        image[:, place : place + 2] += 0.4 * tube
    return torch.tensor(images.clip(0, 1), dtype=torch.float32).unsqueeze(1)


def trained(tubes_of, seed: int) -> torch.nn.Module:
    """The small CNN, trained on as many images with the finding as without."""
    draws = np.random.default_rng(seed)
    labels = np.arange(TRAINING) % 2
    images, target = draw(labels, tubes_of(labels), draws), torch.tensor(labels).float()
    model = build("standard", {"north": ["pneumothorax"]}, seed)
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(EPOCHS):
        for part in torch.tensor(draws.permutation(TRAINING)).split(16):
            logits = model(images[part], ["north"])[:, 0]
            loss = binary_cross_entropy_with_logits(logits, target[part])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return model.eval()


def judged(model: torch.nn.Module, folder) -> pd.DataFrame:
    """What is said of a model's scores of other images, half of which have a tube."""
    study = Federation(folder, tasks={"north": "pneumothorax"}, images=300)
    rows = study.tables["north", "standard", "baseline", 7]
    tubes = np.arange(len(rows)) // 2 % 2
    images = draw(rows["label"].to_numpy(), tubes, np.random.default_rng(9))
    with torch.no_grad():
        rows["score"] = torch.sigmoid(model(images, ["north"])[:, 0]).double().numpy()
    study.samples["north"]["attribute_tube"] = np.where(tubes, "yes", "no")
    table = study.run(main, subgroups={"ages": [40, 60]})
    table = table[(table["method"] == "baseline") & (table["architecture"] == "standard")]
    return table[table["attribute"] == "tube"].set_index("measure")


@pytest.mark.parametrize("seed", [1, 2])
def test_a_model_that_learnt_the_tube_is_caught_and_one_of_balanced_data_is_not(tmp_path, seed):
    learnt = judged(trained(lambda labels: labels, seed), tmp_path)
    assert learnt.loc["without against with", "high"] < 0.5
    assert learnt.loc["with against without", "low"] > 0.5
    balanced = judged(trained(lambda labels: np.arange(len(labels)) // 2 % 2, seed), tmp_path)
    assert balanced.loc["without against with", "low"] > 0.5
    assert balanced.loc["matched", "low"] > 0.5
