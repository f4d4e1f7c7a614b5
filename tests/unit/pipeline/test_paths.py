"""Which files jobs read and make, and when those from elsewhere count as changed."""

import os
from types import SimpleNamespace

import pytest

from chexviz.pipeline import paths, settings, study
from made_configs import changed


def test_files_of_weights_and_warmed_up_heads_are_inputs_where_there_are_any(config):
    about = {"protocol": "paper", "architecture": "densenet121", "seed": "1"}
    wildcards = SimpleNamespace(**about, site="rsna")
    assert paths.weight_files(config, "densenet121") == [
        "<resources>/weights/densenet121.safetensors"
    ]
    assert paths.weight_files(config, "standard") == []
    folder = "<results>/models/paper/densenet121/warmup/seed1"
    assert paths.task_files(config, wildcards) == [f"{folder}/rsna.safetensors"]
    names = {
        "fedavg": ["rsna", "siim"],
        "surgical": ["shared/surgical"],
        "pooled": ["shared/pooled"],
    }
    for method, expected in names.items():
        wildcards = SimpleNamespace(**about, method=method)
        found = paths.task_files(config, wildcards)
        assert found == [f"{folder}/{name}.safetensors" for name in expected]
    wildcards = SimpleNamespace(**about | {"method": "fedavg", "architecture": "standard"})
    assert paths.task_files(config, wildcards) == []


def test_a_private_training_starts_from_no_warmed_up_head(config):
    """The warm-up has no noise. It needs to know which images are of one record."""
    privacy = {"epsilon": 1, "delta": 1e-5, "clip": 1}
    method = {"algorithm": "fedavg", "batchnorm": "frozen", "heads": "shared", "privacy": privacy}
    config = changed(config, "methods", value=config["methods"] | {"dp1": method})
    about = {"protocol": "paper", "architecture": "densenet121", "seed": "1", "method": "dp1"}
    assert paths.task_files(config, SimpleNamespace(**about)) == []
    assert settings.head_warmup(config, "densenet121", "dp1") == ""
    assert paths.duplicate_files(config, "dp1") == ["<results>/duplicates.csv"]
    assert paths.duplicate_files(config, "fedavg") == []
    assert paths.duplicate_files(config, "baseline") == []


def test_the_figure_of_epsilon_reads_the_leaks_of_its_own_methods(config):
    """Where they are measured: of the architectures that are attacked, split by patient."""
    privacy = {"epsilon": 1, "delta": 1e-5, "clip": 1}
    method = {"algorithm": "fedavg", "batchnorm": "frozen", "privacy": privacy}
    config = changed(config, "methods", value=config["methods"] | {"dp1": method})
    config = changed(config, "run", "methods", value=["fedavg", "fedfbn", "dp1", "pooled"])
    assert paths.leaks_by_epsilon(config, "patient", "membership") == []
    config = changed(config, "run", "privacy", value=True)
    assert len(paths.leak_files(config, "membership")) == 3
    assert paths.leaks_by_epsilon(config, "patient", "membership") == [
        f"<results>/privacy/standard/{name}/membership.csv" for name in ("fedfbn", "dp1")
    ]
    assert paths.leaks_by_epsilon(config, "paper", "membership") == []


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
    assert paths.model_files(config, wildcards) == expected
    assert study.is_ensemble(config, method) == (method == "ensemble")


def test_the_paper_reads_what_the_run_makes(config):
    both = paths.paper_files(config)
    assert len(both) == len(set(both))
    assert "<results>/evaluation/patient/metrics.csv" in both
    assert "<results>/sites/siim/rejected.csv" in both
    assert {f"<results>/tables/{name}.csv" for name in paths.study_tables(config)} <= set(both)
    one = paths.paper_files(changed(config, "run", "protocols", value=["patient"]))
    assert set(one) < set(both)
    assert not [name for name in one if "published" in name or "/paper" in name]


def test_local_files_are_inputs_only_where_they_exist(config, tmp_path):
    (tmp_path / "match.csv").write_text("")
    table = str(tmp_path / "match.csv")
    none = changed(config, "sites", "rsna", "patients", value=None)
    for key in ("labels", "patients"):
        here = changed(none, "sites", "rsna", key, value=table)
        assert paths.local_tables(here, "rsna") == [table]
        absent = changed(none, "sites", "rsna", key, value="x.csv")
        assert paths.local_tables(absent, "rsna") == []
    here = changed(config, "architectures", "densenet121", "weights", value=table)
    assert paths.local_weights(here, "densenet121") == [table]
    assert paths.local_weights(config, "densenet121") == []


def test_shipped_tables_count_by_their_content_wherever_a_run_is(config, monkeypatch, tmp_path):
    from_here = paths.tables_checksum(config, "siim")
    monkeypatch.chdir(tmp_path)
    assert paths.local_tables(config, "siim") == []
    assert paths.tables_checksum(config, "siim") == from_here != ""
    monkeypatch.setattr(paths, "HOME", tmp_path)
    assert paths.tables_checksum(config, "siim") == ""
    (tmp_path / "config" / "patients").mkdir(parents=True)
    (tmp_path / "config" / "patients" / "siim.csv.gz").write_text("another one")
    assert paths.tables_checksum(config, "siim") not in ("", from_here)


def test_the_content_of_small_files_counts_and_their_times_do_not(tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("a,1")
    before = paths.checksum([str(table)])
    os.utime(table, ns=(0, 10**18))
    assert paths.checksum([str(table)]) == before
    table.write_text("a,0")
    os.utime(table, ns=(0, 0))  # older than what was made of it
    assert paths.checksum([str(table)]) != before
    assert paths.checksum([]) == ""


def test_a_local_folder_is_known_by_its_content(config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert paths.fingerprint(config, "rsna") == ""
    (tmp_path / "hospital").mkdir()
    (tmp_path / "hospital" / "a.dcm").write_text("12")
    monkeypatch.setenv("HOME", str(tmp_path))
    local = changed(config, "sites", "rsna", "source", value=["local:~/hospital", "local:none"])
    before = paths.fingerprint(local, "rsna")
    (tmp_path / "hospital" / "a.dcm").write_text("123")
    assert paths.fingerprint(local, "rsna") != before


def test_a_bundle_is_made_of_one_model_and_its_scores(config):
    wildcards = SimpleNamespace(protocol="patient", architecture="densenet121")
    model, predictions = (
        find(config, wildcards) for find in (paths.bundled_model, paths.bundled_predictions)
    )
    folder = "patient/densenet121/fedavg/seed2022"
    assert model == f"<results>/models/{folder}/global.safetensors"
    assert predictions == f"<results>/predictions/{folder}.csv"


def test_a_baselines_bundle_is_of_one_sites_model_and_the_scores_of_all(config):
    wildcards = SimpleNamespace(protocol="patient", architecture="standard", site="siim")
    seed = config["run"]["seeds"][0]
    name = f"patient/standard/baseline/seed{seed}"
    assert paths.bundled_baseline(config, wildcards) == f"<results>/models/{name}/siim.safetensors"
    found = paths.bundled_baseline_predictions(config, wildcards)
    assert found == f"<results>/predictions/{name}.csv"


def test_a_run_ends_with_how_to_try_its_first_bundle(config, monkeypatch, repository):
    monkeypatch.chdir(repository)
    said = paths.how_to_predict(config)
    assert "PYTHONPATH=workflow " in said
    assert said.endswith(
        "-m chexviz predict results/bundles/patient/standard FILE --heatmaps heatmaps"
    )
