"""The measures of localisation, and what they are taken of: maps and masks on one grid."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sklearn.metrics import jaccard_score

from chexviz.base.errors import InputError
from chexviz.evaluation.overlap import area, energy_inside, iou, pointing_game
from chexviz.images import run_lengths
from chexviz.images.annotated import masks, pixels, read_images, read_maps, upsample
from chexviz.reporting.figures.overlay import blend

SIZE = 6
MEASURES = {
    "energy": energy_inside,
    "pointing": pointing_game,
    "iou": lambda maps, inside: iou(maps, inside, 0.5),
}


@st.composite
def cases(draw):
    """Maps (n, S, S) of whole numbers, some all zero, and masks none of which is empty."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    count = draw(st.integers(1, 4))
    maps = generator.integers(0, draw(st.integers(1, 6)), (count, SIZE, SIZE)).astype(np.float32)
    maps[generator.random(count) < 0.2] = 0
    inside = generator.random((count, SIZE, SIZE)) < draw(st.floats(0, 1))
    inside[:, 2, 3] = True
    return maps, inside


def test_known_answers():
    heat = np.array([[[1, 3], [0, 4]]], dtype=np.float32)
    right = np.array([[[False, True], [False, True]]])
    top = np.array([[[True, True], [False, False]]])
    assert energy_inside(heat, right) == 7 / 8
    assert energy_inside(heat, top) == 4 / 8
    assert pointing_game(heat, right) == 1
    assert pointing_game(heat, top) == 0
    assert iou(heat, right, 0.5) == 1
    assert iou(heat, top, 0.5) == 1 / 3
    assert iou(heat, top, 0.25) == 2 / 3
    assert area(top) == 0.5


def test_equal_maxima_count_by_their_share():
    heat = np.array([[[5, 5], [5, 1]]], dtype=np.float32)
    inside = np.array([[[True, False], [False, True]]])
    assert pointing_game(heat, inside) == pytest.approx(1 / 3)


@given(cases())
def test_each_measure_is_what_its_definition_says_image_by_image(case):
    maps, inside = case
    found = {name: measure(maps, inside) for name, measure in MEASURES.items()}
    for index, (heat, mask) in enumerate(zip(maps, inside, strict=True)):
        if not heat.any():
            assert [found[name][index] for name in MEASURES] == [0, 0, 0]
            continue
        peaks = np.argwhere(heat == heat.max())
        expected = {
            "energy": sum(heat[mask].tolist()) / sum(heat.ravel().tolist()),
            "pointing": np.mean([mask[tuple(peak)] for peak in peaks]),
            "iou": jaccard_score(mask.ravel(), (heat >= heat.max() / 2).ravel()),
        }
        for name, value in expected.items():
            assert found[name][index] == pytest.approx(value)


@given(cases(), st.floats(1e-3, 1e3))
def test_a_uniform_map_scores_the_annotated_area_and_scale_does_not_matter(case, factor):
    maps, inside = case
    uniform = np.full_like(maps, factor)
    for measure in MEASURES.values():
        np.testing.assert_allclose(measure(uniform, inside), area(inside), rtol=1e-6)
        scaled = measure(maps * np.float32(factor), inside)
        np.testing.assert_allclose(scaled, measure(maps, inside), rtol=1e-5, atol=1e-7)


@given(cases())
def test_the_annotation_itself_is_the_best_map(case):
    _, inside = case
    for measure in MEASURES.values():
        assert (measure(inside.astype(np.float32), inside) == 1).all()


def test_an_empty_mask_is_refused():
    nothing = np.zeros((1, 2, 2), dtype=bool)
    for measure in (*MEASURES.values(), lambda maps, inside: area(inside)):
        with pytest.raises(ValueError, match="a mask is empty"):
            measure(np.ones((1, 2, 2), dtype=np.float32), nothing)


def annotations(*rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["image", "x", "y", "width", "height", "runs"])


