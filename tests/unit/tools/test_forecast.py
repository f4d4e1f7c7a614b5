"""How much the trainings of a run are, counted by hand, and what is said about it."""

import copy
import re
import shlex
import subprocess

import pytest
import torch
import yaml

from chexviz.pipeline import training_work
from chexviz.tools import forecast

BASELINE = {"protocol": "paper", "architecture": "standard", "seed": "2022", "site": "rsna"}
FEDAVG = {"protocol": "patient", "architecture": "standard", "seed": "2022", "method": "fedavg"}


@pytest.fixture
def config(repository, tmp_path) -> dict:
    """The paper's config, with results in a folder that is still empty."""
    config = yaml.safe_load((repository / "config" / "config.yaml").read_text())
    config["pathvars"]["results"] = str(tmp_path)
    return config


def test_images_are_those_of_the_contract_of_the_phantom_or_of_the_samples(config, tmp_path):
    assert training_work.images(config, "rsna") == 26_684
    config["sites"]["siim"] |= {"source": ["phantom"], "contract": None}
    assert training_work.images(config, "siim") == 600
    config["phantom"] |= {"images": "contract", "scale": 100}
    config["sites"]["rsna"]["source"] = ["phantom"]
    assert training_work.images(config, "rsna") == 267
    config["sites"]["siim"]["source"] = ["local:/data"]
    assert training_work.images(config, "siim") is None
    folder = tmp_path / "sites" / "siim"
    folder.mkdir(parents=True)
    (folder / "samples.csv").write_text("image,label\na,1\nb,0\nc,0\n")
    assert training_work.images(config, "siim") == 3


def test_passes_counted_by_hand(config):
    for site, images in (("rsna", 1000), ("siim", 500)):
        config["sites"][site]["contract"]["images"] = images
    config["architectures"]["standard"]["federated"] = {"rounds": 10, "local_epochs": 2}
    config["architectures"]["standard"]["baseline"] = {"epochs": 7}
    assert training_work.passes(config, BASELINE) == 1000 * 0.8 * 7
    assert training_work.passes(config, FEDAVG) == 1500 * 0.7 * 20
    # One epoch of the task block alone before the two others costs a third of one.
    assert training_work.passes(config, FEDAVG | {"method": "fedrep"}) == 24_500
    config["sites"]["siim"]["contract"] = None
    assert training_work.passes(config, FEDAVG) == 1000 * 0.7 * 20


def test_the_paper_is_long_and_the_demo_is_not(config, repository):
    trainings = [BASELINE, FEDAVG | {"architecture": "densenet121"}]
    line = shlex.split(training_work.forecast(config, trainings, cores=9))
    said = {line[at]: line[at + 1] for at in range(len(line)) if line[at].startswith("--")}
    work = [["standard", round(26_684 * 0.8 * 300)], ["densenet121", round(38_731 * 0.7 * 150)]]
    assert yaml.safe_load(said["--work"]) == work
    assert said["--side-by-side"] == "4"  # of 2 threads each
    demo = copy.deepcopy(config)
    demo["preprocess"]["size"] = 64
    for about in demo["sites"].values():
        about |= {"source": ["phantom"], "contract": None}
    for name, epochs in (("standard", 12), ("densenet121", 4)):
        demo["architectures"][name]["baseline"]["epochs"] = epochs
        demo["architectures"][name]["federated"]["rounds"] = epochs
    assert training_work.forecast(demo, trainings, cores=9) is None
    assert training_work.forecast(config, [], cores=9) is None


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (20, "2 minutes"),
        (7199, "120 minutes"),
        (7200, "2 hours"),
        (172_799, "48 hours"),
        (3.5e6, "41 days"),
    ],
)
def test_durations_are_said_in_the_largest_unit_of_which_there_are_two(seconds, said):
    assert forecast.duration(seconds) == said


def test_the_sentence():
    work = [("standard", 360_000), ("densenet121", 36_000), ("densenet121", 36_000)]
    speeds = {"densenet121": 2.54, "standard": 1000.0}
    said = forecast.sentence(work, speeds, 2, [])
    # 360 s and twice 14,173 s, two at a time: 3.99 hours.
    assert said.startswith(
        "No GPU: training will take about 4 hours on this machine, 2 at a time "
        "(measured: densenet121 2.5 images/s of 72,000, standard 1,000 images/s of 360,000).\n"
    )
    assert "Not counted" not in said
    # The longest training takes its time however many run beside it, and no more than all do.
    said = forecast.sentence(work, speeds, 64, ["hospital"])
    assert "about 4 hours on this machine, 3 at a time" in said
    assert "Not counted yet: the images of hospital." in said


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_speed_is_measured_and_said(config, monkeypatch, capsys):
    monkeypatch.setattr(forecast, "SECONDS", 0.1)
    privacy = {"epsilon": 3.0, "delta": 1e-5, "clip": 1.0}
    config["methods"]["dp3"] = config["methods"]["fedfbn"] | {"privacy": privacy}
    config["methods"]["dp8"] = config["methods"]["fedadam"] | {
        **{"batchnorm": "frozen", "privacy": privacy | {"epsilon": 8.0}}
    }
    config["training"]["threads"] = 1
    trainings = [BASELINE, FEDAVG | {"method": "dp8"}, FEDAVG | {"method": "dp3"}, FEDAVG]
    line = shlex.split(training_work.forecast(config, trainings, cores=1))
    line = line[line.index("chexviz.tools.forecast") + 1 :]
    line[line.index("--size") + 1] = "32"
    forecast.main(line[: line.index("||")])
    said = capsys.readouterr().err
    assert said.startswith("No GPU: training will take about ")
    # Each image has a gradient of its own with privacy, which has its own speed.
    speed = r"[\d,.]+ images/s of [\d,]+"
    assert re.search(rf"measured: standard {speed}, standard with privacy {speed}\)", said)


def test_what_takes_too_long_to_measure_fails_nothing(config, monkeypatch):
    monkeypatch.setattr(training_work, "LIMIT", 0.01)
    command = training_work.forecast(config, [BASELINE], cores=1)
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.returncode == 0
    assert "could not be measured within 0.01 s" in done.stderr
