"""Both protocols, their groups and their leakage."""

import json
from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chexviz.base.errors import InputError
from chexviz.cohort import split
from chexviz.cohort.leakage import audit, prove_disjoint

NO_PAIRS = pd.DataFrame(columns=["site_a", "image_a", "site_b", "image_b"])
FRACTIONS = {"evaluation": 0.2, "validation": 0.1}
IMAGES = partial(split.ImageSplit, evaluation=0.2)
PATIENTS = partial(split.PatientSplit, evaluation=0.2, validation=0.1)


def table(count: int = 400, patients: int = 150, seed: int = 0) -> pd.DataFrame:
    """Images of two sites that share patients; about a quarter positive."""
    draws = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "site": np.where(np.arange(count) < count // 2, "rsna", "siim"),
            "image": [f"{number:04d}" for number in range(count)],
            "patient": [f"p{number}" for number in draws.integers(0, patients, count)],
            "patient_known": True,
            "label": (draws.random(count) < 0.25).astype(int),
            "sha256": [f"{number:064x}" for number in range(count)],
        }
    )


def pairs(*rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=NO_PAIRS.columns)


def test_paper_takes_floor_of_the_fraction_of_each_site():
    images = pd.DataFrame({"site": ["rsna"] * 26684 + ["siim"] * 12047})
    images["image"] = [str(number) for number in range(len(images))]
    subset = split.by_image(images, IMAGES(seed=1))
    counts = subset.groupby([images["site"], subset]).size()
    assert counts["rsna", "evaluation"] == 5336  # 1,205 + 4,131 of the published Table 1
    assert counts["siim", "evaluation"] == 2409


def test_paper_of_one_site_depends_on_its_own_images_and_the_seed_alone():
    images = table()
    alone = images[images["site"] == "siim"].sample(frac=1, random_state=3)
    both = split.by_image(images, IMAGES(seed=1))
    only = split.by_image(alone, IMAGES(seed=1))
    assert (both[only.index] == only).all()
    assert (split.by_image(images, IMAGES(seed=2)) != both).any()


def test_groups_join_patients_and_duplicates_across_sites():
    images = pd.DataFrame(
        {
            "site": ["a", "a", "a", "b", "b", "b"],
            "image": ["1", "2", "3", "1", "2", "3"],
            "patient": ["p", "p", "q", "r", "p", "s"],
        }
    )
    found = split.groups(images, pairs(["a", "3", "b", "1"], ["b", "3", "c", "1"]))
    assert found[0] == found[1] == found[4]
    assert found[2] == found[3]
    assert len({found[0], found[2], found[5]}) == 3


@settings(max_examples=20)
@given(st.integers(0, 2**31), st.integers(20, 300))
def test_patient_protocol_shares_no_group_between_subsets(seed, patients):
    images = table(seed=seed % 100, patients=patients)
    near = pairs(["rsna", "0000", "siim", "0399"], ["rsna", "0001", "rsna", "0002"])
    images["group"] = split.groups(images, near)
    images["subset"] = split.by_patient(images, PATIENTS(seed=seed))
    assert (images.groupby("group")["subset"].nunique() == 1).all()
    prove_disjoint(images, near)
    assert audit(images, near, "patient")["affected_images"].sum() == 0


def test_patient_protocol_meets_the_fractions_in_each_site_and_class():
    images = table(count=2000, patients=900)
    images["group"] = split.groups(images, NO_PAIRS)
    images["subset"] = split.by_patient(images, PATIENTS(seed=5))
    share = images.groupby(["site", "label"])["subset"].value_counts(normalize=True).unstack()
    assert np.allclose(share["evaluation"], 0.2, atol=0.03)
    assert np.allclose(share["validation"], 0.1, atol=0.03)


def run_main(folder, samples: pd.DataFrame, protocol: str = "paper") -> None:
    """The entry point on these samples, with a file for each site."""
    paths = {site: folder / f"{site}_samples.csv" for site in samples["site"].unique()}
    for site, path in paths.items():
        own = samples[samples["site"] == site]
        own.drop(columns="site").to_csv(path, index=False)
    NO_PAIRS.to_csv(folder / "duplicates.csv", index=False)
    fractions = FRACTIONS if protocol == "patient" else {"evaluation": FRACTIONS["evaluation"]}
    arguments = {
        "protocol": protocol,
        "duplicates": folder / "duplicates.csv",
        "settings": json.dumps(fractions | {"seed": 1}),
    }
    words = [f"--{name}={value}" for name, value in arguments.items()]
    words += ["--site", *paths, "--samples", *map(str, paths.values())]
    split.main([*words, "--split", *(str(folder / f"{site}.csv") for site in paths)])


