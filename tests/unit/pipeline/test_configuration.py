"""What is refused of a whole config, before any job."""

import pytest

from chexviz.base.errors import InputError
from chexviz.pipeline import configuration, paths, settings, study
from made_configs import changed, drawn_by_contract


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [
        ("contract", None, "reader rsna, files none"),
        ("reader", "table", "reader table, files stage_2"),
    ],
)
def test_a_phantom_whose_contract_does_not_tell_its_numbers_is_refused(config, key, value, found):
    wrong = changed(drawn_by_contract(config, 1), "sites", "rsna", key, value=value)
    with pytest.raises(InputError, match=found):
        configuration.check(wrong)
    wrong["phantom"]["images"] = 600
    configuration.check(wrong)


@pytest.mark.parametrize("first", ["pooled", "ensemble"])
def test_the_paper_compares_a_federation(config, first):
    configuration.check(changed(config, "run", "methods", value=["fedavg", first]))
    with pytest.raises(InputError, match=f"a federated method first[\\s\\S]*{first}"):
        configuration.check(changed(config, "run", "methods", value=[first, "fedavg"]))


PRIVATE = {
    **{"algorithm": "fedavg", "batchnorm": "frozen"},
    "privacy": {"epsilon": 3, "delta": 1e-5, "clip": 1.0},
}
OF_SITES = {
    **{"heads": "shared", "weights": "uniform"},
    "privacy": PRIVATE["privacy"] | {"unit": "site"},
}


@pytest.mark.parametrize(
    ("method", "training", "found"),
    [
        ({"algorithm": "fedprox", "mu": 0.1}, {}, "algorithm: fedprox"),
        ({"algorithm": "scaffold"}, {}, "algorithm: scaffold"),
        ({"algorithm": "pooled"}, {}, "algorithm: pooled"),
        ({"algorithm": "ensemble"}, {}, "algorithm: ensemble"),
        ({"batchnorm": "average"}, {}, "batchnorm: average"),
        ({"batchnorm": "local"}, {}, "batchnorm: local"),
        ({}, {"compile": True}, "compile: true"),
        ({}, {"precision": "bfloat16"}, "precision: bfloat16"),
        (OF_SITES | {"algorithm": "fedrep", "head_epochs": 1}, {}, "algorithm: fedrep"),
        (OF_SITES | {"heads": "private"}, {}, "heads: private"),
        (OF_SITES | {"weights": "size"}, {}, "weights: size"),
    ],
)
def test_privacy_that_would_not_hold_is_refused(config, method, training, found):
    config = changed(config, "methods", value=config["methods"] | {"dp3": PRIVATE})
    config = changed(config, "run", "methods", value=["fedavg", "dp3"])
    configuration.check(config)
    config = changed(config, "methods", value=config["methods"] | {"dp3": PRIVATE | method})
    config = changed(config, "training", value=config["training"] | training)
    with pytest.raises(InputError, match=rf"methods: dp3: privacy\n.*\n.*found: +{found}"):
        configuration.check(config)


def test_a_private_method_is_drawn_beside_the_one_that_is_like_it(config):
    config = changed(config, "methods", value=config["methods"] | {"dp3": PRIVATE})
    config = changed(config, "run", "methods", value=["fedavg", "fedfbn", "dp3", "fedbn"])
    assert study.private_methods(config) == ["dp3"]
    assert study.without_privacy(config) == ["fedfbn"]
    assert settings.private(config) == {"dp3": {"unit": "patient", "delta": 1e-5}}
    (pairs,) = paths.duplicate_files(config, "dp3")
    assert pairs.endswith("duplicates.csv")
    assert paths.duplicate_files(config, "fedfbn") == []
    assert "epsilon" in {figure["name"] for figure in settings.figures(config)}


def test_privacy_of_sites_needs_no_duplicates(config):
    """An image more or less of a site is nothing to a record that is the whole site."""
    config = changed(config, "methods", value=config["methods"] | {"dps": PRIVATE | OF_SITES})
    config = changed(config, "run", "methods", value=["fedavg", "dps"])
    configuration.check(config | {"training": config["training"] | {"precision": "bfloat16"}})
    assert settings.private(config) == {"dps": {"unit": "site", "delta": 1e-5}}
    assert paths.duplicate_files(config, "dps") == []
    promise = OF_SITES["privacy"] | {"delta": 0.5}
    many = changed(config, "methods", "dps", "privacy", value=promise)
    with pytest.raises(InputError, match=r"delta\n.*less than 1 / 2, since the federation"):
        configuration.check(many)


