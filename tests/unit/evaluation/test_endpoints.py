"""Sites with several findings and unknown labels, and external sites with every kind of head."""

import itertools
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from chexviz.base.errors import InputError
from chexviz.base.tables.evaluation import COMPARISONS, MODEL_METRICS
from chexviz.base.tables.models import MODEL
from chexviz.evaluation import calibrate, crosstask, evaluate, subgroups
from chexviz.evaluation.metrics import youden_threshold
from chexviz.evaluation.operating_points import sensitivity_threshold
from chexviz.evaluation.over_seeds import holm
from made_endpoints import SITES, Endpoints

ANSWERS = {  # of each method at the external site: its heads, the answer last
    "pneumonia": {
        "baseline": ["north", "south"],
        "fedavg": ["north", "south", "mean"],
        "shared": ["shared"],
        "ensemble": ["mean"],
    },
    "edema": {
        "baseline": ["north"],
        "fedavg": ["north"],
        "shared": ["shared"],
        "ensemble": ["mean"],
    },
}


@pytest.fixture
def study(tmp_path):
    return Endpoints(tmp_path)


def evaluated(study: Endpoints, **settings) -> list[pd.DataFrame]:
    """metrics, comparisons and roc."""
    options = ["--margin", "0.05"]
    return study.run(evaluate.main, "metrics", "comparisons", "roc", options=options, **settings)


def chosen_by(study: Endpoints, method: str, finding: str, head: str) -> pd.DataFrame:
    """The rows that choose the thresholds of a head at the external site, one site at a time."""
    sites = study.knowing(finding) if head in ("shared", "mean") else [head]
    tables = [study.rows(method, site, finding, head) for site in sites]
    rows = pd.concat(tables)
    validation = rows[rows["subset"] == "validation"]
    return validation if len(validation) else rows


def test_each_endpoint_has_its_models(study):
    found = [model.name for model in study.models()]
    expected = []
    for site, finding in (("north", "pneumonia"), ("north", "edema"), ("south", "pneumonia")):
        heads = (site, site, "shared", "mean")
        expected += [
            (site, finding, head, "standard", method, 7)
            for head, method in zip(heads, study.tables, strict=True)
        ]
    for finding, methods in ANSWERS.items():
        expected += [
            ("abroad", finding, head, "standard", method, 7)
            for method, heads in methods.items()
            for head in heads
        ]
    assert found == expected
    metrics, comparisons, roc = evaluated(study)
    assert [tuple(row) for row in metrics[[*MODEL]].itertuples(index=False)] == expected
    assert [*metrics] == MODEL_METRICS.names
    assert [*comparisons] == COMPARISONS.names
    assert len(roc) == 101 * len(expected)


def test_images_whose_label_is_unknown_are_left_out(study):
    metrics = evaluated(study)[0]
    for row in metrics.itertuples():
        rows = study.rows(row.method, row.site, row.finding, row.head)
        rows = rows[rows["subset"] == "evaluation"]
        assert row.images == len(rows) < 240
        assert row.patients == rows["patient"].nunique()
        assert row.positives == rows["label"].sum()
        assert row.auroc == pytest.approx(roc_auc_score(rows["label"], rows["score"]), abs=1e-12)


@pytest.mark.parametrize("validation", [True, False])
def test_an_external_site_chooses_no_threshold(tmp_path, validation):
    """A head has the one of its site; a head of several sites one that they choose together."""
    study = Endpoints(tmp_path, validation=validation)
    metrics = evaluated(study)[0].set_index([*MODEL])["threshold"]
    for finding, methods in ANSWERS.items():
        for method, heads in methods.items():
            for head in heads:
                model = ("standard", method, 7)
                found = metrics["abroad", finding, head, *model]
                rows = chosen_by(study, method, finding, head)
                expected = youden_threshold(rows["label"].to_numpy(), rows["score"].to_numpy())
                assert found == expected
                if head in SITES:
                    assert found == metrics[head, finding, head, *model]
    for site, finding in (("north", "pneumonia"), ("south", "pneumonia")):
        rows = study.rows("shared", site, finding, "shared")
        if validation:
            rows = rows[rows["subset"] == "validation"]
        expected = youden_threshold(rows["label"].to_numpy(), rows["score"].to_numpy())
        assert metrics[site, finding, "shared", "standard", "shared", 7] == expected


