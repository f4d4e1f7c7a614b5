"""A study of five sites of public datasets, one external: as shipped, and in small on phantoms."""

import pandas as pd
import pytest
import yaml

from running import TINY, Workflow, successful

FINDINGS = ["cardiomegaly", "pneumonia", "pneumothorax"]
DRAWN = {"source": ["phantom"], "contract": None}
SMALL = TINY | {
    "pathvars": {"results": "results", "resources": "resources"},
    "mark": "TEST: five small phantoms",
    "run": {"architectures": ["standard"], "privacy": False},
    "phantom": {
        "images": 149
    },  # which share one radiograph, of a patient whom the split of NIH tests
    "sites": {
        "rsna": DRAWN | {"patients": "match.csv"},
        "siim": DRAWN | {"patients": None, "attributes": None},
        "nih": DRAWN | {"findings": FINDINGS, "shards": 2},
        "chexpert": DRAWN | {"findings": FINDINGS, "shards": 1},
        "vindr": DRAWN | {"findings": ["cardiomegaly", "pneumothorax"], "shards": 1},
    },
}
SHOWN = ["evaluation/patient/metrics.csv", "evaluation/patient/comparisons.csv"]
SHOWN += ["tables/patient/external.md", "figures/patient/external.png"]
SHOWN += ["figures/patient/figure2.png", "tables/patient/table1.md", "audit/labels.csv"]
TARGETS = ["--", *(f"results/{name}" for name in SHOWN)]


def test_the_shipped_study_of_five_sites_is_planned(tmp_path, repository):
    sources = {"sites": {site: {"source": ["phantom"]} for site in SMALL["sites"]}}
    workflow = Workflow(tmp_path, repository, sources, "five_sites")
    planned = workflow.planned()
    assert planned["train_baseline"] == planned["warmup"] == 4  # none at the external site
    assert planned["download"] == 5
    assert planned["warmup_shared"] == 1
    assert planned["predict"] == 3  # baselines, private and shared heads


@pytest.fixture(scope="module")
def done(tmp_path_factory, repository) -> Workflow:
    """A finished run of a miniature."""
    folder = tmp_path_factory.mktemp("five")
    workflow = Workflow(folder, repository, SMALL, "five_sites")
    successful(workflow.run(*TARGETS))
    return workflow


def read(done, name: str) -> pd.DataFrame:
    return pd.read_csv(done.folder / "results" / name)


def test_every_endpoint_is_evaluated_by_the_models_that_know_it(done):
    metrics = read(done, "evaluation/patient/metrics.csv")
    training = metrics[metrics["site"] != "vindr"]
    assert set(zip(training["site"], training["finding"], strict=True)) == {
        ("rsna", "pneumonia"),
        ("siim", "pneumothorax"),
        *((site, finding) for site in ("nih", "chexpert") for finding in FINDINGS),
    }
    own = training[training["method"] != "shared"]
    assert (own["site"] == own["head"]).all()
    assert set(training.loc[training["method"] == "shared", "head"]) == {"shared"}
    abroad = metrics[(metrics["site"] == "vindr") & (metrics["finding"] == "pneumothorax")]
    heads = abroad.groupby("method")["head"].apply(set).to_dict()
    assert heads["baseline"] == {"siim", "nih", "chexpert"}
    assert heads["fedavg"] == {"siim", "nih", "chexpert", "mean"}
    assert heads["shared"] == {"shared"}
    assert (abroad["images"] == 149).all()


def test_an_external_site_compares_the_answer_with_every_baseline(done):
    tests = read(done, "evaluation/patient/comparisons.csv")
    abroad = tests[(tests["site"] == "vindr") & (tests["finding"] == "pneumothorax")]
    answer = abroad[(abroad["method"] == "fedavg") & (abroad["head"] == "mean")]
    assert set(answer["reference_head"]) == {"siim", "nih", "chexpert"}
    table = (done.folder / "results/tables/patient/external.md").read_text()
    assert "VinDr-CXR" in table
    assert "TEST: five small phantoms" in table


def test_no_image_of_the_external_site_trains_and_given_splits_are_kept(done):
    split = read(done, "splits/patient.csv")
    assert set(split.loc[split["site"] == "vindr", "subset"]) == {"evaluation"}
    samples = read(done, "sites/nih/samples.csv").set_index("image")
    nih = split[split["site"] == "nih"].set_index("image")
    given = samples.loc[nih.index, "subset"]
    assert ((nih["subset"] == "evaluation") == (given == "evaluation")).all()
    assert (nih["subset"] == "validation").any()


def test_hidden_and_uncertain_labels_are_unknown(done):
    samples = read(done, "sites/chexpert/samples.csv")
    shares = samples["label_pneumothorax"].isna().mean()
    assert 0.1 < shares < 0.6
    (path,) = done.folder.glob("resources/chexpert/data/**/train.csv")
    assert (pd.read_csv(path)["Pneumothorax"] == -1).any()


def test_the_shipped_study_names_what_its_readers_label(repository):
    config = yaml.safe_load((repository / "config/five_sites.yaml").read_text())
    assert config["sites"]["vindr"]["role"] == "external"
    assert config["sites"]["nih"]["split"] == "given"
