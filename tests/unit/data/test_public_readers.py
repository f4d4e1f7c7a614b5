"""The layouts of large public datasets to listings: labels, people, views, subsets, boxes."""

import gzip

import msgspec
import pytest

from chexviz.base.errors import InputError
from chexviz.data.readers import chexpert, nih, padchest, vindr
from chexviz.data.readers.listing import Options
from chexviz.data.readers.published import finding_name
from chexviz.data.readers.registry import read
from made_dicoms import make_manifest
from made_options import NOTHING


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def put(data, *images, **tables):
    """Write files, each with other content, and tables, both by their path."""
    for number, image in enumerate(images):
        path = data / image
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d" % number)
    for name, text in tables.items():
        path = data / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return data


def options_of(findings, **options):
    return msgspec.convert({**NOTHING, "findings": findings, **options}, Options)


def listing(reader, data, findings, **options):
    return read(reader, data, make_manifest(data), options_of(findings, **options))


def labels(found, finding):
    return found.records.set_index("image")[f"label_{finding}"].to_dict()


def column(found, name):
    return found.records.set_index("image")[name].to_dict()


def rejected(found):
    return dict(zip(found.rejected["file"], found.rejected["reason"], strict=True))


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("Pleural Effusion", "pleural_effusion"),
        ("Pleural_Thickening", "pleural_thickening"),
        ("Nodule/Mass", "nodule_mass"),
        ("ILD", "ild"),
        ("NSG tube", "nsg_tube"),
    ],
)
def test_names_of_findings(theirs, ours):
    assert finding_name(theirs) == ours


# --- nih ---

NIH_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]"
)
NIH = f"""{NIH_HEADER}
00000012_000.png,Effusion|Pleural_Thickening,0,12,58,M,PA,2682,2749,0.143,0.143
00000012_001.png,No Finding,1,12,59,M,AP,2682,2749,0.143,0.143
00030805_000.png,Infiltration|Mass,0,30805,27,F,PA,2048,2500,0.171,0.171
"""
NIH_BOXES = """Image Index,Finding Label,Bbox [x,y,w,h],,,
00030805_000.png,Infiltrate,10.5,20,30,40
00030805_000.png,Mass,1,2,3,4
00000099_000.png,Mass,1,2,3,4
"""
NIH_IMAGES = [f"{name}.png" for name in ("00000012_000", "00000012_001", "00030805_000")]
GOOGLE = f"""{NIH_HEADER},Fracture,Pneumothorax,Airspace opacity,Nodule or mass,Set Id
00000012_000.png,Effusion,0,12,58,M,PA,2682,2749,0.143,0.143,NO,YES,NO,YES,val
00000012_001.png,No Finding,1,12,59,M,AP,2682,2749,0.143,0.143,YES,NO,NO,NO,test
"""


@pytest.fixture
def nih_data(data):
    kaggle = (f"images_00{1 + n}/images/{name}" for n, name in enumerate(NIH_IMAGES))
    return put(data, *kaggle, **{"Data_Entry_2017.csv": NIH, "BBox_List_2017.csv": NIH_BOXES})


def test_nih(nih_data):
    found = listing("nih", nih_data, ["pleural_effusion", "no_finding"])
    assert labels(found, "pleural_effusion") == {
        "00000012_000": "1",
        "00000012_001": "0",
        "00030805_000": "0",
    }
    assert list(labels(found, "no_finding").values()) == ["0", "1", "0"]
    assert found.records["file"].tolist()[2] == "images_003/images/00030805_000.png"
    assert found.records["patient"].tolist() == ["nih-00012", "nih-00012", "nih-30805"]
    assert found.records["patient_known"].all()
    assert list(column(found, "view").values()) == ["PA", "AP", "PA"]
    assert list(column(found, "sex").values()) == ["M", "M", "F"]
    assert list(column(found, "age").values()) == ["58", "59", "27"]
    assert "subset" not in found.records
    assert found.table.ids == 3


