"""Raw layouts to listings: what is taken, what is rejected and why, what stops a run."""

import gzip
import re
import shutil
import unicodedata
from pathlib import Path

import msgspec
import pandas as pd
import pytest
import yaml

from chexviz.base.errors import InputError
from chexviz.base.source_code import HOME
from chexviz.data.readers import rsna, siim
from chexviz.data.readers.label_tables import locate
from chexviz.data.readers.listing import Options
from chexviz.data.readers.patients import patients
from chexviz.data.readers.registry import READERS, read
from made_dicoms import chest, make_manifest, write_dicom
from made_options import NOTHING

PLAIN = {
    "findings": ["pneumothorax"],
    **NOTHING,
}
RSNA = """patientId,x,y,width,height,Target
a,,,,,0
b,1.0,2.0,30.0,40.0,1
b,9.0,8.0,7.0,6.0,1
c,5.0,5.0,5.0,5.0,1
"""
SIIM = """ImageId, EncodedPixels
1.2.3,-1
1.2.4,0 2 3 4
1.2.4,100 5
1.2.5,7 1
"""
TABLE = """file,patient,pneumothorax
in/a.dcm,007,1
in/b.dcm,007,0
out/a.dcm,,
"""


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def site(data, *files, **tables):
    """Write DICOM files, each with other content, and tables, by name with _ for /."""
    for number, file in enumerate(files):
        write_dicom(data / file, chest(number, (16, 16)))
    for name, text in tables.items():
        (data / name).write_text(text)
    return data


def listing(reader, data, **options):
    """What a reader finds; a challenge labels its own finding alone."""
    findings = {"rsna": ["pneumonia"]}.get(reader, PLAIN["findings"])
    options = msgspec.convert(PLAIN | {"findings": findings} | options, Options)
    return read(reader, data, make_manifest(data), options)


def rejected(found):
    return dict(zip(found.rejected["file"], found.rejected["reason"], strict=True))


# --- rsna ---


def test_rsna(data):
    site(data, *(f"stage_2_train_images/{name}.dcm" for name in "abc"), "stage_2_test_images/d.dcm")
    (data / "stage_2_train_labels.csv").write_text(RSNA)
    found = listing("rsna", data)
    assert dict(zip(found.records["image"], found.records["label_pneumonia"], strict=True)) == {
        "a": "0",
        "b": "1",
        "c": "1",
    }
    assert (found.records["patient"] == found.records["image"]).all()
    assert not found.records["patient_known"].any()
    assert found.boxes.values.tolist() == [
        ["b", "pneumonia", 1, 2, 30, 40],
        ["b", "pneumonia", 9, 8, 7, 6],
        ["c", "pneumonia", 5, 5, 5, 5],
    ]
    assert rejected(found) == {
        "stage_2_test_images/d.dcm": "no annotation in stage_2_train_labels.csv"
    }


def test_rsna_labels_are_found_deep_in_the_tree_and_compressed(data):
    site(data, "images/a.dcm", "images/b.dcm", "images/c.dcm")
    (data / "kaggle" / "input").mkdir(parents=True)
    (data / "kaggle/input/stage_2_train_labels.csv.gz").write_bytes(gzip.compress(RSNA.encode()))
    assert len(listing("rsna", data).records) == 3


def test_a_label_without_image_is_rejected_by_name(data):
    site(data, "a.dcm", "b.dcm")
    (data / "stage_2_train_labels.csv").write_text(RSNA)
    found = listing("rsna", data)
    assert rejected(found) == {"stage_2_train_labels.csv": "no file for image c"}
    assert set(found.boxes["image"]) == {"b"}


@pytest.mark.parametrize(("reader", "labels"), [("rsna", "pneumonia"), ("siim", "pneumothorax")])
def test_a_challenge_labels_its_own_finding_alone(data, reader, labels):
    site(data, "a.dcm")
    findings = ["pneumonia", "pneumothorax", "edema"]
    with pytest.raises(InputError, match=f"findings that the dataset labels: {labels}") as caught:
        listing(reader, data, findings=findings)
    others = [finding for finding in findings if finding != labels]
    assert caught.value.found == ", ".join(others)


