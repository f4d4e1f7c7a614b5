"""Augmentation moves whole images, each by its own draw."""

import math

import torch
from msgspec.structs import replace

from chexviz.models.augment import Augmentation, augment, warp

NOTHING = Augmentation(rotation=0, zoom=0, contrast=0, flip=0)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draws(count: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(4, count, generator=generator(seed))


def pictures(count: int = 8, size: int = 32) -> torch.Tensor:
    """Smooth random images in [0, 1]."""
    noise = torch.rand(count, 1, 8, 8, generator=generator(1))
    return torch.nn.functional.interpolate(noise, size=size, mode="bilinear")


def test_nothing_to_do_changes_nothing():
    images = pictures()
    torch.testing.assert_close(
        augment(images, draws(len(images)), NOTHING), images, atol=1e-5, rtol=0
    )


def test_flip_mirrors_left_and_right():
    images = pictures()
    flipped = augment(images, draws(len(images)), replace(NOTHING, flip=1))
    torch.testing.assert_close(flipped, images.flip(3), atol=1e-5, rtol=0)


def test_a_quarter_turn_is_a_quarter_turn():
    images = pictures(1)
    one = torch.ones(1)
    turned = warp(images, one * math.pi / 2, one, one)
    torch.testing.assert_close(turned, torch.rot90(images, 1, (2, 3)), atol=1e-4, rtol=0)


def test_zooming_out_leaves_black_margins():
    one = torch.ones(1)
    small = warp(torch.ones(1, 1, 32, 32), one * 0, one * 2, one)
    assert small[0, 0, 16, 16] == 1
    assert small[0, 0, 2, 2] == 0
    assert abs(small.mean().item() - 0.25) < 0.03


def test_every_image_has_its_own_draw():
    images = pictures(1).expand(8, 1, 32, 32)
    settings = Augmentation(rotation=20, zoom=0.2, contrast=0.3, flip=0.5)
    moved = augment(images, draws(len(images)), settings)
    assert len({tuple(image.flatten().tolist()) for image in moved}) == 8


def test_contrast_keeps_the_mean_and_changes_the_spread():
    images = 0.4 + 0.2 * pictures()
    changed = augment(images, draws(len(images)), replace(NOTHING, contrast=0.3))
    torch.testing.assert_close(changed.mean((1, 2, 3)), images.mean((1, 2, 3)), atol=1e-4, rtol=0)
    gain = changed.std((1, 2, 3)) / images.std((1, 2, 3))
    assert gain.min() < 0.95
    assert gain.max() > 1.05
    assert (gain - 1).abs().max() <= 0.3 + 1e-4


def test_the_result_stays_in_range_and_depends_on_the_draws_alone():
    settings = Augmentation(rotation=30, zoom=0.3, contrast=1, flip=0.5)
    once, again, other = (augment(pictures(), draws(8, seed), settings) for seed in (3, 3, 4))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    assert once.min() >= 0
    assert once.max() <= 1
