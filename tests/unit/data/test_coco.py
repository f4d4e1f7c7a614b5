"""Annotations as JSON: of COCO and of CheXlocalize, with masks known by hand, and refusals."""

import json

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.path import Path as Outline
from test_readers import PLAIN

from chexviz.base.errors import InputError
from chexviz.data.readers.listing import Options
from chexviz.data.readers.registry import read
from chexviz.images.polygons import fill
from chexviz.images.run_lengths import to_mask
from made_dicoms import chest, make_manifest, write_dicom

NAMES = ["valid/patient1/study1/view1_frontal", "valid/patient2/study1/view1_frontal", "c"]
TWO = ["mass", "pleural_effusion"]
COCO = {
    "info": {"description": "left out"},
    "images": [
        {"id": place, "file_name": f"{name}.dcm", "height": 16, "width": 16}
        for place, name in enumerate(NAMES)
    ],
    "categories": [
        {"id": 1, "name": "Mass"},
        {"id": 2, "name": "Pleural Effusion"},
        {"id": 3, "name": "Lungs"},
        {"id": 4, "name": "Nodule"},
    ],
}
# 2 x 3 pixels, whose upper left is at x = 1, y = 2: the columns 1 and 2, rows 2 to 4.
SQUARE = [[1, 2, 3, 2, 3, 5, 1, 5]]
RUNS = "18 3 34 3"
COUNTS = [18, 3, 13, 3, 219]


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    for number, name in enumerate(NAMES):
        write_dicom(folder / f"{name}.dcm", chest(number, (16, 16)))
    rows = [f"{name}.dcm,1,0" for name in NAMES]
    (folder / "labels.csv").write_text("\n".join(["file,mass,pleural_effusion", *rows]))
    return folder


def listed(data, document, findings=TWO):
    text = document if isinstance(document, str) else json.dumps(document)
    (data / "drawn.json").write_text(text, encoding="utf-8")
    options = PLAIN | {"annotations": "drawn.json", "findings": findings}
    return read("table", data, make_manifest(data), msgspec.convert(options, Options))


def coco(**annotation):
    one = {"id": 7, "image_id": 0, "category_id": 1, "iscrowd": 0, "area": 6}
    return COCO | {"annotations": [one | annotation]}


@pytest.mark.parametrize(
    "outline",
    [
        SQUARE,
        [*SQUARE, *SQUARE],
        {"size": [16, 16], "counts": COUNTS},
        # 18, 3, 13 as such: 18 is 10010, of which the last bit would be a sign, so one letter more.
        # Then 3 - 3 = 0, and 219 - 13 = 206 = 6 x 32 + 14.
        {"size": [16, 16], "counts": "b03=0^6"},
    ],
)
def test_an_outline_of_coco_is_a_mask_and_its_box_is_left_out(data, outline):
    found = listed(data, coco(segmentation=outline, bbox=[0, 0, 9, 9]))
    image = "patient1/study1/view1_frontal"
    assert found.runs["runs"].tolist()[0].startswith(RUNS)
    assert np.array_equal(to_mask(found.runs["runs"].iloc[0], (16, 16)), to_mask(RUNS, (16, 16)))
    assert found.runs["finding"].tolist() == ["mass"]
    assert found.runs["image"].iloc[0].endswith(image)
    assert [*found.sizes.values()] == [(16, 16)]
    assert found.boxes.empty
    assert found.others == []


def test_a_box_of_coco_without_an_outline(data):
    for nothing in ({}, {"segmentation": []}, {"segmentation": None}):
        found = listed(data, coco(category_id=2, bbox=[1, 2.5, 3, 4], **nothing))
        assert found.boxes[["finding", "x", "y", "width", "height"]].values.tolist() == [
            ["pleural_effusion", 1, 2.5, 3, 4]
        ]
        assert found.runs.empty


def test_lungs_are_kept_and_other_categories_are_left_out_and_said(data, capsys):
    outlines = [{"image_id": 2, "category_id": one, "segmentation": SQUARE} for one in (3, 4)]
    found = listed(data, COCO | {"annotations": outlines}, ["mass"])
    assert found.runs.values.tolist() == [["c", "lungs", RUNS]]
    assert "annotations of other findings are left out: 1 of Nodule" in capsys.readouterr().err


