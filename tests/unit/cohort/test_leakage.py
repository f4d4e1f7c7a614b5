"""What leaks is counted as by hand, and the proof of the patient protocol can fail."""

import numpy as np
import pandas as pd
import pytest

from chexviz.base.errors import InputError
from chexviz.base.tables.study import LEAKAGE
from chexviz.cohort import leakage
from chexviz.cohort.leakage import audit, person, prove_disjoint
from made_splits import made_samples, pairs, run_split


@pytest.fixture
def images() -> pd.DataFrame:
    return pd.DataFrame(
        [
            ("a", "1", "p", "train", "f1"),
            ("a", "2", "p", "evaluation", "f2"),  # its patient trains in a and in b
            ("a", "3", "q", "evaluation", "f3"),  # nothing shared
            ("a", "4", "t", "evaluation", "f5"),  # the same file validates in b
            ("b", "1", "p", "train", "f4"),
            ("b", "2", "r", "evaluation", "f6"),  # near-identical to a/1
            ("b", "3", "s", "validation", "f5"),
            ("c", "1", "u", "evaluation", "f7"),
            ("c", "2", "u", "train", "f8"),
        ],
        columns=["site", "image", "patient", "subset", "sha256"],
    ).assign(patient_known=[True, True, False, True, True, True, True, True, True])


def test_audit_counts_by_hand(images):
    table = audit(images, pairs(["a", "1", "b", "2"]), "paper")
    assert list(table.columns) == LEAKAGE.names
    keys = ["site", "scope", "other", "shared"]
    found = table[table["affected_images"] > 0].set_index(keys)["affected_images"].to_dict()
    assert found == {
        ("a", "any", "", "patient"): 1,
        ("a", "any", "", "exact"): 1,
        ("a", "any", "", "any"): 2,
        ("a", "within", "a", "patient"): 1,
        ("a", "within", "a", "any"): 1,
        ("a", "across", "", "patient"): 1,
        ("a", "across", "", "exact"): 1,
        ("a", "across", "", "any"): 2,
        ("a", "across", "b", "patient"): 1,
        ("a", "across", "b", "exact"): 1,
        ("a", "across", "b", "any"): 2,
        ("b", "any", "", "duplicate"): 1,
        ("b", "any", "", "any"): 1,
        ("b", "across", "", "duplicate"): 1,
        ("b", "across", "", "any"): 1,
        ("b", "across", "a", "duplicate"): 1,
        ("b", "across", "a", "any"): 1,
        ("c", "any", "", "patient"): 1,
        ("c", "any", "", "any"): 1,
        ("c", "within", "c", "patient"): 1,
        ("c", "within", "c", "any"): 1,
    }
    # Per site: any, within, across all others, and each of the two others; four kinds of each.
    assert len(table) == 3 * 5 * 4
    first = table.iloc[0]
    assert (first["evaluation_images"], first["known_images"]) == (3, 2)
    assert first["note"] == "patient known for 2 of 3 images"


def test_a_shared_patient_is_a_fraction_of_the_images_whose_patient_is_known(images):
    table = audit(images, pairs(), "paper").set_index(["site", "scope", "other", "shared"])
    assert table.loc[("a", "any", "", "patient"), "fraction"] == 1 / 2
    assert table.loc[("a", "any", "", "exact"), "fraction"] == 1 / 3
    assert table.loc[("a", "any", "", "any"), "fraction"] == 2 / 3


def test_where_the_other_sites_patients_are_unknown_none_can_be_shared(images):
    images["patient_known"] &= images["site"] != "b"
    table = audit(images.assign(patient=person(images)), pairs(), "paper")
    table = table.set_index(["site", "scope", "other", "shared"]).loc["a"]
    unknown = table[table["fraction"].isna()]
    assert unknown.index.tolist() == [("across", "b", "patient")]
    assert "for none of those to compare with" in unknown["note"].iloc[0]
    assert table.loc[("across", "", "patient"), "fraction"] == 0.0  # c's are known


def test_a_fraction_of_no_images_is_not_a_number(images):
    nobody = audit(images.assign(patient_known=False), pairs(), "paper")
    assert nobody["fraction"].isna().equals(nobody["shared"] == "patient")
    trained = images.assign(subset=images["subset"].where(images["site"] != "c", "train"))
    table = audit(trained, pairs(), "paper")
    assert table["fraction"].isna().equals(table["site"] == "c")


def test_a_site_alone_has_no_other_sites(images):
    table = audit(images[images["site"] == "a"], pairs(), "paper")
    assert set(table["scope"]) == {"any", "within"}


@pytest.mark.parametrize(
    ("subset", "change", "kind"),
    [
        ("train", {"patient": "p2"}, "patient"),
        ("validation", {"patient": "p2"}, "patient"),
        ("validation", {"sha256": "f2"}, "exact"),
        ("train", {}, "duplicate"),
    ],
)
def test_the_proof_fails_for_every_kind_of_leak(subset, change, kind):
    table = pd.DataFrame(
        {
            "site": ["a", "a", "b", "b"],
            "image": ["0", "1", "2", "3"],
            "patient": ["p0", "p1", "p2", "p3"],
            "sha256": ["f0", "f1", "f2", "f3"],
            "subset": ["train", "validation", "evaluation", "evaluation"],
        }
    )
    row = {"train": 0, "validation": 1}[subset]
    prove_disjoint(table, pairs(["a", "0", "c", "0"], ["b", "2", "b", "3"]))
    near = [] if change else [["a", str(row), "b", "2"]]
    for column, value in change.items():
        table.loc[row, column] = value
    with pytest.raises(RuntimeError) as caught:
        prove_disjoint(table, pairs(*near))
    assert f"1 images of {subset} share a {kind} with evaluation" in str(caught.value)
    assert f"e.g. a/{row}" in str(caught.value)


