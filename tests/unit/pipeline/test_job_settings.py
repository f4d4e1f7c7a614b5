"""The slices of the config that jobs get: what is in them, and what must not be."""

import pytest

from chexviz.pipeline import settings
from chexviz.reporting.paper import patients
from made_configs import changed, drawn_by_contract


def test_a_baseline_does_not_depend_on_the_rounds_or_on_how_sites_are_averaged(config):
    before = settings.train(config, "standard", "baseline")
    for key in ("rounds", "local_epochs"):
        path = ("architectures", "standard", "federated", key)
        assert settings.train(changed(config, *path, value=7), "standard", "baseline") == before
    uniform = {"algorithm": "fedavg", "weights": "uniform"}
    other = changed(config, "methods", "fedavg", value=uniform)
    assert settings.train(other, "standard", "baseline") == before
    assert settings.train(other, "standard", "fedavg") != settings.train(
        config, "standard", "fedavg"
    )
    assert settings.train(other, "standard", "fedprox") == settings.train(
        config, "standard", "fedprox"
    )


def test_a_federation_does_not_depend_on_the_epochs_of_the_baseline(config):
    other = changed(config, "architectures", "standard", "baseline", "epochs", value=7)
    assert settings.train(other, "standard", "fedavg") == settings.train(
        config, "standard", "fedavg"
    )
    assert settings.train(other, "standard", "baseline") != settings.train(
        config, "standard", "baseline"
    )


def test_the_papers_schedules(config):
    for architecture, rounds, rate in (("standard", 300, 1e-3), ("densenet121", 150, 1e-5)):
        for method in ("baseline", "fedavg"):
            train = settings.train(config, architecture, method)
            assert train["rounds"] == rounds
            assert train["local_epochs"] == 1
            assert train["learning_rate"] == rate
    warm = settings.warmup(config, "densenet121")
    assert (warm["epochs"], warm["learning_rate"]) == (30, 1e-3)


def test_the_phantoms_size_matters_to_a_phantom_only(config):
    assert settings.download(config, "rsna")["phantom"] is None
    phantom = changed(config, "sites", "rsna", "source", value=["phantom"])
    assert settings.download(phantom, "rsna")["phantom"] == {"images": 600, "seed": 2022}


@pytest.mark.parametrize(
    ("scale", "rsna", "siim"),
    [
        (1, (29_684, 26_684, 6_012), (12_089, 12_047, 2_669)),
        (2, (14_842, 13_342, 3_006), (6_044, 6_024, 1_334)),
        (100, (297, 267, 60), (121, 120, 27)),
        (20_000, (1, 1, 1), (1, 1, 1)),
    ],
)
def test_a_phantom_and_its_contract_have_the_same_numbers_at_any_scale(config, scale, rsna, siim):
    config = drawn_by_contract(config, scale)
    for site, finding, table, (files, images, positives) in (
        ("rsna", "pneumonia", "stage_2_train_labels.csv", rsna),
        ("siim", "pneumothorax", "train-rle.csv", siim),
    ):
        contract = settings.preprocess(config, site)["contract"]
        published = config["sites"][site]["contract"]
        assert contract == published | {
            "files": {table: 1, "*.dcm": files},
            "rows": published["rows"] if scale == 1 else None,
            "ids": images,
            "images": images,
            "positives": {finding: positives},
        }
        size = {"images": images, "positives": {finding: positives}}
        size |= {"unlabelled": files - images}
        assert settings.download(config, site)["phantom"] == size | {"seed": 2022}


def test_the_scale_of_a_phantom_is_no_scale_of_real_data(config):
    scaled = changed(drawn_by_contract(config, 100), "sites", "siim", "source", value=["local:x"])
    assert settings.preprocess(scaled, "siim") == settings.preprocess(config, "siim")
    assert settings.download(scaled, "siim")["phantom"] is None


def test_titles_do_not_reach_the_data(config):
    other = changed(config, "sites", "rsna", "title", value="Another")
    for stage in (settings.download, settings.preprocess):
        assert stage(other, "rsna") == stage(config, "rsna")


def test_the_paper_is_told_what_the_methods_mean(config):
    other = changed(config, "run", "methods", value=["median", "fedprox"])
    median, fedprox = settings.paper(other)["methods"]
    assert (median["name"], median["combine"], median["weights"]) == ("median", "median", "size")
    assert (fedprox["algorithm"], fedprox["mu"]) == ("fedprox", 0.01)


def test_the_paper_is_told_readers_versions_and_the_release(config):
    told = settings.paper(config)
    assert [site["reader"] for site in told["sites"]] == ["rsna", "siim"]
    assert dict(told["software"])["PyTorch"][0].isdigit()
    assert told["code"]["version"]


def test_the_same_settings_are_the_same_text():
    assert settings.text({"b": 1, "a": 2}) == settings.text({"a": 2, "b": 1}) == '{"a": 2, "b": 1}'


def test_the_paper_is_told_where_the_images_and_their_patients_are_from(config):
    sites = {site["name"]: site for site in settings.paper(config)["sites"]}
    assert sites["rsna"]["table"] in patients.SHIPPED
    assert sites["siim"]["table"] in patients.SHIPPED
    assert (sites["rsna"]["reader"], sites["rsna"]["phantom"]) == ("rsna", False)
    drawn = changed(config, "sites", "rsna", "source", value=["phantom"])
    drawn = changed(drawn, "sites", "rsna", "patients", value=None)
    site = settings.paper(drawn)["sites"][0]
    assert (site["table"], site["phantom"]) == ("", True)


def test_localisation_gets_its_own_slice(config):
    localise = settings.localise(config)
    assert set(localise) == {"bootstrap", "minimum_cases", "threshold", "size"}
    assert settings.localise(changed(config, "training", "batch", value=8)) == localise
