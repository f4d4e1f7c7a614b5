"""Boxes and masks that a hospital brings: every form, whose they are, and what is refused."""

import json

import msgspec
import pytest
from test_readers import PLAIN

from chexviz.base.errors import InputError
from chexviz.data.readers.listing import Options
from chexviz.data.readers.registry import read
from made_dicoms import chest, make_manifest, write_dicom

LABELS = """file,mass,pleural_effusion
in/a.dcm,1,0
in/b.dcm,1,1
c.dcm,0,0
"""
TWO = ["mass", "pleural_effusion"]


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    for number, file in enumerate(("in/a.dcm", "in/b.dcm", "c.dcm")):
        write_dicom(folder / file, chest(number, (16, 16)))
    (folder / "labels.csv").write_text(LABELS)
    return folder


def listed(data, table, findings=TWO, **options):
    (data / "drawn.csv").write_text(table)
    options = PLAIN | {"annotations": "drawn.csv", "findings": findings} | options
    return read("table", data, make_manifest(data), msgspec.convert(options, Options))


def quoted(mask):
    """COCO's mask as a cell of a CSV."""
    text = json.dumps(mask).replace('"', '""')
    return f'"{text}"'


def test_boxes(data):
    table = "file,finding,x,y,width,height\nin/b.dcm,mass,1,2,3.5,4\nin/b.dcm,mass,5,6,7,8\n"
    found = listed(data, table + "in/a.dcm,pleural_effusion,0,0,1,1\nc.dcm,mass,,,,\n")
    assert found.boxes.values.tolist() == [
        ["b", "mass", 1, 2, 3.5, 4],
        ["b", "mass", 5, 6, 7, 8],
        ["a", "pleural_effusion", 0, 0, 1, 1],
    ]
    assert found.runs.empty
    assert found.side is None
    assert found.others == []


def test_boxes_by_their_corners(data):
    table = "image,finding,x_min,y_min,x_max,y_max\na,mass,1,2.5,4,7\nb,mass,,,,\n"
    assert listed(data, table).boxes.values.tolist() == [["a", "mass", 1, 2.5, 3, 4.5]]


def test_masks_of_an_image_and_a_finding_become_one(data):
    table = """file,finding,EncodedPixels
in/a.dcm,mass,0 2 3 4
in/b.dcm,mass,-1
in/a.dcm,pleural_effusion,7 1
in/a.dcm,mass,100 5
c.dcm,mass,
"""
    found = listed(data, table)
    assert found.runs.values.tolist() == [
        ["a", "mass", "0 2 5 4 100 5"],
        ["a", "pleural_effusion", "7 1"],
    ]
    assert found.boxes.empty
    assert found.sizes == {}


def test_masks_of_coco_say_their_size(data):
    plain, packed = ({"size": [7, 1], "counts": counts} for counts in ([2, 3, 1, 1], "231N"))
    table = f"file,finding,segmentation\nin/a.dcm,mass,{quoted(plain)}\nc.dcm,mass,\n"
    found = listed(data, table + f"in/b.dcm,mass,{quoted(packed)}\n")
    assert found.runs.values.tolist() == [["a", "mass", "2 3 6 1"], ["b", "mass", "2 3 6 1"]]
    assert found.sizes == {"a": (7, 1), "b": (7, 1)}


def test_a_table_may_have_both_boxes_and_masks(data):
    table = "image,finding,x,y,width,height,EncodedPixels\na,mass,1,2,3,4,\nb,mass,,,,,7 1\n"
    found = listed(data, table)
    assert found.boxes["image"].tolist() == ["a"]
    assert found.runs["image"].tolist() == ["b"]


@pytest.mark.parametrize(
    "name", ["in/a.dcm", "in\\a.DCM", "./in/a", "a", "a.dcm", "{data}/in/a.dcm"]
)
def test_images_are_named_as_in_the_label_table_or_by_their_id(data, name):
    table = f"file,x,y,width,height\n{name.format(data=data)},1,2,3,4\n"
    assert listed(data, table, ["mass"]).boxes["image"].tolist() == ["a"]


def test_images_may_be_in_the_column_that_the_label_table_calls_so(data):
    (data / "labels.csv").write_text(LABELS.replace("file", "Datei"))
    table = "Datei,x,y,width,height\nin/a.dcm,1,2,3,4\n"
    found = listed(data, table, ["mass"], columns={"file": "Datei"})
    assert found.boxes["image"].tolist() == ["a"]


