"""A curious server, from what sites really send to the table."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from chexviz.base.errors import InputError
from chexviz.base.methods import DEFAULTS
from chexviz.base.tables.privacy import INVERSION, SCENARIOS
from chexviz.base.tables.study import DUPLICATES
from chexviz.federation.methods import ALGORITHMS
from chexviz.federation.rounds import Federation
from chexviz.models.model import build
from chexviz.privacy import inversion
from chexviz.privacy.reconstruct import distance, gradient, reconstruct
from chexviz.privacy.settings import Inversion
from chexviz.privacy.similarity import correlation
from trainings import (
    LABELLED,
    METHODS,
    SETTINGS,
    changes_of,
    dataset,
    files,
    learning,
    local_site,
    packed,
    settings_of,
    train_round,
)

BOOTSTRAP = {"replicates": 50, "unit": "patient", "confidence": 0.95, "seed": 1}
ATTACK = {"images": 6, "batch": 2, "seeds": 1, "steps": 2, "minimum_cases": 5}
ATTACK |= {"bootstrap": BOOTSTRAP}
HEADS = {"north": ["pneumonia"]}


def federation_of(folder, method: dict) -> Federation:
    settings = settings_of(**changes_of(method))
    algorithm = ALGORITHMS[method["algorithm"]]
    parties = [dataset(folder, name, "train") for name in ("north", "south")]
    parties = algorithm.gather(parties, settings.method)
    sites = [local_site(data, **changes_of(method)) for data in parties]
    return Federation(sites, settings, algorithm(settings, sites))


@pytest.mark.parametrize("name", METHODS)
def test_what_is_attacked_is_what_the_site_sends(shared_federation, name):
    made, again = (federation_of(shared_federation, METHODS[name]) for _ in range(2))
    start = made.server.sent()[0].clone()
    found = inversion.send(made, made.sites[0])
    site = again.sites[0]
    received = again.server.sent()
    train_round(site, 0, again.phases, again.method.correction(site, received))
    count = again.method.exchange.parameters
    assert torch.equal(found, (packed(again, site) - start)[:count])
    assert found.abs().max() > 0


def test_the_gradient_of_one_image_by_a_single_layer_gives_it_back():
    """A known answer: where nothing is lost, the attack must succeed."""

    class Flat(torch.nn.Module):
        heads = HEADS

        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(64, 1)

        def forward(self, images, heads):
            return self.layer(images.flatten(1))

    torch.manual_seed(0)
    model, image = Flat(), torch.rand(1, 1, 8, 8)
    label, parameters = torch.ones(1, 1), list(model.parameters())
    seen = gradient(model, parameters, image, label)
    draws = torch.Generator().manual_seed(1)
    *_, last = reconstruct(model, parameters, seen, label, 8, 300, draws)
    assert correlation(last, image).item() > 0.9
    assert abs(correlation(last, torch.rand(1, 1, 8, 8)).item()) < 0.5


@pytest.mark.parametrize(("architecture", "steps"), [("standard", 60), ("densenet121", 8)])
def test_reconstructions_come_nearer_to_what_was_seen(architecture, steps):
    model = build(architecture, HEADS, seed=1).eval()
    image = torch.linspace(0, 1, 32).repeat(1, 1, 32, 1)
    label = torch.ones(1, 1)
    parameters = list(model.representation.parameters())
    seen = gradient(model, parameters, image, label)
    draws = torch.Generator().manual_seed(1)
    *_, last = reconstruct(model, parameters, seen, label, 32, steps, draws)
    assert last.shape == image.shape
    assert last.min() >= 0
    assert last.max() <= 1
    start = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    angles = [
        distance(gradient(model, parameters, one, label), seen).item() for one in (start, last)
    ]
    assert angles[1] < angles[0]


def test_each_image_is_compared_with_what_is_nearest_to_it():
    images = torch.rand(4, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    noise = torch.rand(6, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    own, control, similar, other, first = inversion.measured(
        images.flip(0)[:2], images[2:], noise[:2], noise
    )
    assert own.tolist() == pytest.approx([120, 120])
    assert similar.tolist() == pytest.approx([1, 1])
    assert first.tolist() == [1, 1]
    assert control.max() < 20
    assert other.max() < 0.5


def test_no_two_images_are_of_one_patient():
    rows = pd.DataFrame({"patient": ["a", "b", "a", "c", "b", "d"]})
    chosen = inversion.one_each(rows, 3, seed=1)
    assert rows["patient"].iloc[chosen].nunique() == len(chosen) == 3
    assert len(inversion.one_each(rows, 9, seed=1)) == 4
    assert inversion.one_each(rows, 3, seed=1).tolist() == chosen.tolist()


def run(folder, *more: str, settings: dict = SETTINGS, **changes) -> pd.DataFrame:
    inversion.main(
        [
            *learning([*LABELLED][:2]),
            *files(folder, [*LABELLED][:2]),
            *("--architecture=standard", "--seed=1", "--method=fedavg"),
            f"--settings={json.dumps(settings)}",
            *more,
            f"--attack={json.dumps(ATTACK | changes)}",
            f"--table={folder / 'inversion.csv'}",
            f"--pictures={folder / 'inversion.npz'}",
        ]
    )
    return INVERSION.read(folder / "inversion.csv")


def test_the_table_has_every_scenario_with_its_control(federation):
    table = run(federation)
    once = (federation / "inversion.csv").read_bytes()
    assert table["scenario"].tolist() == [*SCENARIOS]
    assert table["together"].tolist() == [1, 1, 2, 2]
    leak = table["psnr"] - table["psnr_control"]
    assert np.allclose(table["psnr_leak"], leak)
    assert leak.between(table["psnr_leak_low"], table["psnr_leak_high"], "neither").all()
    assert np.allclose(table["chance"], 1 / table["candidates"])
    assert table["note"].eq("").all()
    with np.load(federation / "inversion.npz") as pictures:
        assert [*pictures] == [*SCENARIOS]
        assert {one.shape[0] for one in pictures.values()} == {3}
    run(federation)
    assert (federation / "inversion.csv").read_bytes() == once


def test_a_site_that_trains_privately_is_attacked_by_what_it_sends(federation):
    """With noise in the update, and in nothing else that is attacked."""
    privacy = {"epsilon": 1.0, "delta": 1e-3, "clip": 1.0}
    method = DEFAULTS | {"algorithm": "fedavg", "batchnorm": "frozen"}
    near = federation / "duplicates.csv"
    DUPLICATES.write([], near)
    plain = run(federation, settings=SETTINGS | {"method": method})
    told = SETTINGS | {"method": method | {"privacy": privacy}}
    private = run(federation, f"--duplicates={near}", settings=told)
    same = plain.equals(private), plain[:-1].equals(private[:-1])
    assert same == (False, True)  # the last one is the update of a round


def test_few_images_have_a_note_and_no_interval(federation):
    table = run(federation, minimum_cases=20)
    assert table["note"].str.startswith("too few cases: 6 images").all()
    assert table["psnr_low"].isna().all()
    assert table["psnr"].notna().all()


def test_more_images_than_strangers_are_refused(federation):
    with pytest.raises(InputError, match="privacy: inversion: images"):
        run(federation, images=30)


def test_settings_are_checked():
    with pytest.raises(InputError):
        inversion.read(json.dumps(ATTACK | {"batch": 1}), Inversion)
