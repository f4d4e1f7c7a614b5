"""Simulated studies: intervals hold the truth and the primary test keeps its level; the figure."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from chexviz.base.errors import InputError
from chexviz.base.tables.evaluation import COVERAGE
from chexviz.evaluation import coverage
from chexviz.evaluation.intervals import wilson
from chexviz.reporting.figures import coverage as figure_coverage
from chexviz.reporting.figures import style

SETTINGS = {
    **{"repetitions": 300, "replicates": 200, "patients": [100, 200, 1000], "prevalence": 0.1},
    **{"images": [1, 1, 1, 2, 2, 7], "similarity": 0.5, "auroc": 0.85, "correlation": 0.75},
    "seed": 2022,
}
FEW = {"repetitions": 20, "replicates": 50, "patients": [100]}


def simulated(folder, **changes) -> pd.DataFrame:
    path = folder / "coverage.csv"
    coverage.main(["--settings", json.dumps(SETTINGS | changes), f"--csv={path}"])
    return pd.read_csv(path)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return simulated(tmp_path_factory.mktemp("coverage"))


def rates(table: pd.DataFrame, measure: str, *, several: bool) -> list[float]:
    """By the number of patients with the finding: 10, 20, 100."""
    chosen = table[(table["measure"] == measure) & ((table["images"] > 1) == several)]
    return chosen.sort_values("positives")["rate"].tolist()


def large(images: list[int]) -> tuple[coverage.Design, coverage.Coverage, coverage.Study]:
    settings = coverage.Coverage(**SETTINGS)
    design = coverage.Design(200_000, 20_000, images)
    return design, settings, coverage.draw_study(design, settings, np.random.default_rng(1))


@pytest.mark.parametrize("images", [[1], SETTINGS["images"]])
def test_a_study_is_what_the_settings_say(images):
    design, _, (labels, scores, patient) = large(images)
    assert len(set(patient)) == design.patients
    assert len(labels) / design.patients == pytest.approx(np.mean(images), rel=0.02)
    assert len(set(patient[labels == 1])) == design.positives
    for one in scores:
        assert roc_auc_score(labels, one) == pytest.approx(0.85, abs=0.005)
    negative = pd.DataFrame({"patient": patient, "one": scores[0], "two": scores[1]})[labels == 0]
    assert negative["one"].corr(negative["two"], method="spearman") == pytest.approx(0.74, abs=0.02)
    first, second = (negative.groupby("patient").nth(number) for number in (0, 1))
    pairs = first.merge(second, on="patient")
    assert (len(pairs) > 0) == (len(images) > 1)
    if len(pairs):
        correlation = pairs["one_x"].corr(pairs["one_y"], method="spearman")
        assert correlation == pytest.approx(0.48, abs=0.03)  # 0.5 of normal scores


@pytest.mark.parametrize("images", [[1], SETTINGS["images"]])
def test_the_truth_is_what_many_patients_show(images):
    design, settings, (labels, scores, _) = large(images)
    truth = coverage.truths(design, settings)
    found = average_precision_score(labels, scores[0])
    assert truth["aupr"] == pytest.approx(found, abs=0.01)
    for threshold in (0.2, 0.5, 0.7):
        chosen = coverage.truths_of(threshold, settings)
        called = scores[0] >= threshold
        sensitivity, specificity = called[labels == 1].mean(), 1 - called[labels == 0].mean()
        assert chosen["sensitivity_chosen"] == pytest.approx(sensitivity, abs=0.01)
        assert chosen["specificity_chosen"] == pytest.approx(specificity, abs=0.01)
        assert sensitivity + specificity < 2 * truth["sensitivity"] + 0.01  # the best of all


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("measure", coverage.INTERVALS)
def test_intervals_hold_the_truth(table, measure, several):
    """300 studies of 10, 20, 100 patients with the finding: 95 % within 4 standard errors.

    Percentiles of the same replicates hold it in 84 to 90 % (AUROC) and 42 to 68 % (sensitivity)
    of the studies with 10. Rates of few cases are coarse, and their intervals rather too wide.
    """
    few, *enough = rates(table, measure, several=several)
    error = 4 * np.sqrt(0.95 * 0.05 / 300)
    assert min(enough) > 0.95 - error
    assert few > 0.89
    assert max(enough) < 0.997


def test_the_primary_test_keeps_its_level_where_images_are_not_independent(table):
    """300 studies: 5 % within 4 standard errors; tests that count images reject twice as often."""
    error = 4 * np.sqrt(0.05 * 0.95 / 300)
    for several in (False, True):
        assert max(rates(table, "bootstrap_patients", several=several)) < 0.05 + error
    primary = rates(table, "bootstrap_patients", several=True)[-1]
    assert primary > 0.015
    for test in ("bootstrap_images", "delong"):
        assert np.mean(rates(table, test, several=True)) > 0.08
        assert rates(table, test, several=True)[-1] > 1.5 * primary
    assert rates(table, "bootstrap_images", several=False) == []  # there it is that of patients
    assert max(rates(table, "delong", several=False)) < 0.05 + error


def test_rates_are_counts_with_wilsons_interval(table):
    assert list(table.columns) == COVERAGE.names
    np.testing.assert_allclose(table["rate"], table["count"] / 300, atol=1e-15)
    for row in table.itertuples():
        assert (row.low, row.high) == pytest.approx(wilson(row.rate, 300, 0.95))
        assert row.nominal == (0.05 if row.measure in coverage.TESTS else 0.95)


def test_fewer_repetitions_are_the_first_of_more_and_reruns_are_the_same(tmp_path):
    more = simulated(tmp_path, **FEW)
    fewer = simulated(tmp_path, **FEW | {"repetitions": 15})
    assert (more["count"] - fewer["count"]).between(0, 5).all()
    assert more.equals(simulated(tmp_path, **FEW))
    assert not more["count"].equals(simulated(tmp_path, **FEW | {"seed": 1})["count"])


@pytest.mark.parametrize(
    "changes",
    [
        *({"repetitions": 0}, {"replicates": 1}, {"patients": [10]}, {"patients": []}),
        *({"images": [1]}, {"images": [0, 2]}, {"similarity": 1}, {"auroc": 1}, {"unknown": 1}),
    ],
)
def test_impossible_settings_are_refused(tmp_path, changes):
    with pytest.raises(InputError, match="--settings"):
        simulated(tmp_path, **FEW | changes)
    assert not list(tmp_path.iterdir())


def draw(folder, table, *options) -> dict[str, bytes]:
    table.to_csv(folder / "coverage.csv", index=False)
    files = {kind: folder / f"coverage.{kind}" for kind in ("pdf", "png")}
    outputs = [f"--{kind}={path}" for kind, path in files.items()]
    figure_coverage.main([f"--coverage={folder / 'coverage.csv'}", *outputs, *options])
    return {kind: path.read_bytes() for kind, path in files.items()}


def test_the_figure_shows_every_rate_with_its_interval(table):
    figure = figure_coverage.draw(table)
    shown, ends = [], []
    for axes in figure.axes:
        for container in axes.containers:
            line, _, (bars,) = container
            shown += list(line.get_ydata())
            ends += [tuple(segment[:, 1]) for segment in bars.get_segments()]
    assert sorted(shown) == pytest.approx(sorted(100 * table["rate"]))
    expected = sorted(zip(100 * table["low"], 100 * table["high"], strict=True))
    np.testing.assert_allclose(sorted(ends), expected, atol=1e-9)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles[:4] == ["AUROC", "AUPR", "Sensitivity", "Specificity"]
    assert titles[-1] == "Paired tests,\n2.3 images a patient"
    for axes in figure.axes:
        low, high = axes.get_ylim()
        assert all(low <= y <= high for line in axes.lines for y in line.get_ydata())
    texts = [text for text in figure.findobj(style.Text) if text.get_text()]
    assert min(text.get_fontsize() for text in texts) >= 6
    assert "300 simulated studies" in texts[-1].get_text() + figure.texts[-1].get_text()
    style.plt.close(figure)


def test_the_figure_is_the_same_on_a_rerun_and_bears_the_mark(table, tmp_path):
    first = draw(tmp_path, table)
    assert draw(tmp_path, table) == first
    assert draw(tmp_path, table, "--mark=DEMO")["png"] != first["png"]


def test_a_table_without_the_primary_test_is_refused(table, tmp_path):
    with pytest.raises(InputError, match="none of bootstrap_patients"):
        draw(tmp_path, table[table["measure"] != "bootstrap_patients"])
