"""Phantom sites whose tables label many findings: their files and tables against what was drawn."""

from collections import Counter
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image
from pydicom.pixels import apply_voi_lut

from chexviz.data.phantom import chexpert, nih, site, vindr
from chexviz.data.phantom.item import Item, patient_id
from chexviz.data.phantom.layouts import LAYOUTS
from chexviz.data.phantom.population import plan
from chexviz.data.phantom.radiograph import render
from chexviz.data.readers.patients import patients
from made_phantoms import planted
from made_workers import Here

IMAGES, SEED, SIZE = 70, 2022, 128
NEW = ("nih", "chexpert", "vindr")
FINDINGS = set(nih.NAMES)
CHEXPERT = (
    "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,"
    "Lung Opacity,Lung Lesion,Edema,Consolidation,Pneumonia,Atelectasis,Pneumothorax,"
    "Pleural Effusion,Pleural Other,Fracture,Support Devices"
)


@pytest.fixture(scope="module")
def sites(tmp_path_factory) -> dict[str, Path]:
    folders = {layout: tmp_path_factory.mktemp(layout) for layout in NEW}
    for layout, folder in folders.items():
        with patch.object(site, "Workers", Here):
            site.generate(layout, folder, images=IMAGES, seed=SEED, workers=1, size=SIZE)
    return folders


def text(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def items(layout: str, images: int = IMAGES) -> list[Item]:
    return plan(layout, images, SEED)


def files(folder: Path, suffix: str) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob(f"*{suffix}")}


@pytest.mark.parametrize("layout", NEW)
def test_a_site_shows_all_findings_often_enough_to_learn_them(layout):
    shown = Counter(name for item in items(layout, 600) for name in item.exam.findings)
    assert set(shown) == FINDINGS
    assert all(shown[name] > 60 for name in LAYOUTS[layout].labels)
    assert shown["pleural_effusion"] > 40


@pytest.mark.parametrize("layout", NEW)
def test_every_file_has_a_name_of_its_own_and_is_there(layout, sites):
    planned = [item.file for item in items(layout)]
    assert len(set(planned)) == len(planned)
    suffix = Path(planned[0]).suffix
    assert files(sites[layout], suffix) == set(planned)


def test_patients_of_sites_are_apart_but_for_the_shared_ones():
    people = [set(planted(layout, images=2000, seed=4)["patient"]) for layout in LAYOUTS]
    sites_of = Counter(one for each in people for one in each)
    shared = {one: count for one, count in sites_of.items() if count > 1}
    assert all(int(one.removeprefix("nih-")) < 200 for one in shared)
    assert max(shared.values()) == len(LAYOUTS)


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_a_further_site_of_a_layout_has_other_people_but_for_the_shared_ones(layout):
    first, second, again = (plan(layout, 400, 4, number=number) for number in (1, 2, 2))
    assert first == plan(layout, 400, 4)
    assert second == again
    people = [{one.exam.patient for one in each} for each in (first, second)]
    assert 0 < len(people[0] & people[1]) < 0.1 * len(people[0])
    assert not {one.file for one in first} & {one.file for one in second if one.exam.study}


# --- NIH ChestX-ray14 ----------------------------------------------------------------------------


def test_nih_table_has_the_broken_header_and_the_truth(sites, real_data):
    path = sites["nih"] / "Data_Entry_2017.csv"
    header = path.read_text().splitlines()[0]
    real = pd.read_csv(real_data / "tables" / "Data_Entry_2017_v2020.csv.gz", nrows=1)
    assert header == ",".join([*real.columns, ""])
    table = text(path).set_index("Image Index")
    planned = {item.image: item for item in items("nih")}
    assert set(table.index) == set(planned)
    for image, row in table.iterrows():
        exam = planned[image].exam
        names = {nih.NAMES[name] for name in exam.findings} or {"No Finding"}
        assert set(row["Finding Labels"].split("|")) == names
        assert (row["Patient ID"], row["View Position"]) == (str(exam.patient), exam.view)
        assert image.startswith(f"{exam.patient:08d}_{int(row['Follow-up #']):03d}.")
    assert table["Finding Labels"].str.contains("|", regex=False).any()


