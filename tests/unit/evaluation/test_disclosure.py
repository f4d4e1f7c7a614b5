"""Nothing below the limit can be computed from what a site shares."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from chexviz.base.tables.evaluation import CALIBRATION, COMPARISONS, MODEL_METRICS
from chexviz.evaluation import calibrate, evaluate
from chexviz.evaluation.disclosure import DIGITS, ROLES, TABLES, brief, share, support
from chexviz.evaluation.predictions import Model
from chexviz.evaluation.resamples import Bootstrap, Resampling

HALF = 0.5 * 10**-DIGITS + 1e-9  # what rounding may change
BOUNDS = ("", "_low", "_high")


def model_of(labels, scores, patients, method="fedavg") -> Model:
    table = pd.DataFrame(
        {
            "image": [f"{number:04d}" for number in range(len(labels))],
            "patient": [f"p{one}" for one in patients],
            "subset": "evaluation",
            "label": labels,
            "score": scores,
        }
    )
    return Model("north", "pneumonia", "north", "standard", method, 1, "p.csv", table)


def metrics_of(models: list[Model], threshold: float = 0.5) -> pd.DataFrame:
    """metrics.csv of these models, with some bounds, as fast as hypothesis needs it."""
    rows = []
    for model in models:
        rows_of, labels = model.evaluated, model.evaluated["label"].to_numpy()
        scores = rows_of["score"].to_numpy()
        called = scores >= threshold
        values = [
            log_loss(labels, scores),
            called[labels == 1].mean(),
            (~called)[labels == 0].mean(),
            average_precision_score(labels, scores),
            roc_auc_score(labels, scores),
        ]
        counts = [len(rows_of), rows_of["patient"].nunique(), labels.sum()]
        bounds = [value for one in values for value in (one, one - 0.01, one + 0.01)]
        rows.append([*model.name, *counts, threshold, *bounds, ""])
    return MODEL_METRICS.frame(rows)


@st.composite
def evaluations(draw) -> tuple[Model, int]:
    """A model on images of both classes, of which patients have some; and a limit."""
    labels = draw(st.lists(st.integers(0, 1), min_size=4, max_size=40))
    labels[:2] = [0, 1]
    count = len(labels)
    steps = draw(st.integers(2, 20))
    seed = draw(st.integers(0, 2**32 - 1))
    draws = np.random.default_rng(seed)
    skill, images = draw(st.sampled_from([0, 0.2, 0.6, 1])), draw(st.integers(1, 3))
    scores = draws.random(count) * (1 - skill) + skill * np.array(labels)
    scores = np.round(scores * steps) / steps
    patients = np.arange(count) // images
    return model_of(labels, scores, patients), draw(st.integers(2, 6))


def counts_of(model: Model, threshold: float = 0.5) -> dict[str, int]:
    """The images of each outcome."""
    rows = model.evaluated
    positive, called = rows["label"] == 1, rows["score"] >= threshold
    parts = {
        "true positives": positive & called,
        "false negatives": positive & ~called,
        "false positives": ~positive & called,
        "true negatives": ~positive & ~called,
    }
    return {name: int(chosen.sum()) for name, chosen in parts.items()}


def possible(row: pd.Series, smallest: int) -> dict[str, set[int]]:
    """What each outcome may count, to who knows the shared row, the limit and all that is done.

    Every table of outcomes is tried that the counts, rates and the AUROC allow: of the pairs of a
    missed positive and a false alarm none is in the right order, and of the others that are called
    rightly none is in the wrong one.
    """
    found = {name: set() for name in counts_of(model_of([0, 1], [0.1, 0.9], [0, 1]))}
    blank = np.isnan(row["sensitivity"])
    spans = [range(int(row[name]), int(row[name]) + smallest) for name in ("positives", "images")]
    for positives, images in itertools.product(*spans):
        negatives = images - positives
        if min(positives, negatives) < smallest:
            continue
        pairs = positives * negatives
        if np.isnan(row["auroc"]):
            least, most = 0.0, 1.0
        else:
            least, most = row["auroc"] - HALF, row["auroc"] + HALF
        for hits, rejections in itertools.product(range(positives + 1), range(negatives + 1)):
            misses, alarms = positives - hits, negatives - rejections
            small = min(hits, misses, alarms, rejections) < smallest
            if not blank and (
                small
                or abs(hits / positives - row["sensitivity"]) > HALF
                or abs(rejections / negatives - row["specificity"]) > HALF
            ):
                continue
            if misses * alarms > (1 - least) * pairs or hits * rejections > most * pairs:
                continue
            outcome = (hits, misses, alarms, rejections)
            for name, value in zip(found, outcome, strict=True):
                found[name].add(value)
    return found


@settings(max_examples=60)
@given(evaluations())
def test_no_outcome_below_the_limit_can_be_computed_from_a_shared_row(made):
    model, smallest = made
    shared = share({"metrics": metrics_of([model])}, [model], smallest)["metrics"]
    outcomes = counts_of(model)
    if shared.empty:
        return
    row = shared.iloc[0]
    candidates = possible(row, smallest)
    for name, count in outcomes.items():
        assert count in candidates[name]
        if count < smallest:
            assert len(candidates[name]) > 1
    if not np.isnan(row["sensitivity"]):
        assert min(outcomes.values()) >= smallest


@settings(max_examples=100)
@given(evaluations())
def test_shared_counts_are_multiples_of_the_limit_and_rows_of_fewer_are_left_out(made):
    model, smallest = made
    rows = model.evaluated
    patients = [rows.loc[rows["label"] == one, "patient"].nunique() for one in (0, 1)]
    metrics = metrics_of([model])
    shared = share({"metrics": metrics}, [model], smallest)["metrics"]
    assert shared.empty == (min(patients) < smallest)
    for name in ("images", "patients", "positives") * (not shared.empty):
        assert shared[name].iloc[0] % smallest == 0
        assert 0 <= metrics[name].iloc[0] - shared[name].iloc[0] < smallest
        assert shared[name].iloc[0] >= smallest


@settings(max_examples=100)
@given(evaluations())
def test_an_auroc_tells_of_pairs_that_are_many(made):
    model, smallest = made
    metrics = metrics_of([model])
    shared = share({"metrics": metrics}, [model], smallest)["metrics"]
    for _, row in shared[shared["auroc"].notna()].iterrows():
        rows = model.evaluated
        scores = [rows.loc[rows["label"] == one, "score"].to_numpy() for one in (1, 0)]
        signs = np.sign(scores[0][:, None] - scores[1][None, :])
        right = (signs > 0).sum() + (signs == 0).sum() / 2
        assert min(right, signs.size - right) >= smallest
        assert abs(row["auroc"] - metrics["auroc"].iloc[0]) <= HALF
    hidden = shared[shared["auroc"].isna()]
    assert hidden[["aupr", "sensitivity", "specificity", "threshold"]].isna().all(axis=None)


@settings(max_examples=50)
@given(evaluations())
def test_at_one_nothing_is_hidden_and_all_is_rounded(made):
    model, _ = made
    metrics = metrics_of([model])
    shared = share({"metrics": metrics}, [model], 1)["metrics"]
    pd.testing.assert_frame_equal(shared, metrics.round(DIGITS))


def many(images: int = 60, one_patient_misses: bool = False) -> Model:
    """Twenty images a class and outcome, each of a patient; or all misses of one patient."""
    number = np.arange(images)
    labels, right = number % 2, number % 3 > 0
    scores = np.where(right, labels, 1 - labels) * 0.8 + 0.1 + number / 1000
    misses = (labels == 1) & ~right
    return model_of(labels, scores, np.where(misses & one_patient_misses, 1000, number))


def test_what_rests_on_many_images_of_few_patients_is_hidden():
    assert support(many(), 0.5, 0.7).outcomes == 10
    assert support(many(one_patient_misses=True), 0.5, 0.7).outcomes == 1
    for alone in (False, True):
        model = many(one_patient_misses=alone)
        row = share({"metrics": metrics_of([model])}, [model], 5)["metrics"].iloc[0]
        for name in ("threshold", "sensitivity", "sensitivity_low", "specificity_high"):
            assert np.isnan(row[name]) == alone
        assert row[["loss", "auroc", "aupr_low"]].notna().all()
        assert row["note"] == (
            "what rests on fewer than 5 patients or pairs of images is not shown" * alone
        )


def evaluated(*, separated: bool = False) -> tuple[dict[str, pd.DataFrame], list[Model]]:
    """What the workflow makes of a baseline and a model; separated: of a model without faults."""
    draws = np.random.default_rng(0)
    labels = (np.arange(120) // 2 % 3 == 0).astype(int)
    models = []
    for method, skill in (("baseline", 1.0), ("fedavg", 50.0 if separated else 2.0)):
        scores = 1 / (1 + np.exp(-draws.normal(skill * (labels - 0.5))))
        models.append(model_of(labels, scores, np.arange(120) // 2, method))
    bootstrap = Bootstrap(replicates=100, unit="patient", confidence=0.95, seed=1)
    told = Resampling(bootstrap=bootstrap, minimum_cases=10)
    tables = evaluate.evaluate(models, told, 0.05)
    options = calibrate.Settings(bootstrap=bootstrap, minimum_cases=10, sensitivities=[0.9])
    tables |= calibrate.calibrate(models, options)
    return {name: tables[name] for name in ROLES}, models


def test_shared_tables_are_tables_of_their_kind(tmp_path):
    tables, models = evaluated()
    for name, table in share(tables, models, 5).items():
        assert len(table) == len(tables[name])
        TABLES[name].write(table, tmp_path / f"{name}.csv")
        again = TABLES[name].read(tmp_path / f"{name}.csv")
        pd.testing.assert_frame_equal(again, table, check_dtype=False)
    for name, table in share(tables, models, 1000).items():
        assert table.empty
        TABLES[name].write(table, tmp_path / f"{name}.csv")


def test_a_comparison_is_left_out_with_the_auroc_that_it_would_tell():
    """Of the model without faults no pair is in the wrong order."""
    tables, models = evaluated(separated=True)
    shared = share(tables, models, 5)
    metrics = shared["metrics"].set_index("method")
    assert metrics["auroc"].isna().to_dict() == {"baseline": False, "fedavg": True}
    assert shared["comparisons"].empty
    assert len(tables["comparisons"]) == 4
    assert len(share(*evaluated(), 5)["comparisons"]) == 4


@pytest.mark.parametrize("name", ["metrics", "comparisons", "calibration"])
def test_a_column_without_a_role_is_refused(name):
    tables, models = evaluated()
    tables[name]["missed"] = 3
    with pytest.raises(ValueError, match=rf"{name} has .*found .*'missed'"):
        share(tables, models, 5)
    tables[name] = tables[name].drop(columns=["missed", "note"])
    with pytest.raises(ValueError, match="found"):
        share(tables, models, 5)


def test_a_table_without_roles_is_refused():
    tables, models = evaluated()
    with pytest.raises(ValueError, match="roc may not be shared"):
        share(tables | {"roc": tables["metrics"]}, models, 5)


def test_every_column_that_may_be_shared_has_a_role():
    """A new column of these tables needs a decision: what does it rest on?"""
    for name, table in (
        ("metrics", MODEL_METRICS),
        ("comparisons", COMPARISONS),
        ("calibration", CALIBRATION),
    ):
        assert {*ROLES[name]} == {*table.names}


@pytest.mark.parametrize(
    ("note", "expected"),
    [
        ("", ""),
        ("too few cases: 7 positive of at least 20", "too few cases"),
        ("not fitted: the protocol has no validation images", "not fitted"),
        ("7 positives are too few", ""),
    ],
)
def test_a_note_loses_its_numbers(note, expected):
    assert brief(note) == expected
