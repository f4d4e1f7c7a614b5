"""How alike two images are."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from chexviz.privacy.similarity import correlation, psnr, ssim


def images(count: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 1, 16, 16, generator=torch.Generator().manual_seed(seed))


def test_psnr_of_a_known_error():
    grey = torch.full((1, 1, 16, 16), 0.5)
    assert psnr(grey, grey + 0.1).item() == pytest.approx(20, abs=1e-4)
    assert psnr(grey, grey).item() == pytest.approx(120)


def test_ssim_of_known_values():
    """Of two flat images only the light differs: (2 a b + c) / (a^2 + b^2 + c), c = 0.0001."""
    one, two = torch.full((1, 1, 16, 16), 0.2), torch.full((1, 1, 16, 16), 0.4)
    assert ssim(one, two).item() == pytest.approx(0.1601 / 0.2001, abs=1e-6)
    assert ssim(images(2), images(2)).tolist() == pytest.approx([1, 1])
    assert ssim(images(1), 1 - images(1)).item() < 0


@given(st.integers(0, 99), st.floats(0.1, 1), st.floats(0, 0.5))
def test_correlation_does_not_see_gain_and_offset(seed, gain, offset):
    shown = images(3, seed)
    found = correlation(shown, gain * shown + offset)
    assert found.diagonal().tolist() == pytest.approx([1, 1, 1], abs=1e-4)
    assert (found - torch.eye(3)).abs().max() < 0.5