def test_nih_labels_are_compared_whole(nih_data):
    text = NIH.replace("Effusion|Pleural_Thickening", "Pleural_Thickening")
    (nih_data / "Data_Entry_2017.csv").write_text(text)
    found = listing("nih", nih_data, ["pleural_effusion", "mass", "pleural_thickening"])
    assert set(labels(found, "pleural_effusion").values()) == {"0"}
    assert list(labels(found, "mass").values()) == ["0", "0", "1"]
    assert list(labels(found, "pleural_thickening").values()) == ["1", "0", "0"]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        # The official files say Sex, and end in a column without a name.
        (NIH_HEADER, f"{NIH_HEADER.replace('Gender', 'Sex')},"),
        (NIH_HEADER, f"{NIH_HEADER},"),
    ],
)
def test_headers_of_nih(nih_data, theirs, ours):
    rows = NIH.replace(theirs, ours).splitlines()
    text = "\n".join([rows[0], *(f"{row}," for row in rows[1:])])
    (nih_data / "Data_Entry_2017.csv").unlink()
    (nih_data / "Data_Entry_2017_v2020.csv.gz").write_bytes(gzip.compress(text.encode()))
    found = listing("nih", nih_data, ["mass"])
    assert list(labels(found, "mass").values()) == ["0", "0", "1"]
    assert found.records["sex"].tolist() == ["M", "M", "F"]


def test_the_newer_table_of_nih_counts(nih_data):
    (nih_data / "Data_Entry_2017_v2020.csv").write_text(NIH.replace("Mass", "Nodule"))
    assert listing("nih", nih_data, ["nodule"]).records["label_nodule"].tolist() == ["0", "0", "1"]


def test_boxes_of_nih(nih_data):
    found = listing("nih", nih_data, ["infiltration", "pneumonia"])
    assert found.boxes.values.tolist() == [["00030805_000", "infiltration", 10.5, 20, 30, 40]]
    assert found.side == 1024
    put(nih_data, **{"BBox_List_2017.csv": NIH_BOXES.replace("10.5,20,30,40", "10.5,20,0,40")})
    with pytest.raises(InputError, match="row 2"):
        listing("nih", nih_data, ["infiltration"])


def test_the_split_that_nih_comes_with(nih_data):
    lists = {"train_val_list.txt": NIH_IMAGES[:1], "test_list.txt": NIH_IMAGES[2:]}
    put(nih_data, **{name: "\n".join(images) for name, images in lists.items()})
    found = listing("nih", nih_data, ["mass"], given_split=True)
    assert found.records["subset"].tolist() == ["train", "", "evaluation"]
    (nih_data / "test_list.txt").unlink()
    with pytest.raises(InputError, match=r"test_list\.txt"):
        listing("nih", nih_data, ["mass"], given_split=True)


@pytest.mark.parametrize(
    ("train", "test", "said"),
    [
        (NIH_IMAGES[:1], ["99999999_000.png"], r"test_list\.txt\n[\s\S]*1 others.*99999999_000"),
        (NIH_IMAGES[:2], NIH_IMAGES[1:], r"test_list\.txt\n[\s\S]*each in one of the lists"),
    ],
)
def test_a_list_of_nih_that_names_strangers_or_what_trains_is_refused(nih_data, train, test, said):
    put(nih_data, **{"train_val_list.txt": "\n".join(train), "test_list.txt": "\n".join(test)})
    with pytest.raises(InputError, match=said):
        listing("nih", nih_data, ["mass"], given_split=True)


def test_files_without_labels_of_nih_and_labels_without_files(nih_data):
    (nih_data / "images_001/images/00000012_000.png").unlink()
    put(nih_data, "images_004/images/00000013_000.png", "images/00030805_000.png")
    found = listing("nih", nih_data, ["mass"])
    assert rejected(found) == {
        "images_004/images/00000013_000.png": "no annotation in Data_Entry_2017.csv",
        "images_003/images/00030805_000.png": "same name, but other content, as "
        "images/00030805_000.png",
        "Data_Entry_2017.csv": "no file for image 00000012_000",
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (NIH.replace("Infiltration|Mass", "Infiltrate"), "'Infiltrate'"),
        (NIH.replace("Finding Labels", "Findings"), "no column Finding Labels"),
        (NIH.replace(",30805,", ",x,"), "'x'"),
        (NIH + NIH.splitlines()[1], "'00000012_000'"),
    ],
)
def test_bad_tables_of_nih(nih_data, text, said):
    (nih_data / "Data_Entry_2017.csv").write_text(text)
    with pytest.raises(InputError) as caught:
        listing("nih", nih_data, ["mass"])
    assert said in caught.value.found
    assert "Data_Entry_2017.csv" in str(caught.value.where)