def test_a_nameless_patient_is_known_within_the_site_alone(images):
    """Sites a and b number their patients; a number that both have is not the same person."""
    nameless = images["site"].isin(["a", "b"])
    images["patient"] = images["patient"].mask(nameless, "group:" + images["patient"])
    images["patient"] = person(images)
    assert not set(images.loc[images["site"] == "a", "patient"]) & set(
        images.loc[images["site"] == "b", "patient"]
    )
    table = audit(images, pairs(), "paper")
    table = table[(table["site"] == "a") & (table["shared"] == "patient")]
    table = table.set_index(["scope", "other"])
    assert table.loc[("within", "a"), "known_images"] == 2
    assert table.loc[("across", "b"), "known_images"] == 0
    assert np.isnan(table.loc[("across", "b"), "fraction"])
    assert table.loc[("across", "b"), "affected_images"] == 0


def test_unknown_patients_are_told_apart():
    images = pd.DataFrame({"site": ["a", "b", "c"], "image": "1", "patient": "1"})
    known = np.array([False, False, True])
    assert person(images.assign(patient_known=known)).tolist() == ["a/1", "b/1", "1"]


def run_audit(folder, *sites: str) -> tuple[pd.DataFrame, list[str]]:
    """What the entry point makes of what `run_split` wrote: the audit, and lines of the split."""
    words = ["--protocol", "patient", "--site", *sites]
    words += ["--samples", *(str(folder / f"{site}_samples.csv") for site in sites)]
    words += ["--split", *(str(folder / f"{site}.csv") for site in sites)]
    words += ["--duplicates", str(folder / "duplicates.csv")]
    leakage.main([*words, "--audit", str(folder / "audit"), "--joined", str(folder / "joined")])
    return LEAKAGE.read(folder / "audit"), (folder / "joined").read_text().splitlines()


def test_the_joined_split_has_the_labels_of_all_sites(tmp_path):
    """What a site does not label is empty, as an unknown label is; a label is a whole number."""
    samples = made_samples(sites=("a", "b"))
    label, at_a = samples.pop("label_pneumonia").astype(float), samples["site"] == "a"
    samples["label_pneumonia"] = label.where(at_a)
    samples["label_edema"] = label.where(~at_a)
    samples["label_fracture"] = label.where(samples.index != 399)
    sites = {"a": ["train", "pneumonia"], "b": ["train", "edema", "fracture"]}
    run_split(tmp_path, samples, sites=sites)
    _, joined = run_audit(tmp_path, *sites)
    own = "site,image,patient,subset,position"
    assert joined[0] == f"{own},label_pneumonia,label_fracture,label_edema"
    assert len(joined) == 401
    assert joined[1].split(",")[4:] == ["0", f"{label[0]:.0f}", f"{label[0]:.0f}", ""]
    assert joined[400].split(",")[4:] == ["199", "", "", f"{label[399]:.0f}"]
    header = (tmp_path / "b.csv").read_text().splitlines()[0]
    assert header == f"{own},label_edema,label_fracture"


def test_an_external_site_is_audited_against_what_trains_elsewhere(tmp_path):
    """The paper's protocol draws without looking at the patients that two sites share."""
    samples = made_samples(400, patients=150)
    sites = {"rsna": ["train", "pneumonia"], "siim": ["external", "pneumonia"]}
    made = run_split(tmp_path, samples, sites=sites)
    table, _ = run_audit(tmp_path, *sites)
    rows = table.set_index(["site", "scope", "other", "shared"])
    trained = made.loc[made["subset"] == "train", "patient"]
    leaking = made.loc[made["site"] == "siim", "patient"].isin(trained).sum()
    assert 0 < leaking < 200
    row = rows.loc[("siim", "across", "rsna", "patient")]
    assert (row["evaluation_images"], row["affected_images"]) == (200, leaking)
    assert rows.loc[("siim", "within", "siim", "any"), "affected_images"] == 0
    assert rows.loc[("rsna", "across", "siim", "any"), "affected_images"] == 0


def test_images_that_a_given_split_leaves_out_are_not_audited(tmp_path):
    """The first images are in no subset, though their patients are in all of them."""
    samples = made_samples(400, patients=10)
    subset = np.array(["train", "validation", "evaluation", "train"])[samples.index % 4]
    samples["subset"] = pd.Series(subset).where(samples.index >= 100, "")
    sites = {"rsna": ["train", "pneumonia"]}
    made = run_split(tmp_path, samples, sites=sites, given=("rsna",))
    table, joined = run_audit(tmp_path, "rsna")
    assert len(made) == len(joined) - 1 == 100
    assert set(table["evaluation_images"]) == {25}


def test_splits_of_other_samples_are_refused(tmp_path):
    run_split(tmp_path, made_samples(400))
    samples = tmp_path / "rsna_samples.csv"
    header, _, *rows = samples.read_text().splitlines()
    samples.write_text("\n".join([header, *rows]))  # all others are one row further up
    with pytest.raises(InputError, match="rsna") as caught:
        run_audit(tmp_path, "rsna", "siim")
    assert "200 others, of 400" in str(caught.value)
    assert not (tmp_path / "audit").exists()
