"""The slices of the config that jobs get: what is in them, and what must not be."""

import copy
import os
import shlex
from types import SimpleNamespace

import pytest
import yaml

from chexviz.base.errors import InputError
from chexviz.pipeline import plan
from chexviz.reporting.paper import patients


@pytest.fixture
def config(repository):
    return yaml.safe_load((repository / "config" / "config.yaml").read_text())


def changed(config, *path, value):
    """A copy of the config with one value changed."""
    config = copy.deepcopy(config)
    inner = config
    for key in path[:-1]:
        inner = inner[key]
    assert path[-1] in inner
    inner[path[-1]] = value
    return config


def test_a_baseline_does_not_depend_on_the_rounds_or_on_how_sites_are_averaged(config):
    before = plan.train(config, "standard", "baseline")
    for key in ("rounds", "local_epochs"):
        path = ("architectures", "standard", "federated", key)
        assert plan.train(changed(config, *path, value=7), "standard", "baseline") == before
    uniform = {"algorithm": "fedavg", "weights": "uniform"}
    other = changed(config, "methods", "fedavg", value=uniform)
    assert plan.train(other, "standard", "baseline") == before
    assert plan.train(other, "standard", "fedavg") != plan.train(config, "standard", "fedavg")
    assert plan.train(other, "standard", "fedprox") == plan.train(config, "standard", "fedprox")


def test_a_federation_does_not_depend_on_the_epochs_of_the_baseline(config):
    other = changed(config, "architectures", "standard", "baseline", "epochs", value=7)
    assert plan.train(other, "standard", "fedavg") == plan.train(config, "standard", "fedavg")
    assert plan.train(other, "standard", "baseline") != plan.train(config, "standard", "baseline")


def test_the_papers_schedules(config):
    for architecture, rounds, rate in (("standard", 300, 1e-3), ("densenet121", 150, 1e-5)):
        for method in ("baseline", "fedavg"):
            settings = plan.train(config, architecture, method)
            assert settings["rounds"] == rounds
            assert settings["local_epochs"] == 1
            assert settings["learning_rate"] == rate
    warm = plan.warmup(config, "densenet121")
    assert (warm["epochs"], warm["learning_rate"]) == (30, 1e-3)


def test_the_phantoms_size_matters_to_a_phantom_only(config):
    assert plan.download(config, "rsna")["phantom"] is None
    phantom = changed(config, "sites", "rsna", "source", value=["phantom"])
    assert plan.download(phantom, "rsna")["phantom"] == {"images": 600, "seed": 2022}


def drawn_by_contract(config, scale):
    """The config with two phantoms that are as large as their contracts say."""
    for site in ("rsna", "siim"):
        config = changed(config, "sites", site, "source", value=["phantom"])
    config = changed(config, "phantom", "images", value="contract")
    return changed(config, "phantom", "scale", value=scale)


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
    for site, table, (files, images, positives) in (
        ("rsna", "stage_2_train_labels.csv", rsna),
        ("siim", "train-rle.csv", siim),
    ):
        contract = plan.preprocess(config, site)["contract"]
        published = config["sites"][site]["contract"]
        assert contract == published | {
            "files": {table: 1, "*.dcm": files},
            "rows": published["rows"] if scale == 1 else None,
            "ids": images,
            "images": images,
            "positives": positives,
        }
        size = {"images": images, "positives": positives, "unlabelled": files - images}
        assert plan.download(config, site)["phantom"] == size | {"seed": 2022}


def test_the_scale_of_a_phantom_is_no_scale_of_real_data(config):
    scaled = changed(drawn_by_contract(config, 100), "sites", "siim", "source", value=["local:x"])
    assert plan.preprocess(scaled, "siim") == plan.preprocess(config, "siim")
    assert plan.download(scaled, "siim")["phantom"] is None


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
        plan.check(wrong)
    wrong["phantom"]["images"] = 600
    plan.check(wrong)


def test_titles_do_not_reach_the_data(config):
    other = changed(config, "sites", "rsna", "title", value="Another")
    for stage in (plan.download, plan.preprocess):
        assert stage(other, "rsna") == stage(config, "rsna")


def test_files_of_weights_and_warmed_up_heads_are_inputs_where_there_are_any(config):
    wildcards = SimpleNamespace(protocol="paper", architecture="densenet121", seed="1")
    assert plan.weight_files(config, "densenet121") == [
        "<resources>/weights/densenet121.safetensors"
    ]
    assert plan.weight_files(config, "standard") == []
    assert plan.task_files(config, ["rsna"], wildcards) == [
        "<results>/models/paper/densenet121/warmup/seed1/rsna.safetensors"
    ]
    wildcards.architecture = "standard"
    assert plan.task_files(config, ["rsna"], wildcards) == []