def test_nih_lists_part_the_images_by_patient(sites):
    train, test = (
        (sites["nih"] / f"{name}.txt").read_text().splitlines()
        for name in ("train_val_list", "test_list")
    )
    assert set(train) | set(test) == {item.image for item in items("nih")}
    assert len(train) + len(test) == IMAGES
    assert not {name[:8] for name in train} & {name[:8] for name in test}
    tested = np.mean([nih.tested(item.exam) for item in items("nih", 3000)])
    assert tested == pytest.approx(25_596 / 112_120, abs=0.02)


def test_nih_boxes_are_those_that_were_drawn(sites, real_data):
    path = sites["nih"] / "BBox_List_2017.csv"
    header, *rows = path.read_text().splitlines()
    real = pd.read_csv(real_data / "tables" / "BBox_List_2017.csv.gz", nrows=1, header=None)
    assert header.split(",")[:6] == real.iloc[0].tolist()[:6]
    planned = {item.image: item.exam for item in items("nih")}
    test = set((sites["nih"] / "test_list.txt").read_text().splitlines())
    boxed = set()
    for row in rows:
        image, name, *box = row.split(",")
        x, y, width, height = map(float, box)
        assert name in {nih.NAMES[one] for one in planned[image].findings}
        assert image in test
        assert 0 <= x < x + width <= SIZE
        assert 0 <= y < y + height <= SIZE
        boxed.add(image)
    assert boxed == {image for image in test if planned[image].findings - nih.WITHOUT_BOXES}


def test_nih_files_are_grey_and_a_few_have_four_channels(sites):
    modes = Counter()
    for item in items("nih"):
        with Image.open(sites["nih"] / item.file) as image:
            modes[image.mode] += 1
            pixels = np.asarray(image)
        assert pixels.shape[:2] == (SIZE, SIZE)
        grey = pixels if pixels.ndim == 2 else pixels[..., 0]
        if pixels.ndim == 3:
            assert (pixels[..., :3] == grey[..., None]).all()
            assert (pixels[..., 3] == 255).all()
        if item.edition is None:
            assert np.array_equal(grey, render(item.exam, SIZE)[0])
    assert set(modes) == {"L", "RGBA"}
    assert 1 <= modes["RGBA"] <= IMAGES // 8


def test_nih_patients_are_those_of_the_rsna_match(tmp_path):
    with patch.object(site, "Workers", Here):
        site.generate("rsna", tmp_path, images=100, seed=SEED, workers=1, size=64)
    match = text(tmp_path / "match.csv")
    named = set(patients(tmp_path / "match.csv"))
    both = named & {patient_id(item.exam) for item in items("nih", 100)}
    truth = {patient_id(item.exam) for item in plan("rsna", 100, SEED) if item.labelled}
    assert both == truth & {patient_id(item.exam) for item in items("nih", 100)}
    assert both
    # A radiograph that both sites hold has one name.
    images = {item.image for item in items("nih", 100)}
    assert set(match["nih_image"]) & images == {"00000001_000.png"}


# --- CheXpert ------------------------------------------------------------------------------------


