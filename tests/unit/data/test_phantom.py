"""Phantom sites: what the layouts hold, what the pixels show, and what is planted in them."""

import warnings
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from unittest.mock import patch
from uuid import UUID

import numpy as np
import pandas as pd
import pydicom
import pytest
import yaml
from scipy import ndimage

from chexviz.base.errors import InputError
from chexviz.base.files import sha256
from chexviz.cohort import duplicates
from chexviz.data.convert import perceptual_hashes
from chexviz.data.phantom import site
from chexviz.data.phantom.anatomy import ABNORMALITIES, Exam, anatomy
from chexviz.data.phantom.chest_tube import has_tube
from chexviz.data.phantom.drawing import write_item
from chexviz.data.phantom.item import radiograph_id
from chexviz.data.phantom.layouts import LAYOUTS
from chexviz.data.phantom.population import COPIES, plan
from chexviz.data.phantom.radiograph import render
from chexviz.data.readers.listing import Columns, Listing, Options
from chexviz.data.readers.registry import read
from chexviz.images.run_lengths import to_mask
from made_phantoms import planted
from made_workers import Here

IMAGES, SEED, SIZE = 70, 2022, 256
SIDE = {"images": IMAGES, "seed": SEED}
# As in an original file of SIIM-ACR; those of the RSNA challenge carry the same.
TAGS = """
    SpecificCharacterSet SOPClassUID SOPInstanceUID StudyDate StudyTime AccessionNumber Modality
    ConversionType ReferringPhysicianName SeriesDescription PatientName PatientID PatientBirthDate
    PatientSex PatientAge BodyPartExamined ViewPosition StudyInstanceUID SeriesInstanceUID StudyID
    SeriesNumber InstanceNumber PatientOrientation SamplesPerPixel PhotometricInterpretation Rows
    Columns PixelSpacing BitsAllocated BitsStored HighBit PixelRepresentation LossyImageCompression
    LossyImageCompressionMethod PixelData
""".split()  # noqa: SIM905


@pytest.fixture(scope="module")
def sites(tmp_path_factory) -> dict[str, Path]:
    folders = {layout: tmp_path_factory.mktemp(layout) for layout in ("rsna", "siim", "table")}
    for layout, folder in folders.items():
        images = 20 if layout == "table" else IMAGES
        with patch.object(site, "Workers", Here):
            site.generate(layout, folder, images=images, seed=SEED, workers=1, size=SIZE)
    return folders


def text(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def tree(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): sha256(path) for path in files}


def listing(
    folder: Path,
    reader: str,
    *findings: str,
    patients: str | None = None,
    annotations: str | None = None,
) -> Listing:
    files = pd.DataFrame(
        [(file, (folder / file).stat().st_size, digest) for file, digest in tree(folder).items()],
        columns=["file", "bytes", "sha256"],
    )
    options = Options(
        findings=[*findings],
        labels=None,
        patients=patients,
        attributes={},
        annotations=annotations,
        columns=Columns(),
        given_split=False,
        uncertain=None,
    )
    return read(reader, folder, files, options)


def pixels(path: Path) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Invalid value for VR AS")
        return pydicom.dcmread(path).pixel_array


def exams(**findings: int) -> list[Exam]:
    none = {"pneumonia": 0, "pneumothorax": 0, "abnormal": False}
    views = ("AP", "PA")
    return [Exam(7, number, 1, views[number % 2], **(none | findings)) for number in range(1, 13)]


# --- layouts -------------------------------------------------------------------------------------


def test_rsna_tables_are_the_challenges(sites):
    folder = sites["rsna"]
    labels = text(folder / "stage_2_train_labels.csv")
    classes = text(folder / "stage_2_detailed_class_info.csv")
    assert list(labels) == ["patientId", "x", "y", "width", "height", "Target"]
    assert list(classes) == ["patientId", "class"]
    assert labels["patientId"].tolist() == classes["patientId"].tolist()
    assert set(classes["class"]) == {"Normal", "No Lung Opacity / Not Normal", "Lung Opacity"}
    assert ((classes["class"] == "Lung Opacity") == (labels["Target"] == "1")).all()
    assert (labels.loc[labels["Target"] == "0", "x"] == "").all()
    stems = {path.stem for path in (folder / "stage_2_train_images").iterdir()}
    assert stems == set(labels["patientId"])
    assert all(UUID(stem).version == 4 for stem in stems)
    tests = {path.stem for path in (folder / "stage_2_test_images").iterdir()}
    assert tests == set(text(folder / "stage_2_sample_submission.csv")["patientId"])
    assert tests.isdisjoint(stems)


