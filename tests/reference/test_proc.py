"""Side by side with R's pROC (Debian: r-cran-proc), on scores that are made here."""

import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest

from chexviz.evaluation.over_seeds import holm
from chexviz.evaluation.paired_tests import compare, compare_delong, delong
from chexviz.evaluation.resamples import resamples
from chexviz.evaluation.roc import Ranking, auroc
from needed import absent

PROC = """
suppressMessages(library(pROC))
table <- read.csv("scores.csv")
roc_of <- function(scores) roc(table$label, scores, levels = c(0, 1), direction = "<")
one <- roc_of(table$score); other <- roc_of(table$reference)
tested <- roc.test(one, other, method = "delong", paired = TRUE)
set.seed(1)
resampled <- roc.test(
  one, other, method = "bootstrap", paired = TRUE, boot.n = 2000, progress = "none"
)
numbers <- c(auc(one), auc(other), var(one), tested$conf.int, tested$statistic, tested$p.value)
cat(format(c(numbers, resampled$statistic), digits = 17), "\\n")
"""
HOLM = 'cat(format(p.adjust(scan("p.txt", quiet = TRUE), "holm"), digits = 17), "\\n")'


@pytest.fixture(scope="module")
def r() -> str:
    """The path of Rscript, whose pROC the tests need."""
    script = shutil.which("Rscript")
    if script is None:
        absent("no R: Rscript is not installed (Debian: apt-get install r-cran-proc)")
    found = subprocess.run([script, "-e", "library(pROC)"], capture_output=True, text=True)
    if found.returncode:
        absent("no pROC in R (Debian: apt-get install r-cran-proc)")
    return script


def numbers(r: str, code: str, folder) -> list[float]:
    """The numbers that a program in R prints, run in `folder`."""
    done = subprocess.run([r, "-e", code], cwd=folder, capture_output=True, text=True, check=True)
    return [float(number) for number in done.stdout.split()]


def draw_scores(seed: int, levels: int | None) -> pd.DataFrame:
    """Labels and the correlated scores of two models; `levels`: so many distinct values only."""
    draws = np.random.default_rng(seed)
    labels = (np.arange(500) % 5 == 0).astype(int)
    shared = draws.normal(size=500) + 1.2 * labels
    scores = [shared + 0.6 * draws.normal(size=500) - 0.2 * number for number in range(2)]
    if levels:
        scores = [np.round(levels / (1 + np.exp(-each))) / levels for each in scores]
    return pd.DataFrame({"label": labels, "score": scores[0], "reference": scores[1]})


@pytest.mark.parametrize("levels", [None, 8])
def test_both_paired_tests_are_procs(r, tmp_path, levels):
    table = draw_scores(4, levels)
    table.to_csv(tmp_path / "scores.csv", index=False)
    known = numbers(r, PROC, tmp_path)
    labels = table["label"].to_numpy()
    scores = [table[name].to_numpy() for name in ("score", "reference")]
    rankings = [Ranking(labels, each, np.arange(500)) for each in scores]
    areas = [auroc(ranking.curve(np.ones((500, 1)))).item() for ranking in rankings]
    assert areas == pytest.approx(known[:2], rel=0, abs=1e-12)
    assert delong(labels, np.stack(scores))[1][0, 0] == pytest.approx(known[2], rel=0, abs=1e-12)
    difference = areas[0] - areas[1]
    tested = compare_delong(difference, labels, np.stack(scores), 0.95)
    found = [tested.low, tested.high, tested.statistic, tested.p]
    assert found == pytest.approx(known[3:7], rel=0, abs=1e-9)
    drawn = resamples(labels == 1, 4000, np.random.default_rng(5))
    replicates = np.hstack(
        [np.subtract(*(auroc(each.curve(weights)) for each in rankings)) for weights in drawn]
    )
    resampled = compare(difference, replicates, 0.95)
    # Three Monte Carlo errors: 2,000 replicates there, 4,000 here.
    error = 3 * np.sqrt(1 / (2 * 1999) + 1 / (2 * 3999))
    assert resampled.statistic == pytest.approx(known[7], rel=error)


def test_holm_is_rs(r, tmp_path):
    draws = np.random.default_rng(6)
    for p in (draws.random(7), np.round(draws.random(12), 1), draws.random(4) / 100):
        np.savetxt(tmp_path / "p.txt", p, fmt="%.17g")
        np.testing.assert_allclose(holm(p), numbers(r, HOLM, tmp_path), rtol=1e-14)
