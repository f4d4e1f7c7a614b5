"""A site makes itself ready by the workflow, as docs/federation.md says."""

import json
import os
import re
import subprocess
import sys

import pytest
import yaml

from documented import commands

# A study of two hospitals; of the other one this machine knows no images.
STUDY = {
    "pathvars": {name: name for name in ("results", "resources", "logs", "benchmarks")},
    "run": {
        **{"sites": ["hospital", "clinic"], "protocols": ["patient"]},
        **{"architectures": ["standard"], "methods": ["median"]},
    },
    "sites": {
        name: {"title": name, "findings": ["pneumonia"], "reader": "table", "source": ["local:."]}
        for name in ("hospital", "clinic")
    },
    "preprocess": {"size": 32},
    "phantom": {"images": 30},
    "training": {"batch": 8, "threads": 1},
    "architectures": {"standard": {"baseline": {"epochs": 1}}},
}
OWN = {"sites": {"hospital": {"source": ["phantom"]}}}


@pytest.fixture
def site(tmp_path, repository):
    """Run the documented command in a folder with the files that it names."""
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(STUDY))
    (tmp_path / "hospital.yaml").write_text(yaml.safe_dump(OWN))
    (words,) = [words for words in commands("federation.md") if words[:2] == ["site", "prepare"]]
    environment = os.environ | {"PYTHONPATH": str(repository / "workflow")}

    def run(*more: str) -> subprocess.CompletedProcess:
        line = [sys.executable, "-m", "chexviz", *words, "--cores", "2", *more]
        return subprocess.run(line, capture_output=True, text=True, cwd=tmp_path, env=environment)

    return run


def test_the_workflow_makes_one_site_of_a_study_ready(site, tmp_path):
    done = site()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "steps (100%) done" in done.stderr
    lines = done.stdout.partition("site hospital is ready in results:\n")[2].splitlines()
    assert lines[0] == "  rejected: 0 files (results/sites/hospital/rejected.csv)"
    assert re.match(r"  contract: nothing differs \(.*contract\.csv\)", lines[1])
    subsets = r"\d+ train, \d+ validation, \d+ evaluation images"
    assert re.match(f"  protocol patient: {subsets}; 0 of ", lines[2])
    results = tmp_path / "results"
    assert {path.name for path in results.glob("sites/*")} == {"hospital"}
    assert (results / "splits" / "patient" / "hospital.csv").is_file()
    assert (results / "audit" / "patient.csv").is_file()
    model = "models/patient/standard/baseline/seed2022/hospital.safetensors"
    assert (results / model).is_file()
    about = json.loads((results / "site.json").read_text())
    assert about["name"] == "hospital"
    assert about["evaluation"]["minimum_cases"] == 20
    done = site()
    assert "Nothing to be done" in done.stderr
    (tmp_path / "hospital.yaml").write_text(yaml.safe_dump(OWN | {"run": {"seeds": "x"}}))
    done = site()
    assert done.returncode == 1
    assert done.stderr.startswith("ERROR config: $.run.seeds: 'x' is not of type 'array'")
