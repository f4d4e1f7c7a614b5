"""A hospital's folder of PNG, JPEG and DICOM files together, with boxes and masks."""

import pytest
from PIL import Image
from test_preprocess import assert_nothing_left, run

from chexviz.base.errors import InputError
from made_dicoms import chest, write_dicom

LABELS = """file,sex,age,mass,edema
in/a,F,40,1,0
in/b.png,M,,0,
in/c.jpg,,,,1
in/d,,,0,0
"""
SETTINGS = {"findings": ["mass", "edema"], "columns": {"sex": "sex", "age": "age"}}


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data" / "in"
    folder.mkdir(parents=True)
    for number, name in enumerate(("a.png", "b.png", "c.jpg", "stranger.png")):
        Image.fromarray(chest(number)).save(folder / name)
    write_dicom(folder / "d.dcm", chest(9), PatientSex="M")
    (folder.parent / "labels.csv").write_text(LABELS)
    return folder.parent


def test_images_of_all_formats_are_one_site(data):
    boxes = "file,finding,x,y,width,height\nin/a.png,mass,16,32,8,4\nc,edema,0,0,64,64\n"
    (data / "boxes.csv").write_text(boxes)
    images, samples, annotations, rejected = run(data, annotations="boxes.csv", **SETTINGS)
    assert len(images) == 4
    columns = ["image", "file", "sex", "age", "label_mass", "label_edema"]
    assert samples[columns].values.tolist() == [
        ["a", "in/a.png", "F", "40", "1", "0"],
        ["b", "in/b.png", "M", "", "0", ""],
        ["c", "in/c.jpg", "", "", "", "1"],
        ["d", "in/d.dcm", "M", "", "0", "0"],
    ]
    assert annotations.values.tolist() == [
        ["a", "mass", "8.0", "16.0", "4.0", "2.0", ""],
        ["c", "edema", "0.0", "0.0", "32.0", "32.0", ""],
    ]
    assert rejected.values.tolist() == [["in/stranger.png", "no row in labels.csv"]]


def test_a_name_without_suffix_means_one_file_or_none(data):
    Image.fromarray(chest(5)).save(data / "in" / "a.jpg")
    with pytest.raises(InputError, match="the whole name of the file") as caught:
        run(data, **SETTINGS)
    assert caught.value.found == "in/a may mean in/a.jpg, in/a.png"
    assert_nothing_left(data)


def test_a_mask_of_another_size_names_its_png(data):
    mask = '"{""size"":[32,48],""counts"":[1,1535]}"'
    (data / "masks.csv").write_text(f"file,finding,segmentation\nin/a.png,mass,{mask}\n")
    with pytest.raises(InputError, match="48 x 32 pixels, on which its boxes or masks") as caught:
        run(data, annotations="masks.csv", **SETTINGS)
    assert caught.value.where.endswith("in/a.png")
    assert_nothing_left(data)
