"""Training with privacy for each patient: clipping, noise, and what the server sees."""

import copy
import math
import threading

import hypothesis
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from opacus.validators import ModuleValidator
from scipy import stats

from chexviz.base.errors import InputError
from chexviz.base.methods import DEFAULTS
from chexviz.base.tables.models import HISTORY
from chexviz.base.tables.study import DUPLICATES
from chexviz.federation import train
from chexviz.federation.checkpoint import Checkpoint, check_like
from chexviz.federation.methods import ALGORITHMS
from chexviz.federation.private_site import PrivateSite
from chexviz.federation.rounds import Federation
from chexviz.federation.site import LocalSite, site_of
from chexviz.models.architectures import ARCHITECTURES
from chexviz.models.model import build
from trainings import arguments, dataset, settings_of

NAMES = ["north", "south"]
PRIVACY = {"epsilon": 3.0, "delta": 1e-3, "clip": 1.0}
STILL = {"rotation": 0, "zoom": 0, "contrast": 0, "flip": 0}


def method_of(**privacy) -> dict:
    method = {"algorithm": "fedavg", "batchnorm": "frozen"}
    return DEFAULTS | method | {"privacy": PRIVACY | privacy}


def near(folder, *pairs):
    """duplicates.csv with these pairs of images of north."""
    rows = [["north", one, "north", other, 0, 0.0, False] for one, other in pairs]
    path = folder / "duplicates.csv"
    DUPLICATES.write(pd.DataFrame(rows, columns=[*DUPLICATES.names]), path)
    return path


def private_site(
    folder, name="north", *, data=None, duplicates=None, architecture="standard", **changes
):
    changes = {"schedule": "constant", "method": method_of()} | changes
    settings = settings_of(**changes)
    data = data or dataset(folder, name, "train")
    site = site_of(
        data,
        build(architecture, data.heads, seed=1),
        settings,
        epochs=settings.rounds * settings.local_epochs,
        seed=1,
        duplicates=duplicates or near(folder),
        secret=1,
    )
    assert isinstance(site, PrivateSite)
    return site


def federation_of(folder, **changes) -> Federation:
    sites = [private_site(folder, name, **changes) for name in NAMES]
    settings = sites[0].settings
    return Federation(sites, settings, ALGORITHMS["fedavg"](settings, sites))


class Descent:
    """Gradient descent at a rate of 1: a step shows the gradients themselves."""

    def __init__(self, model):
        self.parameters, self.param_groups = [*model.parameters()], [{}]

    def zero_grad(self):
        for one in self.parameters:
            one.grad = None

    @torch.no_grad()
    def step(self):
        for one in self.parameters:
            if one.grad is not None:
                one -= one.grad


def noiseless(site: PrivateSite) -> PrivateSite:
    """The site without noise, and without dropout, as a step that is computed by hand has none."""
    site.optimizer.noise_multiplier = 0.0
    for task in site.model.tasks.values():
        task.dropout.share = 0.0
    return site


def summed(site: PrivateSite, patients: list[int]) -> torch.Tensor:
    """What the site's clipped gradients of some patients sum to (p,)."""
    parts = site.parts(np.array(patients))
    pixels = site.data.images.batches([piece for part in parts for piece in part])
    total = 0
    for part in parts:
        site.gradients(part, pixels, torch.Generator().manual_seed(0))
        site.optimizer.clip_and_accumulate()
        total = total + torch.cat([one.summed_grad.reshape(-1) for one in site.optimizer.params])
        for one in site.optimizer.params:
            one.grad_sample = one.summed_grad = None
    return total


