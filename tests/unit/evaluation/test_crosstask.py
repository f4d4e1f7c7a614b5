"""All heads on the same images: against scipy, scikit-learn and counting."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import norm, rankdata, spearmanr, t
from sklearn.metrics import roc_auc_score

from chexviz.base.errors import InputError
from chexviz.base.randomness import stream
from chexviz.base.tables.evaluation import CROSSTASK
from chexviz.evaluation import head_statistics
from chexviz.evaluation.crosstask import main
from chexviz.evaluation.head_statistics import rank_correlation
from chexviz.evaluation.intervals import newcombe
from chexviz.evaluation.metrics import youden_threshold
from chexviz.evaluation.resamples import resamples
from made_heads import Federation

FEDAVG = ("north", "standard", "fedavg", 7)
Z = norm.ppf(0.975)


@pytest.fixture
def study(tmp_path):
    return Federation(tmp_path)


def threshold(rows: pd.DataFrame) -> float:
    """The one chosen on all of a site's images."""
    return youden_threshold(rows["label"].to_numpy(), rows["score"].to_numpy())


def rows_of(table: pd.DataFrame, key=FEDAVG, **wanted) -> pd.DataFrame:
    names = dict(zip(("site", "architecture", "method", "seed"), key, strict=True))
    for column, value in (names | wanted).items():
        table = table[table[column].astype(str) == str(value)]
    return table


def one(table: pd.DataFrame, **wanted) -> pd.Series:
    (row,) = rows_of(table, **wanted).iloc
    return row


def numbers(row: pd.Series) -> list[float]:
    return [float(row[name]) for name in ("value", "low", "high")]


def drawn_images(labels: np.ndarray):
    """The images of the data and of each resample, repeated as often as they were drawn."""
    generator = np.random.default_rng(stream(2022, "bootstrap", "north"))
    weights = np.hstack([np.ones((150, 1)), *resamples(labels[::2] == 1, 200, generator)])
    return [np.repeat(np.arange(300), np.repeat(one, 2)) for one in weights.T.astype(int)]


def with_wilson(values: list[float], count: float = 1) -> list[float]:
    """A share with Wilson's interval of as many trials as vary so much, and all times `count`."""
    share = values[0] / count
    trials = share * (1 - share) / (np.std(values[1:], ddof=1) / count) ** 2
    interval = proportion_confint(share * trials, trials)
    return [count * bound for bound in (share, *interval)]


def proportion_confint(successes: float, trials: float) -> tuple[float, float]:
    """Wilson's interval as it is usually written (Agresti and Coull 1998)."""
    middle = (successes + Z**2 / 2) / (trials + Z**2)
    rest = trials - successes
    half = Z / (trials + Z**2) * np.sqrt(successes * rest / trials + Z**2 / 4)
    return middle - half, middle + half


def on_scale(values: list[float], to, back, slope, quantile=Z) -> list[float]:
    """A value with an interval that is symmetric on another scale, by the delta method."""
    half = quantile * np.std(values[1:], ddof=1) * slope(values[0])
    return [values[0], back(to(values[0]) - half), back(to(values[0]) + half)]


def logarithmic(values: list[float]) -> list[float]:
    return on_scale(values, np.log, np.exp, lambda value: 1 / value)


@given(st.integers(0, 9999), st.integers(2, 30), st.integers(1, 6))
def test_rank_correlation_is_scipys_on_repeated_images(seed, units, levels):
    """With many ties, several images a unit, and units that are drawn often or never."""
    draws = np.random.default_rng(seed)
    unit = np.r_[np.arange(units), draws.integers(units, size=units)]
    one, two = draws.integers(levels + 1, size=(2, len(unit))) / 7
    weights = draws.integers(4, size=(units, 5)).astype(float)
    with np.errstate(invalid="ignore"):
        found = rank_correlation(one, two, unit)(weights)
    for value, weight in zip(found, weights.T, strict=True):
        images = np.repeat(np.arange(len(unit)), weight[unit].astype(int))
        if len(set(one[images])) > 1 and len(set(two[images])) > 1:
            assert value == pytest.approx(spearmanr(one[images], two[images])[0], abs=1e-12)
        else:
            assert np.isnan(value)


