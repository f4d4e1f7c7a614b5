"""Which site, model or protocol a file is of, on a command line."""

import shlex

from chexviz.pipeline import arguments, paths, study
from made_configs import changed


def test_every_prediction_is_named_to_evaluate(config):
    config = changed(config, "run", "seeds", value=[1, 2])
    models = study.models(config)
    files = paths.prediction_files(models, "paper")
    assert len(set(files)) == len(files) == 2 * 2 * 2
    line = arguments.models("--prediction", models, files)
    assert line.count("--prediction") == 8
    assert "--prediction standard baseline 1 " in line


def test_sites_are_told_with_their_roles_and_findings(config):
    config = changed(config, "sites", "siim", "role", value="external")
    config = changed(config, "sites", "rsna", "findings", value=["pneumonia", "pneumothorax"])
    assert arguments.findings(config) == (
        "--findings rsna train pneumonia pneumothorax --findings siim external pneumothorax"
    )
    assert arguments.learning(config, ["rsna"]) == "--site rsna pneumonia pneumothorax"


def test_every_site_names_its_samples(config):
    files = [f"<results>/sites/{site}/samples.csv" for site in ("rsna", "siim")]
    line = arguments.samples(config, files)
    assert line == f"--samples rsna '{files[0]}' --samples siim '{files[1]}'"


def test_every_training_has_a_history_and_an_ensemble_is_none(config):
    config = changed(config, "run", "methods", value=["fedavg", "pooled", "ensemble"])
    config = changed(config, "run", "seeds", value=[1, 2])
    files = paths.history_files(config, "paper")
    assert len(set(files)) == len(files) == 2 * (2 + 1 + 1) * 2
    folder = "<results>/models/paper/standard"
    for name in ("baseline/seed2/siim", "pooled/seed1/global"):
        assert f"{folder}/{name}.history.csv" in files
    assert not any("ensemble" in file for file in files)
    line = arguments.histories(config, files)
    assert line.count("--history") == 16
    assert f"--history standard fedavg 2 '{folder}/fedavg/seed2/global.history.csv'" in line


def test_every_protocol_has_its_split(config):
    line = arguments.splits(config, ["splits/a b.csv", "splits/patient.csv"])
    assert line == "--split paper 'splits/a b.csv' --split patient splits/patient.csv"


def test_localisation_names_every_model_and_site_once(config):
    models = study.models(config)
    files = [paths.prediction_files(models, "paper", end) for end in (".csv", ".n")]
    words = shlex.split(arguments.models("--prediction", models, *files))
    assert words.count("--prediction") == len(models) == 2 * 2
    first = ["--prediction", "standard", "baseline", "2022", files[0][0], files[1][0]]
    assert words[:6] == first
    sites = shlex.split(arguments.sites(config, ["a b.csv", "c.csv"]))
    assert sites == ["--site", "rsna", "a b.csv", "--site", "siim", "c.csv"]
