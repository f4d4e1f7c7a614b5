"""What travels, and how it is combined, tensor by tensor."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from chexviz.base.errors import InputError
from chexviz.federation.exchange import Exchange, batchnorm_names, combine
from chexviz.federation.site_minimum import check_sites, trimmed
from chexviz.models.architectures import Standard


def block(seed: int) -> Standard:
    """A representation block whose tensors are all different."""
    torch.manual_seed(seed)
    made = Standard()
    with torch.no_grad():
        for tensor in made.state_dict().values():
            tensor.copy_(torch.rand_like(tensor.float()) * 100)
    return made


def averaged(blocks, weights, batchnorm="average", **how) -> Standard:
    """What the first block becomes when all are exchanged and combined."""
    exchange = Exchange(blocks[0], batchnorm)
    updates = [exchange.pack(one.state_dict(), "x") for one in blocks]
    result = Standard()
    result.load_state_dict(blocks[0].state_dict())
    exchange.unpack(combine(updates, weights, **({"how": "mean"} | how)), result)
    return result


def test_every_floating_tensor_is_the_size_weighted_mean():
    blocks = [block(seed) for seed in range(3)]
    result = averaged(blocks, [100, 300, 600]).state_dict()
    one, two, three = (made.state_dict() for made in blocks)
    for name, tensor in result.items():
        if tensor.is_floating_point():
            expected = (
                0.1 * one[name].double() + 0.3 * two[name].double() + 0.6 * three[name].double()
            )
            torch.testing.assert_close(tensor, expected.float())
        else:
            assert torch.equal(tensor, one[name]), name


@pytest.mark.parametrize("batchnorm", ["local", "frozen"])
def test_only_batchnorm_stays_under_the_other_policies(batchnorm):
    one, two = block(0), block(1)
    result = averaged([one, two], [1, 1], batchnorm).state_dict()
    for name, tensor in one.state_dict().items():
        stays = name in batchnorm_names(one)
        assert torch.equal(result[name], tensor) == stays, name
    assert len(batchnorm_names(one)) == 15


def test_one_site_comes_back_bit_for_bit():
    only = block(0)
    result = averaged([only], [1234]).state_dict()
    assert all(torch.equal(result[name], tensor) for name, tensor in only.state_dict().items())


def test_uniform_equals_weighted_for_equal_sizes():
    updates = [torch.randn(1000) for _ in range(4)]
    uniform, weighted = combine(updates, [1] * 4, "mean"), combine(updates, [250] * 4, "mean")
    assert torch.equal(uniform, weighted)


def test_channels_last_blocks_are_combined_to_the_same_values():
    one, two = block(0), block(1)
    plain = averaged([one, two], [1, 2]).state_dict()
    mixed = averaged([block(0).to(memory_format=torch.channels_last), two], [1, 2]).state_dict()
    assert all(torch.equal(mixed[name], plain[name]) for name in plain)


@pytest.mark.parametrize(("sites", "kept"), [(3, [1]), (4, [1, 2]), (5, [2])])
def test_the_median_of_each_coordinate(sites, kept):
    updates = [torch.randn(50) for _ in range(sites)]
    expected = torch.stack(updates).sort(dim=0).values[kept].mean(dim=0)
    torch.testing.assert_close(combine(updates, [1] * sites, "median"), expected)


def test_a_trimmed_mean_forgets_the_extremes_of_each_coordinate():
    updates = [torch.full((6,), float(value)) for value in range(10)]
    updates[9][:3], updates[0][3:] = 1e9, -1e9
    assert combine(updates, [1] * 10, "trimmed", 0.1).tolist() == [4.5] * 6
    honest = torch.stack(updates[1:9]).mean(dim=0)
    torch.testing.assert_close(combine(updates, [1] * 10, "trimmed", 0.1), honest)


@given(
    honest=st.lists(st.floats(-100, 100, width=32), min_size=4, max_size=8),
    lie=st.floats(width=32, allow_nan=False, allow_infinity=False),
    how=st.sampled_from(["median", "trimmed"]),
)
def test_a_lying_site_moves_no_robust_combination_out_of_what_the_others_say(honest, lie, how):
    updates = [torch.tensor([value]) for value in [*honest, lie]]
    found = combine(updates, [1] * len(updates), how, 0.2).item()
    assert min(honest) - 1e-4 <= found <= max(honest) + 1e-4


def test_a_lying_site_moves_a_mean_anywhere():
    updates = [torch.tensor([0.0])] * 4 + [torch.tensor([5000.0])]
    assert combine(updates, [1] * 5, "mean").item() == 1000


@pytest.mark.parametrize(
    ("how", "trim", "needed"),
    [("mean", 0, 1), ("median", 0, 3), ("trimmed", 0.1, 10), ("trimmed", 0.15, 7)],
)
def test_robust_combinations_need_sites(how, trim, needed):
    check_sites("x", how, trim, needed)
    if needed > 1:
        with pytest.raises(InputError, match=f"at least {needed} sites"):
            check_sites("x", how, trim, needed - 1)
        assert trimmed(needed, trim) == (1 if trim else 0)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda state: state.pop("layers.0.weight"), "layers.0.weight"),
        (lambda state: state.update({"layers.0.weight": torch.zeros(2)}), "(2,)"),
        (lambda state: state.update({"layers.1.bias": torch.zeros(32).double()}), "float64"),
        (lambda state: state["layers.1.bias"].fill_(torch.nan), "layers.1.bias: finite"),
        (lambda state: state["layers.1.running_var"].fill_(torch.inf), "running_var: finite"),
    ],
)
def test_an_update_that_cannot_be_averaged_is_refused(spoil, said):
    state = block(0).state_dict()
    spoil(state)
    with pytest.raises(InputError) as caught:
        Exchange(block(1), "average").pack(state, "site north")
    assert "update of site north" in str(caught.value)
    assert said in str(caught.value)
