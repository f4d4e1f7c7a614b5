"""Scores, and which models and heads give them."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score

from chexviz.base.sites import Site
from chexviz.base.tables.models import PREDICTIONS
from chexviz.federation import train
from chexviz.models import predict
from chexviz.models.files import load_model
from chexviz.models.model import build
from chexviz.models.scoring import is_mapped, score
from trainings import arguments, dataset, files

BOTH = ["--findings", "north", "train", "pneumonia", "--findings", "south", "train", "pneumothorax"]


def predicted(federation, *words, findings=BOTH):
    """The table and the maps of both sites."""
    out = [f"--predictions={federation / 'p.csv'}", f"--gradcam={federation / 'p.npz'}"]
    settings = '--settings={"threads": 1}'
    predict.main(
        [*findings, *files(federation, ["north", "south"]), settings, *out, *map(str, words)]
    )
    with np.load(federation / "p.npz") as archive:
        return PREDICTIONS.read(federation / "p.csv"), dict(archive)


def rows_of(table, site: str, finding: str, head: str) -> pd.DataFrame:
    """The rows of a site's images by one head."""
    chosen = (table["site"] == site) & (table["finding"] == finding) & (table["head"] == head)
    return table[chosen].reset_index(drop=True)


def by_hand(model, data, head: str) -> torch.Tensor:
    """The probabilities (n, F) of a dataset's images by one head."""
    with torch.no_grad():
        return torch.sigmoid(model.eval()(data.images.pixels[:, None] / 255, [head]))


def test_every_head_scores_every_site(federation):
    train.main(arguments(federation, ["north", "south"], "fed", rounds=12))
    table, maps = predicted(federation, "--model", federation / "fed.safetensors")
    assert list(table.columns) == PREDICTIONS.names
    model = load_model(federation / "fed.safetensors", "south")
    data = dataset(federation, "south", "validation", "evaluation")
    for head, finding in (("south", "pneumothorax"), ("north", "pneumonia")):
        rows = rows_of(table, "south", finding, head)
        assert rows["subset"].value_counts().to_dict() == {"validation": 9, "evaluation": 9}
        np.testing.assert_allclose(rows["score"], by_hand(model, data, head)[:, 0], rtol=1e-4)
    assert rows["label"].isna().all()  # the south does not label pneumonia
    assert len(table) == 2 * (18 + 24)  # one head a finding: no mean
    rows = rows_of(table, "south", "pneumothorax", "south")
    assert roc_auc_score(rows["label"], rows["score"]) > 0.7
    positive = rows[rows["label"] == 1]  # of both subsets
    assert set(positive["subset"]) == {"validation", "evaluation"}
    assert maps["image_south_pneumothorax_south"].tolist() == positive["image"].tolist()
    assert maps["map_south_pneumothorax_south"].shape == (len(positive), 4, 4)
    assert len(maps) == 4


def test_baselines_score_their_own_site_and_an_ensemble_is_their_mean(federation, monkeypatch):
    models_of = [federation / f"{site}.safetensors" for site in ("north", "south")]
    for site in ("north", "south"):
        train.main(arguments(federation, [site], site, rounds=2))
    table, maps = predicted(federation, "--model", *models_of)
    assert table.groupby("site")["head"].unique().map(list).to_dict() == {
        "north": ["north"],
        "south": ["south"],
    }
    data = dataset(federation, "south", "validation", "evaluation")
    own = by_hand(load_model(models_of[1], "south"), data, "south")[:, 0]
    scores = rows_of(table, "south", "pneumothorax", "south")["score"]
    np.testing.assert_allclose(scores, own, rtol=1e-4)

    mixed, mixed_maps = predicted(federation, "--ensemble", "--model", *models_of)
    assert set(mixed["head"]) == {"mean"}
    one = rows_of(mixed, "south", "pneumothorax", "mean")  # which the south alone knows
    np.testing.assert_allclose(one["score"], scores, rtol=1e-6)
    assert np.array_equal(
        mixed_maps["map_south_pneumothorax_mean"], maps["map_south_pneumothorax_south"]
    )


def test_an_ensemble_is_the_mean_of_those_that_know_the_finding(federation):
    sites = {name: Site(name, "train", ["x"]) for name in ("a", "b")}
    method = predict.Method([], sites, ensemble=True)
    told = method.heads({"x": ["a", "b"]})
    assert told == [("x", "mean")]
    found = predict.means({("x", "a"): np.array([0.2]), ("x", "b"): np.array([0.6])}, told)
    np.testing.assert_allclose(found["x", "mean"], [0.4])


