"""The complete published label tables, and real radiographs, through the real readers."""

import json

import pandas as pd
import pytest

from chexviz.base.source_code import HOME
from chexviz.data.download import main as download
from chexviz.data.preprocess import main as preprocess
from chexviz.data.readers import rsna, siim
from chexviz.data.readers.attributes import values
from chexviz.data.readers.patients import patients
from chexviz.images.run_lengths import to_mask


def test_all_rsna_labels(real_data):
    labels, boxes = rsna.read_labels(real_data / "tables" / "stage_2_train_labels.csv.gz")
    assert len(labels) == labels["image"].nunique() == 26_684
    assert labels["label_pneumonia"].value_counts().to_dict() == {"0": 20_672, "1": 6_012}
    assert len(boxes) == 9_555
    assert set(boxes["image"]) == set(labels["image"][labels["label_pneumonia"] == "1"])
    assert (boxes["x"] + boxes["width"]).max() <= 1024
    assert (boxes["y"] + boxes["height"]).max() <= 1024


def test_all_siim_labels(real_data):
    path = real_data / "tables" / "siim-train-rle.csv.gz"
    labels, runs = siim.read_labels(path)
    assert len(labels) == labels["image"].nunique() == 12_047
    assert labels["label_pneumothorax"].value_counts().to_dict() == {"0": 9_378, "1": 2_669}
    assert len(runs) == runs["image"].nunique() == 2_669
    rows = pd.read_csv(path, dtype=str).groupby("ImageId").size()
    positive = labels.loc[labels["label_pneumothorax"] == "1", "image"]
    assert (rows[positive] > 1).sum() == 624
    areas = [to_mask(one, (1024, 1024)).sum() for one in runs["runs"]]
    assert min(areas) > 0


def test_all_rsna_patients(real_data):
    known = patients(real_data / "tables" / "rsna_to_nih_match.csv.gz")
    assert len(known) == 26_586
    assert known.nunique() == 11_410
    assert known.str.fullmatch(r"nih-\d{5}").all()


def test_the_shipped_chest_tubes_are_those_of_siim(real_data, repository):
    """Known: pneumothorax and tube 333, pneumothorax alone 120, tube alone 192, neither 1,306."""
    labels, _ = siim.read_labels(real_data / "tables" / "siim-train-rle.csv.gz")
    shipped = HOME / "config" / "attributes" / "siim_chest_tubes.csv.gz"
    tube = values(shipped, "chest_tube", "chest_tube")
    assert tube.index.isin(labels["image"]).all()
    positive = labels.set_index("image")["label_pneumothorax"][tube.index] == "1"
    counts = pd.crosstab(positive, tube)
    assert counts.to_dict() == {"no": {False: 1306, True: 120}, "yes": {False: 192, True: 333}}
    assert shipped.read_bytes()[3:8] == bytes(5)  # gzip: no name, no time
    readme = (repository / "config" / "attributes" / "README.md").read_text()
    for number in ("1,951", "333", "120", "192", "1,306"):
        assert number in readme


@pytest.fixture(scope="module")
def samples(real_data, tmp_path_factory):
    """Both real sites from their sources to samples: {site: DataFrame}."""
    root = tmp_path_factory.mktemp("sites")
    match = real_data / "tables" / "rsna_to_nih_match.csv.gz"
    archive = real_data / "rsna-mini" / "rsna-pneumonia-detection-challenge.zip"
    sites = {
        "rsna": (
            archive,
            {"reader": "rsna", "findings": ["pneumonia"], "patients": str(match)},
        ),
        "hospital": (
            real_data / "hospital-mini",
            {
                "reader": "table",
                "findings": ["pneumothorax", "pneumonia"],
                "patients": None,
            },
        ),
    }
    found = {}
    for site, (source, settings) in sites.items():
        folder = root / site
        first = {"source": [f"local:{source}"], "reader": settings["reader"], "phantom": None}
        manifest = str(folder / "manifest.csv")
        shared = ["--site", site, "--manifest", manifest, "--threads", "2", "--settings"]
        download([*shared, json.dumps(first)])
        outputs = ("images.npy", "samples.csv", "annotations.csv", "rejected.csv", "contract.csv")
        paths = [
            word for name in outputs for word in (f"--{name.partition('.')[0]}", str(folder / name))
        ]
        settings = {
            **settings,
            "labels": None,
            "attributes": {},
            "annotations": None,
            "columns": {},
            "given_split": False,
            "uncertain": None,
            "contract": None,
            "size": 224,
            "fit": "pad",
            "max_pixels": 10**7,
        }
        preprocess([*shared, json.dumps(settings), *paths])
        found[site] = pd.read_csv(folder / "samples.csv", dtype=str, keep_default_na=False)
        assert pd.read_csv(folder / "rejected.csv").empty
    return found


def test_real_sites(samples):
    rsna, hospital = samples["rsna"], samples["hospital"]
    assert (len(rsna), (rsna["label_pneumonia"] == "1").sum(), rsna["patient"].nunique()) == (
        382,
        104,
        346,
    )
    assert (len(hospital), (hospital["label_pneumothorax"] == "1").sum()) == (352, 22)
    assert (hospital["label_pneumonia"] == "1").sum() == 65
    assert hospital["patient"].nunique() == 317
    assert set(rsna["view"]) == {"AP", "PA"}
    assert pd.to_numeric(rsna["age"]).max() <= 120


def test_the_real_sites_share_30_patients(samples):
    assert len(set(samples["rsna"]["patient"]) & set(samples["hospital"]["patient"])) == 30
