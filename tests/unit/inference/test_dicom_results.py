"""Results as DICOM objects: valid, about the right image, with the right numbers and pixels."""

import os
import shutil
import subprocess
from pathlib import Path

import highdicom
import numpy as np
import pytest
from pydicom import dcmread

import made_bundles
from chexviz.base.errors import Unreadable
from chexviz.inference import dicom_results
from chexviz.inference.bundle import Preprocessing
from chexviz.inference.dicom_source import age_string, source_dataset
from made_dicom_results import FINDINGS, LIKE_KAGGLE, UIDS, bundle_of, results
from made_dicoms import chest, write_dicom

NAME = "Müller^Jörg"


def validated(paths: list[Path]) -> None:
    """Require that dciodvfy of dicom3tools finds no error in any of these files."""
    if shutil.which("dciodvfy") is None:
        (pytest.fail if "CI" in os.environ else pytest.skip)("dicom3tools is not installed")
    for path in paths:
        done = subprocess.run(
            ["dciodvfy", "-new", str(path)], capture_output=True, encoding="latin-1"
        )
        errors = [line for line in done.stderr.splitlines() if line.startswith("Error")]
        assert (errors, done.returncode) == ([], 0), path


def written(tmp_path: Path, made: dict) -> dict:
    """The objects as they are read from their files, valid ones."""
    paths = dicom_results.write(tmp_path / "out", "x", made)
    assert sorted(paths) == sorted((tmp_path / "out").iterdir())
    validated(paths)
    return {kind: dcmread(path) for kind, path in zip(made, paths, strict=True)}


def test_three_valid_objects_refer_to_the_radiograph(tmp_path):
    path = write_dicom(tmp_path / "x.dcm", chest(1, (80, 60)), jpeg=True, **LIKE_KAGGLE)
    made = written(tmp_path, results(path.read_bytes(), bundle_of()))
    assert [*made] == ["capture", "segments", "report"]
    for kind, one in made.items():
        assert one.StudyInstanceUID == UIDS["StudyInstanceUID"]
        assert one.SeriesInstanceUID != UIDS["SeriesInstanceUID"]
        assert (one.PatientID, one.PatientAge, one.PatientSex) == ("p", "062Y", "F")
        assert one.PatientBirthDate == one.AccessionNumber == ""
        assert one.SeriesDescription.startswith("DEMO; CheXViz ")
        assert one.Manufacturer == "CheXViz"
        assert UIDS["SOPInstanceUID"] in str(one), kind
    assert len({one.SeriesInstanceUID for one in made.values()}) == 3
    (reference,) = made["capture"].SourceImageSequence
    assert reference.ReferencedSOPInstanceUID == UIDS["SOPInstanceUID"]
    assert made["capture"].BurnedInAnnotation == "YES"
    assert made["capture"].pixel_array.shape[2] == 3
    assert list(made["segments"].PatientOrientation) == ["L", "F"]


def test_the_same_radiograph_and_bundle_make_the_same_identifiers(tmp_path):
    data = write_dicom(tmp_path / "x.dcm", chest(1), **LIKE_KAGGLE).read_bytes()
    first, again = (results(data, bundle_of()) for _ in range(2))
    other = results(data, bundle_of(digest="cd" * 32))
    for kind in first:
        assert first[kind].SOPInstanceUID == again[kind].SOPInstanceUID
        assert first[kind].SOPInstanceUID != other[kind].SOPInstanceUID


def values(made) -> dict:
    """The numbers and calls of a report, by finding."""
    found = {}
    report = highdicom.sr.ComprehensiveSR.from_dataset(made)
    for group in report.content.get_image_measurement_groups():
        numbers = {one.name.value: one.value for one in group.get_measurements()}
        calls = [one.value.meaning for one in group.get_qualitative_evaluations()]
        found[group.finding_type.meaning] = (numbers, calls)
    return found


def test_the_report_has_the_numbers_and_nothing_where_nothing_is_known(tmp_path):
    data = write_dicom(tmp_path / "x.dcm", chest(1), **LIKE_KAGGLE).read_bytes()
    report = written(tmp_path, results(data, bundle_of()))["report"]
    assert values(report) == {
        "Pneumonia": ({"score": 0.251, "probability": 0.204}, ["Absent"]),
        "Pneumothorax": ({"score": 0.8}, []),
        "Nodule": ({"score": 0.5, "probability": 0.55}, ["Present"]),
    }
    (scheme,) = report.CodingSchemeIdentificationSequence
    assert scheme.CodingSchemeDesignator == "99CHEXVIZ"
    text = report.to_json()
    assert made_bundles.MARK in text
    assert "Research use only; not a medical device." in text