@pytest.mark.parametrize(
    ("text", "expected", "said"),
    [
        (RSNA.replace("Target", "target"), "patientId, x, y, width, height, Target", "target"),
        (RSNA + "a,1,1,1,1,1\n", "one Target", "a"),
        (RSNA.replace(",0\n", ",2\n"), "Target: 0 or 1", "'2'"),
        (RSNA + "d,1,1,,1,1\n", "a box of numbers", "1, 1, , 1"),
        (RSNA + "d,1,1,-5,1,1\n", "a box of numbers", "-5"),
        (RSNA + "d,1,1,1,1,-1\n", "Target: 0 or 1", "'-1' (1 such rows)"),
        ("", "a CSV file", "the file is empty"),
    ],
)
def test_bad_rsna_tables(tmp_path, text, expected, said):
    path = tmp_path / "stage_2_train_labels.csv"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        rsna.read_labels(path)
    assert expected in caught.value.expected
    assert said in caught.value.found
    assert str(path) in caught.value.where


def test_a_bad_row_is_named_by_its_line_in_the_file(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("patientId,x,y,width,height,Target\na,,,,,0\nb,,,,,yes\n")
    with pytest.raises(InputError, match="row 3"):
        rsna.read_labels(path)


# --- siim ---


def test_siim(data):
    site(
        data,
        "dicom-images-train/9.1/9.2/1.2.3.dcm",
        "dicom-images-train/9.3/9.4/1.2.4.dcm",
        "dicom-images-train/9.5/9.6/1.2.5.dcm",
        "dicom-images-test/9.7/9.8/1.2.6.dcm",
    )
    (data / "train-rle.csv").write_text(SIIM)
    found = listing("siim", data)
    assert found.records.set_index("image")["label_pneumothorax"].to_dict() == {
        "1.2.3": "0",
        "1.2.4": "1",
        "1.2.5": "1",
    }
    assert found.runs.set_index("image")["runs"].to_dict() == {
        "1.2.4": "0 2 5 4 100 5",
        "1.2.5": "7 1",
    }
    assert not found.records["patient_known"].any()
    assert rejected(found) == {
        "dicom-images-test/9.7/9.8/1.2.6.dcm": "no annotation in train-rle.csv"
    }


@pytest.mark.parametrize("outer", ["", "siim/"])
def test_both_mirrors_of_siim(data, outer):
    site(data, *(f"{outer}dicom-images-train/{name}/s/{name}.dcm" for name in ("1.2.3", "1.2.4")))
    (data / outer / "train-rle.csv").write_text(SIIM)
    assert len(listing("siim", data).records) == 2


def test_a_nested_second_copy_is_rejected_and_its_table_counts_once(data):
    site(data, *(f"dicom-images-train/{name}.dcm" for name in ("1.2.3", "1.2.4", "1.2.5")))
    (data / "train-rle.csv").write_text(SIIM)
    shutil.copytree(data, data.parent / "copy")
    (data.parent / "copy").rename(data / "pneumothorax")
    write_dicom(data / "pneumothorax/dicom-images-train/1.2.4.dcm", chest(99, (16, 16)))
    found = listing("siim", data)
    assert sorted(found.records["file"]) == [
        f"dicom-images-train/{name}.dcm" for name in ("1.2.3", "1.2.4", "1.2.5")
    ]
    one = "dicom-images-train/1.2."
    assert rejected(found) == {
        f"pneumothorax/{one}3.dcm": f"second copy of {one}3.dcm",
        f"pneumothorax/{one}4.dcm": f"same name, but other content, as {one}4.dcm",
        f"pneumothorax/{one}5.dcm": f"second copy of {one}5.dcm",
    }


def test_two_different_label_tables_are_a_choice_for_the_reader(data):
    site(data, "1.2.3.dcm")
    (data / "train-rle.csv").write_text(SIIM)
    (data / "old").mkdir()
    (data / "old" / "train-rle.csv").write_text(SIIM.replace("7 1", "8 1"))
    with pytest.raises(InputError, match=r"train-rle.csv, old/train-rle.csv"):
        listing("siim", data)
    assert len(listing("siim", data, labels="old/train-rle.csv").records) == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (SIIM + "1.2.4,-1\n", "the first is 1.2.4"),
        (SIIM + "1.2.7,\n", "an empty cell"),
        (SIIM + "1.2.7,1 2 3\n", "3 values"),
        (SIIM + "1.2.7,1 x\n", "not a whole number"),
        (SIIM.replace(" EncodedPixels", "Pixels"), "ImageId, Pixels"),
    ],
)
def test_bad_siim_tables(tmp_path, text, said):
    path = tmp_path / "train-rle.csv"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        siim.read_labels(path)
    assert said in caught.value.found
    assert str(path) in caught.value.where