@pytest.mark.parametrize("levels", [3, 60, 10**6])
def test_rank_correlation_is_exact_whatever_is_worked_on_at_a_time(levels, monkeypatch):
    """Whole numbers, each of which float64 holds: Pearson's formula in Python's integers."""
    draws = np.random.default_rng(levels)
    unit = np.repeat(np.arange(20), 3)
    one, two = draws.integers(levels, size=(2, 60)) / 7
    weights = draws.integers(4, size=(20, 9)).astype(np.uint16)
    found = rank_correlation(one, two, unit)(weights)
    monkeypatch.setattr(head_statistics, "CACHED_VALUES", 1)
    assert np.array_equal(rank_correlation(one, two, unit)(weights), found)
    for value, weight in zip(found, weights.T, strict=True):
        drawn = np.repeat(np.arange(60), weight[unit])
        first, second = (
            [int(2 * rank) - len(drawn) - 1 for rank in rankdata(scores[drawn])]
            for scores in (one, two)
        )
        products, squares, others = (
            float(sum(a * b for a, b in zip(*pair, strict=True)))
            for pair in ((first, second), (first, first), (second, second))
        )
        assert value == products / np.sqrt(squares * others)


def test_two_heads_are_compared_on_the_same_resamples(study):
    table = study.run(main)
    scores = study.tables[FEDAVG]
    labels, own, other = (scores[name].to_numpy() for name in ("label", "score", "score_south"))
    called = own >= threshold(scores)
    other_called = other >= threshold(study.tables["south", "standard", "fedavg", 7])
    counts, ratios, correlations = [], [], []
    for images in drawn_images(labels):
        both = (called & other_called)[images].sum()
        independent = called[images].sum() * other_called[images].sum() / len(images)
        counts.append((both, independent))
        ratios.append(both / independent)
        correlations.append(spearmanr(own[images], other[images])[0])
    observed, independent = np.transpose(counts)
    for measure, expected in (
        ("both_observed", with_wilson(observed, 300)),
        ("both_expected", logarithmic(independent)),
        ("both_ratio", logarithmic(ratios)),
        ("rank_correlation", on_scale(correlations, np.arctanh, np.tanh, lambda r: 1 / (1 - r**2))),
    ):
        row = one(table, head="south", measure=measure)
        np.testing.assert_allclose(numbers(row), expected, rtol=1e-9)
        assert rows_of(table, head="north", measure=measure).empty


def test_scores_and_calls_by_label(study):
    table = study.run(main)
    scores = study.tables[FEDAVG]
    limit = threshold(study.tables["south", "standard", "fedavg", 7])
    assert float(one(table, head="south", measure="threshold")["value"]) == limit
    negative = scores.loc[scores["label"] == 0, "score_south"]
    chosen = {"head": "south", "labels": "pneumonia", "label": 0}
    for share in ("05", "25", "50", "75", "95"):
        row = one(table, measure=f"score_q{share}", **chosen)
        assert float(row["value"]) == np.quantile(negative, float(share) / 100)
        assert row["images"] == len(negative)
    row = one(table, measure="called", **chosen)
    shares = []
    for images in drawn_images(scores["label"].to_numpy()):
        drawn = scores.iloc[images]
        shares.append((drawn.loc[drawn["label"] == 0, "score_south"] >= limit).mean())
    np.testing.assert_allclose(numbers(row), with_wilson(shares), rtol=1e-9)


