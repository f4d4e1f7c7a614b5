"""What each method sends, averages and keeps, tensor by tensor; and rounds computed by hand."""

import copy
import threading

import pytest
import torch
from safetensors.torch import load_file

from chexviz.base.errors import InputError
from chexviz.base.methods import DEFAULTS
from chexviz.federation import train
from chexviz.federation.checkpoint import Checkpoint, check_like
from chexviz.federation.exchange import batchnorm_names, combine
from chexviz.federation.methods import ALGORITHMS
from chexviz.federation.rounds import Federation
from chexviz.models.dataset import pool
from chexviz.models.files import load_model
from trainings import (
    METHODS,
    arguments,
    changes_of,
    dataset,
    local_site,
    local_sites,
    packed,
    settings_of,
    train_round,
)

NAMES = ["north", "south"]


def federation_of(folder, method: dict, names=NAMES, **changes) -> Federation:
    settings = settings_of(**changes_of(method, **changes))
    algorithm = ALGORITHMS[method["algorithm"]]
    parties = algorithm.gather([dataset(folder, name, "train") for name in names], settings.method)
    sites = [local_site(data, **changes_of(method, **changes)) for data in parties]
    return Federation(sites, settings, algorithm(settings, sites))


def run(folder, federation: Federation) -> Federation:
    federation.train(Checkpoint(folder / "none", "x"), "test", threading.Event())
    return federation


def states(federation: Federation) -> list[dict]:
    """The representation block of each site."""
    return [copy.deepcopy(site.model.representation.state_dict()) for site in federation.sites]


def trained_alone(federation: Federation) -> list[dict]:
    """What each site's block becomes in a round, before anything is averaged."""
    for site in federation.sites:
        for _ in federation.local(site, federation.server.sent()):
            pass
    return states(federation)


@pytest.mark.parametrize("name", METHODS)
def test_what_is_averaged_and_what_is_kept(federation, name):
    """One round by hand: every tensor is the mean of what the sites made of it, or stays theirs."""
    method = DEFAULTS | METHODS[name]
    made = federation_of(federation, METHODS[name])
    start = states(made)[0]
    before = trained_alone(made)
    tasks = [copy.deepcopy(site.model.tasks.state_dict()) for site in made.sites]
    made.average()
    sizes = [36, 27] if method["weights"] == "size" else [1, 1]
    batchnorm = batchnorm_names(made.sites[0].model.representation)
    for tensor_name in start:
        one, two = (block[tensor_name] for block in before)
        after_one, after_two = (block[tensor_name] for block in states(made))
        kept = tensor_name in batchnorm and method["batchnorm"] != "average"
        if kept or not one.is_floating_point():
            assert torch.equal(after_one, one), tensor_name
            assert torch.equal(after_two, two), tensor_name
            if method["batchnorm"] == "frozen" and one.is_floating_point():
                assert torch.equal(one, start[tensor_name]), tensor_name
            continue
        assert torch.equal(after_one, after_two), tensor_name
        if name != "fedadam":
            expected = combine([one.ravel(), two.ravel()], sizes, "mean").view_as(one)
            assert torch.equal(after_one, expected), tensor_name
    for site, task in zip(made.sites, tasks, strict=True):
        assert all(
            torch.equal(task[key], one) for key, one in site.model.tasks.state_dict().items()
        )
    floats = sum(
        tensor.numel()
        for tensor_name, tensor in start.items()
        if tensor.is_floating_point()
        and not (tensor_name in batchnorm and method["batchnorm"] != "average")
    )
    # SCAFFOLD's control variates are of the parameters alone, not of running statistics.
    sent = 4 * (floats + (made.method.exchange.parameters if name == "scaffold" else 0))
    assert [row["sent"] for row in made.server.history] == [sent, sent]


@pytest.mark.parametrize("name", ["fedavg", "uniform", "scaffold"])
def test_with_one_site_it_is_the_baseline_bit_for_bit(federation, name):
    """Nothing is added by averaging one block, nor by correcting towards one's own gradients."""
    for label, method in (("base", METHODS["fedavg"]), ("fed", METHODS[name])):
        train.main(arguments(federation, ["north"], label, **changes_of(method, rounds=2)))
    base, fed = (load_file(federation / f"{label}.safetensors") for label in ("base", "fed"))
    assert base.keys() == fed.keys()
    assert all(torch.equal(fed[key], tensor) for key, tensor in base.items())


def test_fedprox_without_its_term_is_fedavg(federation):
    plain = run(federation, federation_of(federation, METHODS["fedavg"]))
    zero = run(federation, federation_of(federation, METHODS["fedprox"] | {"mu": 0.0}))
    strong = run(federation, federation_of(federation, METHODS["fedprox"] | {"mu": 1.0}))
    assert torch.equal(plain.server.shared, zero.server.shared)
    assert plain.server.history == zero.server.history
    assert strong.server.history[0]["drift"] < plain.server.history[0]["drift"]


