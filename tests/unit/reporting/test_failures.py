"""Confusion matrices, the worst errors, and their sheet."""

import matplotlib.text
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix

from chexviz.base.errors import InputError
from chexviz.base.tables.evaluation import CONFUSION, FAILURES, read_metrics
from chexviz.base.tables.models import MODEL
from chexviz.reporting.figures import failures
from chexviz.reporting.tables import confusion
from made_arguments import failures_arguments
from made_results import HOSPITAL, RSNA, SIIM, make_results

MINIMUM = 6  # pt, of text in figures


def called(labels, scores, threshold=0.5):
    table = pd.DataFrame({"image": [f"i{n}" for n in range(len(labels))]})
    table = table.assign(label=labels, score=scores, subset="evaluation")
    return confusion.called(table, threshold)


def test_the_matrix_is_that_of_scikit_learn_and_a_score_at_the_threshold_is_positive():
    rng = np.random.default_rng(3)
    labels, scores = rng.integers(0, 2, 200), rng.random(200).round(1)
    found = confusion.matrix(called(labels, scores), None)
    tn, fp, fn, tp = confusion_matrix(labels, scores >= 0.5).ravel()
    assert [found[cell] for cell in confusion.CELLS] == [tp, fn, fp, tn]
    assert np.isnan(found["shared_false_positives"])


def test_only_evaluation_images_count():
    table = pd.DataFrame({"image": ["a", "b"], "label": [1, 1], "score": [0.9, 0.9]})
    rows = confusion.called(table.assign(subset=["validation", "evaluation"]), 0.5)
    assert confusion.matrix(rows, None)["true_positives"] == 1


def test_errors_are_shared_if_the_baseline_is_wrong_on_the_same_image():
    labels = [1, 1, 1, 0, 0, 0]
    model, baseline = (
        called(labels, [0.1, 0.2, 0.9, 0.8, 0.7, 0.1]),
        called(labels[::1], [0.1, 0.8, 0.1, 0.9, 0.2, 0.9]),
    )
    found = confusion.matrix(model, baseline.iloc[::-1])
    assert (found["false_negatives"], found["false_positives"]) == (2, 2)
    assert (found["shared_false_negatives"], found["shared_false_positives"]) == (1, 1)


def test_the_worst_errors_are_the_surest_and_ties_go_by_image():
    rows = called([0, 0, 0, 0, 1, 1], [0.6, 0.9, 0.9, 0.2, 0.4, 0.1])
    alarms = confusion.worst(rows, "false positive", 2)
    assert alarms["image"].tolist() == ["i1", "i2"]
    assert confusion.worst(rows, "false negative", 5)["image"].tolist() == ["i5", "i4"]
    assert confusion.worst(called([1, 0], [1, 0]), "false negative", 5).empty


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Three sites, two seeds, two methods."""
    return make_results(
        tmp_path_factory.mktemp("made"),
        sites=(RSNA, SIIM, HOSPITAL),
        protocols=("paper",),
        seeds=(5, 6),
        methods=("fedavg", "pooled"),
        images=40,
    )


def run(results, folder):
    paths = {name: folder / f"out.{name}" for name in ("confusion", "failures", "pdf", "png")}
    outputs = [f"--{name}={path}" for name, path in paths.items()]
    failures.main([*failures_arguments(results, "paper"), *outputs, "--mark=DEMO"])
    return paths


def test_the_matrices_give_the_sensitivity_and_specificity_of_the_metrics(made, tmp_path):
    paths = run(made, tmp_path)
    table = CONFUSION.read(paths["confusion"])
    metrics = read_metrics(made.evaluation("paper", "metrics"))
    both = table.merge(metrics, on=[*MODEL], validate="one_to_one")
    assert len(both) == len(metrics) == 3 * 2 * 3 * 2
    positives = both["true_positives"] + both["false_negatives"]
    negatives = both["true_negatives"] + both["false_positives"]
    np.testing.assert_allclose(both["true_positives"] / positives, both["sensitivity"])
    np.testing.assert_allclose(both["true_negatives"] / negatives, both["specificity"])
    assert (positives + negatives == both["images"]).all()
    errors = FAILURES.read(paths["failures"])
    assert set(errors["method"]) == {"fedavg"}
    assert set(errors["seed"]) == {5}
    assert ((errors["kind"] == "false positive") == (errors["score"] >= errors["threshold"])).all()
    again = {name: path.read_bytes() for name, path in paths.items()}
    assert {name: path.read_bytes() for name, path in run(made, tmp_path).items()} == again


def test_the_sheet_fits_and_says_of_which_seed_it_is(made, tmp_path, drawn):
    run(made, tmp_path)
    texts = [one for one in drawn[0].findobj(matplotlib.text.Text) if one.get_text().strip()]
    renderer = drawn[0].canvas.get_renderer()
    for text in texts:
        box = text.get_window_extent(renderer)
        assert drawn[0].bbox.x0 <= box.x0 < box.x1 <= drawn[0].bbox.x1, text
        assert drawn[0].bbox.y0 <= box.y0 < box.y1 <= drawn[0].bbox.y1, text
        assert text.get_fontsize() >= MINIMUM
    shown = [text.get_text() for text in texts]
    assert any("First of 2 seeds (5)." in text for text in shown)
    assert sum(text.startswith("False negatives: ") for text in shown) == 3 * 2
    errors = pd.read_csv(tmp_path / "out.failures")
    assert sum(len(axes.images) for axes in drawn[0].axes) == len(errors)


def test_a_model_without_errors_and_tags_without_value_are_shown_as_such():
    case = {"score": 0.9, "baseline_score": 0.25, "view": None, "sex": "F", "age": np.nan}
    assert failures.numbers(case) == "0.90 (0.25)"
    assert failures.tags(case) == "– · F · –"


def test_a_model_that_was_not_evaluated_is_named(made, tmp_path):
    arguments = failures_arguments(made, "paper")
    arguments[arguments.index("--prediction") + 3] = "7"
    outputs = [f"--{name}={tmp_path / name}" for name in ("confusion", "failures", "pdf", "png")]
    with pytest.raises(InputError, match="a row for rsna pneumonia rsna standard baseline 7"):
        failures.main([*arguments, *outputs])


def test_the_table_has_a_row_a_model_of_the_first_seed(made, tmp_path):
    table = CONFUSION.read(run(made, tmp_path)["confusion"])
    shown = confusion.layout(table, made.sites)
    assert list(shown.groups) == [
        *("RSNA (pneumonia)", "SIIM-ACR (pneumothorax)", "General Hospital (pneumonia)")
    ]
    assert [row[0] for row in shown.groups["RSNA (pneumonia)"]] == [
        *("Standard, Baseline", "Standard, FedAvg", "Standard, Pooled"),
        *("DenseNet121, Baseline", "DenseNet121, FedAvg", "DenseNet121, Pooled"),
    ]
    assert shown.groups["RSNA (pneumonia)"][0][-1] == "–"
    assert "First of 2 seeds (5)." in shown.note