def test_private_heads_that_know_a_finding_are_told_each_and_as_a_mean(federation):
    sites = {
        "a": Site("a", "train", ["x", "y"]),
        "b": Site("b", "train", ["x"]),
        "out": Site("out", "external", ["x", "y"]),
    }
    method = predict.Method(["global"], sites, ensemble=False)
    told = method.heads({"x": ["a", "b"], "y": ["a"]})
    assert told == [("x", "a"), ("x", "b"), ("x", "mean"), ("y", "a")]
    assert method.mapped(sites["a"], told) == [("x", "a"), ("y", "a")]
    assert method.mapped(sites["out"], told) == [("x", "mean"), ("y", "a")]

    baselines = predict.Method(["a", "b"], sites, ensemble=False)
    told = baselines.heads({"x": ["a", "b"], "y": ["a"]})
    assert told == [("x", "a"), ("x", "b"), ("y", "a")]
    assert baselines.mapped(sites["out"], told) == told


def test_baselines_score_an_external_site(federation):
    """The south as an external site of a study of the north alone, whose finding it labels too."""
    split = pd.read_csv(federation / "split.csv")
    south = split["site"] == "south"
    split.loc[south, "label_pneumonia"] = split.loc[south, "label_pneumothorax"]
    split.drop(columns="label_pneumothorax").assign(
        subset=split["subset"].mask(south, "evaluation")
    ).to_csv(federation / "split.csv", index=False)
    train.main(arguments(federation, ["north"], "north", rounds=2))
    findings = [*BOTH[:4], "--findings", "south", "external", "pneumonia"]
    model = federation / "north.safetensors"
    table, maps = predicted(federation, "--model", model, findings=findings)
    rows = rows_of(table, "south", "pneumonia", "north")
    assert len(rows) == 45
    assert rows["label"].notna().all()
    assert len(maps["map_south_pneumonia_north"]) == rows["label"].sum()


def test_the_map_of_a_mean_is_that_of_the_mean_logit(federation):
    data = dataset(federation, "north", "evaluation")
    model = build("standard", {"a": ["pneumonia"], "b": ["pneumonia"]}, seed=1).eval()
    own = {head: score([model], data, [("pneumonia", head)])[1] for head in ("a", "b", "mean")}
    maps = {head: found["pneumonia", head] for head, found in own.items()}
    assert len(maps["mean"]) == int((data.labels == 1).sum())
    model.tasks["b"].load_state_dict(model.tasks["a"].state_dict())
    same = score([model], data, [("pneumonia", "mean")])[1]["pneumonia", "mean"]
    np.testing.assert_allclose(same, maps["a"], rtol=1e-5, atol=1e-9)
    assert not np.allclose(maps["mean"], maps["a"])


def test_a_site_without_positives_has_no_maps(federation):
    data = dataset(federation, "north", "evaluation")
    model = build("standard", {"north": ["pneumonia"]}, seed=1).eval()
    wanted = [("pneumonia", "north")]
    scores, maps, _ = score([model], data, wanted)
    assert len(maps[wanted[0]]) == is_mapped(data.rows, "pneumonia").sum() > 0
    data.rows["label_pneumonia"] = 0.0
    scores, maps, _ = score([model], data, wanted)
    assert len(scores[wanted[0]]) == len(data)
    assert maps[wanted[0]].shape == (0, 4, 4)


@pytest.mark.parametrize(
    "words", [["north"], ["north", "train"], ["north", "both", "x"], ["north", "train"] * 2]
)
def test_sites_are_told_with_role_and_findings(words):
    from chexviz.base.errors import InputError
    from chexviz.base.sites import sites_of

    values = [words] if words != ["north", "train"] * 2 else [["a", "train", "x"]] * 2
    with pytest.raises(InputError, match="SITE ROLE FINDING"):
        sites_of(values)


def test_features_are_what_task_blocks_see_and_those_of_random_weights_a_control(federation):
    train.main(arguments(federation, ["north", "south"], "fed", rounds=1))
    file = federation / "f.npz"
    words = ["--model", federation / "fed.safetensors", "--features", file]
    predicted(federation, *words, "--untrained", "standard", "1")
    with np.load(file) as archive:
        found = dict(archive)
    assert set(found) == {
        f"{kind}_{site}" for kind in ("image", "features", "untrained") for site in BOTH[1::4]
    }
    data = dataset(federation, "south", "validation", "evaluation")
    assert found["image_south"].tolist() == data.rows["image"].tolist()
    unit = data.images.pixels[:, None] / 255
    for kind, model in (
        ("features", load_model(federation / "fed.safetensors", "south")),
        ("untrained", build("standard", {"other": ["mass"]}, seed=1)),
    ):
        with torch.no_grad():
            expected = model.eval().features(unit)
        np.testing.assert_allclose(found[f"{kind}_south"], expected, rtol=1e-4, atol=1e-6)
    # An ensemble has no representation of its own.
    several = [federation / f"{site}.safetensors" for site in ("north", "south")]
    for site in ("north", "south"):
        train.main(arguments(federation, [site], site, rounds=1))
    predicted(federation, "--model", *several, "--ensemble", "--features", file)
    with np.load(file) as archive:
        assert set(archive) == {"image_north", "image_south"}