def test_a_head_is_evaluated_on_labels_of_its_task_where_the_site_has_them(study):
    draws = np.random.default_rng(3)
    label = np.where(draws.random(300) < 0.1, "", draws.integers(2, size=300).astype(str))
    study.samples["north"]["label_pneumothorax"] = label
    table = study.run(main)
    known = label != ""
    scores = study.tables[FEDAVG]
    row = one(table, head="south", measure="auroc", labels="pneumothorax")
    truth = label[known].astype(int)
    expected = roc_auc_score(truth, scores.loc[known, "score_south"])
    assert float(row["value"]) == pytest.approx(expected, abs=1e-12)
    assert row["images"] == known.sum()
    areas = []
    for images in drawn_images(scores["label"].to_numpy()):
        images = images[known[images]]
        areas.append(roc_auc_score(label[images].astype(int), scores["score_south"].iloc[images]))
    patients = np.arange(300)[known] // 2
    cases = min(len(set(patients[truth == each])) for each in (0, 1))
    reach = t.ppf(0.975, cases - 1) * np.sqrt(cases / (cases - 1))
    logistic = on_scale(areas, logit, expit, lambda area: 1 / area / (1 - area), reach)
    np.testing.assert_allclose(numbers(row), logistic, rtol=1e-9)
    positive = one(table, head="south", measure="called", labels="pneumothorax", label=1)
    assert positive["images"] == truth.sum()
    # Beside its own task's labels it is measured by the site's.
    own = one(table, head="south", measure="auroc", labels="pneumonia")
    expected = roc_auc_score(scores["label"], scores["score_south"])
    assert float(own["value"]) == pytest.approx(expected, abs=1e-12)


def test_where_there_are_no_such_labels_the_table_says_so(study):
    row = one(study.run(main), head="south", measure="auroc", labels="pneumothorax")
    assert (row["images"], row["value"]) == (0, "")
    assert row["note"] == "the site has no labels of pneumothorax"


def test_too_few_labels_give_an_auroc_without_interval(study):
    label = np.full(300, "0", object)
    label[:6] = "1"
    study.samples["north"]["label_pneumothorax"] = label
    row = one(study.run(main), head="south", measure="auroc", labels="pneumothorax")
    assert row["images"] == 300
    scores = study.tables["north", "standard", "fedavg", 7]["score_south"]
    assert float(row["value"]) == pytest.approx(roc_auc_score(label.astype(int), scores))
    assert (row["low"], row["high"]) == ("", "")
    assert row["note"] == "too few cases: 3 positive of at least 10"
    called = rows_of(study.run(main), head="south", measure="called", labels="pneumothorax")
    said = called[called["architecture"] == "standard"].set_index("label")["note"]
    assert said.rename(int).to_dict() == {0: "", 1: row["note"]}


def test_what_is_counted_over_all_images_needs_as_many_cases(study):
    table = study.run(main, minimum_cases=151)  # of 150 patients
    for measure in ("both_observed", "both_ratio", "rank_correlation"):
        row = one(table, head="south", measure=measure)
        assert row["note"] == "too few cases: 150 in all of at least 151"
        assert row["value"] != ""
        assert (row["low"], row["high"]) == ("", "")


def test_labels_of_one_class_are_no_auroc(study):
    study.samples["north"]["label_pneumothorax"] = "1"
    row = one(study.run(main), head="south", measure="auroc", labels="pneumothorax")
    assert (row["images"], row["value"], row["low"]) == (300, "", "")


def test_patients_with_images_of_both_classes_count_in_both(study):
    """Every patient has one image with the finding and one without."""
    study.samples["north"]["label_pneumothorax"] = np.tile(["0", "1"], 150)
    row = one(study.run(main), head="south", measure="auroc", labels="pneumothorax")
    value, low, high = numbers(row)
    assert 0.3 < low < value < high < 0.7


def test_heads_of_one_task_share_its_labels(tmp_path):
    study = Federation(tmp_path, {"north": "pneumonia", "south": "pneumonia"})
    rows = rows_of(study.run(main), head="south", measure="auroc")
    assert rows["labels"].tolist() == ["pneumonia"]
    assert rows["note"].tolist() == [""]


def test_baselines_have_one_head_and_a_site_alone_has_no_other(tmp_path, study):
    table = study.run(main)
    assert set(table["method"]) == {"fedavg"}
    (tmp_path / "alone").mkdir()
    alone = Federation(tmp_path / "alone", {"north": "pneumonia"}).run(main)
    assert alone.empty
    assert alone.columns.tolist() == CROSSTASK.names


