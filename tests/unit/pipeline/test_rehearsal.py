"""The rehearsal: what it changes, and stand-ins with the published numbers at any scale."""

import json
from collections import Counter
from pathlib import Path
from unittest.mock import patch

import pandas as pd
import pytest
import yaml
from snakemake.utils import update_config, validate

from chexviz.cohort import duplicates
from chexviz.data.download import main as download
from chexviz.data.phantom import population
from chexviz.data.phantom.item import Item, patient_id, radiograph_id
from chexviz.data.phantom.rsna import meaning
from chexviz.data.preprocess import main as preprocess
from chexviz.pipeline import configuration
from chexviz.pipeline import settings as job_settings
from made_phantoms import planted
from made_workers import Here

SITES = ("rsna", "siim")
FINDING = {"rsna": "pneumonia", "siim": "pneumothorax"}
OUTPUTS = ("images.npy", "samples.csv", "annotations.csv", "rejected.csv", "contract.csv")


def overlaid(repository: Path, overlay: dict) -> dict:
    """The paper's config with an overlay, validated as the workflow does."""
    config = yaml.safe_load((repository / "config" / "config.yaml").read_text())
    update_config(config, overlay)
    validate(config, str(repository / "workflow" / "schemas" / "config.schema.yaml"))
    configuration.check(config)
    return config


@pytest.fixture(scope="module")
def overlay(repository) -> dict:
    return yaml.safe_load((repository / "config" / "rehearsal.yaml").read_text())


def leaves(config: dict, *path: str):
    """Every value of nested mappings with its keys."""
    for key, value in config.items():
        if isinstance(value, dict):
            yield from leaves(value, *path, key)
        else:
            yield (*path, key), value


def test_it_changes_radiographs_patients_weights_and_epochs_alone(overlay, repository):
    paper = dict(leaves(overlaid(repository, {})))
    changed = dict(leaves(overlaid(repository, overlay)))
    assert changed.keys() == paper.keys()
    different = {path for path, value in changed.items() if value != paper[path]}
    where = {("mark",), ("phantom", "images"), ("architectures", "densenet121", "weights")}
    where |= {path for path in paper if path[0] == "pathvars"}
    where |= {("sites", site, part) for site in SITES for part in ("source", "patients")}
    where |= {("sites", "siim", "attributes", "chest_tube", "table")}
    epochs = {path for path in paper if path[-1] in ("epochs", "rounds")}
    assert different == where | epochs
    assert {changed[path] for path in epochs} == {1}


@pytest.mark.parametrize("wrong", [{"scale": 100}, {"images": "all"}, {"images": 19}])
def test_a_size_of_the_phantom_that_means_nothing_is_refused(repository, wrong):
    with pytest.raises(Exception, match=r"1 was expected|not valid under any"):
        overlaid(repository, {"phantom": wrong})


# --- the published numbers, by the plan alone ---


@pytest.fixture(scope="module")
def items(overlay, repository) -> dict[str, list[Item]]:
    """All files of both sites, as the rehearsal plans them."""
    config = overlaid(repository, overlay)
    return {site: population.plan(site, **job_settings.phantom(config, site)) for site in SITES}


def parts(items: list[Item], finding: str) -> Counter:
    """How many labelled images have so many parts of a finding."""
    return Counter(getattr(item.exam, finding) for item in items if item.labelled)


def meanings(items: list[Item]) -> Counter:
    """How many labelled images belong to each of RSNA's classes."""
    return Counter(meaning(item.exam) for item in items if item.labelled)


def test_rsna_has_the_published_numbers(items):
    files = items["rsna"]
    boxes = parts(files, "pneumonia")
    assert Counter(item.file.split("/")[0] for item in files) == {
        "stage_2_train_images": 26_684,
        "stage_2_test_images": 3_000,
    }
    assert sum(boxes.values()) == 26_684
    assert sum(boxes.values()) - boxes[0] == 6_012
    assert sum(number * images for number, images in boxes.items()) == 9_555
    assert meanings(files) == {
        "Normal": 8_851,
        "No Lung Opacity / Not Normal": 11_821,
        "Lung Opacity": 6_012,
    }
    views = Counter(item.exam.view for item in files if item.labelled)
    assert views == {"AP": 12_173, "PA": 14_511}


def test_siim_has_the_published_numbers(items):
    files = items["siim"]
    masks = parts(files, "pneumothorax")
    folders = Counter((item.file.split("/")[0], item.labelled) for item in files)
    assert folders == {
        ("dicom-images-train", True): 10_675,
        ("dicom-images-train", False): 37,
        ("dicom-images-test", True): 1_372,
        ("dicom-images-test", False): 5,
    }
    assert sum(masks.values()) == 12_047
    assert sum(masks.values()) - masks[0] == 2_669
    assert sum(max(number, 1) * images for number, images in masks.items()) == 12_954
    several = {number: images for number, images in masks.items() if number > 1}
    assert (min(several), max(several), sum(several.values())) == (2, 10, 624)


