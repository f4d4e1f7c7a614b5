"""AUROC and leaks against epsilon: every point and bar of the tables, and the order of the axis."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from chexviz.base.tables.summaries import METHODS
from chexviz.reporting.figures import epsilon, epsilon_axis
from chexviz.reporting.tables import methods
from drawings import require_on_page, texts
from made_arguments import history_arguments, table_arguments, titles_argument
from made_leaks import leak_arguments
from made_results import RSNA, SIIM, make_results

PRIVATE = ("dp8", "dp1", "dp3")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """The table of methods of a run of two architectures: its path."""
    folder = tmp_path_factory.mktemp("made")
    results = make_results(folder, protocols=("paper",), methods=("fedavg", *PRIVATE), images=200)
    words = [*table_arguments(results, "paper"), *history_arguments(results, "paper")]
    words += [f"--{kind}={folder / f'methods.{kind}'}" for kind in ("csv", "tex", "md")]
    private = {method: {"unit": "patient", "delta": 1e-5} for method in PRIVATE}
    methods.main([*words, f"--private={json.dumps(private)}"])
    return folder / "methods.csv"


def draw(table, folder, drawn, *without, leaks=(), sites=(RSNA, SIIM)):
    words = [f"--methods={table}", titles_argument(sites), "--without", *without, *leaks]
    epsilon.main([*words, f"--pdf={folder / 'a.pdf'}", f"--png={folder / 'a.png'}"])
    (figure,) = drawn
    return figure


def dots(axes):
    """The values of each series of points, without those that have none."""
    series = [line.get_ydata() for line in axes.lines if line.get_marker() == "o"]
    return [values[~np.isnan(values)] for values in series]


def bars(axes):
    """The ends of all bars (n, 2), from the lowest."""
    found = [segment for bar in axes.collections for segment in bar.get_segments()]
    return np.array(sorted(tuple(segment[:, 1]) for segment in found if len(segment)))


def note(figure):
    return figure.texts[-1].get_text().replace("\n", " ")


def test_every_point_and_bar_is_of_the_table(table, drawn, tmp_path):
    figure = draw(table, tmp_path, drawn, "fedavg")
    rows = METHODS.read(table)
    assert len(figure.axes) == 2
    for axes, site in zip(figure.axes, ("rsna", "siim"), strict=True):
        assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "3", "8", "∞"]
        series = [line for line in axes.lines if line.get_marker() == "o"]
        for line, architecture in zip(series, ("standard", "densenet121"), strict=True):
            own = rows[(rows["site"] == site) & (rows["architecture"] == architecture)]
            own = own.set_index("method").loc[["dp1", "dp3", "dp8", "fedavg"]]
            assert np.allclose(line.get_ydata(), own["auroc"])
            assert np.allclose(np.round(line.get_xdata()), [0, 1, 2, 3])
        shown = rows[(rows["site"] == site) & (rows["method"] != "baseline")]
        assert np.allclose(
            bars(axes), sorted(zip(shown["auroc_low"], shown["auroc_high"], strict=True))
        )
    assert "Leaks were not measured: that takes run: privacy" in note(figure)
    require_on_page(figure)


def test_without_a_method_like_them_there_is_no_infinity(table, drawn, tmp_path):
    figure = draw(table, tmp_path, drawn)
    assert "∞" not in texts(figure)


def test_leaks_stand_below_over_the_same_epsilon(table, drawn, tmp_path):
    order = ["dp1", "dp3", "dp8", "fedavg"]
    models = [(one, method) for one in ("standard", "densenet121") for method in order]
    leaks = leak_arguments(tmp_path, [*models, ("standard", "fedprox")])
    figure = draw(table, tmp_path, drawn, "fedavg", leaks=leaks)
    assert len(figure.axes) == 5
    areas, found, images = figure.axes[2:]
    for axes in (areas, found, images):
        assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "3", "8", "∞"]
    attack, control = 0.6 + 0.01 * np.arange(8).reshape(2, 4), np.full(4, 0.51)
    assert np.allclose(dots(areas), [attack[0], control, attack[1], control])
    assert np.allclose(bars(areas), [(0.45, 0.57)] * 8 + [(0.66, 0.76)] * 8)
    assert np.allclose(dots(found), 8)  # %; the made control tells none
    assert np.allclose(bars(found), (5, 12))
    assert np.allclose(dots(images), 1.5)
    assert np.allclose(bars(images), (1.35, 1.65))
    assert "Found at 1 % false positives" in texts(figure)
    assert "not measured" not in note(figure)
    assert "fedprox" not in note(figure).lower()
    colours = [
        [one.get_color() for one in axes.lines if one.get_marker() == "o"] for axes in figure.axes
    ]
    assert colours[0] == colours[1] == colours[4] == [colours[2][0], colours[2][2]]
    require_on_page(figure)


def test_the_panel_of_a_single_endpoint_is_as_wide_as_those_of_its_leaks(table, drawn, tmp_path):
    leaks = leak_arguments(tmp_path, [("standard", "dp1")])
    figure = draw(table, tmp_path, drawn, leaks=leaks, sites=(RSNA,))
    above, *below = (axes.get_position() for axes in figure.axes)
    assert len(below) == 3
    assert (above.x0, above.x1) == pytest.approx((below[0].x0, below[-1].x1))
    require_on_page(figure)


def test_models_without_an_attack_are_named(table, drawn, tmp_path):
    leaks = leak_arguments(tmp_path, [("densenet121", name) for name in ("dp1", "dp8", "fedavg")])
    figure = draw(table, tmp_path, drawn, "fedavg", leaks=leaks)
    assert "Leaks of Standard and DenseNet121 w/ dp3 were not measured." in note(figure)
    (series,) = dots(figure.axes[4])
    assert len(series) == 3
    (second,) = {line.get_color() for line in figure.axes[4].lines if line.get_marker() == "o"}
    assert second == figure.axes[0].lines[-1].get_color()  # as where both are
    require_on_page(figure)


def test_what_too_few_cases_cannot_tell_is_said(table, drawn, tmp_path):
    few = "too few cases: 1 % of 60 patients is less than one"
    leaks = leak_arguments(tmp_path, [("standard", "dp1")], value=np.nan, note=few)
    figure = draw(table, tmp_path, drawn, leaks=leaks)
    found = figure.axes[3]
    assert [text.get_text() for text in found.texts] == ["too few cases"]
    said = "No point in “Found at 1 % false positives”: 1 % of 60 patients is less than one."
    assert said in note(figure)
    assert "Points without a bar" not in note(figure)
    require_on_page(figure)


def test_a_leak_without_an_interval_is_a_point_alone(table, drawn, tmp_path):
    leaks = leak_arguments(tmp_path, [("standard", "dp1")], value_low=np.nan, value_high=np.nan)
    figure = draw(table, tmp_path, drawn, leaks=leaks)
    assert np.allclose(np.concatenate(dots(figure.axes[2])), [0.6, 0.51])
    assert len(bars(figure.axes[2])) == 0
    assert epsilon.FEW in note(figure)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.9937, "1"), (2.991, "3"), (8.0, "8"), (0.4951, "0.5"), (12.3, "13"), (math.inf, "∞")],
)
def test_an_epsilon_is_rounded_up(value, text):
    assert epsilon_axis.epsilon_text(value) == text


def test_patients_come_first_then_sites_then_those_without_privacy():
    rows = [
        ("sites", "site", 1.0),
        ("plain", np.nan, np.nan),
        ("more", "patient", 8.0),
        ("less", "patient", 0.9937),
        ("shared", np.nan, np.nan),
        ("same", "patient", 7.96),
    ]
    table = pd.DataFrame(rows, columns=["method", "unit", "epsilon"])
    places = epsilon_axis.by_epsilon(pd.concat([table, table.assign(epsilon=table["epsilon"] / 2)]))
    assert {method: place.text for method, place in places.items()} == {
        "less": "1",
        "same": "8 (a)",
        "more": "8 (b)",
        "sites": "1 site",
        "plain": "∞ (a)",
        "shared": "∞ (b)",
    }
    assert epsilon_axis.of_sites(places)


def test_privacy_of_sites_is_marked_and_not_joined_with_that_of_patients(drawn, tmp_path):
    named = ("fedavg", "dpsite8", "dp1", "dp3")
    results = make_results(tmp_path, protocols=("paper",), methods=named, images=200)
    words = [*table_arguments(results, "paper"), *history_arguments(results, "paper")]
    words += [f"--{kind}={tmp_path / f'methods.{kind}'}" for kind in ("csv", "tex", "md")]
    units = {"dp1": "patient", "dp3": "patient", "dpsite8": "site"}
    private = {method: {"unit": unit, "delta": 1e-5} for method, unit in units.items()}
    methods.main([*words, f"--private={json.dumps(private)}"])
    figure = draw(tmp_path / "methods.csv", tmp_path, drawn, "fedavg")
    for axes in figure.axes:
        assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "3", "8\nsite", "∞"]
        assert axes.get_xlabel() == "ε"
        lines = [line for line in axes.lines if line.get_marker() == "None"]
        assert {len(line.get_xdata()) for line in lines} == {1, 2}
    assert "8 site: dpsite8" in note(figure)
    assert epsilon.WHOSE in note(figure)
    require_on_page(figure)