def test_a_box_has_the_pixels_whose_centres_it_holds():
    table = annotations(("a", 1.0, 2.0, 2.0, 1.0, None), ("b", 0.4, 0.6, 1.2, 2.0, None))
    inside = masks(table, ["b", "a", "c"], 4)
    assert np.argwhere(inside[1]).tolist() == [[2, 1], [2, 2]]
    assert np.argwhere(inside[0]).tolist() == [[1, 0], [1, 1], [2, 0], [2, 1]]
    assert not inside[2].any()


def test_an_image_has_the_union_of_its_boxes_and_masks():
    drawn = np.zeros((4, 4), dtype=bool)
    drawn[1:3, 3] = True
    table = annotations(
        ("a", 0, 0, 1, 1, None),
        ("a", 0, 0, 1, 2, None),
        ("a", 3, 1, 1, 2, run_lengths.from_mask(drawn)),
    )
    (inside,) = masks(table, ["a"], 4)
    assert np.argwhere(inside).tolist() == [[0, 0], [1, 0], [1, 3], [2, 3]]


@given(st.floats(0, 7.999), st.floats(1e-4, 8))
def test_no_annotation_is_lost_however_small(start, length):
    length = min(length, 8 - start)
    found = np.arange(8)[pixels(start, length, 8)]
    assert len(found) >= 1
    assert abs(len(found) - length) <= 1
    assert (np.abs(found + 0.5 - start - length / 2) <= length / 2 + 0.5).all()


def test_maps_are_resized_as_pillow_does_and_scaled_to_their_maximum():
    heat = np.random.default_rng(0).random((3, 7, 5)).astype(np.float32)
    heat[1] = 0
    large = upsample(heat, 40)
    assert large.dtype == np.float32
    for one, big in zip(heat, large, strict=True):
        image = Image.fromarray(one / max(one.max(), 1e-9))
        expected = image.resize((40, 40), Image.Resampling.BILINEAR)
        np.testing.assert_allclose(big, expected, atol=1e-6)
    assert not large[1].any()


def test_the_maximum_of_a_resized_map_may_be_an_area():
    """In a corner the grid ends before the next value to interpolate with."""
    heat = np.zeros((1, 2, 2), dtype=np.float32)
    heat[0, 0, 0] = 0.3
    large = upsample(heat, 8)
    assert (large[0, :2, :2] == 1).all()
    inside = np.zeros((1, 8, 8), dtype=bool)
    inside[0, 0, :4] = True
    assert pointing_game(large, inside) == 0.5


def test_blend_leaves_the_radiograph_where_the_map_is_zero():
    grey = np.array([[0, 100], [200, 255]], dtype=np.uint8)
    clear = blend(grey, np.zeros((2, 2)))
    np.testing.assert_allclose(clear, np.repeat(grey[..., None] / 255, 3, axis=2))
    assert not np.allclose(blend(grey, np.ones((2, 2))), clear)


def test_maps_and_images_are_found_by_name(tmp_path):
    file, key = tmp_path / "m.npz", ("n", "pleural_effusion", "mean")
    maps = np.arange(8.0).reshape(2, 2, 2)
    named = {"image_n_pleural_effusion_mean": np.array(["b", "a"])}
    np.savez(file, **named, map_n_pleural_effusion_mean=maps)
    assert read_maps(file, *key, ["a", "b", "a"])[:, 0, 0].tolist() == [4, 0, 4]
    with pytest.raises(InputError, match="a map of the image c"):
        read_maps(file, *key, ["a", "c"])
    with pytest.raises(InputError, match="maps called map_s_pleural_effusion_mean"):
        read_maps(file, "s", *key[1:], ["a"])
    with pytest.raises(InputError, match="no such file"):
        read_maps(tmp_path / "absent.npz", *key, ["a"])
    np.save(tmp_path / "i.npy", np.arange(8, dtype=np.uint8).reshape(2, 2, 2))
    pd.DataFrame({"image": ["x", "y"]}).to_csv(tmp_path / "s.csv", index=False)
    found = read_images(tmp_path / "i.npy", tmp_path / "s.csv", ["y"])
    assert found.tolist() == [[[4, 5], [6, 7]]]
    with pytest.raises(InputError, match="the image z"):
        read_images(tmp_path / "i.npy", tmp_path / "s.csv", ["y", "z"])