def test_the_real_tables_have_as_many_boxes_masks_and_classes(items, real_data):
    tables = real_data / "tables"
    labels = pd.read_csv(tables / "stage_2_train_labels.csv.gz")
    boxes = labels.groupby("patientId")["Target"].sum().value_counts().to_dict()
    assert parts(items["rsna"], "pneumonia") == boxes
    classes = pd.read_csv(tables / "stage_2_detailed_class_info.csv.gz").drop_duplicates()
    assert meanings(items["rsna"]) == classes["class"].value_counts().to_dict()
    runs = pd.read_csv(tables / "siim-train-rle.csv.gz", dtype=str)
    masks = (runs[" EncodedPixels"].str.strip() != "-1").groupby(runs["ImageId"]).sum()
    assert parts(items["siim"], "pneumothorax") == masks.value_counts().to_dict()


def test_sites_of_the_published_size_share_what_is_planted_alone(items):
    patients, radiographs = (
        {site: {name(item.exam) for item in files} for site, files in items.items()}
        for name in (patient_id, radiograph_id)
    )
    both = {item.exam for item in items["siim"]} & {item.exam for item in items["rsna"]}
    assert {radiograph_id(exam) for exam in both} == (radiographs["rsna"] & radiographs["siim"])
    assert len(both) == 121  # a hundredth of SIIM-ACR
    shared = patients["rsna"] & patients["siim"]
    assert 0.04 < len(shared) / len(patients["siim"]) < 0.06
    assert all(int(patient.removeprefix("nih-")) < 1_000 for patient in shared)


# --- a hundredth, drawn ---


@pytest.fixture(scope="module")
@patch("chexviz.data.phantom.site.Workers", Here)
@patch("chexviz.data.preprocess.Workers", Here)
def hundredth(overlay, repository, tmp_path_factory) -> tuple[Path, dict]:
    """Both sites through download and preprocessing: {folder}/{site}/; and their config."""
    config = overlaid(repository, overlay)
    config["phantom"]["scale"] = 100
    root = tmp_path_factory.mktemp("hundredth")
    for site in SITES:
        folder = root / site
        words = ["--site", site, "--manifest", str(folder / "manifest.csv"), "--threads", "2"]
        download([*words, "--settings", job_settings.text(job_settings.download(config, site))])
        paths = [(f"--{name.partition('.')[0]}", str(folder / name)) for name in OUTPUTS]
        settings = job_settings.text(job_settings.preprocess(config, site))
        preprocess([*words, "--settings", settings, *(word for pair in paths for word in pair)])
    return root, config


def text(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def test_it_meets_its_strict_contract(hundredth):
    root, config = hundredth
    for site, (files, images, positives) in (("rsna", (297, 267, 60)), ("siim", (121, 120, 27))):
        assert config["sites"][site]["contract"]["strict"]
        agreed = text(root / site / "contract.csv").set_index("check")
        unchecked = agreed["verdict"] == "not checked"
        assert agreed.index[unchecked].tolist() == ["rows of the label table"]
        assert set(agreed["verdict"][~unchecked]) == {"as expected"}
        assert agreed["found"]["files *.dcm"] == str(files)
        samples = text(root / site / "samples.csv")
        labels = samples[f"label_{FINDING[site]}"]
        assert (len(samples), (labels == "1").sum()) == (images, positives)
        reasons = text(root / site / "rejected.csv")["reason"]
        copies = reasons.str.startswith("second copy of")
        assert copies.sum() == (files if site == "siim" else 0)
        assert (~copies).sum() == files - images


def test_its_tables_have_a_row_for_every_box_and_mask(hundredth):
    root, config = hundredth
    # 26, 33 and 1 images with 1, 2 and 3 boxes; 21, 4, 1 and 1 with 1, 2, 3 and 4 masks.
    rows = {"rsna": 267 - 60 + 26 + 2 * 33 + 3, "siim": 120 - 27 + 21 + 2 * 4 + 3 + 4}
    for site, table in (("rsna", "stage_2_train_labels.csv"), ("siim", "train-rle.csv")):
        planned = population.plan(site, **job_settings.phantom(config, site))
        numbers = parts(planned, FINDING[site])
        assert sum(max(number, 1) * images for number, images in numbers.items()) == rows[site]
        assert len(text(root / site / "data" / table)) == rows[site]
    classes = text(root / "rsna" / "data" / "stage_2_detailed_class_info.csv")
    assert len(classes) == rows["rsna"]
    assert classes.drop_duplicates()["class"].value_counts().to_dict() == {
        "No Lung Opacity / Not Normal": round(207 * 11_821 / 20_672),
        "Normal": 207 - round(207 * 11_821 / 20_672),
        "Lung Opacity": 60,
    }
    assert len(text(root / "rsna" / "data" / "stage_2_sample_submission.csv")) == 30


def test_its_near_identical_images_are_the_planted_ones(hundredth, tmp_path):
    root, config = hundredth
    words = ["--site", *SITES, "--settings", json.dumps(config["duplicates"])]
    for name in ("images.npy", "samples.csv"):
        words += [f"--{name.partition('.')[0]}", *(str(root / site / name) for site in SITES)]
    duplicates.main([*words, "--output", str(tmp_path / "pairs.csv")])
    pairs = text(tmp_path / "pairs.csv")
    truth = pd.concat(
        planted(site, **job_settings.phantom(config, site)).query("labelled") for site in SITES
    )
    radiograph = truth.set_index("image")["radiograph"]
    assert (pairs["image_a"].map(radiograph) == pairs["image_b"].map(radiograph)).all()
    counts = radiograph.value_counts()
    assert len(pairs) == (counts * (counts - 1) // 2).sum() >= 2 * population.COPIES
