"""Shortcuts: scores that know a chest tube, or the finding; what is known of their AUROC."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from chexviz.base.errors import InputError
from chexviz.base.tables.evaluation import SHORTCUTS
from chexviz.evaluation.shortcuts import CROSSED, main, matched_auroc, verdict
from made_heads import Federation

AGES = {"subgroups": {"ages": [40, 60]}}
KEY = ("north", "standard", "baseline", 7)


@pytest.fixture
def study(tmp_path) -> Federation:
    """North has a tube on 3 of 4 positive images, and on 1 of 8 negative ones."""
    found = Federation(tmp_path, tasks={"north": "pneumothorax"}, images=1200)
    labels = found.tables[KEY]["label"].to_numpy()
    draws = np.random.default_rng(1).random(len(labels))
    found.samples["north"]["attribute_tube"] = np.where(
        draws < np.where(labels, 0.75, 0.125), "yes", "no"
    )
    return found


def rows_of(table: pd.DataFrame, attribute: str = "tube", key=KEY) -> pd.DataFrame:
    """What is measured of a model and an attribute, by measure."""
    rows = table[table["attribute"] == attribute]
    for name, value in zip(("site", "architecture", "method", "seed"), key, strict=True):
        rows = rows[rows[name] == value]
    return rows.set_index("measure")


def scored(study: Federation, scores: np.ndarray) -> pd.DataFrame:
    """What is measured of a model with these scores."""
    study.tables[KEY]["score"] = scores
    return rows_of(study.run(main, **AGES))


def test_a_detector_of_tubes_is_caught(study):
    tube = (study.samples["north"]["attribute_tube"] == "yes").to_numpy()
    noise = np.random.default_rng(2).random(len(tube))
    rows = scored(study, 0.9 * tube + 0.1 * noise)
    assert rows.loc["all", "value"] > 0.8
    for measure in ("matched", "without against without"):
        assert rows.loc[measure, "low"] < 0.5 < rows.loc[measure, "high"]
    assert rows.loc["without against with", "value"] == 0
    assert rows.loc["with against without", "value"] == 1
    assert rows.loc["without against all", "high"] < 0.5
    assert rows["verdict"].to_dict() == {
        "all": "tells images apart",
        "matched": "does not tell images apart within groups",
        "all minus matched": "ranks better by tube",
        "without against all": "ranks negatives above positives without (tube yes)",
        "without against without": "ranks positives without no better than negatives without "
        "(tube yes)",
        "without against with": "ranks negatives with above positives without (tube yes)",
        "with against without": "ranks positives with above negatives without (tube yes)",
    }


def test_a_detector_of_the_finding_is_not(study):
    labels = study.tables[KEY]["label"].to_numpy()
    scores = norm.cdf(np.random.default_rng(3).normal(1.5 * labels))
    rows = scored(study, scores)
    truth = norm.cdf(1.5 / np.sqrt(2))
    areas = rows.drop("all minus matched")
    assert (areas["low"] < truth).all()
    assert (truth < areas["high"]).all()
    assert rows.loc["all minus matched", "low"] < 0 < rows.loc["all minus matched", "high"]
    assert rows.loc["without against with", "verdict"].startswith("ranks positives without above")


def test_values_are_those_of_the_pairs(study):
    """By scikit-learn on the images of each kind, and by counting the pairs of each group."""
    table = study.tables[KEY]
    rows = rows_of(study.run(main, **AGES))
    labels, scores = table["label"].to_numpy(), table["score"].to_numpy()
    tube = (study.samples["north"]["attribute_tube"] == "yes").to_numpy()
    for name, (first, second) in CROSSED.items():
        sides = {True: tube, False: ~tube, None: np.ones(len(tube), bool)}
        chosen = np.where(labels == 1, sides[first], sides[second])
        assert rows.loc[name, "value"] == pytest.approx(
            roc_auc_score(labels[chosen], scores[chosen]), abs=1e-12
        )
        assert rows.loc[name, ["images", "positives"]].tolist() == [
            chosen.sum(),
            labels[chosen].sum(),
        ]
    pairs = [
        (one, other) for one in np.flatnonzero(labels) for other in np.flatnonzero(labels == 0)
    ]
    same = [scores[one] > scores[other] for one, other in pairs if tube[one] == tube[other]]
    assert rows.loc["matched", "value"] == pytest.approx(np.mean(same), abs=1e-12)
    gained = rows.loc["all", "value"] - rows.loc["matched", "value"]
    assert rows.loc["all minus matched", "value"] == pytest.approx(gained, abs=1e-12)


def test_every_attribute_of_two_groups_or_more_is_there(study):
    study.samples["north"]["sex"] = "F"
    study.samples["north"].loc[:99, "attribute_tube"] = None
    table = study.run(main, **AGES)
    assert table.columns.tolist() == SHORTCUTS.names
    assert table["attribute"].unique().tolist() == ["view", "age", "tube"]
    assert rows_of(table)["images"].loc["all"] == 1100
    ages = rows_of(table, "age")
    assert ages.index.tolist() == ["all", "matched", "all minus matched"]
    assert ages["tag"].tolist() == [""] * 3
    view = rows_of(table, "view")
    assert view["tag"].unique().tolist() == ["AP"]  # of which more are positive
    assert view.loc["all", "value"] == rows_of(table, "age").loc["all", "value"]


def test_few_cases_have_no_interval_and_no_verdict(study):
    labels = study.tables[KEY]["label"].to_numpy()
    tube = np.where(labels == 1, "yes", "no")
    tube[np.flatnonzero(labels)[:6]] = "no"  # of three patients
    tube[np.flatnonzero(labels == 0)[:300]] = "yes"
    study.samples["north"]["attribute_tube"] = tube
    row = rows_of(study.run(main, **AGES)).loc["without against all"]
    assert row["note"] == "too few cases: 3 positive of at least 10"
    assert row[["low", "high", "verdict"]].tolist() == ["", "", ""]
    assert 0 <= float(row["value"]) <= 1


def test_a_site_without_groups_has_no_rows(study):
    study.samples["north"] = study.samples["north"].assign(
        view="PA", sex=None, age=np.nan, attribute_tube=None
    )
    assert study.run(main, **AGES).empty


def test_matched_pairs_weigh_groups_by_their_pairs():
    aurocs = np.array([[0.5, np.nan], [1.0, 0.8], [np.nan, np.nan]])
    pairs = np.array([[30.0, 0.0], [10.0, 5.0], [0.0, 0.0]])
    np.testing.assert_allclose(matched_auroc(aurocs, pairs), [0.625, 0.8])
    assert np.isnan(matched_auroc(aurocs[2:], pairs[2:])).all()


@pytest.mark.parametrize(
    ("measure", "low", "high", "said"),
    [
        ("matched", 0.6, 0.7, "tells images apart within groups"),
        ("matched", 0.1, 0.4, "ranks images the wrong way round within groups"),
        ("all minus matched", -0.3, -0.1, "ranks worse by tube"),
        ("all minus matched", -0.1, 0.1, "is not shown to gain or lose by tube"),
        ("without against with", np.nan, np.nan, ""),
    ],
)
def test_the_verdict_follows_from_the_interval(measure, low, high, said):
    assert verdict(measure, low, high, "tube", "yes") == said


def test_samples_that_are_not_there_are_refused(study):
    words = study.arguments(**AGES)
    (study.folder / "north.csv").unlink()
    with pytest.raises(InputError, match=r"north\.csv"):
        main([*words, "--output", str(study.folder / "output.csv")])