def test_without_validation_images_a_threshold_from_elsewhere_stays_fixed(tmp_path):
    """Where a site chooses on its own evaluation images, every resample chooses anew."""
    study = Endpoints(tmp_path, validation=False)
    metrics = evaluated(study)[0]
    row = metrics[metrics["site"] == "abroad"].iloc[0]
    rows = study.rows("baseline", "abroad", "pneumonia", "north")
    called = rows["score"] >= row["threshold"]
    assert row["sensitivity"] == pytest.approx(called[rows["label"] == 1].mean())
    assert row["specificity"] == pytest.approx((~called)[rows["label"] == 0].mean())
    assert row["sensitivity_low"] < row["sensitivity"] < row["sensitivity_high"]


def test_answers_are_compared_with_every_baseline_and_heads_with_their_own(study):
    metrics, comparisons, _ = evaluated(study)
    primary = comparisons[comparisons["test"] == "bootstrap_patients"]
    pairs = primary[primary["site"] == "abroad"][["finding", "method", "head", "reference_head"]]
    assert [tuple(row) for row in pairs.itertuples(index=False)] == [
        ("pneumonia", "fedavg", "north", "north"),
        ("pneumonia", "fedavg", "south", "south"),
        ("pneumonia", "fedavg", "mean", "north"),
        ("pneumonia", "fedavg", "mean", "south"),
        ("pneumonia", "shared", "shared", "north"),
        ("pneumonia", "shared", "shared", "south"),
        ("pneumonia", "ensemble", "mean", "north"),
        ("pneumonia", "ensemble", "mean", "south"),
        ("edema", "fedavg", "north", "north"),
        ("edema", "shared", "shared", "north"),
        ("edema", "ensemble", "mean", "north"),
    ]
    training = primary[primary["site"] != "abroad"]
    assert (training["reference_head"] == training["site"]).all()
    assert len(training) == 3 * 3
    auroc = metrics.set_index([*MODEL])["auroc"]
    for row in primary.itertuples():
        model = auroc[row.site, row.finding, row.head, "standard", row.method, 7]
        reference = auroc[row.site, row.finding, row.reference_head, "standard", "baseline", 7]
        assert row.difference == model - reference


def test_comparisons_at_external_sites_are_families_of_their_own(study, tmp_path):
    comparisons = evaluated(study)[1]
    external = comparisons["site"] == "abroad"
    for _, rows in comparisons.groupby(["method", "test", external]):
        np.testing.assert_array_equal(rows["p_holm"], holm(rows["p"].to_numpy()))
    (tmp_path / "at-home").mkdir()
    sites = {site: SITES[site] for site in ("north", "south")}
    alone = evaluated(Endpoints(tmp_path / "at-home", sites))[1]
    pd.testing.assert_frame_equal(comparisons[~external], alone)


def test_all_models_of_an_endpoint_have_the_same_resamples(study):
    table = study.tables["fedavg"]
    mine = (table["site"] == "abroad") & (table["finding"] == "pneumonia")
    north = table.loc[mine & (table["head"] == "north"), "score"].to_numpy()
    table.loc[mine & (table["head"] == "south"), "score"] = north
    metrics, comparisons, _ = evaluated(study)
    rows = metrics[(metrics["site"] == "abroad") & (metrics["method"] == "fedavg")]
    one, other = (rows[rows["head"] == head].iloc[0] for head in ("north", "south"))
    columns = ["auroc", "auroc_low", "auroc_high", "aupr_low", "loss_high"]
    pd.testing.assert_series_equal(one[columns], other[columns], check_names=False)
    assert comparisons["p"].notna().all()


