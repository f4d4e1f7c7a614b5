"""The simulation of two equally good models, and its figure."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, ttest_1samp
from sklearn.metrics import roc_auc_score

from chexviz.base.errors import InputError
from chexviz.base.tables.evaluation import SIMULATION
from chexviz.evaluation import simulation
from chexviz.reporting.figures import simulation as figure_simulation

SETTINGS = {"repetitions": 60, "images": 400, "prevalence": 0.225, "auroc": 0.85}
SETTINGS |= {"correlation": 0.75, "seed": 2022}


def simulated(folder, **changes) -> pd.DataFrame:
    path = folder / "simulation.csv"
    simulation.main(["--settings", json.dumps(SETTINGS | changes), f"--csv={path}"])
    return pd.read_csv(path)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return simulated(tmp_path_factory.mktemp("simulation"))


def test_a_study_is_what_the_settings_say():
    settings = simulation.Simulation(**SETTINGS | {"images": 200_000})
    labels, scores = simulation.draw_study(settings, np.random.default_rng(1))
    assert labels.sum() == 45_000
    for each in scores:
        assert roc_auc_score(labels, each) == pytest.approx(0.85, abs=0.005)
        assert each[labels == 1].std() == pytest.approx(1, abs=0.02)
    for label in (0, 1):
        correlation = np.corrcoef(scores[:, labels == label])[0, 1]
        assert correlation == pytest.approx(0.75, abs=0.01)


def test_the_literal_test_rejects_as_often_as_its_formula_says():
    """Normal differences of equal models, and normal replicates around each: 20,000 studies."""
    draws, studies = np.random.default_rng(2), 20_000
    for count in (10, 25, 100):
        replicates = draws.normal(size=(studies, 1)) + draws.normal(size=(studies, count))
        rate = np.mean(ttest_1samp(replicates, 0, axis=1).pvalue < 0.05)
        expected = simulation.literal_rejects(np.array([count]), 0.05).item()
        assert rate == pytest.approx(expected, abs=4 * 0.5 / math.sqrt(studies))
    # By hand: t with 24 degrees of freedom exceeds 2.0639 / sqrt(26) in 68.9 % of cases.
    rates = simulation.literal_rejects(np.array([2, 25, 10**6]), 0.05)
    assert rates[1] == pytest.approx(0.6892, abs=5e-5)
    assert rates[0] < rates[1] < rates[2]
    assert rates[2] > 0.998


def test_rates_are_counts_with_wilsons_interval(table):
    assert list(table.columns) == SIMULATION.names
    assert len(table) == 2 * len(simulation.REPLICATES) + 1
    np.testing.assert_allclose(table["rate"], table["rejected"] / 60, atol=1e-15)
    z = norm.ppf(0.975)
    centre = (table["rejected"] + z**2 / 2) / (60 + z**2)
    half = z / (60 + z**2) * np.sqrt(table["rejected"] * (1 - table["rate"]) + z**2 / 4)
    np.testing.assert_allclose(table["low"], centre - half, atol=1e-12)
    np.testing.assert_allclose(table["high"], centre + half, atol=1e-12)


def test_the_literal_test_rejects_ever_more_often_and_the_others_keep_to_their_level(table):
    """60 studies: rates within 4 standard errors of those expected."""
    error = 4 * np.sqrt(table["expected"] * (1 - table["expected"]) / 60)
    assert ((table["rate"] - table["expected"]).abs() < error).all()
    rates = table.set_index(["test", "replicates"])["rate"]
    literal = rates["t_test_replicates"]
    assert literal[10] < literal[100] < literal[1000]
    assert literal[1000] > 0.8
    assert rates["bootstrap_images"].max() < 0.25


def test_fewer_repetitions_are_the_first_of_more_and_reruns_are_the_same(table, tmp_path):
    fewer = simulated(tmp_path, repetitions=20)
    assert (fewer["rejected"] <= table["rejected"]).all()
    assert (table["rejected"] - fewer["rejected"] <= 40).all()
    assert fewer.equals(simulated(tmp_path, repetitions=20))
    other = simulated(tmp_path, repetitions=20, seed=1)
    assert not fewer["rejected"].equals(other["rejected"])


@pytest.mark.parametrize(
    "changes",
    [{"repetitions": 0}, {"prevalence": 0.001}, {"auroc": 1}, {"correlation": 1}, {"unknown": 1}],
)
def test_impossible_settings_are_refused(tmp_path, changes):
    with pytest.raises(InputError, match="--settings"):
        simulated(tmp_path, **changes)
    assert not list(tmp_path.iterdir())


def draw(folder, table, *options) -> dict[str, bytes]:
    table.to_csv(folder / "simulation.csv", index=False)
    files = {kind: folder / f"simulation.{kind}" for kind in ("pdf", "png")}
    outputs = [f"--{kind}={path}" for kind, path in files.items()]
    figure_simulation.main([f"--simulation={folder / 'simulation.csv'}", *outputs, *options])
    return {kind: path.read_bytes() for kind, path in files.items()}


def test_the_figure_shows_every_rate_at_its_place(table):
    figure = figure_simulation.draw(table)
    axes = figure.axes[0]
    shown = {
        (round(x, 6), round(y, 6))
        for line in axes.lines
        if line.get_marker() == "o"
        for x, y in zip(*line.get_data(), strict=True)
    }
    replicates = table["replicates"].fillna(1400)
    assert shown == {
        (round(x, 6), round(100 * y, 6)) for x, y in zip(replicates, table["rate"], strict=True)
    }
    texts = {text.get_text() for text in axes.texts}
    assert texts == {"t-test over replicates", "Bootstrap over images", "DeLong"}
    assert "60 simulated studies" in figure.texts[0].get_text()
    assert math.isclose(axes.get_ylim()[1], 100)


def test_the_figure_is_the_same_on_a_rerun_and_bears_the_mark(table, tmp_path):
    first = draw(tmp_path, table)
    assert draw(tmp_path, table) == first
    assert draw(tmp_path, table, "--mark=DEMO")["png"] != first["png"]


def test_a_simulation_without_a_test_is_refused(table, tmp_path):
    with pytest.raises(InputError, match="rows of the tests"):
        draw(tmp_path, table[table["test"] != "delong"])