def test_labels_of_googles_radiologists(nih_data):
    (nih_data / "google.csv").write_text(GOOGLE)
    findings = list(nih.REFERENCE_FINDINGS)
    assert findings == ["fracture", "pneumothorax", "airspace_opacity", "nodule_or_mass"]
    found = listing("nih", nih_data, findings, labels="google.csv", given_split=True)
    assert found.records[[f"label_{finding}" for finding in findings]].values.tolist() == [
        ["0", "1", "0", "1"],
        ["1", "0", "0", "0"],
    ]
    assert found.records["subset"].tolist() == ["validation", "evaluation"]
    assert found.records["patient"].tolist() == ["nih-00012"] * 2
    assert rejected(found) == {"images_003/images/00030805_000.png": "no annotation in google.csv"}
    with pytest.raises(InputError, match="airspace_opacity"):
        listing("nih", nih_data, ["pleural_effusion"], labels="google.csv")
    put(nih_data, **{"google.csv": GOOGLE.replace("NO,YES,NO,YES,val", "NO,MAYBE,NO,YES,val")})
    with pytest.raises(InputError, match="MAYBE"):
        listing("nih", nih_data, ["pneumothorax"], labels="google.csv")


# --- chexpert ---

CHEXPERT_HEADER = ",".join(["Path,Sex,Age,Frontal/Lateral,AP/PA", *chexpert.NAMES])
PARTS = {"train": "train", "valid": "validation", "test": "evaluation"}


def chexpert_row(path, about, prefix="CheXpert-v1.0-small/", **named):
    """A row of a table. named: labels of findings, others are blank."""
    names = [finding_name(name) for name in chexpert.NAMES]
    return ",".join([prefix + path, about, *(named.get(name, "") for name in names)])


CHEXPERT = "\n".join(
    [
        CHEXPERT_HEADER,
        chexpert_row(
            "train/patient00001/study1/view1_frontal.jpg",
            "Female,68,Frontal,AP",
            pneumonia="1.0",
            pneumothorax="-1.0",
        ),
        chexpert_row(
            "train/patient00001/study2/view1_frontal.jpg",
            "Female,0,Frontal,PA",
            pneumonia="0.0",
            pneumothorax="1.0",
        ),
        chexpert_row(
            "train/patient00001/study2/view2_lateral.jpg", "Female,68,Lateral,", pneumonia="0.0"
        ),
        chexpert_row("train/patient00002/study1/view1_frontal.jpg", "Unknown,40,Frontal,AP"),
    ]
)
CHEXPERT_VALID = "\n".join(
    [
        CHEXPERT_HEADER,
        chexpert_row(
            "valid/patient64541/study1/view1_frontal.jpg",
            "Male,73,Frontal,AP",
            **{finding_name(name): "0.0" for name in chexpert.NAMES},
        ),
    ]
)
VIEWS = [
    "train/patient00001/study1/view1_frontal.jpg",
    "train/patient00001/study2/view1_frontal.jpg",
    "train/patient00001/study2/view2_lateral.jpg",
    "train/patient00002/study1/view1_frontal.jpg",
    "valid/patient64541/study1/view1_frontal.jpg",
]


@pytest.fixture
def chexpert_data(data):
    return put(data, *VIEWS, **{"train.csv": CHEXPERT, "valid.csv": CHEXPERT_VALID})