# --- table ---


def test_table(data):
    site(data, "in/a.dcm", "in/b.dcm", "out/a.dcm", "out/c.dcm")
    (data / "labels.csv").write_text(TABLE + "in/gone.dcm,1,1\n")
    found = listing("table", data)
    assert found.records.values.tolist() == [
        ["in/a.dcm", "in/a", "007", True, "1"],
        ["in/b.dcm", "b", "007", True, "0"],
        ["out/a.dcm", "out/a", "out/a", False, ""],
    ]
    assert rejected(found) == {
        "in/gone.dcm": "in labels.csv, but there is no such file",
        "out/c.dcm": "no row in labels.csv",
    }


def test_a_table_keeps_the_findings_that_are_asked_for(data):
    site(data, "a.dcm", "b.dcm")
    table = "file,pneumothorax,portable,pneumonia\na.dcm,1,1,0\nb.dcm,0,1,\n"
    (data / "labels.csv").write_text(table)
    records = listing("table", data, findings=["pneumonia"]).records
    assert list(records)[4:] == ["label_pneumonia"]
    assert records["label_pneumonia"].tolist() == ["0", ""]
    with pytest.raises(InputError, match="effusion"):
        listing("table", data, findings=["effusion"])
    (data / "labels.csv").write_text(table.replace("0,1,", "0,1,maybe"))
    with pytest.raises(InputError, match="pneumonia: 0 or 1 or empty"):
        listing("table", data, findings=["pneumonia"])


def test_a_table_without_patients(data):
    site(data, "a.dcm")
    (data / "labels.csv").write_text("file,pneumothorax\na.dcm,1\n")
    records = listing("table", data).records
    assert records[["patient", "patient_known"]].values.tolist() == [["a", False]]


def test_ids_stay_text(data):
    site(data, "00012.dcm", "NA.dcm", "1e5.dcm")
    text = "file,patient,pneumothorax\n00012.dcm,00012,1\nNA.dcm,NAN1,0\n1e5.dcm,1e5,0\n"
    (data / "labels.csv").write_text(text)
    records = listing("table", data).records
    assert records["image"].tolist() == ["00012", "NA", "1e5"]
    assert records["patient"].tolist() == ["00012", "NAN1", "1e5"]


@pytest.mark.parametrize(
    "missing", ["NA", "nan", "NaN", "null", "NULL", "None", "<NA>", "#N/A", "."]
)
def test_what_programs_write_for_missing_is_no_patient(data, missing):
    site(data, "a.dcm", "b.dcm", "c.dcm")
    rows = f"a.dcm,{missing},1\nb.dcm,{missing},0\nc.dcm,7,{missing}\n"
    (data / "labels.csv").write_text(f"file,patient,pneumothorax\n{rows}")
    records = listing("table", data).records
    assert records["patient"].tolist() == ["a", "b", "7"]
    assert records["patient_known"].tolist() == [False, False, True]
    assert records["label_pneumothorax"].tolist() == ["1", "0", ""]


@pytest.mark.parametrize(
    "name", ["Patient", "patient_id", "PatientID", "patientId", "Patient ID", "subject_id", "MRN"]
)
def test_a_column_that_seems_to_be_the_patients_is_not_ignored(data, name):
    site(data, "a.dcm")
    (data / "labels.csv").write_text(f"file,{name},patient_age,pneumothorax\na.dcm,7,50,1\n")
    with pytest.raises(InputError, match="rename it to patient") as caught:
        listing("table", data)
    assert caught.value.found == name


@pytest.mark.parametrize(
    ("reader", "name", "text"),
    [
        (
            "rsna",
            "stage_2_train_labels.csv",
            "patientId,patient,x,y,width,height,Target\na,7,,,,,0\n",
        ),
        ("siim", "train-rle.csv", "ImageId,PatientID,EncodedPixels\na,7,-1\n"),
    ],
)
def test_patients_in_a_challenges_label_table_are_mentioned(data, capsys, reader, name, text):
    site(data, "a.dcm")
    (data / name).write_text(text)
    assert not listing(reader, data).records["patient_known"].any()
    assert "is not read; a table that `patients`" in capsys.readouterr().err


