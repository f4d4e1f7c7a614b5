"""The files of a site: which are radiographs, and what they are called."""

import pandas as pd
import pytest

from chexviz.data.decoding.signature import is_named_radiograph, is_radiograph
from chexviz.data.readers.files import image_ids, spelling, stem
from made_dicoms import chest, write_dicom
from made_rasters import encoded

SUFFIXES = [".dcm", ".dicom", ".png", ".jpg", ".jpeg"]
OTHERS = ["labels.csv", "a.png.txt", "a.dcm/b", "png", "a.", "a", "a.tif", "1.2.840.1", ".hidden"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_suffixes_of_radiographs_in_any_case(suffix, tmp_path):
    for spelt in (suffix, suffix.upper(), suffix.title()):
        assert is_named_radiograph(f"in/1.2.3{spelt}")
        assert is_radiograph(tmp_path, f"1.2.3{spelt}")  # which is not opened
        assert stem(f"in.x/1.2.3{spelt}") == "in.x/1.2.3"


@pytest.mark.parametrize("file", OTHERS)
def test_other_names_are_as_they_are(file):
    assert not is_named_radiograph(file)
    assert stem(file) == file


def test_a_file_without_a_suffix_is_a_radiograph_by_its_first_bytes(tmp_path):
    write_dicom(tmp_path / "1.2.3", chest(1))
    for name in ("PNG", "JPEG"):
        (tmp_path / name).write_bytes(encoded(chest(1), name))
        assert is_radiograph(tmp_path, name)
    assert is_radiograph(tmp_path, "1.2.3")
    for name in ("GIF", "TIFF"):
        (tmp_path / name).write_bytes(encoded(chest(1), name))
        assert not is_radiograph(tmp_path, name)
    for name, content in {"empty": b"", "table": b"file,label\n" * 20}.items():
        (tmp_path / name).write_bytes(content)
        assert not is_radiograph(tmp_path, name)


@pytest.mark.parametrize(
    ("files", "ids"),
    [
        (["in/a.png", "in/b.JPEG", "c.dicom"], ["a", "b", "c"]),
        (["in/a.png", "out/a.png", "b.png"], ["in/a", "out/a", "b"]),
        (["in/a.png", "in/a.dcm", "b.png"], ["in/a.png", "in/a.dcm", "b"]),
    ],
)
def test_ids_are_names_unless_several_files_share_one(files, ids):
    assert image_ids(pd.Series(files)).tolist() == ids


@pytest.mark.parametrize("suffix", ["", *SUFFIXES])
def test_a_table_may_leave_suffixes_out(suffix):
    for path in (f"in/1.2.3{suffix}", f".//in\\ 1.2.3{suffix.upper()} "):
        assert spelling(path) == "in/1.2.3"