def test_rsna_match_names_the_patients_except_a_few(sites):
    match = text(sites["rsna"] / "match.csv")
    assert list(match) == ["patientId", "class", "nih_image", "mse"]
    assert match["nih_image"].str.fullmatch(r"\d{8}_\d{3}\.png").all()
    truth = planted("rsna", **SIDE).set_index("image")["radiograph"]
    right = match["nih_image"].str.removesuffix(".png") == match["patientId"].map(truth)
    reliable = match["mse"].astype(float) < 10
    assert (right == reliable).all()
    assert 0 < (~reliable).sum() < 5


def test_siim_layout_is_the_mirrors(sites):
    folder = sites["siim"]
    header, *rows = (folder / "train-rle.csv").read_text().splitlines()
    assert header == "ImageId, EncodedPixels"
    annotated = {row.split(",")[0] for row in rows}
    files = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    own = {file for file in files if file.parts[0] != "pneumothorax"}
    radiographs = [file for file in own if file.suffix == ".dcm"]
    train, test = (
        {file.stem for file in radiographs if file.parts[0] == f"dicom-images-{part}"}
        for part in ("train", "test")
    )
    assert all(len(file.parts) == 4 for file in radiographs)
    assert len(annotated) == IMAGES
    assert annotated < train | test
    assert len(annotated & test) == 8  # 1,372 of 12,047
    assert train.isdisjoint(test)
    assert own == {Path(*file.parts[1:]) for file in files if file not in own}
    for file in own:
        assert (folder / file).read_bytes() == (folder / "pneumothorax" / file).read_bytes()


def test_a_table_says_which_images_show_a_chest_tube(sites):
    table = text(sites["siim"] / "chest_tubes.csv").set_index("ImageId")["chest_tube"]
    items = [item for item in plan("siim", IMAGES, SEED) if item.labelled]
    assert table.to_dict() == {item.image: str(int(has_tube(item.exam))) for item in items}


def test_chest_tubes_go_with_pneumothorax_and_can_be_asked_for():
    exams = [item.exam for item in plan("siim", 2000, SEED)]
    for ill, share in ((True, 0.75), (False, 0.125)):
        found = [has_tube(exam) for exam in exams if (exam.pneumothorax > 0) == ill]
        assert np.mean(found) == pytest.approx(share, abs=0.05)
    exam = next(exam for exam in exams if exam.pneumothorax and has_tube(exam))
    shown, bare, usual = (render(exam, 128, tubed=tubed) for tubed in (True, False, None))
    np.testing.assert_array_equal(shown[0], usual[0])
    np.testing.assert_array_equal(shown[2], bare[2])  # the masks
    changed = (shown[0] != bare[0]).mean()
    assert 0.005 < changed < 0.15
    assert shown[0].astype(int).sum() > bare[0].astype(int).sum()


def test_an_image_may_have_several_masks_but_never_a_mask_and_none(sites):
    table = text(sites["siim"] / "train-rle.csv")
    rows = table.groupby("ImageId")[" EncodedPixels"].agg(list)
    assert any(len(masks) > 1 for masks in rows)
    assert all(masks == ["-1"] or "-1" not in masks for masks in rows)


def test_hospital_table_lists_every_file(sites):
    table = text(sites["table"] / "labels.csv")
    assert list(table) == ["file", "patient", "pneumothorax", "pneumonia"]
    assert table["patient"].str.fullmatch(r"nih-\d{5}").all()
    assert set(table["file"]) == {
        f"dicom/{path.name}" for path in (sites["table"] / "dicom").iterdir()
    }


def test_readers_read_all_layouts(sites):
    rsna = listing(sites["rsna"], "rsna", "pneumonia", patients="match.csv")
    assert len(rsna.records) == IMAGES
    assert len(rsna.boxes) == len(text(sites["rsna"] / "stage_2_train_labels.csv").query("x != ''"))
    truth = planted("rsna", **SIDE).set_index("image")["patient"]
    known = rsna.records[rsna.records["patient_known"]]
    assert (known["patient"] == known["image"].map(truth)).all()
    siim = listing(sites["siim"], "siim", "pneumothorax")
    assert len(siim.records) == IMAGES
    assert set(siim.runs["image"]) == set(siim.records.query("label_pneumothorax == '1'")["image"])
    table = listing(sites["table"], "table", "pneumonia")
    assert len(table.records) == 20
    assert table.rejected.empty