def test_nothing_is_fitted_or_chosen_at_an_external_site(study):
    names = [name.replace("_", "-") for name in calibrate.TABLES]
    tables = study.run(calibrate.main, *names, sensitivities=[0.9])
    calibration, reliability, _, points, decision = tables
    scaled = calibration.query("site == 'abroad' and scaling == 'temperature'")
    assert len(scaled) == 11
    assert set(scaled["note"]) == {"not fitted: the site is external"}
    assert scaled[["temperature", "brier"]].isna().all(axis=None)
    plain = calibration.query("site == 'abroad' and scaling == 'none'")
    assert plain[["brier", "slope", "slope_low"]].notna().all(axis=None)
    assert set(reliability.query("site == 'abroad'")["scaling"]) == {"none"}
    assert decision.query("site == 'abroad' and scaling == 'temperature'")["note"].nunique() == 1
    at_home = calibration.query("site != 'abroad' and scaling == 'temperature'")
    assert at_home["temperature"].notna().all()
    assert set(points.query("site != 'abroad'")["chosen_on"]) == {"validation"}
    points = points.query("site == 'abroad'")
    assert set(points["chosen_on"]) == {"other sites"}
    for row in points.itertuples():
        rows = chosen_by(study, row.method, row.finding, row.head)
        expected = sensitivity_threshold(rows["label"].to_numpy(), rows["score"].to_numpy(), 0.9)
        assert row.threshold == expected
        rows = study.rows(row.method, "abroad", row.finding, row.head)
        called = rows.loc[rows["label"] == 1, "score"] >= expected
        assert row.sensitivity == pytest.approx(called.mean())


def test_too_few_cases_at_the_other_sites_choose_no_operating_point(study):
    names = [name.replace("_", "-") for name in calibrate.TABLES]
    points = study.run(calibrate.main, *names, sensitivities=[0.9], minimum_cases=30)[3]
    notes = points.query("site == 'abroad' and head == 'north'")["note"]
    assert notes.str.fullmatch(
        "not chosen: too few cases: .* of at least 30( each)?, of the validation images of other "
        "sites"
    ).all()


def test_subgroups_name_the_baseline_that_a_model_is_compared_with(study, tmp_path):
    words = []
    for site, images in study.images.items():
        draws = np.random.default_rng(1)
        tags = {"view": draws.choice(["AP", "PA"], 240), "sex": "F", "age": 50.0}
        images[["image"]].assign(**tags).to_csv(tmp_path / f"{site}.csv", index=False)
        words += ["--samples", site, str(tmp_path / f"{site}.csv")]
    (table,) = study.run(subgroups.main, "output", options=words, subgroups={"ages": [40]})
    rows = table[(table["measure"] == "difference") & (table["attribute"] == "all")]
    references = rows.groupby(["site", "finding", "method", "head"])["reference"].agg(list)
    assert references["north", "edema", "fedavg", "north"] == ["baseline"]
    both = ["baseline north", "baseline south"]
    assert references["abroad", "pneumonia", "fedavg", "mean"] == both
    assert references["abroad", "pneumonia", "fedavg", "south"] == ["baseline south"]
    assert references["abroad", "edema", "shared", "shared"] == ["baseline north"]
    comparisons = evaluated(study)[1]
    primary = comparisons[comparisons["test"] == "bootstrap_patients"]
    np.testing.assert_array_equal(rows[["value", "low"]], primary[["difference", "low"]])


# --- heads on all sites --------------------------------------------------------------------------


def heads_of(study: Endpoints) -> pd.DataFrame:
    return study.run(crosstask.main, "output")[0]