def test_the_gradient_of_fedprox_is_that_of_its_loss(federation):
    made = federation_of(federation, METHODS["fedprox"])
    site = made.sites[0]
    anchor = made.server.shared + 0.1
    correct = made.method.correction(site, [anchor])
    parameters = made.method.parameters(site.model)
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    with torch.no_grad():
        correct()
    anchors = list(made.method.exchange.tensors(anchor).values())
    loss = sum(
        0.1 / 2 * (parameter - target).square().sum()
        for parameter, target in zip(parameters, anchors, strict=False)
    )
    for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


def test_fedadam_by_hand(federation):
    """Two rounds against Algorithm 2 of Reddi et al. 2021, written out."""
    made = federation_of(federation, METHODS["fedadam"])
    count = made.method.exchange.parameters
    x, first, second = made.server.shared.clone(), 0.0, torch.full((count,), 1e-6)
    for _ in range(2):
        trained_alone(made)
        mean = combine([packed(made, site) for site in made.sites], [36, 27], "mean")
        delta = mean[:count] - x[:count]
        first = 0.9 * first + 0.1 * delta
        second = 0.99 * second + 0.01 * delta**2
        x = torch.cat([x[:count] + 0.01 * first / (second.sqrt() + 1e-3), mean[count:]])
        made.average()
        torch.testing.assert_close(made.server.shared, x)


def test_scaffold_by_hand(federation):
    """Two rounds of plain SGD against Algorithm 1, option II, of Karimireddy et al. 2020."""
    rate = 1e-2
    made = federation_of(federation, METHODS["scaffold"], learning_rate=rate)
    for site in made.sites:
        site.optimizer = torch.optim.SGD(site.model.parameters(), lr=rate)
    count, weights = made.method.exchange.parameters, [36 / 63, 27 / 63]
    controls = [torch.zeros(count), torch.zeros(count)]
    for number in range(2):
        x = made.server.shared[:count].clone()
        server = sum(weight * one for weight, one in zip(weights, controls, strict=True))
        trained_alone(made)
        for index, site in enumerate(made.sites):
            y, steps = packed(made, site)[:count], len(site.losses)
            controls[index] = controls[index] - server + (x - y) / (steps * rate)
        made.average()
        for site, expected in zip(made.sites, controls, strict=True):
            variate = made.method.controls[site.name]
            torch.testing.assert_close(variate, expected, atol=2e-4, rtol=2e-3)
        # In the second round the corrections are not zero: the drift must differ from FedAvg's.
        assert (server.abs().sum() > 0) == (number == 1)


def test_fedrep_is_the_head_first_then_the_body(federation):
    made = federation_of(federation, METHODS["fedrep"])
    assert made.phases == ["task", "representation"]
    (by_hand,) = local_sites(federation, ["north"], **changes_of(METHODS["fedrep"]))
    by_hand.epochs = 6
    start = copy.deepcopy(by_hand.model.state_dict())
    train_round(by_hand, phases=["task"])
    body = by_hand.model.representation.state_dict()
    assert all(torch.equal(body[key], start[f"representation.{key}"]) for key in body)
    trained_alone(made)
    head = made.sites[0].model.tasks.state_dict()
    assert all(torch.equal(head[key], one) for key, one in by_hand.model.tasks.state_dict().items())


def test_pooled_is_one_training_on_all_images(federation):
    made = run(federation, federation_of(federation, {"algorithm": "pooled"}, rounds=2))
    site = local_site(
        pool([dataset(federation, name, "train") for name in NAMES]),
        **changes_of({"algorithm": "pooled"}, rounds=2),
    )
    for number in range(2):
        train_round(site, number)
    ours, theirs = made.sites[0].model.state_dict(), site.model.state_dict()
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert [row["site"] for row in made.server.history] == ["north+south"] * 2
    assert [row["sent"] for row in made.server.history] == [0, 0]
    assert made.tensors()["tasks.shared.layers.3.weight"].shape == (2, 256)
    assert made.heads() == {"shared": ["pneumonia", "pneumothorax"]}


def test_a_finding_that_no_image_is_labelled_for_is_not_learned(federation):
    """An unknown label is no negative one: the logit's own numbers stay as they were."""
    data = pool([dataset(federation, name, "train") for name in NAMES])
    data.labels[:, 1] = torch.nan
    site = local_site(data, **changes_of({"algorithm": "pooled"}))
    before = copy.deepcopy(site.model.tasks["shared"].state_dict())
    train_round(site)
    after = site.model.tasks["shared"].state_dict()
    for name in ("layers.3.weight", "layers.3.bias"):
        assert torch.equal(after[name][1], before[name][1])
        assert not torch.equal(after[name][0], before[name][0])


def test_a_site_with_batchnorm_of_its_own_is_scored_with_it(federation):
    train.main(arguments(federation, NAMES, "fed", **changes_of(METHODS["fedbn"])))
    north, south = (load_model(federation / "fed.safetensors", name) for name in NAMES)
    own = {f"representation.{name}" for name in batchnorm_names(north.representation)}
    for name, tensor in north.state_dict().items():
        same = torch.equal(tensor, south.state_dict()[name])
        assert same == (name not in own), name


