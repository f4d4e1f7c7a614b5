"""Both protocols, their groups and their leakage."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chexviz.base.errors import InputError
from chexviz.base.records import groups
from chexviz.cohort import split
from chexviz.cohort.grouping import strata
from chexviz.cohort.leakage import audit, prove_disjoint, read_samples
from made_splits import made_samples, pairs, run_split

NO_PAIRS = pairs()
IMAGES = partial(split.ImageSplit, evaluation=0.2)
PATIENTS = partial(split.PatientSplit, evaluation=0.2, validation=0.1)
FINDINGS = {"rsna": ["pneumonia"], "siim": ["pneumonia"]}


def test_paper_takes_floor_of_the_fraction_of_each_site():
    images = pd.DataFrame({"site": ["rsna"] * 26684 + ["siim"] * 12047})
    images["image"] = [str(number) for number in range(len(images))]
    subset = split.by_image(images, IMAGES(seed=1))
    counts = subset.groupby([images["site"], subset]).size()
    assert counts["rsna", "evaluation"] == 5336  # 1,205 + 4,131 of the published Table 1
    assert counts["siim", "evaluation"] == 2409


def test_paper_of_one_site_depends_on_its_own_images_and_the_seed_alone():
    images = made_samples()
    alone = images[images["site"] == "siim"].sample(frac=1, random_state=3)
    both = split.by_image(images, IMAGES(seed=1))
    only = split.by_image(alone, IMAGES(seed=1))
    assert (both[only.index] == only).all()
    assert (split.by_image(images, IMAGES(seed=2)) != both).any()


@settings(max_examples=20)
@given(st.integers(0, 2**31), st.integers(20, 300))
def test_patient_protocol_shares_no_group_between_subsets(seed, patients):
    images = made_samples(seed=seed % 100, patients=patients)
    near = pairs(["rsna", "0000", "siim", "0399"], ["rsna", "0001", "rsna", "0002"])
    images = images.assign(group=groups(images, near), stratum=strata(images, FINDINGS))
    images["subset"] = split.by_patient(images, PATIENTS(seed=seed))
    assert (images.groupby("group")["subset"].nunique() == 1).all()
    prove_disjoint(images, near)
    assert audit(images, near, "patient")["affected_images"].sum() == 0


def test_patient_protocol_meets_the_fractions_in_each_site_and_class():
    images = made_samples(count=2000, patients=900)
    images = images.assign(group=groups(images, NO_PAIRS), stratum=strata(images, FINDINGS))
    images["subset"] = split.by_patient(images, PATIENTS(seed=5))
    share = (
        images.groupby(["site", "label_pneumonia"])["subset"].value_counts(normalize=True).unstack()
    )
    assert np.allclose(share["evaluation"], 0.2, atol=0.03)
    assert np.allclose(share["validation"], 0.1, atol=0.03)


def test_an_evaluation_set_of_one_class_is_refused_and_leaves_nothing(tmp_path):
    samples = made_samples(40).assign(site="rsna", label_pneumonia=0)
    with pytest.raises(InputError, match="site rsna, subset evaluation") as caught:
        run_split(tmp_path, samples)
    assert "0 positive and 8 negative" in str(caught.value)
    assert "fix:" in str(caught.value)
    assert not (tmp_path / "rsna.csv").exists()


def test_four_images_leave_none_to_evaluate_and_are_refused(tmp_path):
    samples = made_samples(4).assign(site="rsna", label_pneumonia=[0, 1, 0, 1])
    with pytest.raises(InputError, match="site rsna, subset evaluation") as caught:
        run_split(tmp_path, samples)
    assert "0 positive and 0 negative" in str(caught.value)
    assert not list(tmp_path.glob("????.csv"))


@pytest.mark.parametrize("protocol", ["paper", "patient"])
def test_a_site_without_labelled_images_is_named(tmp_path, protocol):
    samples = made_samples(400).astype({"label_pneumonia": object})
    samples.loc[samples["site"] == "siim", "label_pneumonia"] = ""
    with pytest.raises(InputError, match=r"siim_samples\.csv: site siim") as caught:
        run_split(tmp_path, samples, protocol)
    assert "expected: images with a known label of pneumonia" in str(caught.value)
    assert "found:    none, of 200" in str(caught.value)
    assert not list(tmp_path.glob("????.csv"))


def test_a_finding_that_the_samples_do_not_have_is_named(tmp_path):
    sites = {"rsna": ["train", "pneumonia", "edema"], "siim": ["train", "pneumonia"]}
    with pytest.raises(InputError, match="site rsna") as caught:
        run_split(tmp_path, made_samples(), sites=sites)
    assert "found:    no column label_edema" in str(caught.value)


def test_a_site_that_is_one_patient_cannot_be_in_every_subset(tmp_path):
    samples = made_samples(400)
    samples.loc[samples["site"] == "siim", "patient"] = "one"
    with pytest.raises(InputError, match="site siim, subset") as caught:
        run_split(tmp_path, samples, "patient")
    assert "0 positive and 0 negative" in str(caught.value)
    assert "patients of the site: 1" in str(caught.value)
    assert not list(tmp_path.glob("????.csv"))


@pytest.mark.parametrize(
    ("count", "patients", "needed", "found"),
    [
        (40, 3, 5, "groups to choose from: 2 at rsna, 2 at siim; at most 10 images of one class"),
        (8, 8, 5, "groups to choose from: 4 at rsna, 4 at siim; at most 2 images of one class"),
        (60, 6, 8, "groups to choose from: "),
    ],
)
def test_too_few_patients_for_a_fold_are_counted_by_site(tmp_path, count, patients, needed, found):
    """Too few patients, the second at both sites; too few images; too few left to validate."""
    samples = made_samples(count).assign(label_pneumonia=np.arange(count) % 2)
    samples["patient"] = [f"p{row * patients // count}" for row in range(count)]
    with pytest.raises(InputError) as caught:
        run_split(tmp_path, samples, "patient")
    assert f"at least {needed} groups" in str(caught.value)
    assert found in str(caught.value)
    assert "raise the fractions in split: patient" in str(caught.value)
    assert not list(tmp_path.glob("????.csv"))


def test_no_image_to_draw_has_nothing_to_fold():
    images = made_samples(0).assign(stratum="", group=0)
    assert split.by_patient(images, PATIENTS(seed=1)).empty


def test_a_leak_of_the_patient_protocol_stops_the_run_and_leaves_nothing(tmp_path, monkeypatch):
    """The fault: groups that know nothing of patients."""
    monkeypatch.setattr(split, "groups", lambda images, pairs: np.arange(len(images)))
    with pytest.raises(RuntimeError, match="protocol patient leaks"):
        run_split(tmp_path, made_samples(200).assign(site="rsna"), "patient")
    assert {path.name for path in tmp_path.iterdir()} == {"rsna_samples.csv", "duplicates.csv"}


@pytest.mark.parametrize("protocol", ["paper", "patient"])
def test_the_same_seed_gives_the_same_bytes(tmp_path, protocol):
    written = []
    for name in ("once", "again"):
        (tmp_path / name).mkdir()
        run_split(tmp_path / name, made_samples(200).assign(site="rsna"), protocol)
        written.append((tmp_path / name / "rsna.csv").read_bytes())
    assert written[0] == written[1]


def test_unknown_patients_of_two_sites_with_the_same_image_ids_are_not_joined(tmp_path):
    columns = ("image", "patient", "patient_known", "sha256")
    for site, known in (("a", False), ("b", False), ("c", True), ("d", True)):
        row = pd.DataFrame([["001", "001", known, site]], columns=columns)
        row.to_csv(tmp_path / f"{site}.csv", index=False)
    sites = ["a", "b", "c", "d"]
    tables = read_samples(sites, [tmp_path / f"{site}.csv" for site in sites], *columns)
    images = pd.concat(tables, ignore_index=True)
    assert images["patient"].tolist() == ["a/001", "b/001", "001", "001"]
    assert len(set(groups(images, NO_PAIRS))) == 3


def test_unlabelled_images_are_in_no_subset(tmp_path):
    samples = made_samples(200).assign(site="rsna").astype({"label_pneumonia": object})
    samples.loc[:9, "label_pneumonia"] = ""
    made = run_split(tmp_path, samples)
    assert len(made) == 190
    assert not set(made["image"]) & set(samples["image"][:10])
    # They are packed all the same, so the others lie where they are in the samples.
    assert made["image"].tolist() == samples["image"].iloc[made["position"]].tolist()


def test_an_image_is_in_a_subset_if_one_of_the_findings_is_known(tmp_path):
    """What only evaluates does not count, but is told of those that are in the split."""
    samples = made_samples(200).assign(site="rsna", label_edema=lambda rows: 1 - rows.index % 2)
    samples = samples.assign(label_fracture=1).astype({"label_pneumonia": object})
    samples["label_edema"] = samples["label_edema"].astype(object)
    samples.loc[:9, "label_pneumonia"] = ""
    samples.loc[5:14, "label_edema"] = ""
    made = run_split(tmp_path, samples, sites={"rsna": ["train", "pneumonia", "edema"]})
    assert len(made) == 195
    assert sorted({*samples["image"]} - {*made["image"]}) == [
        f"000{number}" for number in range(5, 10)
    ]
    text = (tmp_path / "rsna.csv").read_text().splitlines()
    header = "site,image,patient,subset,position,label_pneumonia,label_edema,label_fracture"
    assert text[0] == header
    assert [line.split(",", 5)[5] for line in (text[1], text[6])] == [",1,1", "0,,1"]


# Subsets in the order of images: t train, v validation, e evaluation; drawn when each site had one
# task, and the labels of all were one column.
DRAWN = {
    "paper": {
        "rsna": "etttttttttttetttttttttttttteetttttteteetteeettttttettttetttttttteetttttt",
        "siim": "tetetttettttttttttttttttttetttttettttettteeetttt",
    },
    "patient": {
        "rsna": "etttttttevvtttttvtetetttttteettevtvttttetetttetvttteettttttettttetttttev",
        "siim": "eettetvttttevttvtttttttetvvtttettettttettetttttt",
    },
}


@pytest.mark.parametrize("protocol", DRAWN)
def test_one_finding_a_site_is_divided_as_it_always_was(tmp_path, protocol):
    draws = np.random.default_rng(7)
    samples = pd.DataFrame(
        {
            "site": np.where(np.arange(120) % 5 < 3, "rsna", "siim"),
            "image": [f"{number:03d}" for number in range(120)],
            "patient": [f"p{number}" for number in draws.integers(0, 60, 120)],
            "patient_known": True,
            "sha256": [f"{number:064x}" for number in range(120)],
        }
    )
    label = (draws.random(120) < 0.3).astype(int)
    samples["label_pneumonia"] = pd.Series(label).where(samples["site"] == "rsna")
    samples["label_pneumothorax"] = pd.Series(label).where(samples["site"] == "siim")
    sites = {"rsna": ["train", "pneumonia"], "siim": ["train", "pneumothorax"]}
    near = pairs(["rsna", "000", "siim", "004"], ["rsna", "001", "rsna", "002"])
    made = run_split(tmp_path, samples, protocol, sites=sites, near=near, seed=3)
    found = made.groupby("site")["subset"].agg(lambda subsets: "".join(name[0] for name in subsets))
    assert found.to_dict() == DRAWN[protocol]