@pytest.mark.parametrize(
    ("method", "folder", "names"),
    [
        ("baseline", "baseline", ["rsna", "siim"]),
        ("fedavg", "fedavg", ["global"]),
        ("pooled", "pooled", ["global"]),
        ("ensemble", "baseline", ["rsna", "siim"]),
    ],
)
def test_which_models_score_the_sites(config, method, folder, names):
    wildcards = SimpleNamespace(protocol="paper", architecture="standard", seed="1", method=method)
    where = f"<results>/models/paper/standard/{folder}/seed1"
    expected = [f"{where}/{name}.safetensors" for name in names]
    assert plan.model_files(config, wildcards) == expected
    assert plan.is_ensemble(config, method) == (method == "ensemble")


def test_every_prediction_is_named_to_evaluate(config):
    config = changed(config, "run", "seeds", value=[1, 2])
    models = plan.predictions(config)
    files = plan.prediction_files(models, "paper")
    assert len(set(files)) == len(files) == 2 * 2 * 2
    line = plan.model_arguments("--prediction", models, files)
    assert line.count("--prediction") == 8
    assert "--prediction standard baseline 1 " in line
    assert plan.task_arguments(config) == "--task rsna pneumonia --task siim pneumothorax"


def test_every_site_names_its_samples(config):
    files = [f"<results>/sites/{site}/samples.csv" for site in ("rsna", "siim")]
    line = plan.samples_arguments(config, SimpleNamespace(samples=files))
    assert line == f"--samples rsna '{files[0]}' --samples siim '{files[1]}'"


def test_figure_3_shows_the_first_seed_and_method(config):
    config = changed(config, "run", "seeds", value=[5, 6])
    shown = plan.shown(config)
    assert {one["seed"] for one in shown} == {5}
    assert len(shown) == 4


def test_every_training_has_a_history_and_an_ensemble_is_none(config):
    config = changed(config, "run", "methods", value=["fedavg", "pooled", "ensemble"])
    config = changed(config, "run", "seeds", value=[1, 2])
    files = plan.history_files(config, "paper")
    assert len(set(files)) == len(files) == 2 * (2 + 1 + 1) * 2
    folder = "<results>/models/paper/standard"
    for name in ("baseline/seed2/siim", "pooled/seed1/global"):
        assert f"{folder}/{name}.history.csv" in files
    assert not any("ensemble" in file for file in files)
    line = plan.history_arguments(config, SimpleNamespace(histories=files))
    assert line.count("--history") == 16
    assert f"--history standard fedavg 2 '{folder}/fedavg/seed2/global.history.csv'" in line


@pytest.mark.parametrize("first", ["pooled", "ensemble"])
def test_the_paper_compares_a_federation(config, first):
    plan.check(changed(config, "run", "methods", value=["fedavg", first]))
    with pytest.raises(InputError, match=f"a federated method first[\\s\\S]*{first}"):
        plan.check(changed(config, "run", "methods", value=[first, "fedavg"]))


def test_the_paper_is_told_what_the_methods_mean(config):
    other = changed(config, "run", "methods", value=["median", "fedprox"])
    median, fedprox = plan.paper(other)["methods"]
    assert (median["name"], median["combine"], median["weights"]) == ("median", "median", "size")
    assert (fedprox["algorithm"], fedprox["mu"]) == ("fedprox", 0.01)


def test_the_paper_is_told_readers_versions_and_the_release(config):
    told = plan.paper(config)
    assert [site["reader"] for site in told["sites"]] == ["rsna", "siim"]
    assert dict(told["software"])["PyTorch"][0].isdigit()
    assert told["code"]["version"]


def test_every_protocol_has_its_split(config):
    arguments = plan.split_arguments(config, ["splits/a b.csv", "splits/patient.csv"])
    assert arguments == "--split paper 'splits/a b.csv' --split patient splits/patient.csv"


def test_the_paper_reads_what_the_run_makes(config):
    both = plan.paper_files(config)
    assert len(both) == len(set(both))
    assert "<results>/evaluation/patient/metrics.csv" in both
    assert "<results>/sites/siim/rejected.csv" in both
    assert {f"<results>/tables/{name}.csv" for name in plan.study_tables(config)} <= set(both)
    one = plan.paper_files(changed(config, "run", "protocols", value=["patient"]))
    assert set(one) < set(both)
    assert not [name for name in one if "published" in name or "/paper" in name]


def test_the_same_settings_are_the_same_text():
    assert plan.text({"b": 1, "a": 2}) == plan.text({"a": 2, "b": 1}) == '{"a": 2, "b": 1}'


def test_local_files_are_inputs_only_where_they_exist(config, tmp_path):
    (tmp_path / "match.csv").write_text("")
    table = str(tmp_path / "match.csv")
    none = changed(config, "sites", "rsna", "patients", value=None)
    for key in ("labels", "patients"):
        here = changed(none, "sites", "rsna", key, value=table)
        assert plan.local_tables(here, "rsna") == [table]
        absent = changed(none, "sites", "rsna", key, value="x.csv")
        assert plan.local_tables(absent, "rsna") == []
    here = changed(config, "architectures", "densenet121", "weights", value=table)
    assert plan.local_weights(here, "densenet121") == [table]
    assert plan.local_weights(config, "densenet121") == []