def test_a_table_of_other_names(data):
    site(data, "in/a.dcm", "in/b.dcm", "in/c.dcm")
    table = """Datei;Fall;Aufnahme;Geschlecht;Alter;Pleural Effusion;Pneu
in/a.dcm;007;ap;female;45.0;1;0
in/b.dcm;007;PA;M;062Y;;1
in/c.dcm;;NA;;;0;
"""
    (data / "labels.csv").write_text(table)
    columns = {"file": "Datei", "patient": "Fall", "view": "Aufnahme", "sex": "Geschlecht"}
    columns |= {"age": "Alter"}
    columns["findings"] = {"pleural_effusion": "Pleural Effusion", "pneumothorax": "Pneu"}
    findings = ["pneumothorax", "pleural_effusion"]
    records = listing("table", data, columns=columns, findings=findings).records
    assert list(records) == [
        *("file", "image", "patient", "patient_known", "view", "sex", "age"),
        *("label_pneumothorax", "label_pleural_effusion"),
    ]
    assert records.drop(columns=["file", "patient_known"]).values.tolist() == [
        ["a", "007", "ap", "female", "45.0", "0", "1"],
        ["b", "007", "PA", "M", "062Y", "1", ""],
        ["c", "c", "", "", "", "", "0"],
    ]


@pytest.mark.parametrize(
    ("header", "columns", "absent", "hints"),
    [
        (
            "file,Pleural Effusion,Pneumothorax",
            {},
            "no column pneumothorax, pleural_effusion in file, Pleural Effusion, Pneumothorax",
            ['`columns: {findings: {pleural_effusion: "Pleural Effusion"}}`', '"Pneumothorax"'],
        ),
        (
            "file,pneumothorax,effusions",
            {"findings": {"pleural_effusion": "Effusion"}},
            "no column Effusion in",
            ['{pleural_effusion: "effusions"}'],
        ),
        (
            "file,pneumothorax,pleural_effusion,Sex",
            {"sex": "Sexe", "age": "Jahre"},
            "no column Sexe, Jahre in",
            ['`columns: {sex: "Sex"}`', '`columns: {age: "..."}`'],
        ),
        ("Image,pneumothorax,pleural_effusion", {}, "no column file in Image", ["{file: "]),
        (
            "file,pneumothorax,pleural_effusion,patient",
            {"patient": "Patients"},
            "no column Patients in",
            ['{patient: "patient"}'],
        ),
    ],
)
def test_an_absent_column_is_named_with_what_it_may_be_called(data, header, columns, absent, hints):
    site(data, "a.dcm")
    (data / "labels.csv").write_text(f"{header}\na.dcm{',0' * header.count(',')}\n")
    findings = ["pneumothorax", "pleural_effusion"]
    with pytest.raises(InputError) as caught:
        listing("table", data, columns=columns, findings=findings)
    assert absent in caught.value.found
    for hint in hints:
        assert hint in caught.value.fix


def test_patients_may_be_said_to_be_in_no_column(data):
    site(data, "a.dcm")
    (data / "labels.csv").write_text("file,subject,patient,pneumothorax\na.dcm,7,8,1\n")
    records = listing("table", data, columns={"patient": None}).records
    assert records[["patient", "patient_known"]].values.tolist() == [["a", False]]


def test_codes_of_a_table_that_mean_nothing_are_mentioned(data, capsys):
    site(data, "a.dcm", "b.dcm", "c.dcm")
    rows = "a.dcm,2,85 or more,1\nb.dcm,F,17,0\nc.dcm,1,121,0\n"
    (data / "labels.csv").write_text(f"file,sex,age,pneumothorax\n{rows}")
    listing("table", data, columns={"sex": "sex", "age": "age"})
    said = capsys.readouterr().err
    assert "2 values in its column sex are no sex, such as '2', and count as unknown" in said
    assert "2 values in its column age are no age, such as '85 or more'" in said


# --- uncertain labels ---

UNCERTAIN = """file,pneumonia,pneumothorax,edema
a.dcm,-1,1,
b.dcm,-1.0,0,-1
c.dcm,1.0,0,0
"""


@pytest.mark.parametrize(
    ("uncertain", "pneumonia", "edema"),
    [
        ("ignore", ["", "", "1"], ["", "", "0"]),
        ("positive", ["1", "1", "1"], ["", "1", "0"]),
        ("negative", ["0", "0", "1"], ["", "0", "0"]),
    ],
)
def test_what_is_uncertain_becomes_what_the_site_says(data, uncertain, pneumonia, edema):
    site(data, "a.dcm", "b.dcm", "c.dcm")
    (data / "labels.csv").write_text(UNCERTAIN)
    findings = ["pneumonia", "edema", "pneumothorax"]
    records = listing("table", data, findings=findings, uncertain=uncertain).records
    assert records["label_pneumonia"].tolist() == pneumonia
    assert records["label_edema"].tolist() == edema
    assert records["label_pneumothorax"].tolist() == ["1", "0", "0"]


