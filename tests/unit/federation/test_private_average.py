"""Averages that are private for each site: shortened steps, noise, and what is told of them."""

import math
import threading

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from chexviz.base.errors import InputError
from chexviz.base.methods import DEFAULTS
from chexviz.base.tables.models import HISTORY
from chexviz.federation import train
from chexviz.federation.checkpoint import Checkpoint
from chexviz.federation.exchange import Combination, Exchange
from chexviz.federation.methods import ALGORITHMS
from chexviz.federation.private_average import PrivateAverage
from chexviz.federation.rounds import Federation
from chexviz.federation.settings import Privacy
from chexviz.models import files
from chexviz.models.model import build
from trainings import arguments, dataset, local_site, settings_of

NAMES = ["north", "south"]
PRIVACY = {"unit": "site", "epsilon": 3.0, "delta": 1e-3, "clip": 1.0}
HOW = {"batchnorm": "frozen", "heads": "shared", "weights": "uniform"}


def method_of(algorithm: str = "fedavg", **privacy) -> dict:
    return DEFAULTS | HOW | {"algorithm": algorithm, "privacy": PRIVACY | privacy}


def average_of(sites: int = 3, rounds: int = 3, **privacy) -> PrivateAverage:
    return PrivateAverage(Privacy(**PRIVACY | privacy), rounds, sites, secret=7)


def silent(average: PrivateAverage) -> PrivateAverage:
    """Without noise."""
    average.sigma = 0.0
    return average


def mean_of(sites: int, labelled=None) -> tuple[Combination, int]:
    """The plain mean of a model with a shared head of two findings, and how long vectors are."""
    model = build("standard", {"shared": ["pneumonia", "pneumothorax"]}, seed=1)
    exchange = Exchange(model, "frozen")
    return Combination(exchange, [1] * sites, "mean", 0.0, labelled), sum(exchange.sizes)


def federation_of(folder, method: dict, **changes) -> Federation:
    changes = {"schedule": "constant", "method": method} | changes
    settings = settings_of(**changes)
    algorithm = ALGORITHMS[method["algorithm"]]
    data = algorithm.gather([dataset(folder, name, "train") for name in NAMES], settings.method)
    sites = [local_site(one, **changes) for one in data]
    return Federation(sites, settings, algorithm(settings, sites))


def trained(folder, federation: Federation) -> torch.Tensor:
    federation.train(Checkpoint(folder / "absent", "x"), "test", threading.Event())
    return federation.server.shared


@pytest.fixture(scope="module")
def folder(shared_federation):
    return shared_federation


def test_a_step_is_shortened_to_the_clip_and_no_further():
    average = average_of(clip=2.0)
    long, short = torch.tensor([3.0, 4.0]), torch.tensor([0.6, 0.8])
    torch.testing.assert_close(average.shortened(long), torch.tensor([1.2, 1.6]))
    torch.testing.assert_close(average.shortened(short), short)
    assert (average.shortened(torch.zeros(2)) == 0).all()


@given(
    steps=st.lists(
        st.lists(st.floats(-1e6, 1e6, width=32), min_size=4, max_size=4), min_size=2, max_size=5
    ),
    other=st.lists(st.floats(-1e6, 1e6, width=32), min_size=4, max_size=4),
    clip=st.floats(1e-3, 1e3),
)
def test_no_site_changes_the_sum_by_more_than_the_clip(steps, other, clip):
    """A site with a step, or with none: the record of which epsilon speaks."""
    average = silent(average_of(len(steps), clip=clip))
    four = Exchange(torch.nn.Linear(3, 1), "frozen")
    mean = Combination(four, [1] * len(steps), "mean", 0.0)
    start = torch.zeros(4)

    def total(first: list[float]) -> torch.Tensor:
        updates = [torch.tensor(one) for one in [first, *steps[1:]]]
        return average(mean, start, updates, 1).double() * len(steps)

    assert (total(other) - total([0.0] * 4)).norm() <= clip * (1 + 1e-5)


def test_zero_noise_and_no_clip_are_the_plain_average(folder):
    plain = federation_of(folder, method_of() | {"privacy": None}, rounds=2)
    private = federation_of(folder, method_of(clip=1e6), rounds=2)
    silent(private.server.private)
    torch.testing.assert_close(trained(folder, private), trained(folder, plain))