def test_chexpert(chexpert_data):
    found = listing("chexpert", chexpert_data, ["pneumonia", "pneumothorax"], uncertain="ignore")
    assert labels(found, "pneumonia") == {
        "patient00001_study1_view1_frontal": "1",
        "patient00001_study2_view1_frontal": "0",
        "patient00002_study1_view1_frontal": "",
        "patient64541_study1_view1_frontal": "0",
    }
    assert list(labels(found, "pneumothorax").values()) == ["", "1", "", "0"]
    patients = ["chexpert-00001", "chexpert-00001", "chexpert-00002", "chexpert-64541"]
    assert found.records["patient"].tolist() == patients
    assert found.records["view"].tolist() == ["AP", "PA", "AP", "AP"]
    assert found.records["sex"].tolist() == ["Female", "Female", "Unknown", "Male"]
    assert found.records["age"].tolist() == ["68", "", "40", "73"]
    assert rejected(found) == {VIEWS[2]: "not a frontal view: lateral"}
    assert found.table.ids == 5


@pytest.mark.parametrize(
    ("uncertain", "label"), [("ignore", ""), ("positive", "1"), ("negative", "0")]
)
def test_what_uncertain_is_at_chexpert(chexpert_data, uncertain, label):
    found = listing("chexpert", chexpert_data, ["pneumothorax"], uncertain=uncertain)
    assert labels(found, "pneumothorax")["patient00001_study1_view1_frontal"] == label
    with pytest.raises(InputError, match="pneumothorax 1"):
        listing("chexpert", chexpert_data, ["pneumothorax"])


def test_labels_of_a_patient_are_not_mixed_between_images(chexpert_data):
    found = listing("chexpert", chexpert_data, ["fracture", "pneumothorax"], uncertain="ignore")
    mine = found.records[found.records["patient"] == "chexpert-00001"]
    assert mine["label_pneumothorax"].tolist() == ["", "1"]
    assert mine["label_fracture"].tolist() == ["", ""]


@pytest.mark.parametrize("root", ["CheXpert-v1.0", "CheXpert-v1.0-small", "archive/chexpert"])
def test_copies_of_chexpert(chexpert_data, root):
    target = chexpert_data / root
    target.mkdir(parents=True)
    for name in ("train", "valid", "train.csv", "valid.csv"):
        (chexpert_data / name).rename(target / name)
    (target / "train.csv").write_text(CHEXPERT.replace("-small/", "/"))
    found = listing("chexpert", chexpert_data, ["pneumonia"])
    assert len(found.records) == 4
    assert set(found.rejected["reason"]) == {"not a frontal view: lateral"}
    only = listing("chexpert", chexpert_data, ["pneumonia"], labels="train.csv")
    assert len(only.records) == 3
    assert rejected(only)[f"{root}/{VIEWS[4]}"] == "no annotation in train.csv"


def test_the_split_that_chexpert_comes_with(chexpert_data):
    # The test labels have no columns that describe the patient, and other folders than their paths.
    test = "Path,Pneumonia\nCheXpert-v1.0/valid/patient64741/study1/view1_frontal.jpg,1\n"
    put(
        chexpert_data,
        "CheXpert/test/patient64741/study1/view1_frontal.jpg",
        **{"CheXpert/test_labels.csv": test},
    )
    found = listing("chexpert", chexpert_data, ["pneumonia"], given_split=True)
    subset = column(found, "subset")
    assert sorted(subset.values()) == ["evaluation", "train", "train", "train", "validation"]
    assert subset["patient64541_study1_view1_frontal"] == "validation"
    assert subset["patient64741_study1_view1_frontal"] == "evaluation"
    assert labels(found, "pneumonia")["patient64741_study1_view1_frontal"] == "1"
    with pytest.raises(InputError) as caught:
        listing("chexpert", chexpert_data, ["fracture"])
    assert caught.value.found == "fracture"
    assert "pneumonia" in caught.value.expected


def test_bad_tables_of_chexpert(chexpert_data):
    put(chexpert_data, **{"train.csv": CHEXPERT.replace("study1/view1", "view1")})
    with pytest.raises(InputError, match="row 2"):
        listing("chexpert", chexpert_data, ["fracture"])
    put(chexpert_data, **{"train.csv": CHEXPERT + "\n" + CHEXPERT.splitlines()[1]})
    with pytest.raises(InputError, match="'patient00001_study1_view1_frontal'"):
        listing("chexpert", chexpert_data, ["fracture"])


# --- mimic ---

