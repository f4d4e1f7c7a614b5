"""The documented metric: written into a copy of the library, it is measured and in Table 1."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from chexviz.base.tables.evaluation import METRICS
from chexviz.evaluation.metrics import MEASURED

REPOSITORY = Path(__file__).parents[3]
TITLES = json.dumps(
    [{"name": "north", "title": "North", "role": "train", "findings": ["pneumonia"]}]
)


def test_what_is_named_is_measured():
    assert MEASURED.keys() == METRICS.keys()


def blocks(title: str) -> list[str]:
    """The Python code of a section, wherever in docs/extending*.md it is."""
    pages = (path.read_text(encoding="utf-8") for path in (REPOSITORY / "docs").glob("extending*"))
    sections = (part for page in pages for part in re.split(r"(?m)^## ", page)[1:])
    (section,) = (part for part in sections if part.partition("\n")[0] == title)
    return re.findall(r"(?ms)^```python\n(.*?)^```$", section)


@pytest.fixture
def library(tmp_path):
    """Runs a module of a copy of the library that has the documented metric."""
    copy = tmp_path / "library"
    shutil.copytree(REPOSITORY / "workflow" / "chexviz", copy / "chexviz")
    heading, interval, metric = blocks("A metric of Table 1")

    def write(file: str, before: str, text: str, *, after: str = "") -> None:
        path = copy / "chexviz" / file
        parts = path.read_text(encoding="utf-8").partition(before)
        assert parts[1], f"{before} is not in {file}"
        path.write_text(parts[0] + text + parts[1] + after + parts[2], encoding="utf-8")

    write("base/tables/evaluation.py", "METRICS: dict[str, Heading] = {", "", after="\n" + heading)
    measured = "MEASURED: dict[str, Metric] = {"
    write("evaluation/metrics.py", measured, f"{interval}\n\n", after="\n" + metric)

    def run(module: str, *words) -> str:
        command = [sys.executable, "-m", f"chexviz.{module}", *map(str, words)]
        environment = os.environ | {"PYTHONPATH": str(copy)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_a_metric_is_two_files(library, tmp_path):
    draws = np.random.default_rng(1)
    label = (draws.random(300) < 0.4).astype(int)
    words = ["--findings", "north", "train", "pneumonia"]
    for method in ("baseline", "fedavg"):
        score = 1 / (1 + np.exp(-draws.normal(2 * label - 1)))
        table = pd.DataFrame({"image": [f"i{one}" for one in range(300)], "label": label})
        table = table.assign(patient=table["image"], subset="evaluation", score=score)
        table = table.assign(site="north", finding="pneumonia", head="north")
        table.to_csv(tmp_path / f"{method}.csv", index=False)
        words += ["--prediction", "standard", method, "1", tmp_path / f"{method}.csv"]
    bootstrap = {"replicates": 200, "unit": "patient", "confidence": 0.95, "seed": 1}
    words += ["--settings", json.dumps({"bootstrap": bootstrap, "minimum_cases": 20})]
    made = [f"--{name}={tmp_path / name}.csv" for name in ("metrics", "comparisons", "roc")]
    library("evaluation.evaluate", *words, "--margin=0.05", *made)
    metrics = pd.read_csv(tmp_path / "metrics.csv").set_index("method")
    for method, row in metrics.iterrows():
        table = pd.read_csv(tmp_path / f"{method}.csv")
        right = (table["score"] >= row["threshold"]) == table["label"]
        assert row["accuracy"] == pytest.approx(right.mean())
        assert row["accuracy_low"] < row["accuracy"] < row["accuracy_high"]

    shown = [f"--{kind}={tmp_path / 'table1'}.{kind}" for kind in ("csv", "tex", "md")]
    library("reporting.tables.table1", *made[:2], "--method=fedavg", f"--titles={TITLES}", *shown)
    table = pd.read_csv(tmp_path / "table1.csv")
    np.testing.assert_allclose(table["accuracy"], metrics["accuracy"])
    percent = f"{100 * metrics['accuracy']['fedavg']:.1f} ("
    assert "Accuracy (%)" in (tmp_path / "table1.md").read_text()
    assert percent in (tmp_path / "table1.md").read_text()

    files = [tmp_path / f"{method}.csv" for method in ("baseline", "fedavg")]
    assert "Accuracy (%)" in library("tools.compare", *files, "--replicates=200")