def test_heads_that_say_nothing_are_named(study):
    for architecture in ("standard", "densenet121"):
        study.tables["north", architecture, "fedavg", 7]["score_south"] = 0.0
    table = study.run(main)
    ratio = one(table, head="south", measure="both_ratio")
    assert (ratio["value"], ratio["note"]) == ("", "one head calls no image positive")
    assert one(table, head="south", measure="rank_correlation")["note"].startswith("all scores")
    assert one(table, head="south", measure="both_expected")["note"] == ratio["note"]


def called_by(study, patients: slice) -> pd.DataFrame:
    """The table where the other head's scores are above its threshold in these images alone."""
    for architecture in ("standard", "densenet121"):
        limit = threshold(study.tables["south", architecture, "fedavg", 7])
        scores = np.full(300, limit / 2)
        scores[patients] = limit
        study.tables["north", architecture, "fedavg", 7]["score_south"] = scores
    return study.run(main)


def test_no_image_in_both_is_not_certainty(study):
    """0 of 300 images of 150 patients: Wilson's 3.8415 / (150 + 3.8415), not 0.00 (0.00-0.00)."""
    scores = study.tables[FEDAVG]
    own = scores["score"] >= threshold(scores)
    table = called_by(study, np.flatnonzero(~own)[:60])
    observed = one(table, head="south", measure="both_observed")
    assert numbers(observed) == pytest.approx([0, 0, 300 * 0.02497], abs=0.01)
    expected = 60 * own.sum() / 300
    ratio = one(table, head="south", measure="both_ratio")
    assert numbers(ratio) == pytest.approx([0, 0, 300 * 0.02497 / expected], abs=0.01)


def test_all_or_no_images_called_are_not_certainty(study):
    table = called_by(study, slice(None))
    every = one(table, head="south", measure="called", label="")
    assert numbers(every) == pytest.approx([1, 1 - 0.02497, 1], abs=1e-4)
    table = called_by(study, slice(0))
    never = one(table, head="south", measure="called", label="")
    assert numbers(never) == pytest.approx([0, 0, 0.02497], abs=1e-4)


def test_a_perfect_head_is_not_certain(study):
    """Not AUROC 1.000 (1.000-1.000): Newcombe's interval of the patients."""
    for architecture in ("standard", "densenet121"):
        own = study.tables["north", architecture, "fedavg", 7]
        own["score_south"] = 0.2 + 0.6 * own["label"]
    row = one(study.run(main), head="south", measure="auroc", labels="pneumonia")
    value, low, high = numbers(row)
    positive = int(study.tables[FEDAVG]["label"][::2].sum())
    assert (value, high) == (1, 1)
    assert (low, high) == newcombe(1.0, positive, 150 - positive, 0.95)
    assert 0.9 < low < 0.99


def test_two_heads_that_order_images_alike_have_no_interval(study):
    for architecture in ("standard", "densenet121"):
        own = study.tables["north", architecture, "fedavg", 7]
        own["score_south"] = own["score"] / 2
    row = one(study.run(main), head="south", measure="rank_correlation")
    assert (float(row["value"]), row["low"], row["high"]) == (pytest.approx(1), "", "")
    assert row["note"].startswith("no interval")


def test_a_head_whose_site_is_not_evaluated_is_refused(study):
    """Whether by this model alone, or by all of them."""
    del study.tables["south", "standard", "fedavg", 7]
    with pytest.raises(InputError, match="by the head south for the images of south, for its thr"):
        study.run(main)
    for key in [key for key in study.tables if key[0] == "south"]:
        del study.tables[key]
    with pytest.raises(InputError, match="predictions of pneumothorax for the images of south"):
        study.run(main)


def test_the_order_of_rows_changes_nothing(study, tmp_path):
    study.run(main)
    first = (tmp_path / "output.csv").read_bytes()
    for name, table in study.samples.items():
        study.samples[name] = table[::-1]
    for name, table in study.tables.items():
        study.tables[name] = table.sample(frac=1, random_state=1)
    study.run(main)
    assert (tmp_path / "output.csv").read_bytes() == first
