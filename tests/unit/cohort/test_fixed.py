"""External sites, datasets' own splits, and images that follow them."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from chexviz.base.errors import InputError
from chexviz.base.records import groups
from chexviz.base.sites import Site
from chexviz.base.tables.study import SUBSETS
from chexviz.cohort import split
from chexviz.cohort.fixed import fix, follow, to_validate, torn
from chexviz.cohort.leakage import audit, prove_disjoint
from made_splits import made_samples, pairs, run_split

EXTERNAL = {"rsna": ["train", "pneumonia"], "siim": ["external", "pneumonia"]}
GIVEN = {"rsna": ["train", "pneumonia"], "siim": ["train", "pneumonia"]}
NO_PAIRS = pairs()
PATIENTS = split.PatientSplit(seed=1, evaluation=0.2, validation=0.1)


def alone(count: int = 400) -> pd.DataFrame:
    """Two sites that share no patient: each has three images or so."""
    samples = made_samples(count, patients=count // 3)
    return samples.assign(patient=samples["site"] + samples["patient"])


def with_own_split(samples: pd.DataFrame, share: dict[str, float]) -> pd.DataFrame:
    """The site siim has a split by patient. share: of its patients, by subset; others in none."""
    patients = sorted(samples.loc[samples["site"] == "siim", "patient"].unique())
    ends = np.cumsum([round(part * len(patients)) for part in share.values()])
    named = dict(zip(patients, np.repeat([*share], np.diff(ends, prepend=0)), strict=False))
    subset = samples["patient"].map(named).where(samples["site"] == "siim")
    return samples.assign(subset=subset.fillna(""))


THIRDS = {"train": 0.6, "validation": 0.2, "evaluation": 0.2}
TWO = {"train": 0.7, "evaluation": 0.3}


def subsets(made: pd.DataFrame, site: str) -> dict[str, int]:
    return made.loc[made["site"] == site, "subset"].value_counts().to_dict()


@pytest.mark.parametrize("protocol", ["paper", "patient"])
def test_all_images_of_an_external_site_evaluate(tmp_path, capsys, protocol):
    samples = with_own_split(alone(), THIRDS)  # whatever split it comes with
    made = run_split(tmp_path, samples, protocol, sites=EXTERNAL, given=("siim",))
    assert subsets(made, "siim") == {"evaluation": 200}
    without = run_split(tmp_path, samples[samples["site"] == "rsna"], protocol)
    assert made[made["site"] == "rsna"].equals(without)
    told = capsys.readouterr().err.splitlines()
    assert told == [f"split {protocol}, site siim is external: all 200 labelled images evaluate"]


def test_images_of_patients_of_an_external_site_evaluate_under_the_patient_protocol(
    tmp_path, capsys
):
    """Some of the external patients are at the other site, and one image has a near copy there."""
    samples = alone()
    shared = samples["site"].eq("siim") & (samples.index % 10 == 0)
    samples.loc[shared, "patient"] = samples["patient"].str.replace("siim", "rsna")
    near = pairs(["rsna", "0000", "siim", "0301"])
    elsewhere = samples.loc[samples["site"] == "siim", "patient"]
    pulled = (samples["site"] == "rsna") & samples["patient"].isin(elsewhere)
    pulled |= samples["patient"] == samples.loc[0, "patient"]
    made = run_split(tmp_path, samples, "patient", sites=EXTERNAL, near=near)
    images = samples.merge(made[["site", "image", "subset"]], on=["site", "image"])
    assert 0 < pulled.sum() < 150
    assert set(images.loc[pulled, "subset"]) == {"evaluation"}
    assert set(images.loc[images["site"] == "rsna", "subset"]) == set(SUBSETS)
    prove_disjoint(images, near)
    line = capsys.readouterr().err.splitlines()[0]
    assert line == (
        f"split patient, site rsna: {pulled.sum()} images follow others of their group, whose "
        f"subset is fixed: 0 train, 0 validation, {pulled.sum()} evaluation"
    )
    # The paper's protocol knows nothing of patients, and draws as ever.
    paper = run_split(tmp_path, samples, "paper", sites=EXTERNAL, near=near)
    assert subsets(paper, "rsna") == {"train": 160, "evaluation": 40}


def test_a_site_whose_training_images_all_follow_an_external_one_is_refused(tmp_path):
    samples = alone().assign(patient=lambda rows: "p" + (rows.index % 50).astype(str))
    with pytest.raises(InputError, match="site rsna, subset train, pneumonia") as caught:
        run_split(tmp_path, samples, "patient", sites=EXTERNAL)
    assert "0 positive and 0 negative" in str(caught.value)
    assert not list(tmp_path.glob("????.csv"))


@pytest.mark.parametrize("protocol", ["paper", "patient"])
def test_an_external_site_needs_both_classes_of_what_it_evaluates(tmp_path, protocol):
    samples = alone().assign(label_edema=lambda rows: rows["label_pneumonia"] * 0)
    sites = EXTERNAL | {"siim": ["external", "pneumonia", "edema"]}
    with pytest.raises(InputError, match="site siim, subset evaluation, edema") as caught:
        run_split(tmp_path, samples, protocol, sites=sites)
    assert "0 positive and 200 negative images" in str(caught.value)
    assert "evaluated_findings" in str(caught.value)


@pytest.mark.parametrize("protocol", ["paper", "patient"])
def test_the_split_of_a_dataset_is_kept(tmp_path, capsys, protocol):
    samples = with_own_split(alone(), {"train": 0.5, "validation": 0.2, "evaluation": 0.2})
    made = run_split(tmp_path, samples, protocol, sites=GIVEN, given=("siim",))
    own = samples[samples["subset"] != ""].set_index("image")["subset"]
    found = made[made["site"] == "siim"].set_index("image")["subset"]
    assert found.to_dict() == own.to_dict()
    assert made[made["site"] == "rsna"].equals(
        run_split(tmp_path, samples[samples["site"] == "rsna"], protocol)
    )
    counts = ", ".join(f"{(own == name).sum()} {name}" for name in SUBSETS)
    assert capsys.readouterr().err.splitlines() == [
        f"split {protocol}, site siim has the split of its dataset: {counts}; "
        f"{200 - len(own)} labelled images are in none"
    ]


def test_validation_that_a_given_split_lacks_is_taken_from_train_by_patients(tmp_path, capsys):
    samples = with_own_split(alone(1200), TWO)
    made = run_split(tmp_path, samples, "patient", sites=GIVEN, given=("siim",))
    images = made.merge(samples.rename(columns={"subset": "own"})[["image", "own"]], on="image")
    images = images[images["site"] == "siim"]
    assert (images["own"] == "evaluation").equals(images["subset"] == "evaluation")
    training = images[images["own"] == "train"]
    assert set(training["subset"]) == {"train", "validation"}
    assert (training["subset"] == "validation").mean() == pytest.approx(1 / 8, abs=0.03)
    assert (training.groupby("patient")["subset"].nunique() == 1).all()
    assert "; validation is taken from train, by whole groups" in capsys.readouterr().err


def test_the_paper_protocol_makes_no_validation_of_a_given_split(tmp_path, capsys):
    made = run_split(tmp_path, with_own_split(alone(), TWO), sites=GIVEN, given=("siim",))
    assert set(subsets(made, "siim")) == {"train", "evaluation"}
    assert "whole groups" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("protocol", "share", "subset"),
    [
        ("paper", {"train": 1.0}, "evaluation"),
        ("patient", {"train": 1.0}, "evaluation"),
        ("paper", {"evaluation": 1.0}, "train"),
        ("patient", {"validation": 0.5, "evaluation": 0.5}, "train"),
        ("paper", {"": 1.0}, "evaluation"),
    ],
)
def test_a_given_split_that_leaves_a_subset_empty_is_refused(tmp_path, protocol, share, subset):
    samples = with_own_split(alone(), share)
    with pytest.raises(InputError, match=f"site siim, subset {subset}, pneumonia") as caught:
        run_split(tmp_path, samples, protocol, sites=GIVEN, given=("siim",))
    assert "0 positive and 0 negative images" in str(caught.value)
    assert "set `split: protocol` for the site" in str(caught.value)
    assert not list(tmp_path.glob("????.csv"))


@pytest.mark.parametrize("protocol", ["paper", "patient"])
@pytest.mark.parametrize("subset", SUBSETS)
def test_a_given_split_without_both_classes_of_a_finding_is_refused(tmp_path, protocol, subset):
    samples = with_own_split(alone(), THIRDS).assign(label_edema=lambda rows: rows.index % 2)
    samples.loc[samples["subset"] == subset, "label_edema"] = 1
    sites = GIVEN | {"siim": ["train", "pneumonia", "edema"]}
    with pytest.raises(InputError, match=f"site siim, subset {subset}, edema") as caught:
        run_split(tmp_path, samples, protocol, sites=sites, given=("siim",))
    assert f"{(samples['subset'] == subset).sum()} positive and 0 negative" in str(caught.value)


def test_a_given_split_with_too_few_patients_to_validate_is_refused(tmp_path):
    samples = with_own_split(alone(), TWO)
    many = samples["subset"] == "train"
    samples.loc[many, "patient"] = "siim" + (samples.index[many] % 5).astype(str)
    with pytest.raises(InputError, match="groups to choose from: 5 at siim") as caught:
        run_split(tmp_path, samples, "patient", sites=GIVEN, given=("siim",))
    assert "at least 8 groups" in str(caught.value)


def test_images_follow_the_strictest_subset_of_their_group():
    images = pd.DataFrame(
        {
            "group": [0, 0, 0, 1, 1, 2, 2, 3],
            "fixed": ["train", "evaluation", None, "validation", "train", "train", None, None],
        }
    )
    found = follow(images)
    assert found[:-1].tolist() == ["evaluation"] * 3 + ["validation"] * 2 + ["train"] * 2
    assert found.isna().tolist() == [False] * 7 + [True]


def test_what_the_own_split_of_a_dataset_tears_is_audited_and_not_refused(tmp_path, capsys):
    """A patient of the given split trains and evaluates there, and trains at the other site."""
    samples = with_own_split(alone(), THIRDS)
    both = [samples.index[samples["subset"] == name][0] for name in ("train", "evaluation")]
    samples.loc[[0, *both], "patient"] = "known everywhere"
    made = run_split(tmp_path, samples, "patient", sites=GIVEN, given=("siim",))
    assert made.loc[made["image"] == "0000", "subset"].tolist() == ["evaluation"]
    images = samples.drop(columns="subset").merge(made[["site", "image", "subset"]])
    table = audit(images, NO_PAIRS, "patient").set_index(["site", "scope", "other", "shared"])
    assert table.loc[("siim", "within", "siim", "patient"), "affected_images"] == 1
    assert table.loc[("rsna", "across", "siim", "patient"), "affected_images"] == 1
    assert table.loc[("rsna", "within", "rsna", "any"), "affected_images"] == 0
    told = capsys.readouterr().err.splitlines()
    assert told[0].endswith("whose subset is fixed: 0 train, 0 validation, 1 evaluation")
    assert told[1].endswith("; 2 share a group with another of its subsets")


def colliding(role: str) -> tuple[pd.DataFrame, dict[str, list[str]], tuple[str, ...]]:
    """A patient trains by the given split of siim, and evaluates at rsna, which has this role.

    Samples, sites, and those whose split is given: if rsna trains, its own too.
    """
    samples = with_own_split(alone(), THIRDS)
    ours = samples["site"] == "rsna"
    samples.loc[ours, "subset"] = np.array(SUBSETS)[samples.index[ours] % 3]
    samples.loc[ours, "patient"] = samples.loc[ours, "image"]
    training = samples.index[samples["subset"].eq("train") & ~ours][0]
    samples.loc[training, "patient"] = samples.loc[2, "patient"]
    given = ("siim",) if role == "external" else ("rsna", "siim")
    return samples, GIVEN | {"rsna": [role, "pneumonia"]}, given


@pytest.mark.parametrize("role", ["external", "train"])
def test_a_given_split_that_trains_what_is_evaluated_elsewhere_is_refused(tmp_path, role):
    """Elsewhere is an external site, or another one whose split is given."""
    samples, sites, given = colliding(role)
    with pytest.raises(InputError, match="the split that its dataset comes with") as caught:
        run_split(tmp_path, samples, "patient", sites=sites, given=given)
    (other,) = samples.index[samples["patient"].eq("0002") & samples["site"].eq("siim")]
    found = f"1 images of train that share one with evaluation of rsna, e.g. siim/{other:04d}"
    if role == "train":
        found = "1 images of evaluation that share one with train of siim, e.g. rsna/0002"
    assert found in str(caught.value)
    assert f"set `split: protocol` for the site {given[0]}, " in str(caught.value)
    assert not list(tmp_path.glob("????.csv"))


@pytest.mark.parametrize("role", ["external", "train"])
def test_what_is_refused_there_is_audited_under_paper_and_follows_without_the_split(tmp_path, role):
    """As the message says that it is."""
    samples, sites, given = colliding(role)
    made = run_split(tmp_path, samples, "paper", sites=sites, given=given)
    assert made.loc[made["image"] == "0002", "subset"].tolist() == ["evaluation"]
    images = samples.drop(columns="subset").merge(made[["site", "image", "subset"]])
    table = audit(images, NO_PAIRS, "paper").set_index(["site", "scope", "other", "shared"])
    assert table.loc[("rsna", "across", "siim", "patient"), "affected_images"] == 1
    made = run_split(tmp_path, samples, "patient", sites=sites, given=given[1:])
    shared = made.loc[made["patient"] == "0002", "subset"]
    assert (len(shared), shared.nunique()) == (2, 1)


def test_validation_is_not_taken_where_another_given_split_trains():
    """The patient p trains at a, which has no validation, and at b, which has: p stays."""
    rows = [
        ("a", "p", "train"),
        ("a", "q", "train"),
        ("a", "r", "evaluation"),
        ("b", "p", "train"),
        ("b", "s", "validation"),
        ("b", "t", "train"),
        ("c", "u", None),
    ]
    images = pd.DataFrame(rows, columns=["site", "patient", "fixed"])
    images["group"] = pd.factorize(images["patient"])[0]
    offered = to_validate(images, ["a", "b"])
    assert offered[["site", "patient"]].values.tolist() == [["a", "q"]]


def mixture(kinds: tuple[str, ...], own: tuple[str, ...], seed: int, near) -> pd.DataFrame:
    """Images of three sites. own: subsets of the splits that are given, of whole groups.

    What an external site has evaluates there too, and a given split tears a few groups that are
    at no other site whose subsets are fixed.
    """
    draws = np.random.default_rng(seed)
    images = made_samples(600, patients=int(draws.integers(400, 900)), seed=seed, sites=NAMES)
    images["group"] = groups(images, near)
    kind = images["site"].map(dict(zip(NAMES, kinds, strict=True)))
    of_group = draws.choice(own, len(images))
    external = images["group"].isin(images.loc[kind == "external", "group"])
    subset = pd.Series(of_group[images["group"]]).mask(external, "evaluation")
    fixed_at = images["site"].where(kind != "drawn").groupby(images["group"]).transform("nunique")
    tear = (fixed_at == 1) & ~external & (draws.random(len(images)) < 0.1)
    subset = subset.mask(tear, draws.choice(own, len(images)))
    return images.assign(subset=subset.where(kind == "given"))


NAMES = ("a", "b", "c")
KINDS = st.sampled_from(["drawn", "given", "external"])


@settings(max_examples=40)
@drawn(st.tuples(KINDS, KINDS, KINDS), st.sampled_from([TWO, THIRDS]), st.integers(0, 2**31))
def test_no_group_of_images_without_a_given_split_is_in_two_subsets(kinds, own, seed):
    """Whatever sites are mixed, and however a dataset's own split tears its patients apart."""
    near = pairs(["a", "0000", "c", "0599"], ["a", "0001", "b", "0300"])
    kind_of = dict(zip(NAMES, kinds, strict=True))
    roles = {"drawn": "train", "given": "train", "external": "external"}
    sites = {name: Site(name, roles[kind], ["pneumonia"]) for name, kind in kind_of.items()}
    given = [name for name, kind in kind_of.items() if kind == "given"]
    images = fix(mixture(kinds, tuple(own), seed, near), sites, given)
    images["subset"] = split.by_group(images, near, sites, given, PATIENTS)
    kind = images["site"].map(kind_of)
    assert images["subset"].isin(SUBSETS).all()
    assert (images.loc[kind == "external", "subset"] == "evaluation").all()
    assert (images[kind != "given"].groupby("group")["subset"].nunique() == 1).all()
    kept = images[kind == "given"]
    moved = kept[kept["fixed"] != kept["subset"]]
    assert moved.empty or (own is TWO and set(moved["subset"]) == {"validation"})
    assert set(moved["fixed"]) <= {"train"}
    whole = images[~torn(images, given)]
    assert (whole.groupby("group")["subset"].nunique() == 1).all()
