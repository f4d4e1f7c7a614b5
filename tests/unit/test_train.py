"""Local training, the round loop, checkpoints, head warm-up and prediction."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from sklearn.metrics import roc_auc_score

from chexviz import checkpoint, models, predict, train, warmup
from chexviz.aggregate import average
from chexviz.checkpoint import Checkpoint
from chexviz.dataset import load_dataset
from chexviz.errors import InputError
from chexviz.local import LocalSite, batches, learning_rate, masked_loss

SETTINGS = {
    "batch": 8,
    "threads": 1,
    "precision": "float32",
    "augmentation": {"rotation": 10, "zoom": 0.1, "contrast": 0.1, "flip": 0.5},
    "learning_rate": 1e-3,
    "schedule": "cosine",
    "rounds": 3,
    "local_epochs": 1,
    "average": "size",
}
CPU = torch.device("cpu")


def files(folder, sites: list[str]) -> list[str]:
    """The arguments that name the files of sites."""
    return [
        "--site",
        *sites,
        "--images",
        *(str(folder / site / "images.npy") for site in sites),
        "--samples",
        *(str(folder / site / "samples.csv") for site in sites),
        f"--split={folder / 'split.csv'}",
    ]


def arguments(folder, sites: list[str], name: str, **changes) -> list[str]:
    """The command line of a training."""
    return [
        *files(folder, sites),
        "--architecture=standard",
        "--seed=1",
        f"--settings={json.dumps(SETTINGS | changes)}",
        f"--checkpoint={folder / name}.checkpoint",
        f"--model={folder / name}.safetensors",
        f"--history={folder / name}.history.csv",
    ]


def local_sites(folder, names: list[str], **changes) -> list[LocalSite]:
    settings = SETTINGS | changes
    return [
        LocalSite(
            dataset(folder, name, "train"),
            models.build("standard", [name], seed=1),
            settings,
            epochs=settings["rounds"] * settings["local_epochs"],
            seed=1,
        )
        for name in names
    ]


def dataset(folder, site: str, *subsets: str):
    paths = (folder / site / "images.npy", folder / site / "samples.csv", folder / "split.csv")
    return load_dataset(site, *paths, list(subsets), CPU)


def test_dataset_is_the_subset_in_the_order_of_the_samples(federation):
    data = dataset(federation, "north", "train")
    samples = pd.read_csv(federation / "north" / "samples.csv")
    chosen = samples[np.arange(60) % 5 < 3]
    assert data.rows["image"].tolist() == chosen["image"].tolist()
    assert data.labels.tolist() == chosen["label"].tolist()
    assert np.array_equal(data.images, np.load(federation / "north" / "images.npy")[chosen.index])


def test_dataset_of_a_stranger_names_the_split(federation):
    with pytest.raises(InputError, match=r"split\.csv"):
        dataset(federation, "north", "test")


def test_batches_cover_every_image_once_and_are_even():
    parts = batches(65, 16, torch.Generator().manual_seed(0))
    assert sorted(torch.cat(parts).tolist()) == list(range(65))
    assert {len(part) for part in parts} == {13}


def test_an_unknown_label_contributes_no_loss():
    logits = torch.tensor([1.0, -2.0, 3.0], requires_grad=True)
    loss = masked_loss(logits, torch.tensor([1.0, torch.nan, 0.0]))
    known = torch.nn.functional.binary_cross_entropy_with_logits(
        torch.tensor([1.0, 3.0]), torch.tensor([1.0, 0.0])
    )
    torch.testing.assert_close(loss, known)
    loss.backward()
    assert logits.grad[1] == 0
    assert masked_loss(torch.zeros(2), torch.full((2,), torch.nan)) == 0


def test_learning_rates():
    cosine = [learning_rate(SETTINGS, epoch, 300) for epoch in range(300)]
    assert cosine[0] == 1e-3
    assert cosine[150] == pytest.approx(5e-4)
    assert cosine == sorted(cosine, reverse=True)
    assert 0 < cosine[-1] < 1e-7
    constant = SETTINGS | {"schedule": "constant"}
    assert {learning_rate(constant, epoch, 300) for epoch in range(300)} == {1e-3}


def test_training_learns_and_is_the_same_twice(federation):
    for name in ("once", "again"):
        train.main(arguments(federation, ["north", "south"], name, rounds=8))
    once, again = ((federation / f"{n}.safetensors").read_bytes() for n in ("once", "again"))
    assert once == again
    history = pd.read_csv(federation / "once.history.csv")
    assert list(history.columns) == ["round", "site", "learning_rate", "loss", "images"]
    assert history["round"].tolist() == [n for n in range(1, 9) for _ in range(2)]
    assert history["loss"].iloc[-2:].mean() < history["loss"].iloc[:2].mean()
    assert not (federation / "once.checkpoint").exists()


def test_a_site_trains_the_same_whoever_else_takes_part(federation):
    alone = local_sites(federation, ["north"])
    both = local_sites(federation, ["south", "north"])
    both[0].train(0)
    assert alone[0].train(0) == both[1].train(0)
    first, second = alone[0].model.state_dict(), both[1].model.state_dict()
    assert all(torch.equal(second[name], tensor) for name, tensor in first.items())


def test_one_round_is_the_average_of_the_local_epochs(federation):
    train.main(arguments(federation, ["north", "south"], "fed", rounds=1, schedule="constant"))
    made = load_file(federation / "fed.safetensors")
    sites = local_sites(federation, ["north", "south"], rounds=1, schedule="constant")
    for site in sites:
        site.train(0)
    expected = average([site.model.representation.state_dict() for site in sites], [36, 27])
    for name, tensor in expected.items():
        assert torch.equal(made[f"representation.{name}"], tensor), name
    for site in sites:
        for name, tensor in site.task.state_dict().items():
            assert torch.equal(made[f"tasks.{site.data.site}.{name}"], tensor), name


def test_a_baseline_is_plain_training(federation):
    """Averaging one site changes no bit: the baseline is a loop of local epochs."""
    train.main(arguments(federation, ["north"], "base"))
    made = load_file(federation / "base.safetensors")
    (site,) = local_sites(federation, ["north"])
    for epoch in range(3):
        site.train(epoch)
    expected = site.model.state_dict()
    assert made.keys() == expected.keys()
    assert all(torch.equal(made[name], tensor) for name, tensor in expected.items())


def test_divergence_stops_with_the_site_and_the_epoch(federation):
    (site,) = local_sites(federation, ["north"])
    with torch.no_grad():
        site.task.layers[0].weight.fill_(torch.inf)
    with pytest.raises(InputError, match="site north") as caught:
        site.train(4)
    assert "epoch 5" in str(caught.value)


def test_weights_of_another_architecture_are_refused_and_leave_nothing(federation):
    block = models.DenseNet121().state_dict()
    models.save(federation / "dense.safetensors", block)
    line = [*arguments(federation, ["north"], "m"), f"--weights={federation / 'dense.safetensors'}"]
    with pytest.raises(InputError, match=r"dense\.safetensors"):
        train.main(line)
    assert not list(federation.glob("m.*"))


def test_a_killed_training_goes_on_and_ends_with_the_same_bytes(federation, repository):
    """kill -9 several times, wherever it happens to be; checkpoints are due after every round."""
    train.main(arguments(federation, ["north", "south"], "whole", rounds=30))
    program = (
        "import sys; from chexviz import checkpoint, train; "
        "checkpoint.SECONDS_BETWEEN = 0; train.main(sys.argv[1:])"
    )
    line = [sys.executable, "-c", program]
    line += arguments(federation, ["north", "south"], "killed", rounds=30)
    environment = os.environ | {"PYTHONPATH": str(repository / "workflow")}
    saved = federation / "killed.checkpoint"
    kills = 0
    for wanted in (3, 11, 20):
        process = subprocess.Popen(line, env=environment, stderr=subprocess.DEVNULL)
        while process.poll() is None and rounds_done(saved) < wanted:
            time.sleep(0.01)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
        assert not (federation / "killed.safetensors").exists() or process.returncode == 0
    assert kills >= 2
    subprocess.run(line, env=environment, check=True, stderr=subprocess.DEVNULL)
    for suffix in (".safetensors", ".history.csv"):
        whole, killed = ((federation / f"{n}{suffix}").read_bytes() for n in ("whole", "killed"))
        assert whole == killed
    assert not saved.exists()


def rounds_done(path) -> int:
    """How many rounds a checkpoint has seen; 0 if there is none."""
    if not path.exists():
        return 0
    return torch.load(path, weights_only=True)["history"][-1]["round"]


def test_a_checkpoint_of_another_run_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN", 0)
    Checkpoint(tmp_path / "c", "one").save_if_due({"history": []})
    assert Checkpoint(tmp_path / "c", "one").load() == {"history": [], "fingerprint": "one"}
    assert Checkpoint(tmp_path / "c", "two").load() is None


def test_a_damaged_checkpoint_is_named(tmp_path):
    (tmp_path / "run.checkpoint").write_bytes(b"half a checkpoint")
    with pytest.raises(InputError, match=r"run\.checkpoint"):
        Checkpoint(tmp_path / "run.checkpoint", "one").load()


def test_the_fingerprint_knows_settings_inputs_and_code(tmp_path, monkeypatch):
    (tmp_path / "input").write_text("1")
    first = checkpoint.fingerprint("train", {"rounds": 3}, [tmp_path / "input"])
    assert checkpoint.fingerprint("train", {"rounds": 3}, [tmp_path / "input"]) == first
    assert checkpoint.fingerprint("train", {"rounds": 4}, [tmp_path / "input"]) != first
    (tmp_path / "input").write_text("2")
    assert checkpoint.fingerprint("train", {"rounds": 3}, [tmp_path / "input"]) != first
    (tmp_path / "input").write_text("1")
    monkeypatch.setattr(checkpoint.closure, "files", lambda entry: [tmp_path / "input"])
    assert checkpoint.fingerprint("train", {"rounds": 3}, [tmp_path / "input"]) != first


def test_warm_up_trains_the_task_block_on_exact_features(federation):
    data = dataset(federation, "north", "train")
    model = models.build("densenet121", ["north"], seed=1)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    features = warmup.frozen_features(model, data)
    with torch.no_grad():
        alone = torch.cat([model.features(image[None, None] / 255) for image in data.images])
    torch.testing.assert_close(features, alone, rtol=1e-4, atol=1e-5)
    warmup.warm_up(model, data, {"batch": 8, "epochs": 2, "learning_rate": 1e-3}, seed=1)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]) == name.startswith("representation"), name


def test_warm_up_lowers_the_loss_and_is_the_same_twice(federation):
    settings = {"batch": 8, "epochs": 20, "learning_rate": 1e-2, "threads": 1}
    for name in ("once", "again"):
        warmup.main(
            [
                *files(federation, ["north"]),
                "--architecture=standard",
                "--seed=1",
                f"--settings={json.dumps(settings)}",
                f"--task={federation / name}.safetensors",
            ]
        )
    assert (federation / "once.safetensors").read_bytes() == (
        federation / "again.safetensors"
    ).read_bytes()
    data = dataset(federation, "north", "train")
    cold = models.initial("standard", "north", 1, None)
    warm = models.initial("standard", "north", 1, None, federation / "once.safetensors")
    losses = [
        masked_loss(model.eval().tasks["north"](warmup.frozen_features(model, data)), data.labels)
        for model in (cold, warm)
    ]
    assert losses[1] < losses[0]


def test_predictions_are_the_models_own_scores(federation):
    train.main(arguments(federation, ["north", "south"], "fed", rounds=12))
    predict.main(
        [
            *files(federation, ["south"]),
            f"--model={federation / 'fed.safetensors'}",
            '--settings={"threads": 1}',
            f"--predictions={federation / 'p.csv'}",
            f"--gradcam={federation / 'p.npz'}",
        ]
    )
    table = pd.read_csv(federation / "p.csv")
    columns = ["image", "patient", "label", "subset", "score", "score_north"]
    assert list(table.columns) == columns
    assert table["subset"].value_counts().to_dict() == {"validation": 9, "evaluation": 9}
    model = models.load_model(federation / "fed.safetensors").eval()
    data = dataset(federation, "south", "validation", "evaluation")
    with torch.no_grad():
        for site, column in (("south", "score"), ("north", "score_north")):
            expected = torch.sigmoid(model(data.images[:, None] / 255, site))
            np.testing.assert_allclose(table[column], expected, rtol=1e-4)
    assert roc_auc_score(table["label"], table["score"]) > 0.7
    maps = np.load(federation / "p.npz")
    positive = table[(table["subset"] == "evaluation") & (table["label"] == 1)]
    assert maps["image"].tolist() == positive["image"].tolist()
    assert maps["map"].shape == (len(positive), 4, 4)


def test_gradcam_is_its_closed_form_for_a_linear_head():
    """With pooling and a linear head, the importance of a channel is its weight over the area."""
    model = models.build("standard", ["north"], seed=1).eval()
    linear = torch.nn.Linear(128, 1)
    model.tasks["north"] = torch.nn.Sequential(linear, torch.nn.Flatten(0))
    images = torch.randint(0, 256, (3, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        maps = model.representation(images[:, None] / 255)
        expected = torch.relu((maps * linear.weight.view(1, 128, 1, 1) / 16).sum(1))
    torch.testing.assert_close(predict.gradcam(model, images, "north"), expected)
    assert (predict.gradcam(model, images, "north") >= 0).all()