RELEASE = "mimic-cxr-2.0.0-"
MIMIC_LABELS = """subject_id,study_id,Atelectasis,Pneumonia,No Finding
10000032,50414267,,1.0,
10000032,53189527,-1.0,0.0,
10000764,57375967,,,1.0
"""
MIMIC_METADATA = """dicom_id,subject_id,study_id,ViewPosition,Rows,Columns
02aa804e-bde0afdd,10000032,50414267,PA,3056,2544
174413ec-4ec4c1f7,10000032,50414267,LATERAL,3056,2544
2a2277a9-b0ded155,10000032,53189527,AP,3056,2544
68b5c4b1-227d0485,10000764,57375967,,3056,2544
9a59f3ab-4c4e4f5f,10000764,59999999,PA,3056,2544
"""
MIMIC_SPLIT = """dicom_id,study_id,subject_id,split
02aa804e-bde0afdd,50414267,10000032,train
2a2277a9-b0ded155,53189527,10000032,validate
68b5c4b1-227d0485,57375967,10000764,test
"""


@pytest.fixture
def mimic_data(data):
    rows = [row.split(",") for row in MIMIC_METADATA.splitlines()[1:]]
    images = (f"files/p{row[1][:2]}/p{row[1]}/s{row[2]}/{row[0]}.jpg" for row in rows)
    tables = {"chexpert": MIMIC_LABELS, "metadata": MIMIC_METADATA, "split": MIMIC_SPLIT}
    for name, text in tables.items():
        (data / f"{RELEASE}{name}.csv.gz").write_bytes(gzip.compress(text.encode()))
    return put(data, *images)


def test_mimic(mimic_data):
    found = listing("mimic", mimic_data, ["pneumonia", "no_finding"], given_split=True)
    assert labels(found, "pneumonia") == {"02aa804e-bde0afdd": "1", "2a2277a9-b0ded155": "0"}
    assert found.records["patient"].tolist() == ["mimic-10000032"] * 2
    assert found.records["view"].tolist() == ["PA", "AP"]
    assert found.records["subset"].tolist() == ["train", "validation"]
    folder = "files/p10/p10000"
    assert rejected(found) == {
        f"{folder}032/s50414267/174413ec-4ec4c1f7.jpg": "not a frontal view: LATERAL",
        f"{folder}764/s57375967/68b5c4b1-227d0485.jpg": "not a frontal view: unknown",
        f"{folder}764/s59999999/9a59f3ab-4c4e4f5f.jpg": "no annotation in "
        "mimic-cxr-2.0.0-chexpert.csv.gz",
    }


def test_other_labels_of_mimic(mimic_data):
    table = MIMIC_LABELS.replace("50414267,,1.0", "50414267,,-1.0")
    put(mimic_data, **{f"{RELEASE}negbio.csv": table})
    name = f"{RELEASE}negbio.csv"
    found = listing("mimic", mimic_data, ["pneumonia"], labels=name, uncertain="negative")
    assert set(labels(found, "pneumonia").values()) == {"0"}
    with pytest.raises(InputError, match="pneumonia 1"):
        listing("mimic", mimic_data, ["pneumonia"], labels=name)
    with pytest.raises(InputError, match="expected: findings that the dataset labels"):
        listing("mimic", mimic_data, ["fracture"])


@pytest.mark.parametrize("name", ["chexpert", "metadata", "split"])
def test_mimic_needs_its_tables(mimic_data, name):
    (mimic_data / f"{RELEASE}{name}.csv.gz").unlink()
    with pytest.raises(InputError, match=f"{RELEASE}{name}.csv"):
        listing("mimic", mimic_data, ["pneumonia"], given_split=True)


# --- vindr ---

VINDR = """image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max
aa,Pneumothorax,12,R1,100.0,200.0,300.0,500.0
aa,Pneumothorax,12,R2,110,210,310,510
aa,Pneumothorax,12,R2,700,210,800,510
aa,Pleural effusion,10,R2,5,6,7,8
aa,No finding,14,R3,,,,
bb,Pneumothorax,12,R1,1,2,3,4
bb,Pneumothorax,12,R1,5,6,7,8
bb,No finding,14,R2,,,,
bb,No finding,14,R3,,,,
cc,No finding,14,R1,,,,
cc,No finding,14,R2,,,,
cc,No finding,14,R3,,,,
"""