def test_what_is_uncertain_is_counted_by_finding_where_nobody_says_what_it_is(data):
    site(data, "a.dcm", "b.dcm", "c.dcm")
    (data / "labels.csv").write_text(UNCERTAIN)
    findings = ["pneumonia", "edema", "pneumothorax"]
    with pytest.raises(InputError, match="set `uncertain` of the site") as caught:
        listing("table", data, findings=findings)
    assert caught.value.found.endswith(": pneumonia 2, edema 1")
    assert listing("table", data)


# --- the split that a dataset comes with ---

SPLIT = """file,set,pneumothorax
a.dcm,Train,1
b.dcm,valid,0
c.dcm,TEST,0
d.dcm,,1
"""


def test_a_table_may_say_the_split(data):
    site(data, *(f"{name}.dcm" for name in "abcd"))
    (data / "labels.csv").write_text(SPLIT)
    records = listing("table", data, columns={"subset": "set"}, given_split=True).records
    assert records["subset"].tolist() == ["train", "validation", "evaluation", ""]
    assert "subset" not in listing("table", data, columns={"subset": "set"}).records
    words = SPLIT.replace("Train", "training").replace("valid", "Validation")
    (data / "labels.csv").write_text(words.replace("TEST", "evaluation"))
    again = listing("table", data, columns={"subset": "set"}, given_split=True).records
    assert again["subset"].tolist() == records["subset"].tolist()


def test_another_subset_is_refused_if_the_split_is_asked_for(data):
    site(data, *(f"{name}.dcm" for name in "abcd"))
    (data / "labels.csv").write_text(SPLIT.replace("valid", "fold 2"))
    with pytest.raises(InputError, match="set: train, training, validation") as caught:
        listing("table", data, columns={"subset": "set"}, given_split=True)
    assert caught.value.where.endswith("row 3")
    assert "'fold 2'" in caught.value.found
    assert len(listing("table", data, columns={"subset": "set"}).records) == 4


@pytest.mark.parametrize(
    ("reader", "columns", "name", "text"),
    [
        ("table", {}, "labels.csv", SPLIT),
        ("table", {"subset": "set"}, "labels.csv", "file,set,pneumothorax\na.dcm,,1\n"),
        ("rsna", {}, "stage_2_train_labels.csv", RSNA),
        ("siim", {}, "train-rle.csv", "ImageId,EncodedPixels\na,-1\n"),
    ],
)
def test_a_split_that_is_asked_for_and_not_there(data, reader, columns, name, text):
    site(data, "a.dcm")
    (data / name).write_text(text)
    with pytest.raises(InputError, match="set `split: protocol` of the site") as caught:
        listing(reader, data, columns=columns, given_split=True)
    assert caught.value.where.endswith(name)


# --- what a hospital's table says otherwise ---


@pytest.mark.parametrize("label", ["1", "1.0", "True", "TRUE", " 1"])
def test_labels_of_one_meaning(data, label):
    site(data, "a.dcm", "b.dcm")
    no = {"1": "0", "1.0": "0.0", "True": "False", "TRUE": "FALSE", " 1": "0 "}[label]
    (data / "labels.csv").write_text(f"file,pneumothorax\na.dcm,{label}\nb.dcm,{no}\n")
    assert listing("table", data).records["label_pneumothorax"].tolist() == ["1", "0"]


def test_a_label_of_two_meanings_is_refused_once(data):
    site(data, "a.dcm")
    (data / "labels.csv").write_text("file,pneumothorax\n" + "a.dcm,-1\n" * 3000)
    with pytest.raises(InputError, match="set `uncertain` of the site") as caught:
        listing("table", data)
    assert caught.value.found.endswith(": pneumothorax 3000")


@pytest.mark.parametrize(
    "written",
    ["in/a.dcm", "in/a", "./in//a.dcm", "in\\a.dcm", " in/a.DCM ", "{data}/in/a.dcm"],
)
def test_paths_of_one_meaning(data, written):
    site(data, "in/a.dcm", "out/b.dcm")
    (data / "labels.csv").write_text(f"file,pneumothorax\n{written.format(data=data)},1\n")
    found = listing("table", data)
    assert found.records["file"].tolist() == ["in/a.dcm"]
    assert rejected(found) == {"out/b.dcm": "no row in labels.csv"}