def test_a_round_is_as_computed_by_hand(folder):
    federation = federation_of(folder, method_of(clip=0.1))
    server, exchange = federation.server, federation.method.exchange
    silent(server.private)
    start = server.shared.clone()
    for site in federation.sites:
        list(federation.local(site, server.sent()))
    models = [federation.method.travelling(site.model).state_dict() for site in federation.sites]
    steps = [exchange.pack(model, "a site") - start for model in models]
    federation.average()
    assert all(step.norm() > 0.1 for step in steps)
    short = [0.1 * step / step.norm() for step in steps]
    expected = start + (short[0] + short[1]) / 2
    of_one_site = server.method.combination(federation.sites).parts
    assert of_one_site
    for part, (site,) in of_one_site:  # of a finding that it alone labels
        expected[part] = start[part] + short[site][part]
    torch.testing.assert_close(server.shared, expected)


@pytest.mark.parametrize("labelled", [None, [[1, 0], [1, 1], [1, 1]]])
def test_noise_is_as_strong_as_the_accountant_takes_it_for(labelled):
    """Of the sum: a number of which two sites have a say gets three halves of the noise."""
    known = None if labelled is None else torch.tensor(labelled, dtype=torch.bool)
    mean, length = mean_of(3, known)
    average, start = average_of(clip=0.5), torch.zeros(length)
    noise = average(mean, start, [start] * 3, 1)
    counts = mean.counts(start)
    assert {*counts.tolist()} == ({3} if labelled is None else {2, 3})
    for count in {*counts.tolist()}:
        some = noise[counts == count].double()
        deviation = average.sigma * 0.5 / count
        assert some.std() == pytest.approx(deviation, rel=4 / math.sqrt(2 * len(some)))
        assert abs(some.mean()) < 4 * deviation / math.sqrt(len(some))


def test_another_secret_round_or_update_draws_other_noise():
    mean, length = mean_of(2)
    start, update = torch.zeros(length), torch.full((length,), 1e-9)
    average, other = average_of(2), average_of(2)
    other.secret = 8
    drawn = [
        average(mean, start, [start, start], 1),
        average(mean, start, [start, start], 2),
        average(mean, start, [start, update], 1),
        other(mean, start, [start, start], 1),
    ]
    assert torch.equal(drawn[0], average(mean, start, [start, start], 1))
    # Another study that begins with the same updates: the same noise would leave their mean alone.
    less, other_study = average_of(2), average_of(2, epsilon=8.0)
    less_drawn, other_drawn = (one(mean, start, [update] * 2, 1) for one in (less, other_study))
    drawn += [less_drawn, other_drawn]
    for number, one in enumerate(drawn):
        for two in drawn[number + 1 :]:
            assert abs(np.corrcoef(one, two)[0, 1]) < 4 / math.sqrt(length)


@pytest.mark.parametrize("algorithm", ["fedavg", "fedprox", "fedadam"])
def test_what_is_told_has_noise(folder, algorithm):
    """No loss and no drift; what a site has spent, which is the same for all of them."""
    own = {
        "fedprox": {"mu": 0.1},
        "fedadam": {"server_learning_rate": 0.01, "beta1": 0.9, "beta2": 0.99, "tau": 1e-3},
    }
    method = method_of(algorithm) | own.get(algorithm, {})
    words = arguments(folder, NAMES, algorithm, method=method)
    train.main(words)
    history = HISTORY.read(folder / f"{algorithm}.history.csv")
    assert history[["loss", "drift"]].isna().all(axis=None)
    spent = history.pivot(index="round", columns="site", values="epsilon")
    assert (spent["north"] == spent["south"]).all()
    assert (spent.diff().dropna() > 0).all(axis=None)
    assert 0.95 * PRIVACY["epsilon"] < spent["north"].loc[3] <= PRIVACY["epsilon"]
    model = folder / f"{algorithm}.safetensors"
    tensors, about = files.load(model)
    assert all(torch.isfinite(one).all() for one in tensors.values())
    assert about["privacy"] == {
        "unit": "site",
        "epsilon": spent["north"].loc[3],
        "delta": 1e-3,
        "noise": "seed",
    }
    before = model.read_bytes()
    train.main(words)
    assert model.read_bytes() == before


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"algorithm": "scaffold"}, "algorithm: scaffold"),
        ({"heads": "private"}, "heads: private"),
        ({"weights": "size"}, "weights: size"),
        ({"combine": "median"}, "combine: median"),
        ({"batchnorm": "average"}, "batchnorm: average"),
        ({"batchnorm": "local"}, "batchnorm: local"),
    ],
)
def test_what_a_site_would_tell_without_noise_is_refused(changes, found):
    with pytest.raises(InputError, match=rf"method\.privacy\n.*unit: site.*\n.*found: +{found}"):
        settings_of(method=method_of() | changes)


def test_more_sites_than_delta_speaks_of_are_refused():
    with pytest.raises(InputError, match=r"delta\n.*less than 1 / 20, since the federation.*sites"):
        average_of(20, delta=0.05)
