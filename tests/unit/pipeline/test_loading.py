"""The configuration outside of Snakemake: the files of a run, laid over each other and checked."""

import pytest

from chexviz.base.errors import InputError
from chexviz.pipeline import loading


def test_files_are_laid_over_each_other_and_defaults_are_filled_in(tmp_path):
    (tmp_path / "study.yaml").write_text("training: {batch: 16.0, threads: 1}\n")
    (tmp_path / "own.yaml").write_text("training: {batch: 8}\nrun: {seeds: [1, 2]}\n")
    config = loading.load([tmp_path / "study.yaml", tmp_path / "own.yaml"], seeds=[3])
    assert config["training"]["batch"] == 8
    assert config["training"]["threads"] == 1
    assert config["run"]["seeds"] == [3]
    assert config["sites"]["rsna"]["columns"]["file"] == "file"  # which config.yaml does not say


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "training: {batch: x}",
            r"^ERROR config: \$\.training\.batch: 'x' is not of type",
        ),
        ("training: {btch: 1}", r"\$\.training: Additional properties are not allowed"),
        ("run: {sites: [nobody]}", r"names defined under sites"),
        ("training: {batch: .nan}", r"a finite number"),
    ],
)
def test_what_is_wrong_is_said(tmp_path, text, said):
    (tmp_path / "study.yaml").write_text(text)
    with pytest.raises(SystemExit, match=said):
        loading.load([tmp_path / "study.yaml"])


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.yaml\n.*a configuration in YAML"):
        loading.load([tmp_path / "none.yaml"])
    (tmp_path / "bad.yaml").write_text("[")
    with pytest.raises(InputError, match=r"bad\.yaml"):
        loading.read(tmp_path / "bad.yaml")
