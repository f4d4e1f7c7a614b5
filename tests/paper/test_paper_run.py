"""The paper's own configuration, as it ships, to its PDF; without a mark, on few phantom images.

Nothing is laid over config.yaml but sources, their patients, counts, epochs and a file of weights.
"""

import csv
import re
from pathlib import Path

import pytest
import yaml
from pypdf import PdfReader

from chexviz.tools import phantom_weights
from running import Workflow

pytestmark = pytest.mark.timeout(3000)  # DenseNet121 at full size, on one or two cores
SCALE = 200  # of the published numbers of images: 133 and 60


@pytest.fixture(scope="module")
def done(tmp_path_factory, repository) -> Workflow:
    """A finished run: the rehearsal's overlay where it is no more than that, and smaller."""
    folder = tmp_path_factory.mktemp("paper")
    overlay = yaml.safe_load((repository / "config" / "rehearsal.yaml").read_text())
    assert overlay.keys() == {"pathvars", "mark", "sites", "phantom", "architectures"}
    del overlay["pathvars"], overlay["mark"]
    overlay["phantom"]["scale"] = SCALE
    weights = folder / overlay["architectures"]["densenet121"]["weights"]
    assert weights.suffix == ".pth"
    phantom_weights.main(["--seed", "1", "--output", str(weights)])
    workflow = Workflow(folder, repository, overlay, study="paper")
    workflow.served = False  # every job is a program of its own, as it is for users
    workflow.succeed()
    return workflow


@pytest.fixture(scope="module")
def text(done) -> str:
    """The text of the paper."""
    pages = PdfReader(done.folder / "results" / "paper.pdf").pages
    return "\n".join(page.extract_text() for page in pages)


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_contracts_are_the_papers_and_hold(done):
    known = (("rsna", "pneumonia", 133, 30), ("siim", "pneumothorax", 60, 13))
    for site, finding, images, positives in known:
        (path,) = done.results(f"sites/{site}/contract.csv")
        table = {row["check"]: row for row in read(path)}
        # How many rows a part of the boxes and masks takes, no contract says.
        assert table.pop("rows of the label table")["verdict"] == "not checked"
        assert {row["verdict"] for row in table.values()} == {"as expected"}
        assert table["images"]["found"] == str(images)
        assert table[f"positives of {finding}"]["found"] == str(positives)


def test_no_output_is_marked(done, text):
    for pattern in ("tables/**/*.md", "tables/**/*.tex", "tables/**/*.csv"):
        made = done.results(pattern)
        assert made
        for path in made:
            assert not any(word in path.read_text() for word in ("DEMO", "REHEARSAL"))
    for row in read(done.results("tables/paper/table1.csv")[0]):
        assert row.get("mark", "") == ""
    assert "DEMO" not in text
    assert "REHEARSAL" not in text
    assert "This is a demonstration" not in text


def test_the_paper_speaks_as_of_real_data(done, text):
    words = " ".join(text.split())
    assert "an open reproduction of CheXViz" in words
    assert "RSNA" in words
    assert "SIIM-ACR" in words
    # Where a caption were empty, no sentence would follow its number.
    captions = dict(re.findall(r"Figure (S?\d+)\. ([A-Z][^.]{4,}\.)", words))
    numbers = [str(number) for number in range(1, 4)] + [f"S{number}" for number in range(1, 31)]
    assert sorted(captions) == sorted(numbers)


def test_what_is_compared_with_the_original_is_told_by_the_data_not_by_the_mark(done):
    """The mark is empty as for real data, but the radiographs are drawn, and the table says so."""
    rows = read(done.results("tables/published.csv")[0])
    assert {row["verdict"] for row in rows} == {"not comparable"}
    assert all(row["reason"].startswith("phantom radiographs") for row in rows)


def test_densenet121_starts_from_the_file(done):
    (log,) = done.folder.glob("logs/weights/densenet121.log")
    assert log.is_file()
    assert done.results("models/paper/densenet121/fedavg/seed2022/global.safetensors")
    assert (done.folder / "resources/weights/densenet121.safetensors").is_file()


def test_a_second_run_does_nothing_and_all_matches(done):
    assert done.planned() == {}
    verified = done.verify()
    assert verified.returncode == 0, verified.stderr