def test_what_needs_all_images_in_one_place_does_not_go_over_a_network(config):
    both = changed(config, "run", "methods", value=["fedavg", "pooled", "ensemble"])
    configuration.check(both)
    network = changed(both, "training", "engine", value="flower")
    with pytest.raises(InputError, match=r"found: +pooled, which needs all images in one place"):
        configuration.check(network)
    configuration.check(changed(network, "run", "methods", value=["fedavg", "ensemble"]))


def test_a_remote_archive_stands_alone_and_names_no_password(config):
    def of(*sources):
        return changed(config, "sites", "rsna", "source", value=list(sources))

    assert configuration.stored_address(config, "rsna") is None
    remote = of("storage:s3://radiographs/chest.zip?versionId=1")
    assert configuration.stored_address(remote, "rsna") == "s3://radiographs/chest.zip?versionId=1"
    configuration.check(remote)
    with pytest.raises(InputError, match="2 sources"):
        configuration.check(of("storage:s3://radiographs/chest.zip", "local:chest"))
    with pytest.raises(InputError, match=r"some before example\.org") as caught:
        configuration.check(of("storage:https://me:hush@example.org/chest.zip"))
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "X-Amz-Signature",
        "X-Amz-Credential",
        "x-goog-signature",
        "sig",
        "access_token",
        "AWSAccessKeyId",
        "apikey",
        "password",
    ],
)
def test_an_address_that_holds_a_secret_in_its_query_is_refused(config, name):
    source = f"storage:https://example.org/chest.zip?versionId=1&{name}=hush"
    with pytest.raises(InputError, match=f"found: +{name} in its query") as caught:
        configuration.check(changed(config, "sites", "rsna", "source", value=[source]))
    assert "hush" not in str(caught.value)


def test_a_link_to_what_is_not_there_is_named(tmp_path, config):
    config["pathvars"]["results"] = str(tmp_path / "results/study")
    configuration.check(config)
    (tmp_path / "results").symlink_to(tmp_path / "gone")
    with pytest.raises(InputError, match=r"pathvars: results\n.*\n.*/results, a link to .*/gone,"):
        configuration.check(config)
    (tmp_path / "gone").mkdir()
    configuration.check(config)


def test_two_sites_with_one_title_are_refused(config):
    configuration.check(config)
    same = changed(config, "sites", "siim", "title", value="RSNA")
    with pytest.raises(InputError, match="2 sites called RSNA"):
        configuration.check(same)


def test_a_key_of_older_configs_names_the_new_ones(config):
    config["sites"]["siim"]["task"] = "pneumothorax"
    with pytest.raises(InputError, match=r"siim: task\n[\s\S]*findings: \[pneumothorax\]"):
        configuration.check_renamed(config)
    configuration.check_renamed({"sites": None})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rsna": {"role": "external"}, "siim": {"role": "external"}}, "one site of `role: train`"),
        ({"siim": {"role": "external"}}, "pneumothorax, which none does"),
        (
            {"siim": {"role": "external", "findings": ["pneumonia", "edema"]}},
            "edema, which none does",
        ),
        ({"rsna": {"evaluated_findings": ["pneumonia"]}}, "pneumonia in both"),
        ({"rsna": {"columns": {"patient": "who"}}}, "rsna knows what"),
        ({"rsna": {"annotations": "boxes.csv"}}, "rsna: annotations"),
    ],
)
def test_sites_that_make_no_sense_together_are_refused(config, changes, said):
    for site, change in changes.items():
        config["sites"][site] |= change
    with pytest.raises(InputError, match=said):
        configuration.check(config)


def test_labels_that_only_evaluate_may_be_of_any_finding(config):
    config["sites"]["rsna"]["evaluated_findings"] = ["pneumothorax", "edema"]
    configuration.check(config)


def test_a_robust_mean_of_shared_heads_counts_the_sites_of_each_finding(config):
    for name in ("one", "two"):
        config["sites"][name] = {**config["sites"]["rsna"], "title": name}
    config["run"]["sites"] += ["one", "two"]
    config["run"]["methods"] = ["median"]
    configuration.check(config)
    config["methods"]["median"] |= {"heads": "shared"}
    with pytest.raises(InputError, match=r"found: +1"):  # SIIM-ACR alone labels pneumothorax
        configuration.check(config)
