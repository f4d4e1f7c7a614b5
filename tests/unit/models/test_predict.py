"""Scores, and which models give them."""

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import roc_auc_score

from chexviz.federation import train
from chexviz.models import predict
from chexviz.models.files import load_model
from chexviz.models.model import build
from trainings import arguments, dataset, files


def test_predictions_are_the_models_own_scores(federation):
    train.main(arguments(federation, ["north", "south"], "fed", rounds=12))
    predict.main(
        [
            *files(federation, ["south"]),
            f"--model={federation / 'fed.safetensors'}",
            "--task=pneumothorax",
            '--settings={"threads": 1}',
            f"--predictions={federation / 'p.csv'}",
            f"--gradcam={federation / 'p.npz'}",
        ]
    )
    table = pd.read_csv(federation / "p.csv")
    columns = ["site", "image", "patient", "label", "subset", "score", "score_north"]
    assert list(table.columns) == columns
    assert table["subset"].value_counts().to_dict() == {"validation": 9, "evaluation": 9}
    model = load_model(federation / "fed.safetensors", "south").eval()
    data = dataset(federation, "south", "validation", "evaluation")
    with torch.no_grad():
        for site, column in (("south", "score"), ("north", "score_north")):
            expected = torch.sigmoid(model(data.images.pixels[:, None] / 255, [site])[:, 0])
            np.testing.assert_allclose(table[column], expected, rtol=1e-4)
    assert roc_auc_score(table["label"], table["score"]) > 0.7
    maps = np.load(federation / "p.npz")
    positive = table[(table["subset"] == "evaluation") & (table["label"] == 1)]
    assert maps["image_south"].tolist() == positive["image"].tolist()
    assert maps["map_south"].shape == (len(positive), 4, 4)


def predicted(federation, *words):
    """The table and the maps of both sites."""
    both = ["--task", "pneumonia", "pneumonia", '--settings={"threads": 1}']
    out = [f"--predictions={federation / 'p.csv'}", f"--gradcam={federation / 'p.npz'}"]
    predict.main([*files(federation, ["north", "south"]), *both, *out, *map(str, words)])
    with np.load(federation / "p.npz") as archive:
        return pd.read_csv(federation / "p.csv"), dict(archive)


def test_one_file_holds_all_sites_each_scored_by_its_own_baseline(federation):
    models_of = [federation / f"{site}.safetensors" for site in ("north", "south")]
    for site in ("north", "south"):
        train.main(arguments(federation, [site], site, rounds=2))
    table, maps = predicted(federation, "--model", *models_of)
    assert table["site"].drop_duplicates().tolist() == ["north", "south"]
    assert list(table.columns) == ["site", "image", "patient", "label", "subset", "score"]
    assert sorted(maps) == ["image_north", "image_south", "map_north", "map_south"]
    data = dataset(federation, "south", "validation", "evaluation")
    model = load_model(models_of[1], "south").eval()
    with torch.no_grad():
        expected = torch.sigmoid(model(data.images.pixels[:, None] / 255, ["south"])[:, 0])
    scores = table[table["site"] == "south"]["score"]
    np.testing.assert_allclose(scores, expected, rtol=1e-4)

    # An ensemble: both score both sites, and the mean of both is the score.
    mixed, _ = predicted(federation, "--ensemble", "--model", *models_of)
    south = mixed[mixed["site"] == "south"]
    np.testing.assert_allclose(south["score"], (south["score_north"] + scores) / 2, rtol=1e-4)
    assert south["score_south"].isna().all()


def test_whose_task_blocks_count():
    sites, tasks = ["a", "b", "c"], ["x", "y", "x"]
    assert predict.used("c", sites, tasks, ["1", "2", "3"], True) == (["1", "2", "3"], ["a", "c"])
    assert predict.used("c", sites, tasks, ["1", "2", "3"], False) == (["3"], ["c"])
    assert predict.used("c", sites, tasks, ["global"], False) == (["global"], ["c"])


def test_a_site_without_positives_has_no_maps(federation):
    data = dataset(federation, "north", "evaluation")
    model = build("standard", ["north"], seed=1).eval()
    table, maps = predict.predictions([model], data, ["north"])
    assert len(maps) == table["label"].sum() > 0
    data.rows["label"] = 0.0
    table, maps = predict.predictions([model], data, ["north"])
    assert len(table) == len(data)
    assert maps.shape == (0, 4, 4)