def test_heads_are_described_at_sites_that_train(study):
    table = heads_of(study)
    found = table[["site", "method", "finding", "head"]].drop_duplicates()
    assert [tuple(row) for row in found.itertuples(index=False)] == [
        ("north", "fedavg", "pneumonia", "north"),
        ("north", "fedavg", "edema", "north"),
        ("north", "fedavg", "pneumonia", "south"),
        ("south", "fedavg", "pneumonia", "south"),
        ("south", "fedavg", "pneumonia", "north"),
        ("south", "fedavg", "edema", "north"),
        # At north all findings are its own, by one head each.
        ("south", "shared", "pneumonia", "shared"),
        ("south", "shared", "edema", "shared"),
        ("south", "ensemble", "pneumonia", "mean"),
        ("south", "ensemble", "edema", "mean"),
    ]


def test_a_head_goes_with_the_own_one_of_its_finding_or_with_each(tmp_path):
    sites = {**SITES, "south": ("train", ["pneumonia", "fracture"])}
    table = heads_of(Endpoints(tmp_path, sites, ("baseline", "fedavg")))
    pairs = table[table["measure"] == "rank_correlation"]
    found = pairs.groupby(["site", "finding", "head"])["own"].agg(list).to_dict()
    assert found == {
        ("north", "pneumonia", "south"): ["pneumonia"],
        ("north", "fracture", "south"): ["pneumonia", "edema"],
        ("south", "pneumonia", "north"): ["pneumonia"],
        ("south", "edema", "north"): ["pneumonia", "fracture"],
    }
    areas = table[table["measure"] == "auroc"]
    found = areas.groupby(["site", "finding", "head"])["labels"].agg(list)
    assert found["north", "edema", "north"] == ["edema"]
    assert found["north", "fracture", "south"] == ["pneumonia", "edema", "fracture"]
    unlabelled = areas[(areas["site"] == "north") & (areas["labels"] == "fracture")].iloc[0]
    assert unlabelled["note"] == "the site has no labels of fracture"
    assert table.loc[~table["measure"].str.match("both|rank"), "own"].isna().all()


def test_all_images_of_a_site_are_compared_and_those_with_a_label_ranked(study):
    table = heads_of(study).query("site == 'north' and method == 'fedavg' and head == 'south'")
    images = table.groupby("measure")["images"].first()
    evaluates = study.images["north"].query("subset == 'evaluation'")
    assert images["both_observed"] == images["threshold"] == len(evaluates)
    assert images["auroc"] == evaluates["label_pneumonia"].notna().sum()
    thresholds = table.set_index("measure")["value"]
    rows = chosen_by(study, "fedavg", "pneumonia", "south")
    expected = youden_threshold(rows["label"].to_numpy(), rows["score"].to_numpy())
    assert thresholds["threshold"] == expected
    scores = {
        head: study.tables["fedavg"].query(
            "site == 'north' and finding == 'pneumonia' and subset == 'evaluation' "
            f"and head == '{head}'"
        )["score"]
        for head in ("north", "south")
    }
    rows = chosen_by(study, "fedavg", "pneumonia", "north")
    own = youden_threshold(rows["label"].to_numpy(), rows["score"].to_numpy())
    both = (scores["north"].to_numpy() >= own) & (scores["south"].to_numpy() >= expected)
    assert thresholds["both_observed"] == both.sum()


def test_a_shared_head_has_a_threshold_of_all_sites_that_learn_its_finding(study):
    table = heads_of(study).query("site == 'south' and head == 'shared' and measure == 'threshold'")
    found = table.set_index("finding")["value"]
    rows = chosen_by(study, "shared", "edema", "shared")
    expected = youden_threshold(rows["label"].to_numpy(), rows["score"].to_numpy())
    assert found["edema"] == expected
    mine = study.rows("shared", "south", "pneumonia", "shared").query("subset == 'validation'")
    expected = youden_threshold(mine["label"].to_numpy(), mine["score"].to_numpy())
    assert found["pneumonia"] == expected


# --- order and refusals --------------------------------------------------------------------------