@pytest.mark.parametrize("name", [" a.dcm", "Schädel.dcm", "Scha\u0308del.dcm", "a\\b.dcm"])
def test_odd_file_names(data, name):
    """A space before it, an umlaut in one or two characters, a backslash."""
    site(data, name)
    for form in ("NFC", "NFD"):
        row = f"{unicodedata.normalize(form, name)},1"
        (data / "labels.csv").write_text(f"file,pneumothorax\n{row}\n", encoding="utf-8")
        assert listing("table", data).records["file"].tolist() == [name]
    (data / "labels.csv").unlink()
    (data / "train-rle.csv").write_text(f"ImageId,EncodedPixels\n{name[:-4]},-1\n")
    assert listing("siim", data).records["file"].tolist() == [name]


@pytest.mark.parametrize("where", ["/mnt/elsewhere/", "C:\\chests\\", "\\\\server\\"])
def test_paths_that_lead_elsewhere_are_refused_once(data, where):
    site(data, "0.dcm")
    rows = "".join(f"{where}{number}.dcm,1\n" for number in range(3000))
    (data / "labels.csv").write_text(f"file,pneumothorax\n{rows}")
    with pytest.raises(InputError, match="relative to the folder of the table") as caught:
        listing("table", data)
    assert caught.value.found == f"3000 that lead elsewhere, such as {where}0.dcm"


def test_a_table_of_other_files_is_refused_once(data):
    site(data, "0.dcm")
    rows = "".join(f"chests/{number}.dcm,1\n" for number in range(3000))
    (data / "labels.csv").write_text(f"file,pneumothorax\n{rows}")
    with pytest.raises(
        InputError, match=r"3000 of 3000 images in labels.csv have no file"
    ) as caught:
        listing("table", data)
    assert len(caught.value.found) < 300
    assert "'chests/0.dcm'" in caught.value.found
    assert "1 radiographs have no row in it, such as '0.dcm'" in caught.value.found


def test_a_name_that_may_mean_two_files_is_refused(data):
    site(data, "a.dcm", "a")
    (data / "labels.csv").write_text("file,pneumothorax\na.DCM,1\n")
    with pytest.raises(InputError, match="a name that means one file") as caught:
        listing("table", data)
    assert caught.value.found == "a.DCM may mean a, a.dcm"
    (data / "labels.csv").write_text("file,pneumothorax\na.dcm,1\na,0\n")
    assert listing("table", data).records["label_pneumothorax"].tolist() == ["1", "0"]


def test_a_table_in_a_folder_names_files_from_there(data):
    site(data, "hospital/dicom/a.dcm")
    (data / "hospital" / "labels.csv").write_text("file,pneumothorax\n./dicom/a.dcm,1\n")
    assert listing("table", data).records["file"].tolist() == ["hospital/dicom/a.dcm"]


def test_a_listed_image_needs_no_suffix_and_an_unlisted_one_is_noticed(data):
    site(data, "1.2.3", "1.2.4")
    (data / "notes.txt").write_text("no image")
    (data / "labels.csv").write_text("file,pneumothorax\n1.2.3,1\n")
    found = listing("table", data)
    assert found.records["image"].tolist() == ["1.2.3"]
    assert rejected(found) == {"1.2.4": "no row in labels.csv"}
    assert found.others == ["notes.txt"]


@pytest.mark.parametrize(
    ("text", "where", "said"),
    [
        ("file,pneumothorax\na.dcm,1\nb.dcm,maybe\n", "row 3", "'maybe'"),
        ("file,pneumothorax\na.dcm,1\n./a.dcm,1\n", "row 3", "a.dcm"),
        ("file,pneumonia\na.dcm,1\n", "labels.csv", "file, pneumonia"),
    ],
)
def test_bad_tables(data, text, where, said):
    site(data, "a.dcm")
    (data / "labels.csv").write_text(text)
    with pytest.raises(InputError) as caught:
        listing("table", data)
    assert where in caught.value.where
    assert said in caught.value.found


# --- patients ---