@pytest.fixture
def vindr_data(data):
    images = [f"train/{name}.dicom" for name in ("aa", "bb", "cc")]
    return put(data, *images, "test/dd.dicom", **{"train.csv": VINDR})


def test_vindr_says_what_most_readers_say(vindr_data):
    found = listing("vindr", vindr_data, ["pneumothorax", "pleural_effusion", "no_finding"])
    # Twice by one reader is one of three readers, too.
    assert labels(found, "pneumothorax") == {"aa": "1", "bb": "0", "cc": "0"}
    assert labels(found, "pleural_effusion") == {"aa": "0", "bb": "0", "cc": "0"}
    assert labels(found, "no_finding") == {"aa": "0", "bb": "1", "cc": "1"}
    assert not found.records["patient_known"].any()
    assert found.records["patient"].tolist() == ["aa", "bb", "cc"]
    assert rejected(found) == {"test/dd.dicom": "no annotation in train.csv"}


def test_boxes_of_vindr_are_of_the_readers_who_agreed(vindr_data):
    found = listing("vindr", vindr_data, ["pneumothorax", "pleural_effusion"])
    assert found.boxes.values.tolist() == [
        ["aa", "pneumothorax", 100, 200, 200, 300],
        ["aa", "pneumothorax", 110, 210, 200, 300],
        ["aa", "pneumothorax", 700, 210, 100, 300],
    ]
    assert found.side is None


def test_vindr_of_physionet(data):
    train = "image_id,rad_id,Nodule/Mass,Pneumonia,No finding\n"
    train += "aa,R1,1,0,0\naa,R2,0,1,0\naa,R3,1,1,0\nbb,R1,0,0,1\nbb,R2,0,0,1\nbb,R3,0,1,0\n"
    test = "image_id,Nodule/Mass,Pneumonia,No finding\ncc,1,0,0\n"
    boxes = "image_id,rad_id,class_name,x_min,y_min,x_max,y_max\n"
    boxes += "aa,R1,Nodule/Mass,1,2,4,8\naa,R2,No finding,,,,\n"
    tables = {
        "annotations/image_labels_train.csv": train,
        "annotations/image_labels_test.csv": test,
        "annotations/annotations_train.csv": boxes,
        "annotations/annotations_test.csv": "image_id,class_name,x_min,y_min,x_max,y_max\n"
        "cc,Nodule/Mass,10,20,30,40\n",
    }
    put(data, "train/aa.dicom", "train/bb.dicom", "test/cc.dicom", **tables)
    found = listing("vindr", data, ["nodule_mass", "pneumonia"], given_split=True)
    assert labels(found, "nodule_mass") == {"cc": "1", "aa": "1", "bb": "0"}
    assert labels(found, "pneumonia") == {"cc": "0", "aa": "1", "bb": "0"}
    assert column(found, "subset") == {"cc": "evaluation", "aa": "train", "bb": "train"}
    assert found.boxes.values.tolist() == [
        ["aa", "nodule_mass", 1, 2, 3, 6],
        ["cc", "nodule_mass", 10, 20, 20, 20],
    ]


def test_the_competition_of_vindr_labels_no_pneumonia(vindr_data):
    with pytest.raises(InputError) as caught:
        listing("vindr", vindr_data, ["pneumonia"])
    assert caught.value.found == "pneumonia"
    assert all(finding_name(name) in caught.value.expected for name in vindr.NAMES)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (VINDR.replace("cc,No finding", "cc,Nothing"), "'Nothing'"),
        (VINDR.replace("100.0,200.0,300.0", "300.0,200.0,100.0"), "300.0, 200.0, 100.0, 500.0"),
        (VINDR.replace("100.0", "left"), "left, 200.0, 300.0, 500.0"),
    ],
)
def test_bad_tables_of_vindr(vindr_data, text, said):
    (vindr_data / "train.csv").write_text(text)
    with pytest.raises(InputError) as caught:
        listing("vindr", vindr_data, ["pneumothorax"])
    assert said in caught.value.found


