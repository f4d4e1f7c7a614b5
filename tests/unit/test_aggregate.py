"""What is averaged, tensor by tensor."""

import pytest
import torch

from chexviz.aggregate import average
from chexviz.models import Standard


def states(count: int) -> list[dict[str, torch.Tensor]]:
    """Representation blocks of `count` sites, all tensors different."""
    blocks = []
    for site in range(count):
        torch.manual_seed(site)
        block = Standard()
        with torch.no_grad():
            for tensor in block.state_dict().values():
                tensor.copy_(torch.rand_like(tensor.float()) * 100)
        blocks.append(block.state_dict())
    return blocks


def test_every_floating_tensor_is_the_size_weighted_mean():
    one, two, three = states(3)
    averaged = average([one, two, three], [100, 300, 600])
    assert averaged.keys() == one.keys()
    for name, tensor in averaged.items():
        if tensor.is_floating_point():
            expected = (
                0.1 * one[name].double() + 0.3 * two[name].double() + 0.6 * three[name].double()
            )
            torch.testing.assert_close(tensor, expected.float())
            assert tensor.dtype == one[name].dtype


def test_batchnorm_statistics_are_averaged_and_step_counts_come_from_the_largest_site():
    one, two = states(2)
    averaged = average([one, two], [10, 30])
    mean = "layers.1.running_mean"
    torch.testing.assert_close(averaged[mean], 0.25 * one[mean] + 0.75 * two[mean])
    count = "layers.1.num_batches_tracked"
    assert averaged[count] == two[count] != one[count]


def test_one_site_comes_back_bit_for_bit():
    (only,) = states(1)
    averaged = average([only], [1234])
    assert all(torch.equal(averaged[name], tensor) for name, tensor in only.items())
    assert all(averaged[name].data_ptr() != tensor.data_ptr() for name, tensor in only.items())


def test_uniform_equals_weighted_for_equal_sizes():
    blocks = states(4)
    uniform, weighted = average(blocks, [1] * 4), average(blocks, [250] * 4)
    assert all(torch.equal(uniform[name], weighted[name]) for name in uniform)


def test_channels_last_tensors_average_to_the_same_values():
    one, two = states(2)
    plain = average([one, two], [1, 2])
    swapped = {
        name: tensor.to(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor
        for name, tensor in one.items()
    }
    mixed = average([swapped, two], [1, 2])
    assert all(torch.equal(mixed[name], plain[name]) for name in plain)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda state: state.pop("layers.0.weight"), "other tensors"),
        (lambda state: state.update({"extra": torch.zeros(1)}), "extra"),
        (lambda state: state.update({"layers.0.weight": torch.zeros(2)}), "layers.0.weight is"),
        (lambda state: state.update({"layers.1.bias": torch.zeros(32).double()}), "float64"),
        (lambda state: state["layers.1.bias"].fill_(torch.nan), "not finite"),
        (lambda state: state["layers.1.bias"].fill_(torch.inf), "not finite"),
    ],
)
def test_what_cannot_be_averaged_is_refused(spoil, said):
    one, two = states(2)
    spoil(two)
    with pytest.raises(ValueError, match=said):
        average([one, two], [1, 1])