@given(st.integers(0, 10**6))
@settings(max_examples=10)
def test_the_order_of_rows_in_a_file_does_not_matter(seed):
    with TemporaryDirectory() as folder:
        study = Endpoints(Path(folder))
        first = study.models()
        for method, table in study.tables.items():
            study.tables[method] = table.sample(frac=1, random_state=seed)
        for one, other in itertools.zip_longest(first, study.models()):
            assert one.name == other.name
            pd.testing.assert_frame_equal(one.table, other.table)
            assert (one.elsewhere is None) == (other.elsewhere is None) == (one.site != "abroad")
            if one.elsewhere is not None:
                pd.testing.assert_frame_equal(one.elsewhere, other.elsewhere)


def refusal(study: Endpoints) -> InputError:
    with pytest.raises(InputError) as caught:
        evaluated(study)
    return caught.value


def test_an_external_finding_that_no_site_learns_is_refused(tmp_path):
    sites = {**SITES, "abroad": ("external", ["pneumonia", "fracture"])}
    error = refusal(Endpoints(tmp_path, sites))
    assert error.where == "--findings abroad"
    assert error.expected == "predictions of fracture for the images of abroad"
    assert "a site that learns it" in error.fix


def test_a_head_that_its_own_site_has_no_predictions_of_is_refused(study):
    table = study.tables["fedavg"]
    study.tables["fedavg"] = table[(table["site"] != "south") | (table["head"] != "mean")]
    error = refusal(study)
    assert "pneumonia by the head mean for the images of north and south" in error.expected
    assert error.found == "such predictions of 1 sites"


@pytest.mark.parametrize(
    ("column", "value", "expected", "found"),
    [
        ("head", "abroad", "heads among north, south, shared, mean", "heads abroad"),
        ("finding", "fracture", "findings among pneumonia, edema", "findings fracture"),
        ("site", "west", "sites among north, south, abroad", "sites west"),
        ("head", "", "a head in every row", "head ''"),
        ("finding", "", "a finding in every row", "finding ''"),
        ("site", "", "a site in every row", "site ''"),
    ],
)
def test_names_that_the_study_has_not_are_refused(study, column, value, expected, found):
    table = study.tables["fedavg"]
    table.loc[table.index[-1], column] = value
    error = refusal(study)
    assert error.where.endswith("fedavg.csv")
    assert error.expected == expected
    assert error.found.startswith(found)


def test_models_that_differ_in_what_is_unknown_are_refused(study):
    table = study.tables["shared"]
    mine = (table["site"] == "abroad") & (table["finding"] == "edema")
    table.loc[mine & (table["image"] == "0003"), "label"] = np.nan
    known = study.images["abroad"].set_index("image")["label_edema"]
    assert known["0003"] == known["0003"]
    assert "image '0003'" in refusal(study).expected


def test_a_head_of_another_patient_of_an_image_is_refused_by_crosstask(study):
    table = study.tables["fedavg"]
    mine = (table["site"] == "south") & (table["finding"] == "edema")
    table.loc[mine & (table["image"] == "0003"), "patient"] = "x"
    with pytest.raises(InputError, match="patient 'x'"):
        heads_of(study)


def test_a_finding_of_one_class_names_site_and_finding(study):
    for table in study.tables.values():
        mine = (table["site"] == "abroad") & (table["finding"] == "edema")
        table.loc[mine, "label"] = 0
    error = refusal(study)
    assert error.expected == "evaluation images of abroad with and without edema"
    assert "leave the finding out" in error.fix


def test_a_method_without_the_baseline_of_a_head_is_refused(study):
    table = study.tables["baseline"]
    study.tables["baseline"] = table[(table["site"] != "abroad") | (table["head"] != "south")]
    error = refusal(study)
    assert error.expected.startswith("predictions of abroad pneumonia standard baseline 7")
    assert error.expected.endswith("the head south with")