# --- padchest ---

PADCHEST_HEADER = (
    ",ImageID,ImageDir,StudyDate_DICOM,PatientID,PatientBirth,PatientSex_DICOM,Projection,Labels"
)
PADCHEST = f"""{PADCHEST_HEADER}
0,1_a.png,0,20140915,839860488694292331637988235681,1930.0,F,PA,"['pseudonodule', 'breast mass']"
1,2_b.png,0,20150914,7,1929.0,M,AP_horizontal,"[' nodule', 'mass ', '', 'pleural effusion']"
2,3_c.png,1,20150914,7,nan,O,AP,"['pericardial effusion', 'hydropneumothorax', 'pneumothorax']"
3,4_d.png,1,20150914,8,1950.0,F,PA,nan
4,5_e.png,1,20150914,9,1950.0,F,PA,"['']"
5,6_f.png,1,20150914,,1950.0,F,L,['normal']
6,7_g.png,1,20150914,,1950.0,F,COSTAL,['normal']
7,8_h.png,1,20150914,,1950.0,F,UNK,['normal']
8,9_i.png,1,20150914,,1950.0,F,PA,['normal']
"""
PNGS = ["1_a", "2_b", "3_c", "4_d", "5_e", "6_f", "7_g", "8_h", "9_i"]


@pytest.fixture
def padchest_data(data):
    images = (f"{n % 2}/{name}.png" for n, name in enumerate(PNGS))
    return put(data, *images, **{padchest.TABLE: PADCHEST})


@pytest.mark.parametrize(
    ("finding", "image", "not_meant"),
    [
        ("nodule", "2_b", "pseudonodule"),
        ("mass", "2_b", "breast_mass"),
        ("pleural_effusion", "2_b", "pericardial_effusion"),
        ("pneumothorax", "3_c", "pseudonodule"),
        ("normal", "9_i", "mass"),
    ],
)
def test_padchest_labels_are_compared_whole(padchest_data, finding, image, not_meant):
    found = listing("padchest", padchest_data, [finding, not_meant])
    expected = dict.fromkeys(("1_a", "2_b", "3_c", "9_i"), "0") | {"4_d": "", "5_e": ""}
    assert labels(found, finding) == expected | {image: "1"}
    assert labels(found, not_meant)[image] == "0"


def test_a_hydropneumothorax_is_no_pneumothorax(padchest_data):
    table = PADCHEST.replace("'hydropneumothorax', 'pneumothorax'", "'hydropneumothorax'")
    table = table.replace("'breast mass'", "'pneumothorax'")
    put(padchest_data, **{padchest.TABLE: table})
    found = listing("padchest", padchest_data, ["pneumothorax", "hydropneumothorax"])
    assert (labels(found, "pneumothorax")["3_c"], labels(found, "pneumothorax")["1_a"]) == (
        "0",
        "1",
    )
    assert labels(found, "hydropneumothorax")["3_c"] == "1"
    with pytest.raises(InputError) as caught:
        listing("padchest", padchest_data, ["effusion"])
    assert caught.value.found == "effusion"
    assert "pericardial_effusion, pleural_effusion" in caught.value.expected


def test_who_is_on_the_images_of_padchest(padchest_data):
    found = listing("padchest", padchest_data, ["nodule"])
    assert column(found, "patient") == {
        "1_a": "padchest-839860488694292331637988235681",
        "2_b": "padchest-7",
        "3_c": "padchest-7",
        "4_d": "padchest-8",
        "5_e": "padchest-9",
        "9_i": "9_i",
    }
    assert column(found, "patient_known")["9_i"] is False
    assert column(found, "view") == {
        **dict.fromkeys(("1_a", "4_d", "5_e", "9_i"), "PA"),
        **dict.fromkeys(("2_b", "3_c"), "AP"),
    }
    assert column(found, "age")["1_a"] == "84"
    assert column(found, "age")["3_c"] == ""
    assert rejected(found) == {
        "1/6_f.png": "not a frontal view: L",
        "0/7_g.png": "not a frontal view: COSTAL",
        "1/8_h.png": "not a frontal view: unknown",
    }