def test_a_site_that_did_not_train_has_the_mean_of_all_batchnorms(federation):
    train.main(arguments(federation, NAMES, "fed", **changes_of(METHODS["fedbn"])))
    north, south, other = (
        load_model(federation / "fed.safetensors", name).state_dict() for name in (*NAMES, "other")
    )
    for name, tensor in other.items():
        expected = (north[name].double() + south[name].double()) / 2
        assert torch.equal(tensor, expected.to(tensor.dtype)), name


SHARED = [
    {"algorithm": "fedavg", "heads": "shared"},
    {"algorithm": "fedavg", "heads": "shared", "weights": "uniform"},
    {"algorithm": "fedprox", "mu": 0.1, "heads": "shared"},
]
RESUMED = METHODS | {"shared": SHARED[0]}


@pytest.mark.parametrize("method", SHARED, ids=["size", "uniform", "fedprox"])
def test_a_shared_head_is_averaged_over_the_sites_that_label_its_finding(federation, method):
    """One round by hand: hidden layers over all sites, the logit of a finding over those alone."""
    made = federation_of(federation, method)
    for site in made.sites:
        for _ in made.local(site, made.server.sent()):
            pass
    before = [copy.deepcopy(site.model.state_dict()) for site in made.sites]
    made.average()
    sizes = [36, 27] if method.get("weights") != "uniform" else [1, 1]
    for name, tensor in made.sites[0].model.state_dict().items():
        assert torch.equal(tensor, made.sites[1].model.state_dict()[name]) or (
            not tensor.is_floating_point()
        ), name
        if name.startswith("tasks.shared.layers.3."):
            for finding, blocks in enumerate(before):  # north labels the first, south the second
                assert torch.equal(tensor[finding], blocks[name][finding]), name
        elif tensor.is_floating_point():
            updates = [blocks[name].ravel() for blocks in before]
            assert torch.equal(tensor, combine(updates, sizes, "mean").view_as(tensor)), name
    assert made.heads() == {"shared": ["pneumonia", "pneumothorax"]}


def test_a_finding_of_both_sites_is_averaged_over_both_by_their_images(federation):
    north, south = (dataset(federation, name, "train") for name in NAMES)
    north.heads, south.heads = {"north": ["a", "b"]}, {"south": ["b", "c"]}
    north.labels, south.labels = (data.labels.repeat(1, 2) for data in (north, south))
    method = {"algorithm": "fedavg", "heads": "shared"}
    settings = settings_of(**changes_of(method))
    parties = ALGORITHMS["fedavg"].gather([north, south], settings.method)
    sites = [local_site(data, **changes_of(method)) for data in parties]
    made = Federation(sites, settings, ALGORITHMS["fedavg"](settings, sites))
    updates = [torch.full_like(made.server.shared, value) for value in (1.0, 3.0)]
    combined = made.method.exchange.tensors(made.method.combine(updates))
    mean = (36 * 1 + 27 * 3) / 63
    head = combined["tasks.shared.layers.3.weight"]
    torch.testing.assert_close(head[:, 0], torch.tensor([1.0, mean, 3.0]))
    torch.testing.assert_close(combined["tasks.shared.layers.3.bias"], head[:, 0])
    torch.testing.assert_close(combined["tasks.shared.layers.0.bias"][0], torch.tensor(mean))


def test_a_robust_mean_needs_enough_sites_for_every_finding(federation):
    method = {"algorithm": "fedavg", "heads": "shared", "combine": "median"}
    with pytest.raises(InputError, match=r"at least 3 sites\n.*found: +1"):
        federation_of(federation, method)


@pytest.mark.parametrize("name", RESUMED)
def test_every_method_goes_on_from_any_checkpoint(federation, name):
    """The state is put into a new federation after every few batches, as a killed run does."""
    whole = run(federation, federation_of(federation, RESUMED[name]))
    broken = federation_of(federation, RESUMED[name])
    steps = 0
    while broken.server.round < broken.settings.rounds:
        for site in broken.sites:
            for _ in broken.local(site, broken.server.sent()):
                steps += 1
                if steps % 3 == 0:
                    break
            if steps % 3 == 0:
                break
        else:
            broken.average()
        steps += 1
        state = copy.deepcopy(broken.state())
        broken = federation_of(federation, RESUMED[name])
        check_like(federation / "checkpoint", state, broken.state())
        broken.load(state)
    assert broken.server.history == whole.server.history
    ours, theirs = broken.tensors(), whole.tensors()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], tensor) for key, tensor in theirs.items())


def test_a_median_of_two_sites_is_refused(federation):
    median = DEFAULTS | {"algorithm": "fedavg", "combine": "median"}
    with pytest.raises(InputError, match=r"combine: median\n.*at least 3 sites"):
        train.main(arguments(federation, NAMES, "m", method=median))
    assert not list(federation.glob("m.*"))


def test_a_median_withstands_a_wrong_site():
    """Three sites, one of which sends noise: the median is the honest one in the middle."""
    honest = torch.randn(100)
    updates = [honest, honest + 0.01, torch.full_like(honest, 1e6)]
    assert torch.equal(combine(updates, [1, 1, 1], "median"), updates[1])