def test_shipped_tables_count_by_their_content_wherever_a_run_is(config, monkeypatch, tmp_path):
    from_here = plan.tables_read(config, "siim")
    monkeypatch.chdir(tmp_path)
    assert plan.local_tables(config, "siim") == []
    assert plan.tables_read(config, "siim") == from_here != ""
    monkeypatch.setattr(plan, "HOME", tmp_path)
    assert plan.tables_read(config, "siim") == ""
    (tmp_path / "config" / "patients").mkdir(parents=True)
    (tmp_path / "config" / "patients" / "siim.csv.gz").write_text("another one")
    assert plan.tables_read(config, "siim") not in ("", from_here)


def test_the_content_of_small_files_counts_and_their_times_do_not(tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("a,1")
    before = plan.contents([str(table)])
    os.utime(table, ns=(0, 10**18))
    assert plan.contents([str(table)]) == before
    table.write_text("a,0")
    os.utime(table, ns=(0, 0))  # older than what was made of it
    assert plan.contents([str(table)]) != before
    assert plan.contents([]) == ""


def test_a_remote_archive_stands_alone_and_names_no_password(config):
    def of(*sources):
        return changed(config, "sites", "rsna", "source", value=list(sources))

    assert plan.stored_address(config, "rsna") is None
    remote = of("storage:s3://radiographs/chest.zip?versionId=1")
    assert plan.stored_address(remote, "rsna") == "s3://radiographs/chest.zip?versionId=1"
    plan.check(remote)
    with pytest.raises(InputError, match="2 sources"):
        plan.check(of("storage:s3://radiographs/chest.zip", "local:chest"))
    with pytest.raises(InputError, match=r"some before example\.org") as caught:
        plan.check(of("storage:https://me:hush@example.org/chest.zip"))
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
        plan.check(changed(config, "sites", "rsna", "source", value=[source]))
    assert "hush" not in str(caught.value)


def test_a_local_folder_is_known_by_its_content(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert plan.fingerprint(config, "rsna") == ""
    (tmp_path / "hospital").mkdir()
    (tmp_path / "hospital" / "a.dcm").write_text("12")
    monkeypatch.setenv("HOME", str(tmp_path))
    local = changed(config, "sites", "rsna", "source", value=["local:~/hospital", "local:none"])
    before = plan.fingerprint(local, "rsna")
    (tmp_path / "hospital" / "a.dcm").write_text("123")
    assert plan.fingerprint(local, "rsna") != before


def test_localisation_gets_its_own_slice_and_names_every_model_once(config):
    settings = plan.localise(config)
    assert set(settings) == {"bootstrap", "minimum_cases", "threshold", "size"}
    assert plan.localise(changed(config, "training", "batch", value=8)) == settings
    models = plan.predictions(config)
    files = [plan.prediction_files(models, "paper", end) for end in (".csv", ".n")]
    words = shlex.split(plan.model_arguments("--prediction", models, *files))
    assert words.count("--prediction") == len(models) == 2 * 2
    first = ["--prediction", "standard", "baseline", "2022", files[0][0], files[1][0]]
    assert words[:6] == first
    sites = shlex.split(plan.site_arguments(config, ["a b.csv", "c.csv"]))
    assert sites == [
        "--site",
        "rsna",
        "pneumonia",
        "a b.csv",
        "--site",
        "siim",
        "pneumothorax",
        "c.csv",
    ]


def test_a_link_to_what_is_not_there_is_named(tmp_path, config):
    config["pathvars"]["results"] = str(tmp_path / "results/study")
    plan.check(config)
    (tmp_path / "results").symlink_to(tmp_path / "gone")
    with pytest.raises(InputError, match=r"pathvars: results\n.*\n.*/results, a link to .*/gone,"):
        plan.check(config)
    (tmp_path / "gone").mkdir()
    plan.check(config)


def test_the_paper_is_told_where_the_images_and_their_patients_are_from(config):
    sites = {site["name"]: site for site in plan.paper(config)["sites"]}
    assert sites["rsna"]["table"] in patients.SHIPPED
    assert sites["siim"]["table"] in patients.SHIPPED
    assert (sites["rsna"]["reader"], sites["rsna"]["phantom"]) == ("rsna", False)
    drawn = changed(config, "sites", "rsna", "source", value=["phantom"])
    drawn = changed(drawn, "sites", "rsna", "patients", value=None)
    site = plan.paper(drawn)["sites"][0]
    assert (site["table"], site["phantom"]) == ("", True)


def test_two_sites_with_one_title_are_refused(config):
    plan.check(config)
    same = changed(config, "sites", "siim", "title", value="RSNA")
    with pytest.raises(InputError, match="2 sites called RSNA"):
        plan.check(same)
