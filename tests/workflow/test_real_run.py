"""The whole workflow on real radiographs: an RSNA archive and a hospital's folder with a table."""

import copy

import numpy as np
import pandas as pd
import pytest

from bundled import compared
from running import TINY, Workflow

FILES = {"rsna": 382, "hospital": 352}
POSITIVE = {"rsna": 104, "hospital": 22}
FINDING = {"rsna": "pneumonia", "hospital": "pneumothorax"}
TABLE = "tables/rsna_to_nih_match.csv.gz"


@pytest.fixture(scope="module")
def done(tmp_path_factory, repository, real_data) -> Workflow:
    """A finished run on the real radiographs, of one epoch."""
    overlay = copy.deepcopy(TINY)
    overlay["architectures"]["standard"] = {"baseline": {"epochs": 1}, "federated": {"rounds": 1}}
    overlay["mark"] = "TEST: a few hundred images, short schedules"
    overlay["run"] |= {"sites": ["rsna", "hospital"], "architectures": ["standard"]}
    overlay["preprocess"]["size"] = 64
    overlay["sites"] = {
        "rsna": {
            "source": [f"local:{real_data}/rsna-mini/rsna-pneumonia-detection-challenge.zip"],
            "patients": f"{real_data}/{TABLE}",
        },
        "hospital": {
            "title": "Hospital",
            "findings": ["pneumothorax"],
            "reader": "table",
            "source": [f"local:{real_data}/hospital-mini"],
            "labels": "labels.csv",
        },
    }
    workflow = Workflow(tmp_path_factory.mktemp("real"), repository, overlay)
    workflow.succeed()
    return workflow


@pytest.mark.parametrize("site", FILES)
def test_every_radiograph_is_used_and_the_labels_add_up(done, site):
    (folder,) = done.results(f"sites/{site}")
    samples = pd.read_csv(folder / "samples.csv", dtype={"image": str, "file": str})
    rejected = pd.read_csv(folder / "rejected.csv", dtype=str)
    radiographs = rejected["file"].str.endswith(".dcm").sum()
    assert len(samples) + radiographs == FILES[site]
    assert len(samples) == FILES[site]
    assert samples[f"label_{FINDING[site]}"].sum() == POSITIVE[site]
    images = np.load(folder / "images.npy", mmap_mode="r")
    assert images.shape == (FILES[site], 64, 64)
    assert 20 < images.mean() < 200
    assert images.reshape(len(images), -1).std(axis=1).min() > 10


def test_the_patients_that_both_sites_share_are_found(done):
    patients = {
        site: set(pd.read_csv(done.results(f"sites/{site}/samples.csv")[0], dtype=str)["patient"])
        for site in FILES
    }
    assert len(patients["rsna"] & patients["hospital"]) == 30
    assert len(patients["rsna"]) == 346
    assert len(patients["hospital"]) == 317
    audit = pd.read_csv(done.results("audit/paper.csv")[0])
    across = audit[(audit["scope"] == "across") & (audit["shared"] == "patient")]
    assert across["affected_images"].sum() > 0
    assert pd.read_csv(done.results("audit/patient.csv")[0])["affected_images"].sum() == 0


def test_the_image_that_both_sites_hold_is_found_and_no_other(done):
    pairs = pd.read_csv(done.results("duplicates.csv")[0], dtype=str)
    assert pairs[["site_a", "image_a", "site_b", "image_b"]].values.tolist() == [
        ["rsna", "71d57bca-9142-4f4d-b35d-7c6d1da6ed6c", "hospital", "00002658_002"]
    ]


def test_the_audit_says_how_many_patients_the_sites_share(done):
    labels = pd.read_csv(done.results("audit/labels.csv")[0])
    shared = labels[labels["check"] == "shared patient"]
    assert shared["note"].tolist() == ["patients: 30"] * 2
    assert len(done.results("figures/audit.*")) == 2


def test_portable_views_are_more_often_positive_at_rsna(done):
    labels = pd.read_csv(done.results("audit/labels.csv")[0])
    row = labels[(labels["site"] == "rsna") & (labels["group"] == "view AP against PA")].iloc[0]
    assert row["low"] > 2


def test_hashes_are_as_alike_as_those_that_the_search_is_measured_on(done):
    """tests/unit/made_hashes.py was made after these."""
    tables = [pd.read_csv(done.results(f"sites/{site}/samples.csv")[0]) for site in FILES]
    hashes = np.array([int(text, 16) for text in pd.concat(tables)["phash"]], dtype=np.uint64)
    first, second = np.triu_indices(len(hashes), 1)
    differ = np.bitwise_count(hashes[first] ^ hashes[second])
    assert abs(differ.mean() - 27.6) < 0.5
    assert abs(differ.std() - 4.9) < 0.3
    assert 4e-5 < (differ <= 8).mean() < 16e-5


def test_every_box_lies_in_its_image(done):
    boxes = pd.read_csv(done.results("sites/rsna/annotations.csv")[0], dtype={"image": str})
    samples = pd.read_csv(done.results("sites/rsna/samples.csv")[0], dtype={"image": str})
    assert set(boxes["image"]) == set(samples.loc[samples["label_pneumonia"] == 1, "image"])
    assert (boxes[["x", "y"]] >= 0).all(axis=None)
    assert (boxes["x"] + boxes["width"] <= 64).all()
    assert (boxes["y"] + boxes["height"] <= 64).all()


def test_table_figures_and_paper_come_out(done):
    for protocol in ("paper", "patient"):
        table = pd.read_csv(done.results(f"tables/{protocol}/table1.csv")[0])
        assert len(table) == 4  # sites, alone and federated
        assert len(done.results(f"figures/{protocol}/figure*.p*")) == 4
    assert done.results("paper.pdf")[0].read_bytes().startswith(b"%PDF")


def test_a_bundle_gives_real_radiographs_the_scores_of_the_run(done, real_data):
    (bundle,) = done.results("bundles/patient/standard")
    raw = {
        "rsna": real_data / "rsna-mini" / "rsna-pneumonia-detection-challenge.zip",
        "hospital": real_data / "hospital-mini",
    }
    answers = {"pneumonia": "rsna", "pneumothorax": "hospital"}
    for site, path in raw.items():
        # Validation and evaluation images, each by both heads.
        assert compared(done, bundle, site, path, answers) > 2 * 0.25 * FILES[site]
