"""All heads on the same images: against scipy, scikit-learn and counting."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_heads import Federation
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from chexviz.bootstrap import resamples
from chexviz.crosstask import COLUMNS, main, rank_correlation
from chexviz.errors import InputError
from chexviz.evaluate import threshold
from chexviz.randomness import stream

FEDAVG = ("north", "standard", "fedavg", 7)


@pytest.fixture
def study(tmp_path):
    return Federation(tmp_path)


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


def with_quantiles(values: list[float]) -> list[float]:
    return [values[0], *np.quantile(values[1:], [0.025, 0.975])]


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
    for measure, values in (
        ("both_observed", observed),
        ("both_expected", independent),
        ("both_ratio", ratios),
        ("rank_correlation", correlations),
    ):
        row = one(table, head="south", measure=measure)
        np.testing.assert_allclose(numbers(row), with_quantiles(values), rtol=0, atol=1e-10)
        assert rows_of(table, head="north", measure=measure).empty


def test_scores_and_calls_by_label(study):
    table = study.run(main)
    scores = study.tables[FEDAVG]
    limit = threshold(study.tables["south", "standard", "fedavg", 7])
    assert float(one(table, head="south", measure="threshold")["value"]) == limit
    negative = scores.loc[scores["label"] == 0, "score_south"]
    chosen = {"head": "south", "finding": "pneumonia", "label": 0}
    for share in ("05", "25", "50", "75", "95"):
        row = one(table, measure=f"score_q{share}", **chosen)
        assert float(row["value"]) == np.quantile(negative, float(share) / 100)
        assert row["images"] == len(negative)
    row = one(table, measure="called", **chosen)
    shares = []
    for images in drawn_images(scores["label"].to_numpy()):
        drawn = scores.iloc[images]
        shares.append((drawn.loc[drawn["label"] == 0, "score_south"] >= limit).mean())
    np.testing.assert_allclose(numbers(row), with_quantiles(shares), rtol=0, atol=1e-12)


def test_a_head_is_evaluated_on_labels_of_its_task_where_the_site_has_them(study):
    draws = np.random.default_rng(3)
    label = np.where(draws.random(300) < 0.1, "", draws.integers(2, size=300).astype(str))
    study.samples["north"]["label_pneumothorax"] = label
    table = study.run(main)
    known = label != ""
    scores = study.tables[FEDAVG]
    row = one(table, head="south", measure="auroc", finding="pneumothorax")
    truth = label[known].astype(int)
    expected = roc_auc_score(truth, scores.loc[known, "score_south"])
    assert float(row["value"]) == pytest.approx(expected, abs=1e-12)
    assert row["images"] == known.sum()
    areas = []
    for images in drawn_images(scores["label"].to_numpy()):
        images = images[known[images]]
        areas.append(roc_auc_score(label[images].astype(int), scores["score_south"].iloc[images]))
    np.testing.assert_allclose(numbers(row), with_quantiles(areas), rtol=0, atol=1e-12)
    positive = one(table, head="south", measure="called", finding="pneumothorax", label=1)
    assert positive["images"] == truth.sum()
    # Beside its own task's labels it is measured by the site's.
    own = one(table, head="south", measure="auroc", finding="pneumonia")
    expected = roc_auc_score(scores["label"], scores["score_south"])
    assert float(own["value"]) == pytest.approx(expected, abs=1e-12)


def test_where_there_are_no_such_labels_the_table_says_so(study):
    row = one(study.run(main), head="south", measure="auroc", finding="pneumothorax")
    assert (row["images"], row["value"]) == (0, "")
    assert row["note"] == "the site has no labels of pneumothorax"


def test_too_few_labels_give_an_auroc_without_interval(study):
    label = np.full(300, "0", object)
    label[:6] = "1"
    study.samples["north"]["label_pneumothorax"] = label
    row = one(study.run(main), head="south", measure="auroc", finding="pneumothorax")
    assert row["images"] == 300
    scores = study.tables["north", "standard", "fedavg", 7]["score_south"]
    assert float(row["value"]) == pytest.approx(roc_auc_score(label.astype(int), scores))
    assert (row["low"], row["high"]) == ("", "")
    assert row["note"] == "too few cases: 3 positive of at least 10"
    called = rows_of(study.run(main), head="south", measure="called", finding="pneumothorax")
    said = called[called["architecture"] == "standard"].set_index("label")["note"]
    assert said.rename(int).to_dict() == {0: "", 1: row["note"]}


def test_what_is_counted_over_all_images_needs_as_many_cases(study):
    table = study.run(main, minimum_cases=151)  # of 150 patients
    for measure in ("both_observed", "both_ratio", "rank_correlation"):
        row = one(table, head="south", measure=measure)
        assert row["note"] == "too few cases: 150 in all of at least 151"
        assert row["value"] != ""
        assert (row["low"], row["high"]) == ("", "")


def test_heads_of_one_task_share_its_labels(tmp_path):
    study = Federation(tmp_path, {"north": "pneumonia", "south": "pneumonia"})
    rows = rows_of(study.run(main), head="south", measure="auroc")
    assert rows["finding"].tolist() == ["pneumonia"]
    assert rows["note"].tolist() == [""]


def test_baselines_have_one_head_and_a_site_alone_has_no_other(tmp_path, study):
    table = study.run(main)
    assert set(table["method"]) == {"fedavg"}
    (tmp_path / "alone").mkdir()
    alone = Federation(tmp_path / "alone", {"north": "pneumonia"}).run(main)
    assert alone.empty
    assert alone.columns.tolist() == COLUMNS


def test_heads_that_say_nothing_are_named(study):
    for architecture in ("standard", "densenet121"):
        study.tables["north", architecture, "fedavg", 7]["score_south"] = 0.0
    table = study.run(main)
    ratio = one(table, head="south", measure="both_ratio")
    assert (ratio["value"], ratio["note"]) == ("", "one head calls no image positive")
    assert one(table, head="south", measure="rank_correlation")["note"].startswith("all scores")


def test_a_head_whose_site_is_not_evaluated_is_refused(study):
    for key in [key for key in study.tables if key[0] == "south"]:
        del study.tables[key]
    with pytest.raises(InputError, match="predictions of south standard fedavg 7"):
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