def test_patients_by_nih_image(data):
    site(data, "a.dcm", "b.dcm", "c.dcm", "d.dcm")
    (data / "stage_2_train_labels.csv").write_text(RSNA + "d,,,,,0\n")
    (data / "match.csv").write_text(
        "patientId,class,nih_image,mse\n"
        "a,Normal,00000100_000.dcm,1.5\n"
        "b,Lung Opacity,00030001_002.png,9.99\n"
        "c,Lung Opacity,00000100_001.png,10\n"
        "z,Normal,00000001_000.png,0\n"
    )
    records = listing("rsna", data, patients="match.csv").records.set_index("image")
    assert records["patient"].to_dict() == {"a": "nih-00100", "b": "nih-30001", "c": "c", "d": "d"}
    assert records["patient_known"].to_dict() == {"a": True, "b": True, "c": False, "d": False}


@pytest.mark.parametrize("image", ["1.2.3", "1.2.3.dcm", "x/1.2.3.dcm", "1.2.4"])
def test_patients_match_by_any_spelling_of_a_file_or_the_run_ends(data, image):
    site(data, "x/1.2.3.dcm")
    (data / "train-rle.csv").write_text(SIIM)
    (data / "who.csv").write_text(f"ImageId,patient\n{image},007\n")
    if image == "1.2.4":
        with pytest.raises(InputError, match=r"none of them: it names .1\.2\.4.") as caught:
            listing("siim", data, patients="who.csv")
        assert "the first image is '1.2.3'" in caught.value.found
    else:
        records = listing("siim", data, patients="who.csv").records
        assert records[["patient", "patient_known"]].values.tolist() == [["007", True]]


def test_a_match_without_patient_is_none(data):
    site(data, "1.2.3.dcm", "1.2.4.dcm")
    (data / "train-rle.csv").write_text(SIIM)
    (data / "who.csv").write_text("ImageId,patient\n1.2.3,NA\n1.2.4,7\n")
    records = listing("siim", data, patients="who.csv").records
    assert records["patient"].tolist() == ["1.2.3", "7"]


def test_images_of_a_patient_whom_nobody_can_name(data):
    (data / "who.csv").write_text("image,group\nx,12\ny,12\nz,\n")
    assert patients(data / "who.csv").to_dict() == {"x": "group:12", "y": "group:12"}


def test_a_table_that_comes_with_the_workflow_is_found_from_anywhere(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shipped = locate(data, "config/patients/siim.csv.gz")
    assert shipped == HOME / "config" / "patients" / "siim.csv.gz"
    (tmp_path / "config" / "patients").mkdir(parents=True)
    (tmp_path / "config" / "patients" / "siim.csv.gz").touch()
    assert locate(data, "config/patients/siim.csv.gz") == Path("config/patients/siim.csv.gz")


def test_patients_from_the_working_directory(data, tmp_path, monkeypatch):
    site(data, "1.2.3.dcm")
    (data / "train-rle.csv").write_text(SIIM)
    (tmp_path / "who.csv").write_text("ImageId,patient\n1.2.3,007\n")
    monkeypatch.chdir(tmp_path)
    assert listing("siim", data, patients="who.csv").records["patient"].tolist() == ["007"]


def test_a_table_keeps_its_own_patients_where_the_match_knows_none(data):
    site(data, "in/a.dcm", "in/b.dcm", "out/a.dcm")
    (data / "labels.csv").write_text(TABLE)
    (data / "who.csv").write_text("image,patient\nb,008\n")
    records = listing("table", data, patients="who.csv").records.set_index("image")
    assert records["patient"].to_dict() == {"in/a": "007", "b": "008", "out/a": "out/a"}
    assert records["patient_known"].to_dict() == {"in/a": True, "b": True, "out/a": False}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file,patient\na,1\n", "file, patient"),
        ("image,who\na,1\n", "image, who"),
        ("image,nih_image\na,x.png\n", "x.png"),
        ("image,patient\na,1\na.dcm,2\n", "the first is a"),
        ("image,PatientID,nih_image\na,1,00000001_000.png\n", "PatientID"),
        ("image,patient,MSE\na,1,99\n", "MSE"),
    ],
)
def test_bad_match_tables(tmp_path, text, said):
    path = tmp_path / "match.csv"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        patients(path)
    assert said in caught.value.found


# --- nothing to read ---


def test_unknown_reader(data):
    with pytest.raises(
        InputError, match="rsna, siim, nih, chexpert, mimic, vindr, padchest, table"
    ) as caught:
        read("ecg", data, pd.DataFrame(), Options(**PLAIN))
    assert caught.value.found == "ecg"