def chexpert_tables(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    train, valid = (text(folder / chexpert.ROOT / f"{part}.csv") for part in ("train", "valid"))
    return train, valid


def test_chexpert_tables_list_the_files_of_their_part(sites):
    train, valid = chexpert_tables(sites["chexpert"])
    for part, table in (("train", train), ("valid", valid)):
        assert ",".join(table) == CHEXPERT
        pattern = rf"CheXpert-v1\.0-small/{part}/patient\d{{5}}/study\d+/view\d_frontal\.jpg"
        assert table["Path"].str.fullmatch(pattern).all()
        assert set(table["Frontal/Lateral"]) == {"Frontal"}
    assert {*train["Path"], *valid["Path"]} == files(sites["chexpert"], ".jpg")
    people = [set(table["Path"].str.split("/").str[2]) for table in (train, valid)]
    assert people[0].isdisjoint(people[1])
    assert len(people[0] | people[1]) == len({item.exam.patient for item in items("chexpert")})


def test_chexpert_labels_are_true_where_they_are_known(sites):
    planned = {item.image: item.exam for item in items("chexpert")}
    for table in chexpert_tables(sites["chexpert"]):
        for _, row in table.iterrows():
            shown = planned[row["Path"]].findings
            for column, names in chexpert.LABELS.items():
                assert row[column] in {"", "-1.0", str(float(bool(names & shown)))}
            assert row["No Finding"] in {"", str(float(not shown))}


def test_chexpert_reports_leave_some_blank_and_some_uncertain_but_radiologists_none(tmp_path):
    many = items("chexpert", 3000)
    (tmp_path / chexpert.ROOT).mkdir()
    chexpert.write_tables(many, [], tmp_path, SEED)
    train, valid = chexpert_tables(tmp_path)
    exams = {item.image: item.exam for item in many}
    truth = train["Path"].map(lambda path: "pneumothorax" in exams[path].findings)
    for value, (said, uncertain, blank) in chexpert.REPORTED.items():
        shares = train.loc[truth == bool(value), "Pneumothorax"].value_counts(normalize=True)
        assert shares[str(value)] == pytest.approx(said, abs=0.05)
        assert shares["-1.0"] == pytest.approx(uncertain, abs=0.04)
        assert shares[""] == pytest.approx(blank, abs=0.05)
    assert set(train["Fracture"]) == {""}
    assert valid[list(chexpert.LABELS)].isin(["0.0", "1.0"]).all(axis=None)
    assert 0.05 < len(valid) / 3000 < 0.15


def test_chexpert_files_are_small_and_grey(sites):
    for item in items("chexpert"):
        with Image.open(sites["chexpert"] / item.file) as image:
            assert (image.format, image.mode, image.size) == ("JPEG", "L", (SIZE, SIZE))
    assert LAYOUTS["chexpert"].size == 320


# --- VinDr-CXR -----------------------------------------------------------------------------------


def test_vindr_table_has_three_readers_an_image(sites):
    table = text(sites["vindr"] / "train.csv")
    assert ",".join(table) == "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max"
    corners = ["x_min", "y_min", "x_max", "y_max"]
    assert (table.groupby("image_id")["rad_id"].nunique() == 3).all()
    assert table["rad_id"].str.fullmatch(r"R([1-9]|1[0-7])").all()
    nothing = table["class_id"] == "14"
    assert (nothing == (table["class_name"] == "No finding")).all()
    assert (table.loc[nothing, corners] == "").all(axis=None)
    box = table.loc[~nothing, corners].astype(int)
    assert (box["x_min"] < box["x_max"]).all()
    assert (box["y_min"] < box["y_max"]).all()
    assert box.min(axis=None) >= 0
    assert box.max(axis=None) <= SIZE
    # A reader who sees something has no row that says otherwise.
    assert not table[nothing].merge(table[~nothing], on=["image_id", "rad_id"]).size
    names = set(table["image_id"])
    assert files(sites["vindr"] / "train", ".dicom") == {f"{name}.dicom" for name in names}
    assert len(names) == IMAGES
    assert files(sites["vindr"] / "test", ".dicom").isdisjoint(f"{name}.dicom" for name in names)


def test_the_majority_of_vindr_readers_tells_the_truth_but_not_each_of_them(sites):
    table = text(sites["vindr"] / "train.csv")
    votes = table.groupby(["image_id", "class_name"])["rad_id"].nunique()
    planned = {item.image: item.exam for item in items("vindr") if item.labelled}
    for image, exam in planned.items():
        seen = votes[image]
        majority = set(seen.index[seen >= 2]) - {"No finding"}
        assert majority == {vindr.CLASSES[name][0] for name in exam.findings}
    assert set(votes[votes.index.get_level_values(1) != "No finding"]) == {2, 3}


def test_vindr_files_have_12_bits_of_either_polarity(sites):
    kinds = Counter()
    for item in items("vindr"):
        data = pydicom.dcmread(sites["vindr"] / item.file)
        kinds[data.PhotometricInterpretation] += 1
        assert (data.BitsAllocated, data.BitsStored, data.HighBit) == (16, 12, 11)
        assert "ViewPosition" not in data
        assert data.PatientAge.endswith("Y")
        shown = apply_voi_lut(data.pixel_array, data)
        if data.PhotometricInterpretation == "MONOCHROME1":
            shown = 4095 - shown
        if item.edition is None:
            difference = shown / 4095 * 255 - render(item.exam, SIZE)[0]
            assert np.abs(difference).max() < 1
    assert set(kinds) == {"MONOCHROME1", "MONOCHROME2"}
    assert kinds["MONOCHROME1"] < kinds["MONOCHROME2"] / 2
