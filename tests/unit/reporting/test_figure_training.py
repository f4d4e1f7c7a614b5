"""Training figures: their numbers are the histories', and every method is told by its name."""

import matplotlib.colors
import matplotlib.text
import numpy as np
import pandas as pd
import pytest

from chexviz.base.tables.models import read_histories
from chexviz.reporting import titles
from chexviz.reporting.figures import exchange, rounds, style, training
from drawings import texts
from made_arguments import figure_training_arguments
from made_results import CLINIC, HOSPITAL, RSNA, SIIM, Results, make_histories

ALL = ["fedavg", "uniform", "fedprox", "fedbn", "fedfbn", "fedrep", "scaffold", "fedadam", "median"]
ALL += ["pooled", "ensemble"]
FOUR = [RSNA, SIIM, HOSPITAL, CLINIC]


@pytest.fixture(scope="module")
def all_methods(tmp_path_factory):
    """Four sites, every method, two seeds."""
    made = Results(tmp_path_factory.mktemp("all"), FOUR, ["paper"], [1, 2], ALL)
    make_histories(made, "paper")
    return made


@pytest.fixture(scope="module")
def two_methods(tmp_path_factory):
    """Two sites, FedAvg beside the baseline, one seed."""
    made = Results(tmp_path_factory.mktemp("two"), FOUR[:2], ["paper"], [1], ["fedavg"])
    make_histories(made, "paper")
    return made


def histories(made) -> pd.DataFrame:
    words = figure_training_arguments(made, "paper")
    starts = [index for index, word in enumerate(words) if word == "--history"]
    return read_histories([words[start + 1 : start + 5] for start in starts])


@pytest.fixture
def drawn():
    """Draws figures and closes them after the test."""
    figures = []

    def draw(function, table, sites):
        figures.append(function(table, sites))
        return figures[-1]

    yield draw
    for figure in figures:
        style.plt.close(figure)


def lines(axes, rounds: int) -> list:
    return [line for line in axes.lines if len(line.get_xdata()) == rounds]


def test_a_line_is_the_mean_and_its_band_the_range_of_the_seeds(all_methods, drawn):
    table = histories(all_methods)
    figure = drawn(training.draw, table, FOUR)
    assert len(figure.axes) == 4 * 2
    axes = figure.axes[2]  # second site, first architecture
    shown = lines(axes, 6)
    assert len(shown) == len(ALL)  # with the baseline and without the ensemble
    chosen = table[(table["site"] == "siim") & (table["architecture"] == "standard")]
    losses = chosen[chosen["method"] == "fedavg"].pivot(
        index="round", columns="seed", values="loss"
    )
    np.testing.assert_allclose(shown[1].get_ydata(), losses.mean(axis=1))
    band = axes.collections[1].get_paths()[0].vertices
    low, high = losses.min(axis=1), losses.max(axis=1)
    assert (low.iloc[0], high.iloc[0]) == (band[band[:, 0] == 1, 1].min(), band[:, 1].max())


def test_the_pooled_loss_is_in_the_panel_of_every_site(all_methods, drawn):
    table = histories(all_methods)
    figure = drawn(training.draw, table, FOUR)
    pooled = table[(table["method"] == "pooled") & (table["architecture"] == "densenet121")]
    assert pooled["site"].unique().tolist() == ["rsna+siim+hospital+clinic"]
    expected = pooled.groupby("round")["loss"].mean()
    for axes in figure.axes[1::2]:
        np.testing.assert_allclose(lines(axes, 6)[-1].get_ydata(), expected)
    assert any(text.startswith("Pooled: the mean loss") for text in texts(figure))


def test_every_method_has_its_own_look():
    looks = [rounds.line_look(position) for position in range(12)]
    assert len({(look["color"], str(look["linestyle"])) for look in looks}) == 12


@pytest.mark.parametrize("draw", [training.draw, exchange.draw])
def test_nothing_is_cut_off_and_no_labels_overlap(all_methods, two_methods, drawn, draw):
    for made, sites in ((all_methods, FOUR), (two_methods, FOUR[:2])):
        figure = drawn(draw, histories(made), sites)
        assert style.size_mm(figure)[0] == pytest.approx(180)
        renderer = figure.canvas.get_renderer()
        figure.draw(renderer)
        found = [text for text in figure.findobj(matplotlib.text.Text) if text.get_text().strip()]
        boxes = [text.get_window_extent(renderer) for text in found if text.get_visible()]
        page = figure.bbox
        names = {titles.method_title(method) for method in ["baseline", *ALL]}
        labels = [
            text.get_window_extent(renderer).padded(-1)
            for text in found
            if text.get_text() in names and text.get_position()[0] > 1
        ]
        assert len(labels) >= 4
        for index, label in enumerate(labels):
            assert not any(label.overlaps(other) for other in labels[:index])
        outside = [
            box
            for box in boxes
            if box.x0 < page.x0 or box.x1 > page.x1 or box.y0 < page.y0 or box.y1 > page.y1
        ]
        # Ticks beyond the limits of an axis are there, but not drawn.
        assert not [box for box in outside if box.width > 60]
        assert all(page.x0 <= label.x0 < label.x1 <= page.x1 for label in labels)


