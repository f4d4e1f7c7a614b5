"""A site's images: resident or streamed, alone or pooled."""

import numpy as np
import pandas as pd
import pytest
import torch

from chexviz.base.errors import InputError
from chexviz.images.arrays import open_images
from chexviz.models.dataset import pool, share
from trainings import dataset


def test_dataset_is_the_subset_in_the_order_of_the_samples(federation):
    data = dataset(federation, "north", "train")
    samples = pd.read_csv(federation / "north" / "samples.csv")
    chosen = samples[np.arange(60) % 5 < 3]
    assert data.rows["image"].tolist() == chosen["image"].tolist()
    assert data.labels.ravel().tolist() == chosen["label_pneumonia"].tolist()
    assert np.array_equal(
        data.images.pixels, np.load(federation / "north" / "images.npy")[chosen.index]
    )


def test_the_list_of_all_sites_gives_each_its_own_images_under_any_name(federation):
    (federation / "sites.csv").rename(federation / "both.csv")
    for site in ("north", "south"):
        (stack,) = open_images(federation / "both.csv", site)
        assert np.array_equal(stack, np.load(federation / site / "images.npy"))
    with pytest.raises(InputError, match=r"sites\.csv\n.*earlier stage"):
        open_images(federation / "sites.csv", "north")


def test_dataset_of_a_stranger_names_the_split(federation):
    with pytest.raises(InputError, match=r"split\.csv"):
        dataset(federation, "north", "test")


def test_streamed_images_are_the_resident_ones(federation):
    resident, streamed = (
        dataset(federation, "north", "train"),
        dataset(federation, "north", "train"),
    )
    streamed.images.pixels = None
    parts = torch.randperm(len(resident)).tensor_split(5)
    pairs = zip(resident.images.batches(parts), streamed.images.batches(parts), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    # An epoch that was stopped after its last batch has none left.
    assert [*resident.images.batches([])] == [*streamed.images.batches([])] == []


def test_a_pooled_image_is_labelled_for_the_findings_of_its_site_alone(federation):
    north, south = (dataset(federation, site, "train") for site in ("north", "south"))
    pooled = pool([north, south])
    assert pooled.site == "north+south"
    assert pooled.heads == {"shared": ["pneumonia", "pneumothorax"]}
    (pixels,) = pooled.images.batches([torch.arange(len(pooled))])
    assert torch.equal(pixels, torch.cat([north.images.pixels, south.images.pixels]))
    count = len(north)
    assert torch.equal(pooled.labels[:count, 0], north.labels[:, 0])
    assert torch.equal(pooled.labels[count:, 1], south.labels[:, 0])
    assert pooled.labels[:count, 1].isnan().all()
    assert pooled.labels[count:, 0].isnan().all()


def test_sites_that_share_heads_know_their_own_findings_and_not_the_others(federation):
    north, south = (dataset(federation, site, "train") for site in ("north", "south"))
    north.heads = {"north": ["effusion", "pneumothorax"]}
    north.labels = torch.cat([north.labels, 1 - north.labels], dim=1)
    one, two = share([north, south])
    assert one.heads == two.heads == {"shared": ["effusion", "pneumothorax"]}
    assert torch.equal(one.labels, north.labels)
    assert two.labels[:, 0].isnan().all()
    assert torch.equal(two.labels[:, 1], south.labels[:, 0])
    assert [one.site, two.site] == ["north", "south"]