@pytest.mark.parametrize(
    ("reader", "table"),
    [("rsna", "stage_2_train_labels.csv"), ("siim", "train-rle.csv"), ("table", "labels.csv")],
)
def test_a_missing_label_table(data, reader, table):
    site(data, "a.dcm")
    with pytest.raises(InputError, match="`labels`") as caught:
        listing(reader, data)
    assert table in caught.value.expected
    with pytest.raises(InputError, match="no such file"):
        listing(reader, data, labels="elsewhere.csv")


def test_no_radiograph_at_all(data):
    (data / "train-rle.csv").write_text(SIIM)
    (data / "a.pdf").write_bytes(b"image")
    with pytest.raises(InputError, match="empty site: 2 files, none of them a radiograph"):
        listing("siim", data)


def test_no_image_with_a_known_label(data):
    site(data, "a.dcm", "b.dcm")
    (data / "labels.csv").write_text("file,edema,mass\na.dcm,,NA\nb.dcm,-1,\n")
    with pytest.raises(InputError, match="none of them with a label of edema, mass") as caught:
        listing("table", data, findings=["edema", "mass"], uncertain="ignore")
    assert "2 have a row without a label" in caught.value.found
    assert listing("table", data, findings=["edema", "mass"], uncertain="negative")


def test_no_labelled_image(data):
    site(data, "x.dcm", "y.dcm")
    (data / "train-rle.csv").write_text(SIIM)
    with pytest.raises(
        InputError, match="empty site: 2 radiographs, none of them with a label of pneumothorax"
    ) as caught:
        listing("siim", data)
    for words in ("3 of 3 images in train-rle.csv have no file, such as '1.2.3'", "'x.dcm'"):
        assert words in caught.value.found


# --- the registry ---


def test_the_schema_takes_the_registered_readers_alone(repository):
    schema = yaml.safe_load((repository / "workflow/schemas/config.schema.yaml").read_text())
    site = schema["properties"]["sites"]["additionalProperties"]
    assert site["properties"]["reader"]["enum"] == list(READERS)


# --- attributes ---


def tubes(data, text: str, column: str = "tube", table: str = "tubes.csv") -> list[str]:
    """What a table says of three images of SIIM-ACR."""
    site(data, "a/1.2.3.dcm", "a/1.2.4.dcm", "b/1.2.5.dcm")
    (data / "train-rle.csv").write_text(SIIM)
    (data / "tubes.csv").write_text(text)
    about = {"tube": {"table": table, "column": column}}
    found = listing("siim", data, attributes=about)
    assert found.others == []
    return found.records.set_index("image")["attribute_tube"].to_dict()


def test_an_attribute_is_a_column_of_a_table_and_unknown_of_others(data):
    text = "image,tube,Ward\n1.2.3,1,A\nb/1.2.5.dcm,0.0,NA\n9.9,1,B\n"
    assert tubes(data, text) == {"1.2.3": "yes", "1.2.4": "", "1.2.5": "no"}
    assert tubes(data, text, "Ward") == {"1.2.3": "A", "1.2.4": "", "1.2.5": ""}


def test_values_that_are_more_than_yes_and_no_stay_as_they_are(data):
    text = "ImageId,tube\n1.2.3,1\n1.2.4,0\n1.2.5,2\n"
    assert tubes(data, text) == {"1.2.3": "1", "1.2.4": "0", "1.2.5": "2"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("image,ward\n1.2.3,1\n", "no column tube"),
        ("file,tube\n1.2.3,1\n", "a column patientId, ImageId, image"),
        ("image,tube\n1.2.3,1\n1.2.3.dcm,0\n", "the first is 1.2.3"),
        ("image,tube\n9.9,1\n", "none of them: it names '9.9'"),
        ("image,tube\n9.9,\n", "none of them: it names none"),
        ("image,tube\n" + "".join(f"{n},{n}\n" for n in range(13)), "12 different values"),
    ],
)
def test_a_table_that_tells_no_groups_apart_is_refused(data, text, said):
    with pytest.raises(InputError, match=re.escape(said)) as caught:
        tubes(data, text)
    assert "tubes.csv" in str(caught.value.where)


def test_a_table_of_attributes_that_is_not_there_is_refused(data):
    with pytest.raises(InputError, match="attributes"):
        tubes(data, "image,tube\n1.2.3,1\n", table="none.csv")