def test_drift_and_bytes_are_those_of_methods_that_exchange(all_methods, drawn):
    table = histories(all_methods)
    figure = drawn(exchange.draw, table, FOUR)
    assert len(figure.axes) == 4 * 2 + 2
    shown = lines(figure.axes[0], 6)
    assert len(shown) == len(ALL) - 2
    chosen = table[(table["site"] == "rsna") & (table["architecture"] == "standard")]
    fedavg = chosen[chosen["method"] == "fedavg"].groupby("round")["drift"].mean()
    np.testing.assert_allclose(shown[0].get_ydata(), fedavg)
    bars = figure.axes[-1]
    names = [label.get_text() for label in bars.get_yticklabels()]
    widths = [patch.get_width() for patch in bars.patches]
    assert dict(zip(names, widths, strict=True))["SCAFFOLD"] == pytest.approx(56.4)
    assert dict(zip(names, widths, strict=True))["FedAvg"] == pytest.approx(28.2)
    assert not {"Baseline", "Pooled", "Ensemble"} & set(names)


def test_a_method_has_one_colour_in_both_figures(all_methods, drawn):
    table = histories(all_methods)
    curves = drawn(training.draw, table, FOUR)
    drift = drawn(exchange.draw, table, FOUR)
    assert lines(curves.axes[0], 6)[1].get_color() == lines(drift.axes[0], 6)[0].get_color()
    bar = drift.axes[-1].patches[0].get_facecolor()
    assert bar == matplotlib.colors.to_rgba(lines(curves.axes[0], 6)[1].get_color())


def test_a_run_without_exchange_says_so(two_methods, drawn):
    table = histories(two_methods)
    alone = table[table["method"] == "baseline"]
    figure = drawn(exchange.draw, alone, FOUR[:2])
    assert texts(figure) == ["In this run no site exchanges anything with another."]


def test_drift_that_is_not_told_leaves_what_is_sent(two_methods, drawn):
    table = histories(two_methods)
    figure = drawn(exchange.draw, table.assign(drift=np.nan), FOUR[:2])
    assert not lines(figure.axes[0], 6)
    assert figure.axes[-1].patches
    assert exchange.PRIVATE in figure.texts[-1].get_text()


def test_one_round_of_training_can_be_seen(two_methods, drawn):
    table = histories(two_methods)
    figure = drawn(training.draw, table[table["round"] == 1], FOUR[:2])
    assert [line.get_marker() for line in lines(figure.axes[0], 1)] == ["o", "o"]
    assert figure.axes[0].get_xticks().tolist().count(1.0) == 1


@pytest.mark.parametrize(
    ("wanted", "gap", "expected"),
    [
        ([0.2, 0.8], 0.1, [0.2, 0.8]),
        ([0.5, 0.5, 0.5], 0.1, [0.4, 0.5, 0.6]),
        ([0.52, 0.5], 0.1, [0.56, 0.46]),
        ([1.0, 1.0], 0.1, [0.9, 1.0]),
    ],
)
def test_labels_are_spread_as_little_as_needed(wanted, gap, expected):
    np.testing.assert_allclose(sorted(rounds.spread(wanted, gap)), sorted(expected))


def test_spread_keeps_the_order_and_the_gap():
    wanted = np.random.default_rng(3).uniform(0, 1, 9).tolist()
    heights = rounds.spread(wanted, 0.1)
    assert np.argsort(heights).tolist() == np.argsort(wanted).tolist()
    assert np.diff(np.sort(heights)).min() >= 0.1 - 1e-9
    assert heights.min() >= rounds.LOWEST
    assert heights.max() <= 1


@pytest.mark.parametrize("module", [training, exchange])
def test_rerun_gives_the_same_bytes_with_the_mark(two_methods, tmp_path, module):
    outputs = [tmp_path / f"a.{kind}" for kind in ("pdf", "png")]
    arguments = [*figure_training_arguments(two_methods, "paper"), "--mark", "DEMO: made up"]
    arguments += ["--pdf", str(outputs[0]), "--png", str(outputs[1])]
    module.main(arguments)
    first = [path.read_bytes() for path in outputs]
    module.main(arguments)
    assert [path.read_bytes() for path in outputs] == first
    assert sorted(tmp_path.iterdir()) == sorted(outputs)
    assert b"CreationDate" not in first[0]


def test_a_method_whose_sites_tell_no_loss_has_no_line(tmp_path, drawn):
    made = Results(tmp_path, [RSNA, SIIM], ["paper"], [1], ["fedavg", "dp3"])
    make_histories(made, "paper")
    table = histories(made)
    table.loc[table["method"] == "dp3", "loss"] = np.nan
    shown = texts(drawn(training.draw, table, made.sites))
    assert "FedAvg" in shown
    assert "dp3" not in shown
    assert any("no loss is told of them" in text for text in shown)