@pytest.mark.parametrize(
    "cell", ["__import__('os').getcwd()", "'normal'", "[1]", "['normal'", "{}", "[" * 9999]
)
def test_labels_of_padchest_are_read_and_never_run(padchest_data, cell):
    table = PADCHEST.replace("['normal']", f'"{cell}"', 1)
    put(padchest_data, **{padchest.TABLE: table})
    with pytest.raises(InputError, match="a list such as") as caught:
        listing("padchest", padchest_data, ["nodule"])
    assert caught.value.where.endswith("row 7")


# --- all ---


@pytest.mark.parametrize(
    ("reader", "image", "table"),
    [
        ("nih", "a.png", "Data_Entry_2017_v2020.csv or Data_Entry_2017.csv"),
        ("chexpert", VIEWS[0], "train.csv"),
        ("mimic", "a.jpg", "mimic-cxr-2.0.0-chexpert.csv"),
        ("vindr", "a.dicom", "image_labels_train.csv or train.csv"),
        ("padchest", "a.png", "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv"),
    ],
)
def test_a_missing_table_is_named(data, reader, image, table):
    put(data, image)
    with pytest.raises(InputError) as caught:
        listing(reader, data, ["pneumothorax"])
    assert table in caught.value.expected
    assert "`labels`" in caught.value.fix


@pytest.mark.parametrize(
    ("reader", "image", "tables"),
    [
        ("nih", "a.png", {"Data_Entry_2017.csv": NIH_HEADER, "BBox_List_2017.csv": NIH_BOXES}),
        ("chexpert", VIEWS[0], {"train.csv": CHEXPERT_HEADER}),
        (
            "mimic",
            "a.jpg",
            {
                f"{RELEASE}chexpert.csv": MIMIC_LABELS.splitlines()[0],
                f"{RELEASE}metadata.csv": MIMIC_METADATA.splitlines()[0],
            },
        ),
        ("vindr", "a.dicom", {"train.csv": VINDR.splitlines()[0]}),
        ("vindr", "a.dicom", {"image_labels_test.csv": "image_id,Pneumonia"}),
    ],
)
def test_a_table_without_rows_has_no_labelled_image(data, reader, image, tables):
    put(data, image, **tables)
    finding = "pneumothorax" if "train.csv" in tables or reader == "nih" else "pneumonia"
    with pytest.raises(InputError, match="empty site: 1 radiographs, none of them with a label"):
        listing(reader, data, [finding])


def test_vindr_without_its_tables_of_boxes(data):
    put(data, "test/a.dicom", **{"image_labels_test.csv": "image_id,Pneumonia\na,1\n"})
    found = listing("vindr", data, ["pneumonia"])
    assert labels(found, "pneumonia") == {"a": "1"}
    assert found.boxes.empty
    assert "image" in found.boxes


def test_tables_of_one_name_that_differ_are_named(nih_data):
    put(nih_data, **{"old/Data_Entry_2017.csv": NIH.replace("58", "59")})
    with pytest.raises(InputError, match=r"Data_Entry_2017.csv, old/Data_Entry_2017.csv"):
        listing("nih", nih_data, ["mass"])
    assert len(listing("nih", nih_data, ["mass"], labels="Data_Entry_2017.csv").records) == 3


def test_rsna_labels_no_lung_opacity_beside_pneumonia(data):
    put(
        data,
        "a.dcm",
        **{"stage_2_train_labels.csv": "patientId,x,y,width,height,Target\na,,,,,0\n"},
    )
    with pytest.raises(InputError, match=r"found: +lung_opacity"):
        listing("rsna", data, ["pneumonia", "lung_opacity"])


def test_the_tables_of_a_dataset_are_no_other_files(nih_data):
    put(nih_data, **{"train_val_list.txt": "", "README.txt": ""})
    assert listing("nih", nih_data, ["mass"]).others == ["README.txt"]


def test_all_tables_of_mimic_are_its_own(mimic_data):
    assert listing("mimic", mimic_data, ["pneumonia"]).others == []


def test_padchest_has_no_split(padchest_data):
    with pytest.raises(InputError, match="split: protocol"):
        listing("padchest", padchest_data, ["nodule"], given_split=True)
