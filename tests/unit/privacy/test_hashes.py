"""What perceptual hashes give away, where it is known how much that is."""

import json

import numpy as np
import pandas as pd
import pytest

from chexviz.base.tables.privacy import HASHES
from chexviz.base.tables.sites import SAMPLES
from chexviz.cohort.duplicates import BITS
from chexviz.data import convert
from chexviz.data.convert import perceptual_hashes
from chexviz.data.list_arrays import main as list_arrays
from chexviz.privacy import hashes

KEY = (123).to_bytes(8, "big")
SETTINGS = {
    "bootstrap": {"replicates": 100, "unit": "patient", "confidence": 0.95, "seed": 1},
    "minimum_cases": 10,
}


def structured(count: int, seed: int) -> np.ndarray:
    """Hashes of a population whose bits are unlike each other: each has a mean of its own."""
    draws = np.random.default_rng(seed).random((count, BITS))
    values = draws < np.linspace(0.5, 0.97, BITS)
    return (values.astype(np.uint64) << np.arange(BITS, dtype=np.uint64)).sum(axis=1)


def test_bits_that_are_unlike_each_other_are_put_in_their_place():
    assert hashes.in_place(structured(50_000, 1), structured(50_000, 2), KEY) > 50


def test_bits_that_are_all_alike_stay_hidden():
    """The control: of independent, even bits nothing says which is which."""
    one, two = (
        np.random.default_rng(seed).integers(0, 2**64, 5000, dtype=np.uint64) for seed in (1, 2)
    )
    found = [hashes.in_place(one, two, number.to_bytes(8, "big")) for number in range(10)]
    assert np.mean(found) < 4  # by chance 1


def test_what_is_linear_in_the_bits_is_drawn_as_it_is():
    draws = np.random.default_rng(1)
    basis = draws.normal(size=(BITS, 32 * 32))
    known = draws.integers(0, 2**64, 20_000, dtype=np.uint64)
    pictures = hashes.Pictures(known, (hashes.bits(known) @ basis).reshape(-1, 32, 32))
    new = draws.integers(0, 2**64, 50, dtype=np.uint64)
    found = hashes.alike(pictures.draw(new), hashes.bits(new) @ basis - pictures.mean)
    assert np.diag(found).min() > 0.999
    assert (found.argmax(axis=1) == np.arange(50)).all()
    assert abs(found[~np.eye(50, dtype=bool)].mean()) < 0.05


def test_images_are_seen_as_the_hash_sees_them():
    assert hashes.HASHED == convert.HASHED


def test_bits_are_the_lowest_first():
    assert hashes.bits(np.array([1, 6], dtype=np.uint64))[:, :4].tolist() == [
        [1, 0, 0, 0],
        [0, 1, 1, 0],
    ]


@pytest.fixture
def sites(tmp_path) -> list[str]:
    """The arguments of two sites of 60 smooth images, two a patient, and of one of few patients."""
    rows, columns = np.mgrid[:64, :64] / 64
    arguments = []
    for number, (site, patients) in enumerate({"north": 30, "south": 30, "small": 3}.items()):
        draws = np.random.default_rng(number)
        images = np.stack(
            [
                sum(
                    draws.normal() * np.cos(np.pi * (a * rows + b * columns))
                    for a in range(1, 5)
                    for b in range(1, 5)
                )
                for _ in range(2 * patients)
            ]
        )
        images = (128 + 12 * images).clip(0, 255).astype(np.uint8)
        folder = tmp_path / site
        folder.mkdir()
        np.save(folder / "images.npy", images)
        names = [f"{site}-{index}" for index in range(len(images))]
        table = pd.DataFrame({"image": names, "phash": perceptual_hashes(images)})
        table["patient"] = [f"{site}-{index // 2}" for index in range(len(images))]
        table.reindex(columns=SAMPLES.names).to_csv(folder / "samples.csv", index=False)
        arguments.append(["--samples", site, str(folder / "samples.csv")])
    names = ["north", "south", "small"]
    files = [str(tmp_path / site / "images.npy") for site in names]
    list_arrays(["--site", *names, "--images", *files, "--output", str(tmp_path / "sites.csv")])
    return arguments


def run(tmp_path, arguments: list[list[str]]) -> pd.DataFrame:
    words = [word for one in arguments for word in one]
    words += ["--images", str(tmp_path / "sites.csv"), "--settings", json.dumps(SETTINGS)]
    hashes.main([*words, "--output", str(tmp_path / "hashes.csv")])
    return HASHES.read(tmp_path / "hashes.csv").set_index(["site", "measure"])


def test_a_picture_is_like_its_radiograph_and_like_no_other(tmp_path, sites):
    table = run(tmp_path, sites)
    for site in ("north", "south"):
        own, control = table.loc[(site, "correlation")], table.loc[(site, "control")]
        assert 0.3 < own["low"] < own["value"] < own["high"] < 1
        assert abs(control["value"]) < 0.1
        assert table.loc[(site, "first"), "value"] > 0.3
        assert table.loc[(site, "bits"), "note"] == "range over 20 secrets"
        assert (own["images"], own["patients"]) == (60, 30)


def test_of_few_patients_the_value_stands_alone(tmp_path, sites):
    row = run(tmp_path, sites).loc[("small", "correlation")]
    assert row["value"] > 0.3
    assert np.isnan(row["low"])
    assert row["note"] == "too few cases: 3 patients of at least 10"


def test_a_site_alone_has_nobody_to_attack_it(tmp_path, sites):
    table = run(tmp_path, sites[:1])
    assert table["value"].isna().all()
    assert table["note"].tolist() == ["no other site has radiographs to attack with"]
