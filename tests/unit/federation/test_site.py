"""Local training: batches, loss, rates, divergence."""

import copy
import re
import shutil

import pytest
import torch

from chexviz.base.errors import InputError
from chexviz.federation.exchange import batchnorm_names
from chexviz.federation.site import batches, learning_rate, masked_loss
from needed import absent
from trainings import SETTINGS, local_sites, settings_of, train_round


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
    cosine = [learning_rate(settings_of(), epoch, 300) for epoch in range(300)]
    assert cosine[0] == 1e-3
    assert cosine[150] == pytest.approx(5e-4)
    assert cosine == sorted(cosine, reverse=True)
    assert 0 < cosine[-1] < 1e-7
    constant = settings_of(schedule="constant")
    assert {learning_rate(constant, epoch, 300) for epoch in range(300)} == {1e-3}


def test_a_site_trains_the_same_whoever_else_takes_part(federation):
    alone = local_sites(federation, ["north"])
    both = local_sites(federation, ["south", "north"])
    train_round(both[0])
    assert train_round(alone[0]) == train_round(both[1])
    first, second = alone[0].model.state_dict(), both[1].model.state_dict()
    assert all(torch.equal(second[name], tensor) for name, tensor in first.items())


def test_divergence_is_told_with_site_round_batch_and_the_losses_before(federation):
    (site,) = local_sites(federation, ["north"])
    site.start_round()
    steps = site.train(4, ["all"], None)
    next(steps)
    next(steps)
    with torch.no_grad():
        site.model.tasks["north"].layers[0].weight.fill_(torch.nan)
    with pytest.raises(InputError) as caught:
        list(steps)
    assert "site north" in str(caught.value)
    assert "round 5, batch 3 of 5" in str(caught.value)
    assert len(re.findall(r"0\.\d+", str(caught.value))) == 2


def test_an_unknown_label_of_one_task_leaves_the_other_task_alone():
    labels = torch.tensor([[1.0, torch.nan], [torch.nan, 0.0]])
    logits = torch.zeros(2, 2, requires_grad=True)
    masked_loss(logits, labels).backward()
    assert (logits.grad != 0).tolist() == [[True, False], [False, True]]


def test_frozen_batchnorm_changes_nothing_of_itself(federation):
    method = SETTINGS["method"] | {"batchnorm": "frozen"}
    (site,) = local_sites(federation, ["north"], method=method)
    before = {name: tensor.clone() for name, tensor in site.model.state_dict().items()}
    train_round(site)
    frozen = {f"representation.{name}" for name in batchnorm_names(site.model.representation)}
    for name, tensor in site.model.state_dict().items():
        assert torch.equal(tensor, before[name]) == (name in frozen), name


@pytest.mark.parametrize(("phase", "trained"), [("task", "tasks"), ("representation", "repr")])
def test_a_phase_trains_its_block_alone(federation, phase, trained):
    (site,) = local_sites(federation, ["north"])
    before = {name: tensor.clone() for name, tensor in site.model.state_dict().items()}
    train_round(site, phases=[phase])
    for name, tensor in site.model.state_dict().items():
        assert torch.equal(tensor, before[name]) != name.startswith(trained), name


def test_a_site_left_after_any_batch_goes_on_to_the_same_bytes(federation):
    """The whole state is saved and put into another site after every single batch."""
    (whole,) = local_sites(federation, ["north"])
    for number in range(2):
        train_round(whole, number, ["all", "all"])
    (left,) = local_sites(federation, ["north"])
    for number in range(2):
        left.start_round()
        while left.epoch < 2:
            state = copy.deepcopy(left.state())
            (left,) = local_sites(federation, ["north"])
            left.load(state)
            next(left.train(number, ["all", "all"], None), None)
    assert left.means == whole.means
    ours, theirs = left.model.state_dict(), whole.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_compiled_training_learns(federation):
    if shutil.which("g++") is None:
        absent("no C++ compiler, which torch.compile needs (apt-get install g++)")
    # Four batches of one size: another one would be compiled again.
    (plain,), (compiled,) = (
        local_sites(federation, ["north"], compile=flag, batch=9) for flag in (False, True)
    )
    assert train_round(compiled) == pytest.approx(train_round(plain), rel=1e-2)
    assert compiled.model.state_dict().keys() == plain.model.state_dict().keys()