@pytest.fixture(scope="module")
def folder(shared_federation):
    return shared_federation


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_opacus_accepts_the_models_as_they_are_trained(folder, architecture):
    site = private_site(folder, architecture=architecture)
    site.set_up(0, "all")
    assert not ModuleValidator.validate(site.model, strict=False)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_without_noise_and_clipping_a_batch_of_all_is_a_plain_step(folder, architecture):
    """Every tensor after one step of gradient descent, and BatchNorm as it was."""
    data = dataset(folder, "north", "train")
    changes = {"batch": 1000, "augmentation": STILL, "method": method_of(clip=1e9)}
    site = noiseless(private_site(folder, data=data, architecture=architecture, **changes))
    plain = LocalSite(
        data,
        build(architecture, data.heads, seed=1),
        settings_of(schedule="constant", **changes | {"method": method_of() | {"privacy": None}}),
        epochs=3,
        seed=1,
    )
    for one in plain.model.tasks.values():
        one.dropout.share = 0.0
    plain.optimizer = Descent(plain.model)
    site.optimizer.original_optimizer = Descent(site.model)
    before = copy.deepcopy(site.model.state_dict())
    assert site.steps == 1  # all patients are in each batch
    for one in (site, plain):
        one.start_round()
        for _ in one.train(0, ["all"], None):
            pass
    moved = 0
    for name, tensor in plain.model.state_dict().items():
        torch.testing.assert_close(site.model.state_dict()[name], tensor, atol=1e-5, rtol=1e-5)
        moved += not torch.equal(before[name], tensor)
        assert "norm" not in name or torch.equal(before[name], tensor)
    assert moved > 5
    assert site.means == pytest.approx(plain.means, rel=1e-5)


def test_patients_and_near_identical_images_are_one_record(folder):
    """North's patients have two images each, of which some train; one pair joins two of them."""
    data = dataset(folder, "north", "train")
    apart = private_site(folder, data=data)
    first, other = data.rows.loc[apart.members[0][0]], data.rows.loc[apart.members[5][0]]
    joined = private_site(
        folder, data=data, duplicates=near(folder, (first["image"], other["image"]))
    )
    assert sorted(np.concatenate(joined.members)) == [*range(len(data))]
    patients = [{*data.rows["patient"][images]} for images in joined.members]
    assert {first["patient"], other["patient"]} in patients
    assert len(apart.members) == data.rows["patient"].nunique() == len(joined.members) + 1


@hypothesis.settings(max_examples=25)
@given(st.lists(st.integers(1, 7), min_size=1, max_size=4), st.integers(1, 9), st.randoms())
def test_a_patient_adds_no_more_than_the_clip(folder, counts, batch, random):
    """However many images it has, in however many pieces; and the others add what they did."""
    data = dataset(folder, "north", "train")
    site = noiseless(private_site(folder, data=data, batch=8, method=method_of(clip=0.05)))
    site.settings = settings_of(batch=batch, augmentation=STILL, method=method_of())
    site.set_up(0, "all")
    order = random.sample(range(len(data)), sum(counts))
    site.members = np.split(np.array(order), np.cumsum(counts)[:-1])
    for number, images in enumerate(site.members):
        site.records[images] = number
    everyone = summed(site, [*range(len(counts))])
    others = summed(site, [*range(1, len(counts))])
    alone = summed(site, [0])
    assert alone.norm() <= 0.05 * (1 + 1e-5)
    torch.testing.assert_close(everyone - others, alone, atol=1e-6, rtol=1e-3)


def test_noise_is_as_strong_as_the_accountant_was_told(folder):
    """In a step without any patient: the variance of all gradients, by the chi-square test."""
    site = private_site(folder, method=method_of(clip=0.5))
    site.optimizer.original_optimizer = Descent(site.model)
    before = torch.cat([one.detach().reshape(-1) for one in site.optimizer.params])
    site.optimizer.noise = lambda _: np.random.default_rng(1)
    assert site.private_step(np.array([], int), torch.Generator()) == 0
    after = torch.cat([one.detach().reshape(-1) for one in site.optimizer.params])
    deviation = site.sigma * 0.5 / (len(site.data) / site.steps)  # over the images expected
    noise = ((before - after) / deviation).double()
    low, high = stats.chi2.ppf([0.0005, 0.9995], len(noise))
    assert low < noise.square().sum() < high
    assert abs(noise.mean()) < 4 / math.sqrt(len(noise))


def test_patients_are_chosen_independently_at_the_rate_of_the_accountant(folder, monkeypatch):
    site = private_site(folder, batch=4)
    seen = []
    monkeypatch.setattr(site, "private_step", lambda one, _: seen.append(one) or torch.zeros(()))
    for epoch in range(300):
        site.start_round()
        site.set_up(epoch, "all")
        assert len([*site.batches_of(epoch, None)]) == site.steps == len(site.losses)
    chosen = np.zeros((len(seen), len(site.members)))
    for row, patients in zip(chosen, seen, strict=True):
        row[patients] = 1
    rate = 1 / site.steps
    assert stats.binomtest(int(chosen.sum()), chosen.size, rate).pvalue > 0.001
    sizes = chosen.sum(axis=1)
    assert sizes.var() == pytest.approx(chosen.shape[1] * rate * (1 - rate), rel=0.2)
    assert 4 * (site.steps - 1) < len(site.members) <= 4 * site.steps