def test_a_segment_lies_where_the_map_is_on_the_radiographs_own_pixels(tmp_path):
    data = write_dicom(tmp_path / "x.dcm", chest(1, (80, 60)), **LIKE_KAGGLE).read_bytes()
    made = written(tmp_path, results(data, bundle_of()))["segments"]
    labels = [one.SegmentLabel for one in made.SegmentSequence]
    assert labels == ["Pneumonia, heat map", "Nodule, heat map"]  # pneumothorax was seen nowhere
    codes = [one.SegmentedPropertyTypeCodeSequence[0] for one in made.SegmentSequence]
    assert [code.CodeValue for code in codes] == ["233604007", "nodule"]
    assert [code.CodingSchemeDesignator for code in codes] == ["SCT", "99CHEXVIZ"]
    first, second = made.pixel_array
    assert first.shape == (80, 60)
    # The square is 80 wide, 10 of them left of the image. Place (1, 2) of 4 has its middle at row
    # 30 and column 50 of it; half of the maximum is half a place away.
    rows, columns = np.nonzero(first)
    assert (rows.mean(), columns.mean()) == pytest.approx((29.5, 39.5), abs=1)
    assert np.ptp(rows) == pytest.approx(20, abs=3)
    rows, columns = np.nonzero(second)
    assert (rows.mean(), columns.mean()) == pytest.approx((49.5, 19.5), abs=1)


def test_what_a_crop_leaves_out_is_in_no_segment():
    made = Preprocessing(size=32, fit="crop", max_pixels=10**6)
    found = dicom_results.on_source(np.ones((4, 4), np.float32), (80, 60), made)
    assert found.shape == (80, 60)
    assert (found[10:70] == 1).all()
    assert not found[:10].any()
    assert not found[70:].any()


def test_without_any_map_there_is_no_segmentation(tmp_path):
    data = write_dicom(tmp_path / "x.dcm", chest(1), **LIKE_KAGGLE).read_bytes()
    nothing = dict.fromkeys(FINDINGS, np.zeros((4, 4), np.float32))
    assert [*results(data, bundle_of(), nothing)] == ["capture", "report"]


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"PatientAge": "130"}, {"PatientAge": "130Y"}),
        ({"PatientAge": "old"}, {}),
        ({"PatientAge": "018M"}, {"PatientAge": "018M"}),
        ({"PatientSex": "X"}, {"PatientSex": ""}),
        ({"StudyDate": "yesterday"}, {"StudyDate": ""}),
        ({"StudyDate": "20220101"}, {"StudyDate": "20220101"}),
        ({"PatientName": NAME, "SpecificCharacterSet": "ISO_IR 100"}, {"PatientName": NAME}),
        ({"PixelSpacing": ["0", "0"]}, {}),
        ({"PatientOrientation": ["R", "F"]}, {"PatientOrientation": ["R", "F"]}),
        ({"ViewPosition": "LL"}, {"PatientOrientation": []}),
    ],
)
def test_values_that_the_standard_does_not_know_are_put_right_or_left_out(tmp_path, tags, expected):
    data = write_dicom(tmp_path / "x.dcm", chest(1), **UIDS | tags).read_bytes()
    source = source_dataset(data, 10**6)
    for keyword, value in expected.items():
        found = source.get(keyword)
        assert (list(found or []) if isinstance(value, list) else str(found or "")) == value
    for keyword in set(tags) - set(expected) - {"SpecificCharacterSet", "ViewPosition"}:
        assert keyword not in source
    one = written(tmp_path, results(data, bundle_of()))["capture"]
    if "PatientName" in tags:
        assert str(one.PatientName) == tags["PatientName"]


def test_ages_as_the_standard_has_them():
    given = ["62", "62Y", "7", "018M", "", "0", "6 2", "-5", "1000"]
    wanted = ["062Y", "062Y", "007Y", "018M", "", "000Y", "", "", ""]
    assert [age_string(one) for one in given] == wanted


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"])
def test_a_file_that_does_not_say_which_it_is_has_no_results(tmp_path, keyword):
    tags = {name: value for name, value in LIKE_KAGGLE.items() if name != keyword}
    data = write_dicom(tmp_path / "x.dcm", chest(1), **tags).read_bytes()
    with pytest.raises(Unreadable, match=f"it has no valid {keyword}"):
        source_dataset(data, 10**6)


def test_results_of_real_files_are_valid(tmp_path, real_data):
    """Of the challenges' and of other makers, with their defects."""
    files = [*(real_data / "dicoms").glob("*.dcm"), *(real_data / "siim-one").rglob("*.dcm")]
    files += sorted((real_data / "hospital-mini" / "dicom").glob("*.dcm"))[:3]
    assert len(files) == 7
    for number, path in enumerate(files):
        made = written(tmp_path / str(number), results(path.read_bytes(), bundle_of()))
        assert len(made) == 3
        source = dcmread(path, stop_before_pixels=True)
        assert made["segments"].pixel_array.shape[1:] == (source.Rows, source.Columns)
