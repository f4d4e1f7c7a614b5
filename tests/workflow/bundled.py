"""A run's bundles against the predictions of the run: the same images by `chexviz predict`."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from running import Workflow


def predict(workflow: Workflow, *words: str | Path) -> subprocess.CompletedProcess:
    """Call `chexviz predict` without anything of the workflow but the library."""
    environment = os.environ | {"PYTHONPATH": str(workflow.repository / "workflow")}
    line = [sys.executable, "-m", "chexviz", "predict", *map(str, words)]
    return subprocess.run(
        line, capture_output=True, text=True, env=environment, cwd=workflow.folder
    )


def compared(workflow: Workflow, bundle: Path, site: str, raw: Path, answers: dict) -> int:
    """Require that a bundle gives a site's raw files the scores of the run, to 1e-4.

    raw: the folder or archive of the site's files. answers: the head that answers, by finding.
    Returns how many scores were compared.
    """
    _, protocol, architecture = bundle.parts[-3:]
    out = workflow.folder / f"{architecture}-{site}.csv"
    done = predict(workflow, bundle, raw, "--csv", out)
    assert done.returncode in (0, 1), done.stderr
    with out.open(newline="") as file:
        found = {row["file"]: row for row in csv.DictReader(file)}
    (folder,) = workflow.results(f"sites/{site}")
    files = pd.read_csv(folder / "samples.csv", dtype=str).set_index("image")["file"]
    # Every file that was packed is read.
    between = ":" if raw.is_file() else "/"
    rows = {image: found[f"{raw}{between}{file}"] for image, file in files.items()}
    assert {row["status"] for row in rows.values()} == {"read"}
    (path,) = workflow.results(f"predictions/{protocol}/{architecture}/fedavg/seed2022.csv")
    table = pd.read_csv(path, dtype={"image": str})
    compared = 0
    for finding, head in answers.items():
        own = (table["site"] == site) & (table["finding"] == finding) & (table["head"] == head)
        images = table.loc[own, "image"]
        scores = [float(rows[image][f"score_{finding}"]) for image in images]
        np.testing.assert_allclose(scores, table.loc[own, "score"], rtol=0, atol=1e-4)
        compared += len(scores)
    return compared
