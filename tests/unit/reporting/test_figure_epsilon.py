"""AUROC against epsilon: every point and bar from the table, and the order of the axis."""

import json
import math

import matplotlib.text
import numpy as np
import pytest

from chexviz.base.tables.summaries import METHODS
from chexviz.reporting.figures import epsilon
from chexviz.reporting.tables import methods
from drawings import texts
from made_arguments import history_arguments, table_arguments, titles_argument
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


def draw(table, folder, drawn, *without):
    words = [f"--methods={table}", titles_argument([RSNA, SIIM]), "--without", *without]
    epsilon.main([*words, f"--pdf={folder / 'a.pdf'}", f"--png={folder / 'a.png'}"])
    (figure,) = drawn
    return figure


def test_every_point_and_bar_is_of_the_table(table, drawn, tmp_path):
    figure = draw(table, tmp_path, drawn, "fedavg")
    rows = METHODS.read(table)
    assert len(figure.axes) == 2
    for axes, site in zip(figure.axes, ("rsna", "siim"), strict=True):
        assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "3", "8", "∞"]
        dots = [line for line in axes.lines if line.get_marker() == "o"]
        for line, architecture in zip(dots, ("standard", "densenet121"), strict=True):
            own = rows[(rows["site"] == site) & (rows["architecture"] == architecture)]
            own = own.set_index("method").loc[["dp1", "dp3", "dp8", "fedavg"]]
            assert np.allclose(line.get_ydata(), own["auroc"])
            assert np.allclose(np.round(line.get_xdata()), [0, 1, 2, 3])
        bars = [bar for one in axes.collections for bar in one.get_segments()]
        shown = rows[(rows["site"] == site) & (rows["method"] != "baseline")]
        found = sorted((low, high) for (_, low), (_, high) in bars)
        assert np.allclose(found, sorted(zip(shown["auroc_low"], shown["auroc_high"], strict=True)))
    figure.canvas.draw()
    for text in figure.findobj(matplotlib.text.Text):
        if text.get_text().strip() and text.get_visible():
            box = text.get_window_extent()
            assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1, text
            assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1, text


def test_without_a_method_like_them_there_is_no_infinity(table, drawn, tmp_path):
    figure = draw(table, tmp_path, drawn)
    assert "∞" not in texts(figure)


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.9937, "1"), (2.991, "3"), (8.0, "8"), (0.4951, "0.5"), (12.3, "13"), (math.inf, "∞")],
)
def test_an_epsilon_is_rounded_up(value, text):
    assert epsilon.epsilon_text(value) == text