def test_a_hospital_outlines_what_is_seen_and_the_lungs(sites):
    """As a reader reads it: air is dark, and findings of the lungs are in them."""
    findings = ["pneumonia", "pneumothorax"]
    listed = listing(sites["table"], "table", *findings, annotations="annotations.json")
    labels = listed.records.set_index("image")
    drawn = {
        finding: {*listed.boxes.query("finding == @finding")["image"]}
        | {*listed.runs.query("finding == @finding")["image"]}
        for finding in (*findings, "lungs")
    }
    for finding in findings:
        assert drawn[finding] == {*labels.index[labels[f"label_{finding}"] == "1"]}
    assert drawn["lungs"] == drawn["pneumonia"] | drawn["pneumothorax"]
    masks = listed.runs.set_index(["finding", "image"])["runs"]
    for image, runs in masks["lungs"].items():
        lungs = to_mask(runs, (SIZE, SIZE))
        pixels = pydicom.dcmread(sites["table"] / labels.loc[image, "file"]).pixel_array
        middle = pixels[SIZE // 4 : 3 * SIZE // 4, SIZE // 4 : 3 * SIZE // 4]
        assert 0.1 < lungs.mean() < 0.6
        assert pixels[lungs].mean() < middle.mean()
        if ("pneumothorax", image) in masks:
            free = to_mask(masks["pneumothorax", image], (SIZE, SIZE))
            assert (free & lungs).sum() > 0.9 * free.sum()
    for box in listed.boxes.itertuples():
        lungs = to_mask(masks["lungs", box.image], (SIZE, SIZE))
        rows, columns = (
            slice(int(a), int(a + b)) for a, b in ((box.y, box.height), (box.x, box.width))
        )
        assert lungs[rows, columns].mean() > 0.4


def test_dicom_files_carry_the_challenges_tags(sites):
    for folder in sites.values():
        file = next(path for path in sorted(folder.rglob("*.dcm")))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Invalid value for VR AS")
            data = pydicom.dcmread(file)
            assert [element.keyword for element in data] == TAGS
            assert data.PatientAge.isdigit()
        assert data.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.50"
        assert data.file_meta.MediaStorageSOPInstanceUID == data.SOPInstanceUID
        assert data.SeriesDescription == f"view: {data.ViewPosition}"
        assert data.PatientID == data.PatientName == str(UUID(data.PatientID))
        assert len({data.SOPInstanceUID, data.SeriesInstanceUID, data.StudyInstanceUID}) == 3
        assert data.pixel_array.shape == (SIZE, SIZE)
        assert data.pixel_array.dtype == np.uint8


def test_tags_are_those_of_a_real_file(real_data):
    file = next((real_data / "siim-one").rglob("*.dcm"))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Invalid value for VR AS")
        assert [element.keyword for element in pydicom.dcmread(file)] == TAGS


def test_writing_warns_of_nothing(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for item in plan("siim", 20, 1)[:3]:
            write_item(item, LAYOUTS["siim"].save, tmp_path, 64, lungs=True)


# --- pixels --------------------------------------------------------------------------------------


def test_boxes_hold_the_consolidations():
    for one in exams():
        exam = replace(one, pneumonia=1 + one.patient % 3)
        ill, found, masks = render(exam, SIZE)
        well, none, _ = render(one, SIZE)
        boxes = found.pop("pneumonia")
        assert len(boxes) == exam.pneumonia
        assert not found
        assert not none
        assert not masks
        opacity = np.clip(ill.astype(float) - well, 0, None)
        inside = np.zeros_like(opacity, dtype=bool)
        for x, y, width, height in boxes:
            assert 0 <= x < x + width <= SIZE
            assert 0 <= y < y + height <= SIZE
            inside[y : y + height, x : x + width] = True
        assert opacity[inside].sum() > 0.85 * opacity.sum()
        assert inside.mean() < 0.4


def decode(relative: str) -> np.ndarray:
    """A mask from the competition's run lengths, pixel by pixel."""
    mask, position = np.zeros(SIZE * SIZE, dtype=bool), 0
    values = [int(value) for value in relative.split()]
    for gap, length in zip(values[::2], values[1::2], strict=True):
        position += gap
        mask[position : position + length] = True
        position += length
    return mask.reshape(SIZE, SIZE).T


def test_run_lengths_outline_the_air_that_was_drawn(sites):
    rows = text(sites["siim"] / "train-rle.csv").groupby("ImageId")[" EncodedPixels"].agg(list)
    checked = 0
    for item in plan("siim", IMAGES, SEED):
        if item.labelled and item.exam.pneumothorax and item.edition is None:
            _, _, masks = render(item.exam, SIZE)
            found = [decode(runs) for runs in rows[item.image]]
            assert len(found) == len(masks)
            assert all(np.array_equal(a, b) for a, b in zip(found, masks, strict=True))
            checked += 1
    assert checked > 8


def test_a_pneumothorax_is_dark_and_changes_nothing_elsewhere():
    compared = 0
    for exam in exams(pneumothorax=1):
        healthy = replace(exam, pneumothorax=0)
        # A drain, which other exams have less often, would change pixels outside of the mask.
        collapsed, _, masks = render(exam, SIZE, tubed=False)
        assert len(masks) == 1
        change = collapsed.astype(float) - render(healthy, SIZE, tubed=False)[0]
        assert change[masks[0]].mean() < -2
        around = ndimage.binary_dilation(masks[0], iterations=6)
        assert np.abs(change[~around]).mean() < 0.1
        compared += 1
    assert compared >= 3


def test_a_pneumothorax_in_parts_is_the_same_one():
    for exam in exams(pneumothorax=1):
        pixels_of_one, _, (whole,) = render(exam, SIZE)
        pixels_of_four, _, parts = render(replace(exam, pneumothorax=4), SIZE)
        assert np.array_equal(pixels_of_one, pixels_of_four)
        assert len(parts) == 4
        assert all(part.any() for part in parts)
        assert np.sum(parts, axis=0).max() == 1
        union = np.any(parts, axis=0)
        assert not (union & ~whole).any()
        assert 0.8 < union.sum() / whole.sum() < 1


def test_an_enlarged_heart_is_dense_within_its_box():
    for exam in exams():
        healthy, none, _ = render(exam, SIZE)
        enlarged, boxes, _ = render(replace(exam, cardiomegaly=True), SIZE)
        ((x, y, width, height),) = boxes["cardiomegaly"]
        assert not none
        change = enlarged.astype(float) - healthy
        inside = change[y : y + height, x : x + width]
        assert inside.mean() > 1
        assert np.clip(inside, 0, None).sum() > 0.6 * np.clip(change, 0, None).sum()


def test_every_finding_but_a_pneumothorax_has_boxes():
    seen = set()
    for number in range(1, 81):
        exam = Exam(7, number, 1, "PA", number % 3, number % 2, True, number % 5 == 0)
        _, boxes, masks = render(exam, 64)
        assert set(boxes) == exam.findings - {"pneumothorax"}
        assert all(0 <= x < x + width <= 64 for one in boxes.values() for x, _, width, _ in one)
        assert len(masks) == number % 2
        seen |= exam.findings
    assert seen == {"pneumonia", "pneumothorax", "cardiomegaly", *ABNORMALITIES}


def test_a_view_shows_in_the_pixels():
    sharpness = {"AP": [], "PA": []}
    for exam in exams():
        for view, values in sharpness.items():
            image = render(replace(exam, view=view), SIZE)[0].astype(float)
            values.append(np.abs(ndimage.laplace(image))[40:-40, 40:-40].mean())
    assert np.mean(sharpness["PA"]) > np.mean(sharpness["AP"])


# --- determinism and what is planted -------------------------------------------------------------


def test_bytes_do_not_depend_on_the_number_of_workers(tmp_path, sites):
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        site.generate("table", folder, images=20, seed=SEED, workers=workers, size=SIZE)
        assert tree(folder) == tree(sites["table"])


def test_another_seed_draws_other_people_and_pixels(sites):
    assert anatomy(1, 5) != anatomy(2, 5)
    ours, others = (planted("rsna", images=IMAGES, seed=seed) for seed in (SEED, 1))
    assert set(ours["image"]).isdisjoint(others["image"])
    first, second = (render(Exam(seed, 5, 1, "PA", 0, 0, False), 64)[0] for seed in (1, 2))
    assert np.abs(first.astype(float) - second).mean() > 5


def test_planted_pairs_and_no_others_are_near_duplicates(tmp_path, repository):
    """Among some thousand images, by the settings of the paper."""
    settings = yaml.safe_load((repository / "config" / "config.yaml").read_text())["duplicates"]
    tables, stacks = {}, []
    for layout, images in (("rsna", 1400), ("siim", 700)):
        with patch.object(site, "Workers", Here):
            site.generate(layout, tmp_path, images=images, seed=SEED, workers=1, size=SIZE)
        truth = planted(layout, images=images, seed=SEED)
        stacks.append(np.stack([pixels(tmp_path / file) for file in truth["file"]]))
        tables[layout] = truth.assign(phash=perceptual_hashes(stacks[-1]), sha256="")
    near = duplicates.Nearness(**settings)
    found = duplicates.find(list(tables), list(tables.values()), stacks, near)
    together = pd.concat(tables, names=["site"]).reset_index("site")
    both = together.merge(together, on="radiograph", suffixes=("_a", "_b"))
    expected = set(both[["image_a", "image_b"]].query("image_a < image_b").itertuples(index=False))
    pairs = {tuple(sorted(pair)) for pair in found[["image_a", "image_b"]].itertuples(index=False)}
    assert pairs == expected
    assert len(expected) == 2 * COPIES + 7  # a hundredth of the smaller site
    assert found["difference"].max() < 5


def test_one_copy_within_a_site_has_the_same_pixels(sites):
    table = planted("rsna", **SIDE)
    twice = table[table["radiograph"].duplicated(keep=False)].groupby("radiograph")["file"]
    same = [np.array_equal(*(pixels(sites["rsna"] / file) for file in files)) for _, files in twice]
    assert len(same) == COPIES
    assert sum(same) == 1


def test_sites_share_a_few_patients_and_radiographs():
    sites = {layout: planted(layout, images=1000, seed=3) for layout in LAYOUTS}
    for first, second in combinations(sites.values(), 2):
        patients = set(first["patient"]) & set(second["patient"])
        assert 0.03 < len(patients) / first["patient"].nunique() < 0.07
        assert len(set(first["radiograph"]) & set(second["radiograph"])) == 10
    shared = set(sites["rsna"]["radiograph"]) & set(sites["siim"]["radiograph"])
    by_site = [
        {radiograph_id(item.exam): item.exam for item in plan(layout, 1000, 3)}
        for layout in LAYOUTS
    ]
    assert all(site[name] == by_site[0][name] for site in by_site for name in shared)


def test_prevalence_is_the_published_one():
    rsna = [item.exam for item in plan("rsna", 2000, 5) if item.labelled]
    siim = [item.exam for item in plan("siim", 2000, 5) if item.labelled]
    assert len(rsna) == len(siim) == 2000
    for view, expected in (("AP", 0.383), ("PA", 0.093)):
        of_view = [exam.pneumonia > 0 for exam in rsna if exam.view == view]
        assert np.mean(of_view) == pytest.approx(expected, abs=0.005)
    assert np.mean([exam.view == "AP" for exam in rsna]) == pytest.approx(0.456, abs=0.005)
    assert np.mean([exam.pneumonia > 0 for exam in rsna]) == pytest.approx(0.2253, abs=0.005)
    assert np.mean([exam.pneumothorax > 0 for exam in siim]) == pytest.approx(0.2216, abs=0.005)


def test_most_images_belong_to_patients_with_several():
    patients = planted("rsna", images=2000, seed=5)["patient"].value_counts()
    assert 0.3 < (patients > 1).mean() < 0.5
    assert 0.6 < patients[patients > 1].sum() / patients.sum() < 0.8


@pytest.mark.parametrize("layout", ["rsna", "siim", "table"])
def test_plain_layouts_draw_no_enlarged_heart(layout):
    assert not any(item.exam.cardiomegaly for item in plan(layout, 1000, 5))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_as_many_positives_as_asked_for(layout):
    wanted = dict.fromkeys(LAYOUTS[layout].labels, 37)
    shown = [item.exam.findings for item in plan(layout, 200, 5, wanted) if item.labelled]
    assert {name: sum(name in one for one in shown) for name in wanted} == wanted


@pytest.mark.parametrize(("layout", "finding"), [("rsna", "pneumothorax"), ("nih", "hernia")])
def test_a_number_of_another_finding_is_refused(layout, finding):
    with pytest.raises(InputError, match=rf"found: +{finding}"):
        plan(layout, 20, 5, {finding: 3})


@pytest.mark.parametrize(("layout", "images"), [("mri", 100), ("rsna", 19), ("siim", 49_995)])
def test_a_site_that_cannot_be_drawn_is_refused(layout, images, tmp_path):
    with pytest.raises(InputError, match=r"fix: +correct"):
        site.generate(layout, tmp_path / "site", images=images, seed=1, workers=1)
    assert not (tmp_path / "site").exists()


def test_the_command_draws_a_site(tmp_path):
    arguments = ["--layout", "rsna", "--images", "20", "--seed", "4", "--size", "64"]
    site.main([*arguments, "--workers", "1", "--output", str(tmp_path)])
    truth = planted("rsna", images=20, seed=4)
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.dcm")} == set(
        truth["file"]
    )
