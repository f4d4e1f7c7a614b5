"""The bundles of a finished run, and `chexviz predict` with them."""

import json
import re
import shutil
import subprocess

import pandas as pd
import pytest
from PIL import Image

from bundled import compared, predict

# Of the demo's three sites two know pneumothorax, whose heads answer by their mean.
ANSWERS = {"pneumonia": "rsna", "pneumothorax": "mean"}
ARCHITECTURES = ("standard", "densenet121")


def test_there_is_a_bundle_of_each_architecture_under_the_protocol_that_validates(done):
    folders = [
        path.parent.relative_to(done.folder) for path in done.results("bundles/**/bundle.json")
    ]
    assert [folder.parts[-2:] for folder in folders] == [
        ("patient", name) for name in sorted(ARCHITECTURES)
    ]
    for path in done.results("bundles/**/card.*"):
        assert "DEMO: phantom radiographs" in path.read_text().replace("\\", "")
    for path in done.results("bundles/**/bundle.json"):
        about = json.loads(path.read_text())
        assert about["mark"].startswith("DEMO")
        assert {one["name"]: sorted(one["heads"]) for one in about["findings"]} == {
            "pneumonia": ["rsna"],
            "pneumothorax": ["hospital", "siim"],
        }
        # A tenth of 90 images of a site validates: too few cases for all but Youden's threshold.
        for one in about["findings"]:
            assert [point["name"] for point in one["learned"]["points"]] == ["youden"]
            assert one["learned"]["temperature"] is None
            assert one["learned"]["note"].startswith("too few cases")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_raw_files_get_the_scores_of_the_run(done, architecture):
    (bundle,) = done.results(f"bundles/patient/{architecture}")
    raw = done.folder / "resources" / "demo" / "hospital" / "data"
    assert compared(done, bundle, "hospital", raw, ANSWERS) > 40


def test_a_reader_gets_from_the_bundle_to_a_picture_of_one_file(done, tmp_path):
    (bundle,) = done.results("bundles/patient/standard")
    raw = done.folder / "resources" / "demo" / "rsna" / "data"
    file = next(raw.rglob("*.dcm"))
    elsewhere = shutil.copytree(bundle, tmp_path / "bundle")
    said = predict(done, elsewhere, file, "--heatmaps", tmp_path / "maps")
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith("DEMO: phantom radiographs")
    (picture,) = (tmp_path / "maps").iterdir()
    with Image.open(picture) as image:
        assert image.size[0] > 3 * 400


def test_the_card_has_the_numbers_of_the_tables(done):
    (path,) = done.results("evaluation/patient/metrics.csv")
    metrics = pd.read_csv(path)
    chosen = metrics[(metrics["architecture"] == "standard") & (metrics["method"] == "fedavg")]
    text = done.results("bundles/patient/standard/card.md")[0].read_text()
    assert len(chosen) == 3
    for row in chosen.itertuples():
        assert re.search(rf"\| {row.images} \| {row.positives} \| .* \| {row.auroc:.3f} \|", text)


def test_the_run_ends_with_how_to_try_its_bundle(finished, tmp_path):
    (command,) = re.findall(r"^Try it on a radiograph of yours: (.*)$", finished.said, re.M)
    raw = finished.folder / "resources" / "demo" / "rsna" / "data"
    line = command.replace("FILE", str(next(raw.rglob("*.dcm"))))
    assert "chexviz predict results/demo/bundles/patient/standard " in line
    assert line.endswith(" --heatmaps heatmaps")
    line = line.replace("--heatmaps heatmaps", f"--heatmaps {tmp_path}")
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, cwd=finished.folder)
    assert done.returncode == 0, done.stderr
    (picture,) = tmp_path.iterdir()
    assert picture.suffix == ".png"