def test_findings_are_named_in_any_spelling_or_as_their_column(data):
    (data / "labels.csv").write_text(LABELS.replace("mass", "Raumforderung"))
    rows = ["a,Pleural Effusion", "b,Mass", "b,raumforderung", "b,pleural_effusion"]
    table = "\n".join(["image,finding,x,y,width,height", *(f"{row},1,1,2,2" for row in rows)])
    found = listed(data, table, columns={"findings": {"mass": "Raumforderung"}})
    assert found.boxes["finding"].tolist() == [
        *("pleural_effusion", "mass", "mass", "pleural_effusion")
    ]


def test_what_is_of_other_findings_or_images_is_left_out_and_said(data, capsys):
    rows = ["a,mass", "a,Nodule", "b,Nodule", "z,mass"]
    table = "\n".join(["image,finding,x,y,width,height", *(f"{row},1,1,2,2" for row in rows)])
    assert listed(data, table).boxes[["image", "finding"]].values.tolist() == [["a", "mass"]]
    said = capsys.readouterr().err
    assert "annotations of other findings are left out: 2 of Nodule" in said
    assert "1 of its 3 images are none of the site's, such as 'z'" in said


def test_an_annotated_image_without_a_file_is_left_out(data):
    (data / "c.dcm").unlink()
    found = listed(data, "file,x,y,width,height\nc.dcm,1,1,2,2\nin/a.dcm,1,1,2,2\n", ["mass"])
    assert found.boxes["image"].tolist() == ["a"]


BOXES = "file,finding,x,y,width,height\n"


@pytest.mark.parametrize(
    ("table", "where", "expected", "said"),
    [
        ("file,finding,x,y\nin/a.dcm,mass,1,2\n", "", "x_min, y_min, x_max, y_max or", "finding"),
        ("picture,x,y,width,height\na,1,2,3,4\n", "", "a column file or image", "picture"),
        (f"{BOXES}in/a.dcm,mass,1,2,0,4\n", "row 2", "wider and higher than 0", "1, 2, 0, 4"),
        (f"{BOXES}in/a.dcm,mass,1,,3,4\n", "row 2", "a box of numbers", "1, , 3, 4"),
        (f"{BOXES}in/a.dcm,mass,1,2,3,x\n", "row 2", "a box of numbers", "1, 2, 3, x"),
        (
            "file,finding,x_min,y_min,x_max,y_max\nin/a.dcm,mass,5,5,4,9\n",
            "row 2",
            "in x_min, y_min, x_max, y_max, wider",
            "5, 5, 4, 9",
        ),
        (f"{BOXES}in/a.dcm,,1,2,3,4\n", "row 2", "mass, pleural_effusion", "an empty cell"),
        ("file,x,y,width,height\nin/a.dcm,1,2,3,4\n", "row 2", "a column finding", "no such"),
        (f"{BOXES}z.dcm,mass,1,2,3,4\n", "", "the site's 3 images", "it names 'z.dcm'"),
        ("image,finding,EncodedPixels\na,mass,1 2 3\n", "row 2", "EncodedPixels", "3 values"),
        ("image,finding,segmentation\na,mass,1 2\n", "row 2", "JSON as COCO has it", "Extra data"),
        ("image,finding,segmentation\na,mass,[[1]]\n", "row 2", "JSON as COCO has it", "'counts'"),
    ],
)
def test_bad_tables(data, table, where, expected, said):
    with pytest.raises(InputError) as caught:
        listed(data, table)
    assert caught.value.where.endswith(where or "drawn.csv")
    assert expected in caught.value.expected
    assert said in caught.value.found


def test_masks_of_two_sizes_on_an_image_are_refused(data):
    masks = [quoted({"size": size, "counts": [7]}) for size in ([7, 1], [1, 7])]
    rows = "".join(f"a,mass,{mask}\n" for mask in masks)
    with pytest.raises(InputError, match="one size an image") as caught:
        listed(data, f"image,finding,segmentation\n{rows}")
    assert "(7, 1) and (1, 7)" in caught.value.found


def test_a_table_that_is_not_there(data):
    with pytest.raises(InputError, match="`annotations` of the site") as caught:
        listed(data, "", annotations="masks.csv")
    assert caught.value.where == "masks.csv"


def test_one_beside_the_data(data, tmp_path, monkeypatch):
    (tmp_path / "boxes.csv").write_text(f"{BOXES}in/a.dcm,mass,1,2,3,4\n")
    monkeypatch.chdir(tmp_path)
    found = listed(data, "unused", annotations="boxes.csv")
    assert found.boxes["image"].tolist() == ["a"]