def test_what_no_noise_gives_is_refused(folder):
    with pytest.raises(InputError, match=r"privacy: epsilon\n.*some noise"):
        private_site(folder, method=method_of(epsilon=1e-3))
    with pytest.raises(InputError, match=r"privacy: delta\n.*less than 1 / \d+, since site north"):
        private_site(folder, method=method_of(delta=0.1))


def test_duplicates_are_asked_for(folder):
    words = arguments(folder, NAMES, "none", method=method_of())
    with pytest.raises(InputError, match="--duplicates"):
        train.main(words)


def trained(folder, name: str, **changes):
    """A private federation of both sites, trained: its model and its history."""
    words = arguments(folder, NAMES, name, **{"method": method_of()} | changes)
    train.main([*words, f"--duplicates={near(folder)}"])
    return (folder / f"{name}.safetensors").read_bytes(), HISTORY.read(
        folder / f"{name}.history.csv"
    )


def test_the_server_is_told_what_is_spent_and_no_loss(folder):
    model, history = trained(folder, "told")
    assert history["loss"].isna().all()
    spent = history.pivot(index="round", columns="site", values="epsilon")
    assert (spent.diff().dropna() > 0).all(axis=None)
    assert (spent.loc[3] <= PRIVACY["epsilon"]).all()
    assert (spent.loc[3] > 0.95 * PRIVACY["epsilon"]).all()
    assert trained(folder, "again")[0] == model


def test_noise_is_keyed_by_the_sum_that_it_hides(folder):
    """Two studies with other settings begin with the same model, and must not share noise."""
    seen = []
    for clip in (1.0, 0.5):
        site = private_site(folder, method=method_of(clip=clip))
        site.set_up(0, "all")
        site.optimizer.noise = lambda hidden: seen.append(hidden) or np.random.default_rng(1)
        for patients in ([0, 1], [0, 1], [0]):
            site.private_step(np.array(patients), torch.Generator().manual_seed(1))
    assert len({*seen}) == len(seen) == 6  # a step changes the model, and so the next sum


@pytest.mark.parametrize("heads", ["private", "shared"])
def test_it_goes_on_from_any_batch(folder, heads):
    """The state is put into a new federation after every batch, as a killed run does."""
    changes = {"batch": 8, "rounds": 2, "method": method_of() | {"heads": heads}}

    def made() -> Federation:
        settings = settings_of(schedule="constant", **changes)
        parties = [dataset(folder, name, "train") for name in NAMES]
        parties = ALGORITHMS["fedavg"].gather(parties, settings.method)
        sites = [private_site(folder, data=data, **changes) for data in parties]
        return Federation(sites, settings, ALGORITHMS["fedavg"](settings, sites))

    whole = made()
    whole.train(Checkpoint(folder / "absent", "x"), "test", threading.Event())
    broken = made()
    while broken.server.round < broken.settings.rounds:
        unfinished = False
        for site in broken.sites:
            for _ in broken.local(site, broken.server.sent()):
                unfinished = True
                break
            if unfinished:
                break
        if not unfinished:
            broken.average()
        state = copy.deepcopy(broken.state())
        broken = made()
        check_like(folder / "checkpoint", state, broken.state())
        broken.load(state)
    assert broken.server.history == whole.server.history
    assert all(torch.equal(broken.tensors()[key], one) for key, one in whole.tensors().items())


def test_another_secret_start_or_sum_draws_other_noise(folder):
    """From one start the same; else the difference of two answers would be free of noise."""

    def noise(secret: int, shift: float, hidden: str = "a sum") -> torch.Tensor:
        site = private_site(folder, data=dataset(folder, "north", "train"))
        site.secret = secret
        with torch.no_grad():
            site.model.tasks["north"].layers[0].bias += shift
        site.start_round()
        for _ in site.train(0, ["all"], None):
            break
        return torch.from_numpy(site.optimizer.noise(hidden).standard_normal(1000))

    same = noise(1, 0.0)
    assert torch.equal(noise(1, 0.0), same)
    for other in (noise(2, 0.0), noise(1, 1e-3), noise(1, 0.0, "another")):
        assert abs(np.corrcoef(same, other)[0, 1]) < 0.15
