"""Who trained a model: shadows, scores and what is told of them."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chexviz.base.tables.privacy import MEMBERSHIP, MEMBERSHIP_ROC
from chexviz.base.tables.study import DUPLICATES
from chexviz.evaluation.roc import Ranking
from chexviz.federation import train
from chexviz.models.model import build
from chexviz.privacy import membership, shadows
from chexviz.privacy.settings import Membership
from made_splits import made_samples, pairs
from trainings import LABELLED, SETTINGS, dataset, files, learning

BOOTSTRAP = {"replicates": 200, "unit": "patient", "confidence": 0.95, "seed": 1}
ASKED = {"false_positive_rates": [0.05, 0.001], "threads": 1, "minimum_cases": 10}
ASKED |= {"bootstrap": BOOTSTRAP}
HOW = membership.read(json.dumps(ASKED), Membership)
SITES = ["north", "south"]


# --- shadows -------------------------------------------------------------------------------------


@given(st.integers(0, 2**31), st.integers(0, 5))
@settings(max_examples=20)
def test_halves_are_of_whole_groups_and_even_at_each_site(seed, number):
    images = made_samples(120, 50)
    near = pairs(["rsna", "0000", "siim", "0119"])
    first = shadows.halves(images, near, seed, number)
    assert images.assign(first=first).groupby("patient")["first"].nunique().eq(1).all()
    assert first[0] == first[-1]
    assert 0.3 < first.mean() < 0.7


def test_each_patient_trains_one_of_two_twins_and_what_validates_none():
    images = made_samples(200, 90)
    subset = np.where(np.arange(200) % 10 == 0, "validation", "train")
    images = images.assign(subset=subset)
    made = shadows.splits(images, pairs(), 4, seed=3)
    assert [*made] == [1, 2, 3, 4]
    trained = pd.DataFrame({key: one["subset"] == "train" for key, one in made.items()})
    assert len(trained) == 180
    assert (trained[1] != trained[2]).all()
    assert (trained[3] != trained[4]).all()
    assert (trained[1] != trained[3]).any()
    assert shadows.splits(images, pairs(), 2, seed=3)[1].equals(made[1])


# --- scores --------------------------------------------------------------------------------------


def test_scores_are_confidence_beyond_that_of_who_never_saw_the_image():
    target = np.array([5.0, 1.0])
    asked = np.array([[4.0, 0.0], [1.0, 3.0], [2.0, 1.0], [3.0, 2.0]])
    trained = np.array([[True, False], [False, True], [False, False], [True, True]])
    found = membership.compared(target, asked, trained)
    assert found["attack"].tolist() == [5 - 1.5, 1 - 0.5]
    assert found["control"].tolist() == [3.5 - 1.5, 2.5 - 0.5]


def test_a_patient_has_the_mean_of_his_images():
    rows = pd.DataFrame({"attack": [1.0, 3.0, 5.0], "control": 0.0, "label": [1, 0, 0]})
    found = membership.by_patient(rows.assign(patient=["a", "a", "b"]))
    assert found["attack"].tolist() == [2, 5]
    assert found["label"].tolist() == [1, 0]


@given(st.integers(0, 10**6), st.sampled_from([0.01, 0.05, 0.2]))
def test_the_share_found_is_that_at_the_lowest_threshold_that_is_allowed(seed, rate):
    draws = np.random.default_rng(seed)
    labels = (np.arange(80) < 30).astype(int)
    scores = draws.integers(0, 12, 80) / 3  # with ties
    curve = Ranking(labels, scores, np.arange(80)).curve(np.ones((80, 1)))
    allowed = [
        (scores[labels == 1] >= one).mean()
        for one in scores[labels == 1]
        if (scores[labels == 0] >= one).mean() <= rate
    ]
    assert membership.found_at(curve, rate).item() == pytest.approx(max(allowed, default=0))


# --- what is told --------------------------------------------------------------------------------


def told(shift: float, members: int = 200, others: int = 100) -> pd.DataFrame:
    draws = np.random.default_rng(0)
    labels = (np.arange(members + others) < members).astype(int)
    scores = draws.normal(size=len(labels)) + shift * labels
    rows = pd.DataFrame({"patient": np.arange(len(labels)).astype(str), "label": labels})
    table = membership.measures(rows.assign(score=scores), "attack", HOW)
    return table.set_index(table["measure"] + table["fpr"].map(lambda one: f" {one:g}"))


def test_scores_that_tell_nothing_give_an_interval_around_one_half():
    table = told(0.0)
    area = table.loc["auroc nan"]
    assert area["value_low"] < 0.5 < area["value_high"]
    assert table.loc["tpr 0.05", "value_low"] < 0.05 < table.loc["tpr 0.05", "value_high"]


def test_scores_that_tell_all():
    table = told(9.0)
    assert table.loc["auroc nan", "value"] > 0.999
    assert table.loc["tpr 0.05", "value"] > 0.99


def test_a_rate_of_less_than_one_patient_is_not_told():
    row = told(1.0).loc["tpr 0.001"]
    assert row[["value", "value_low"]].isna().all()
    assert row["note"] == "too few cases: 0.1 % of 100 patients is less than one"


def test_few_patients_have_no_interval():
    table = told(1.0, members=200, others=5)
    assert table.loc["auroc nan", "note"].startswith("too few cases: 5 others")
    assert pd.isna(table.loc["auroc nan", "value_low"])
    assert table.loc["auroc nan", "value"] > 0.5


# --- from files to files -------------------------------------------------------------------------


def trained(folder, split, name: str, **changes) -> str:
    """A model that is trained on a split, long enough to learn its images by heart."""
    words = [*learning(SITES), *files(folder, SITES)]
    words[words.index("--split") + 1] = str(split)
    still = {"rotation": 0, "zoom": 0, "contrast": 0, "flip": 0}
    how = SETTINGS | {"augmentation": still, "schedule": "constant"} | changes
    train.main(
        [
            *words,
            *("--architecture=standard", "--seed=1", "--protocol=x"),
            f"--settings={json.dumps(how)}",
            f"--checkpoint={folder / name}.checkpoint",
            f"--model={folder / name}.safetensors",
            f"--history={folder / name}.history.csv",
        ]
    )
    return str(folder / f"{name}.safetensors")


@pytest.fixture(scope="module")
def drawn(shared_federation):
    """The splits of two shadows, of patients with one image each; images and labels are noise.

    So there is nothing to learn but the images themselves.
    """
    split = pd.read_csv(shared_federation / "split.csv")
    draws = np.random.default_rng(0)
    for site in SITES:
        path = shared_federation / site / "images.npy"
        shape = np.load(path).shape
        np.save(path, draws.integers(0, 256, shape, dtype=np.uint8))
    for finding in ("pneumonia", "pneumothorax"):
        known = split[f"label_{finding}"].notna()
        split.loc[known, f"label_{finding}"] = draws.integers(0, 2, known.sum())
    split.assign(patient=split["image"]).to_csv(shared_federation / "split.csv", index=False)
    DUPLICATES.write(pd.DataFrame(columns=DUPLICATES.names), shared_federation / "pairs.csv")
    paths = [str(shared_federation / f"shadow{number}.csv") for number in (1, 2)]
    shadows.main(
        [
            *("--split", str(shared_federation / "split.csv"), "--site", *SITES),
            *("--duplicates", str(shared_federation / "pairs.csv"), '--settings={"seed": 1}'),
            *("--shadows", *paths),
        ]
    )
    return paths


def attack(folder, drawn, model: str, made: list[str]) -> pd.DataFrame:
    membership.main(
        [
            *(*learning(SITES), *files(folder, SITES)),
            *("--model", model, "--shadows", *made, "--splits", *drawn),
            *("--architecture=standard", "--method=fedavg", "--seed=1"),
            f"--settings={json.dumps(ASKED | {'minimum_cases': 5})}",
            *(f"--table={folder / 'm.csv'}", f"--roc={folder / 'r.csv'}"),
        ]
    )
    table = MEMBERSHIP.read(folder / "m.csv")
    roc = MEMBERSHIP_ROC.read(folder / "r.csv")
    assert roc["tpr"].between(0, 1).all()
    assert set(roc["comparison"]) == {"attack", "control"}
    return table[table["measure"] == "auroc"].set_index("comparison")


def test_who_is_learned_by_heart_is_found_and_who_was_never_seen_is_not(shared_federation, drawn):
    folder = shared_federation
    long = {"rounds": 40, "learning_rate": 1e-3}
    made = [trained(folder, path, f"s{n}", **long) for n, path in enumerate(drawn)]
    target = trained(folder, folder / "split.csv", "target", **long)
    found = attack(folder, drawn, target, made)
    assert found.loc["attack", "value"] > 0.85
    assert found.loc["attack", "value_low"] > 0.5
    assert found.loc["control", "value_low"] < 0.5 < found.loc["control", "value_high"]
    fresh = trained(folder, folder / "split.csv", "fresh", rounds=1, learning_rate=1e-9)
    found = attack(folder, drawn, fresh, made)
    assert found.loc["attack", "value"] < 0.75


def test_confidence_is_the_logit_of_the_right_side(shared_federation):
    data = dataset(shared_federation, "north", "train", "evaluation")
    model = build("standard", {name: LABELLED[name] for name in SITES}, seed=1).eval()
    found = membership.confidence(model, data)
    with torch.no_grad():
        images = torch.cat([*data.images.batches(data.in_order(8))])
        said = model(images[:, None].float() / 255, ["north"])[:, 0].numpy()
    assert found == pytest.approx(said * (2 * data.labels[:, 0].numpy() - 1), rel=1e-4)