def test_masks_of_chexlocalize(data):
    """An empty mask stands for a finding that is not there."""
    mask, empty = {"size": [16, 16], "counts": COUNTS}, {"size": [16, 16], "counts": [256]}
    document = {
        "patient1_study1_view1_frontal": {"Mass": mask, "Pleural Effusion": empty},
        "patient2_study1_view1_frontal": {"Mass": empty, "Pleural Effusion": mask},
    }
    found = listed(data, "\ufeff " + json.dumps(document))
    drawn = found.runs[found.runs["runs"] != ""]
    assert drawn["finding"].tolist() == TWO
    assert [image.split("/")[-3] for image in drawn["image"]] == ["patient1", "patient2"]
    assert set(drawn["runs"]) == {RUNS}


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("{", "truncated"),
        ('{"annotations": ' + "[" * 100_000, "recursion"),
        ({"annotations": []}, "images"),
        ({"a": {"Mass": {"size": [16], "counts": [1]}}}, "size"),
        ({"a": {"Mass": 3}}, "object"),
        (coco(image_id=9, bbox=[1, 2, 3, 4]), "image_id 9"),
        (coco(category_id=9, bbox=[1, 2, 3, 4]), "category_id 9"),
        (coco(bbox=[1, 2, 3]), "0 of annotations has a bbox of 3 numbers"),
        (coco(segmentation=[[1, 2, 3]]), "odd number"),
        (coco(segmentation=[[1, 2, 3, 4]]), "three corners"),
        (coco(segmentation=[[1e999, 2, 3, 4, 5, 6]]), "malformed"),
    ],
)
def test_what_is_no_such_file(data, document, said):
    with pytest.raises(InputError) as caught:
        listed(data, document)
    assert str(caught.value.where).endswith("drawn.json")
    assert said in caught.value.found


@pytest.mark.parametrize(
    "outline",
    [
        {"size": [10**9, 10**9], "counts": [10**18]},
        {"size": [-4, -64], "counts": [256]},
        {"size": [16, 16], "counts": [10**30]},
        {"size": [16, 16], "counts": "o" * 10**6},
        {"size": [16, 16], "counts": [300]},
    ],
)
def test_a_hostile_mask_is_refused_by_name(data, outline):
    with pytest.raises(InputError) as caught:
        listed(data, coco(segmentation=outline))
    assert "drawn.json" in str(caught.value.where)


def test_polygons_on_an_image_of_a_size_that_none_has(data):
    document = coco(segmentation=SQUARE)
    images = [image | {"height": 10**6, "width": 10**6} for image in document["images"]]
    with pytest.raises(InputError, match="0 of annotations: its size is 1000000 x 1000000"):
        listed(data, document | {"images": images})


# --- polygons ---

corner = st.tuples(st.integers(-3, 12), st.integers(-3, 12))


@given(st.lists(corner, min_size=3, max_size=6))
def test_centres_within_a_polygon(corners):
    """By the edges that a ray to the left of each centre crosses."""
    drawn = np.add(corners, (0.01, 0.02))  # no centre lies on an edge
    found = fill(drawn, (7, 9))
    for y in range(7):
        for x in range(9):
            crossed = 0
            for (x0, y0), (x1, y1) in zip(drawn, np.roll(drawn, -1, axis=0), strict=True):
                if (y0 > y + 0.5) != (y1 > y + 0.5):
                    crossed += x + 0.5 >= x0 + (y + 0.5 - y0) / (y1 - y0) * (x1 - x0)
            assert found[y, x] == crossed % 2


def test_a_triangle_as_matplotlib_has_it():
    corners = np.array([[1.2, 0.3], [8.1, 3.4], [2.7, 6.6]])
    y, x = np.mgrid[0:7, 0:9] + 0.5
    inside = Outline(corners).contains_points(np.column_stack([x.ravel(), y.ravel()]))
    assert np.array_equal(fill(corners, (7, 9)), inside.reshape(7, 9))
