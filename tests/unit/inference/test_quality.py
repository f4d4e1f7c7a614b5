"""The words about a radiograph's view, size and look, and how often they are wrong."""

import math
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest

from chexviz.base.errors import Unreadable
from chexviz.data.convert import read_image
from chexviz.inference.quality import INVERTED, UNLIKE, learn, likeness, look, thumbnails, words
from made_bundles import chests

SIZE = 224


def test_a_thumbnail_is_the_mean_of_its_blocks_whatever_the_exposure():
    image = np.zeros((1, 32, 32), np.uint8)
    image[0, :2, :2] = [[10, 20], [30, 40]]
    (small,) = thumbnails(image, 16)
    mean, spread = 25 / 256, 25 * math.sqrt(255) / 256
    np.testing.assert_allclose(small[:2], [(25 - mean) / spread, -mean / spread])
    darker = thumbnails(image // 2 + 7, 16)
    np.testing.assert_allclose(darker, [small], atol=1e-6)
    assert not thumbnails(np.full((1, 32, 32), 9, np.uint8), 16).any()


def test_an_image_is_as_like_as_it_correlates_with_the_typical_one():
    images = chests(30)
    like = learn(images)
    typical = thumbnails(images, 16).mean(axis=0)
    expected = [np.corrcoef(one, typical)[0, 1] for one in thumbnails(images, 16)]
    np.testing.assert_allclose(likeness(images, like), expected, atol=1e-4)
    np.testing.assert_allclose(likeness(255 - images, like), np.negative(expected), atol=1e-4)


def test_the_limit_is_what_all_but_a_hundredth_of_the_training_reach():
    draws = np.random.default_rng(0)
    base = chests(1)[0].astype(float)
    noise = draws.normal(0, 1, (400, 32, 32)) * draws.uniform(5, 120, (400, 1, 1))
    images = (base / 2 + 60 + noise).clip(0, 255).astype(np.uint8)
    like = learn(images)
    scores = likeness(images, like)
    assert 0.1 < like.limit < 0.9
    assert (scores < like.limit).mean() == pytest.approx(0.01, abs=0.003)


def test_the_look_has_three_verdicts():
    like = learn(chests(30))
    limit = like.limit
    assert look(limit, like) == []
    assert look(limit - 0.001, like) == [UNLIKE]
    assert look(-limit + 0.001, like) == [UNLIKE]
    assert look(-limit, like) == [INVERTED]


@pytest.mark.parametrize(
    ("view", "shape", "lossy", "said"),
    [
        ("PA", (2000, 2500), False, []),
        ("AP", (32, 64), True, ["lossy compression"]),
        ("", (31, 64), False, ["unknown view", "very small: 64 x 31 pixels"]),
        ("LL", (64, 64), False, ["lateral view"]),
        ("LATERAL", (64, 64), False, ["lateral view"]),
        ("AP AXIAL", (64, 64), False, ["unusual view AP AXIAL"]),
    ],
)
def test_words(view, shape, lossy, said):
    assert words(view, shape, lossy, 1.0, 32, learn(chests(30))) == said


# --- on real files: the numbers of docs/inference.md ----------------------------------------------


def images_of(contents) -> np.ndarray:
    """Files' bytes as images; those that are refused anyway are left out."""
    found = []
    for data in contents:
        try:
            found.append(read_image(data, SIZE, "pad", 36_000_000)[0])
        except Unreadable:
            continue
    return np.stack(found)


@pytest.fixture(scope="module")
def real(real_data):
    """Real radiographs of three sources."""
    archive = real_data / "rsna-mini" / "rsna-pneumonia-detection-challenge.zip"
    with zipfile.ZipFile(archive) as opened:
        names = [name for name in opened.namelist() if name.endswith(".dcm")]
        rsna = images_of(map(opened.read, names))
    folders = {"hospital": ("hospital-mini/dicom", "*.dcm"), "nih": ("nih-mini", "**/*.png")}
    others = {
        name: images_of(path.read_bytes() for path in sorted((real_data / folder).glob(pattern)))
        for name, (folder, pattern) in folders.items()
    }
    return {"rsna": rsna} | others


def other_things() -> np.ndarray:
    """What pydicom's test files show: heads, phantoms, text, hands."""
    folder = Path(pydicom.__file__).parent / "data"
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return images_of(path.read_bytes() for path in files)


def drawn_things() -> np.ndarray:
    """Other content, uint8 (n, SIZE, SIZE): limbs, a hand, discs, stripes, ramps, text, noise."""
    down, across = np.mgrid[:SIZE, :SIZE] / SIZE
    draws = np.random.default_rng(0)
    found = [draws.uniform(0, 255, down.shape) for _ in range(5)]
    found += [255 * ramp for ramp in (down, across, 1 - down, (down + across) / 2)]
    found += [
        127 * (1 + np.sin(count * 2 * np.pi * way)) for count in (2, 5) for way in (down, across)
    ]
    for width in (0.06, 0.12, 0.2):
        limb = np.exp(-(((across - 0.5) / width) ** 4))
        bone = np.exp(-(((across - 0.5) / (width / 3)) ** 4))
        found += [110 * limb + 120 * bone, (110 * limb + 120 * bone).T]
    fingers = sum(
        np.exp(-(((across - x) / 0.035) ** 4)) * (down > top)
        for x, top in ((0.3, 0.25), (0.42, 0.12), (0.54, 0.1), (0.66, 0.2))
    )
    palm = np.hypot((down - 0.75) / 0.25, (across - 0.48) / 0.24) < 1
    found.append(200 * np.maximum(fingers, palm))
    for radius in (0.2, 0.45):
        distance = np.hypot(down - 0.5, across - 0.5)
        found += [220 * (distance < radius), 220 * (abs(distance - radius) < 0.04)]
    letters = (draws.uniform(size=(28, 28)) < 0.3).repeat(8, axis=0).repeat(8, axis=1)
    found += [255 * letters, 255 * ~letters]
    return np.stack(found).clip(0, 255).astype(np.uint8)


def test_false_alarms_and_misses_are_as_documented(real):
    """Learnt from one source, on the images of the others."""
    like = learn(real["rsna"])
    assert like.limit == pytest.approx(0.456, abs=0.01)
    alarms = {name: (likeness(images, like) < like.limit).sum() for name, images in real.items()}
    assert {name: len(images) for name, images in real.items()} == {
        "rsna": 382,
        "hospital": 352,
        "nih": 70,
    }
    assert alarms == {"rsna": 4, "hospital": 13, "nih": 1}
    inverted = [look(score, like) for score in likeness(255 - real["hospital"], like)]
    assert inverted.count([INVERTED]) == 339
    assert inverted.count([]) == 0
    turned = np.rot90(real["hospital"], axes=(1, 2))
    assert (likeness(turned, like) >= like.limit).sum() == 1
    assert (likeness(real["hospital"][:, ::-1], like) >= like.limit).sum() == 1
    drawn = drawn_things()
    assert len(drawn) == 26
    # A ramp from top to bottom, a limb along the middle and a hand pass.
    assert np.flatnonzero(likeness(drawn, like) >= like.limit).tolist() == [5, 17, 19]
    others = other_things()
    assert len(others) == 55
    assert (likeness(others, like) >= like.limit).sum() == 3