def test_an_evaluation_set_of_one_class_is_refused_and_leaves_nothing(tmp_path):
    samples = table(40).assign(site="rsna", label=0)
    with pytest.raises(InputError, match="site rsna, subset evaluation") as caught:
        run_main(tmp_path, samples)
    assert "0 positive and 8 negative" in str(caught.value)
    assert "fix:" in str(caught.value)
    assert not (tmp_path / "rsna.csv").exists()


def test_four_images_leave_none_to_evaluate_and_are_refused(tmp_path):
    samples = table(4).assign(site="rsna", label=[0, 1, 0, 1])
    with pytest.raises(InputError, match="site rsna, subset evaluation") as caught:
        run_main(tmp_path, samples)
    assert "0 positive and 0 negative" in str(caught.value)
    assert not list(tmp_path.glob("????.csv"))


@pytest.mark.parametrize("protocol", ["paper", "patient"])
def test_a_site_without_labelled_images_is_named(tmp_path, protocol):
    samples = table(400).astype({"label": object})
    samples.loc[samples["site"] == "siim", "label"] = ""
    with pytest.raises(InputError, match="site siim, subset evaluation") as caught:
        run_main(tmp_path, samples, protocol)
    assert "0 positive and 0 negative" in str(caught.value)


def test_a_site_that_is_one_patient_cannot_be_in_every_subset(tmp_path):
    samples = table(400)
    samples.loc[samples["site"] == "siim", "patient"] = "one"
    with pytest.raises(InputError, match="site siim, subset") as caught:
        run_main(tmp_path, samples, "patient")
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
    samples = table(count).assign(label=np.arange(count) % 2)
    samples["patient"] = [f"p{row * patients // count}" for row in range(count)]
    with pytest.raises(InputError) as caught:
        run_main(tmp_path, samples, "patient")
    assert f"at least {needed} groups" in str(caught.value)
    assert found in str(caught.value)
    assert "raise the fractions in split: patient" in str(caught.value)
    assert not list(tmp_path.glob("????.csv"))


def test_no_labelled_image_at_all_is_refused(tmp_path):
    with pytest.raises(InputError, match="groups to choose from: none; at most 0 images"):
        run_main(tmp_path, table(40).assign(label=""), "patient")
    with pytest.raises(InputError, match="site rsna, subset evaluation"):
        run_main(tmp_path, table(40).assign(label=""), "paper")


def test_a_leak_of_the_patient_protocol_stops_the_run_and_leaves_nothing(tmp_path, monkeypatch):
    """The fault: groups that know nothing of patients."""
    monkeypatch.setattr(split, "groups", lambda images, pairs: np.arange(len(images)))
    with pytest.raises(RuntimeError, match="protocol patient leaks"):
        run_main(tmp_path, table(200).assign(site="rsna"), "patient")
    assert {path.name for path in tmp_path.iterdir()} == {"rsna_samples.csv", "duplicates.csv"}


@pytest.mark.parametrize("protocol", ["paper", "patient"])
def test_the_same_seed_gives_the_same_bytes(tmp_path, protocol):
    written = []
    for name in ("once", "again"):
        (tmp_path / name).mkdir()
        run_main(tmp_path / name, table(200).assign(site="rsna"), protocol)
        written.append((tmp_path / name / "rsna.csv").read_bytes())
    assert written[0] == written[1]


def test_unknown_patients_of_two_sites_with_the_same_image_ids_are_not_joined(tmp_path):
    for site, known in (("a", False), ("b", False), ("c", True), ("d", True)):
        row = {"image": ["001"], "patient": ["001"], "label": [1], "sha256": [site]}
        samples = pd.DataFrame(row)
        samples.assign(patient_known=known).to_csv(tmp_path / f"{site}.csv", index=False)
    sites = ["a", "b", "c", "d"]
    images = split.read_samples(sites, [tmp_path / f"{site}.csv" for site in sites])
    assert images["patient"].tolist() == ["a/001", "b/001", "001", "001"]
    assert len(set(split.groups(images, NO_PAIRS))) == 3


def test_unlabelled_images_are_in_no_subset(tmp_path):
    samples = table(200).assign(site="rsna")
    samples["label"] = samples["label"].astype(object)
    samples.loc[:9, "label"] = ""
    run_main(tmp_path, samples)
    made = pd.read_csv(tmp_path / "rsna.csv", dtype=str)
    assert len(made) == 190
    assert not set(made["image"]) & set(samples["image"][:10])
    # They are packed all the same, so the others lie where they are in the samples.
    rows = made["position"].astype(int)
    assert made["image"].tolist() == samples["image"].iloc[rows].tolist()
