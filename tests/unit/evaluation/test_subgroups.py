"""AUROC by view, sex and age: against scikit-learn, resample by resample, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t
from sklearn.metrics import roc_auc_score

from chexviz.base.errors import InputError
from chexviz.base.randomness import stream
from chexviz.base.tables.evaluation import SUBGROUPS
from chexviz.evaluation import evaluate
from chexviz.evaluation.intervals import rate_interval
from chexviz.evaluation.metrics import youden_threshold
from chexviz.evaluation.resamples import Bootstrap, resamples
from chexviz.evaluation.subgroups import Bands, Settings, age_bands, group_images, main, prevalences
from made_heads import Federation, draw_site

STANDARD = ("north", "standard", "baseline", 7)
AGES = [40, 60]


def settings(unit: str, ages=AGES) -> Settings:
    bootstrap = Bootstrap(replicates=200, unit=unit, confidence=0.95, seed=2022)
    return Settings(bootstrap=bootstrap, minimum_cases=10, subgroups=Bands(ages=ages))


@pytest.fixture
def study(tmp_path):
    return Federation(tmp_path)


def run(study: Federation, **settings) -> pd.DataFrame:
    """The table of the study, in groups by AGES."""
    return study.run(main, **{"subgroups": {"ages": AGES}} | settings)


def rows_of(table: pd.DataFrame, **wanted) -> pd.DataFrame:
    for column, value in wanted.items():
        table = table[table[column].astype(str) == str(value)]
    return table


def one(table: pd.DataFrame, measure: str, group: str, key=STANDARD) -> pd.Series:
    names = dict(zip(("site", "architecture", "method", "seed"), key, strict=True))
    (row,) = rows_of(table, measure=measure, group=group, **names).iloc
    return row


def numbers(row: pd.Series) -> list[float]:
    return [float(row[name]) for name in ("value", "low", "high")]


def test_all_images_are_what_evaluate_says(study, tmp_path):
    table = run(study)
    words = study.arguments()
    words = words[: words.index("--samples")] + words[words.index("--settings") :]
    outputs = [tmp_path / f"{name}.out" for name in ("metrics", "comparisons", "roc")]
    words += ["--margin", "0.05"]
    for output in outputs:
        words += [f"--{output.stem}", str(output)]
    evaluate.main(words)
    metrics, comparisons = (
        pd.read_csv(output, float_precision="round_trip") for output in outputs[:2]
    )
    found = rows_of(table, group="all", measure="auroc")
    columns = ["auroc", "auroc_low", "auroc_high"]
    np.testing.assert_array_equal(
        found[["value", "low", "high"]].astype(float), metrics[columns].to_numpy()
    )
    comparisons = comparisons[comparisons["test"] == "bootstrap_patients"]
    found = rows_of(table, group="all", measure="difference")
    np.testing.assert_array_equal(
        found[["value", "low", "high"]].astype(float), comparisons[["difference", "low", "high"]]
    )


def test_values_are_those_of_repeated_patients(study):
    """AUROC, difference and gap once more, with scikit-learn on the images of each resample."""
    table = run(study)
    rows = study.tables[STANDARD]
    fedavg = study.tables["north", "standard", "fedavg", 7]
    labels, portable = rows["label"].to_numpy(), study.samples["north"]["view"] == "AP"
    generator = np.random.default_rng(stream(2022, "bootstrap", "north"))
    drawn = np.hstack([np.ones((150, 1)), *resamples(labels[::2] == 1, 200, generator)])
    areas = np.empty((2, 2, 201))
    for column, weights in enumerate(drawn.T.astype(int)):
        repeated = np.repeat(np.arange(300), np.repeat(weights, 2))
        for group, chosen in enumerate((portable, ~portable)):
            images = repeated[chosen.to_numpy()[repeated]]
            for model, scores in enumerate((rows["score"], fedavg["score"])):
                areas[model, group, column] = roc_auc_score(labels[images], scores[images])

    def expected(values, chosen):
        value, error = values[0], values[1:].std(ddof=1)
        if chosen is None:  # a difference
            half = 1.959963984540054 * error
            return [value, value - half, value + half]
        patients = pd.Series(labels[chosen]).groupby(np.arange(300)[chosen] // 2).max()
        cases = patients.value_counts().min()
        half = t.ppf(0.975, cases - 1) * error * np.sqrt(cases / (cases - 1))
        odds = value / (1 - value) * np.exp(np.array([-half, half]) / (value * (1 - value)))
        return [value, *odds / (1 + odds)]

    key = ("north", "standard", "fedavg", 7)
    assert portable.sum() < 150  # so that PA is the larger one
    for row, values, chosen in (
        (one(table, "auroc", "AP"), areas[0, 0], portable),
        (one(table, "auroc", "PA", key), areas[1, 1], ~portable),
        (one(table, "difference", "AP", key), areas[1, 0] - areas[0, 0], None),
        (one(table, "gap", "AP"), areas[0, 0] - areas[0, 1], None),
    ):
        wanted = expected(values, chosen)
        np.testing.assert_allclose(numbers(row), wanted, rtol=0, atol=1e-12)
    assert one(table, "gap", "AP")["reference"] == "PA"
    assert one(table, "difference", "AP", key)["reference"] == "baseline"


def test_a_group_is_described(study):
    row = one(run(study), "auroc", "AP")
    portable = study.samples["north"]["view"] == "AP"
    rows = study.tables[STANDARD][portable]
    counts = [portable.sum(), rows["patient"].nunique(), rows["label"].sum()]
    assert [row["images"], row["patients"], row["positives"]] == counts
    assert float(row["prevalence"]) == rows["label"].mean()


def test_a_tag_alone_ranks_by_the_share_of_positives(study):
    table = run(study)
    rows = rows_of(table, measure="tag alone", site="north")
    assert rows["attribute"].tolist() == ["view", "sex", "age"]
    labels, portable = study.tables[STANDARD]["label"], study.samples["north"]["view"] == "AP"
    expected = roc_auc_score(labels, portable.groupby(portable).transform("size") * portable)
    assert float(rows["value"].iloc[0]) == pytest.approx(expected, abs=1e-12)
    assert rows["method"].tolist() == ["", "", ""]


def test_the_view_alone_reaches_an_auroc_of_0_71_on_rsna():
    """12,173 AP images, 38.3 % positive; 14,511 PA images, 9.3 % positive (counted on RSNA)."""
    sizes, positives = np.array([12173, 14511]), np.array([4662, 1350])
    labels = np.concatenate([np.arange(n) < k for n, k in zip(sizes, positives, strict=True)])
    samples = pd.DataFrame({"view": np.repeat(["AP", "PA"], sizes), "sex": "F", "age": 50.0})
    rows = pd.DataFrame({"label": labels.astype(int), "patient": np.arange(len(labels))})
    groups = group_images(samples, rows, settings("image"))
    scores = prevalences(labels.astype(int), groups, "view")
    sensitivity, fall_out = positives[0] / positives.sum(), (sizes - positives)[0] / 20672
    assert roc_auc_score(labels, scores) == pytest.approx((1 + sensitivity - fall_out) / 2)
    assert roc_auc_score(labels, scores) == pytest.approx(0.706, abs=5e-4)


def test_errors_are_those_at_the_models_threshold(study):
    """Rates by counting; their intervals and gaps by the resamples of whole patients."""
    table, rows = run(study), study.tables[STANDARD]
    labels, scores = rows["label"].to_numpy(), rows["score"].to_numpy()
    called = scores >= youden_threshold(labels, scores)
    portable = (study.samples["north"]["view"] == "AP").to_numpy()
    generator = np.random.default_rng(stream(2022, "bootstrap", "north"))
    drawn = np.hstack([np.ones((150, 1)), *resamples(labels[::2] == 1, 200, generator)])
    weights = np.repeat(drawn, 2, axis=0)
    for error, label in (("false negative rate", 1), ("false positive rate", 0)):
        wrong, found = (called != label) & (labels == label), {}
        for group, chosen in (("AP", portable), ("PA", ~portable)):
            chosen = chosen & (labels == label)
            found[group] = weights[wrong & chosen].sum(axis=0) / weights[chosen].sum(axis=0)
            row, values = one(table, error, group), found[group]
            patients = rows["patient"][chosen].nunique()
            limits = rate_interval(values[0], values[1:], patients, 0.95)
            np.testing.assert_allclose(numbers(row), [values[0], *limits], rtol=0, atol=1e-12)
        gap = found["AP"] - found["PA"]
        half = 1.959963984540054 * gap[1:].std(ddof=1)
        row = one(table, f"{error} gap", "AP")
        expected = [gap[0], gap[0] - half, gap[0] + half]
        np.testing.assert_allclose(numbers(row), expected, rtol=0, atol=1e-12)
        assert row["reference"] == "PA"


def test_attributes_of_a_site_come_after_the_tags(study):
    study.samples["north"]["attribute_scanner"] = np.where(np.arange(300) % 4 < 2, "07", None)
    table = run(study)
    found = rows_of(table, measure="auroc", site="north", architecture="standard")
    assert found["attribute"].unique().tolist() == ["all", "view", "sex", "age", "scanner"]
    images = rows_of(found, attribute="scanner", method="baseline").set_index("group")["images"]
    assert images.to_dict() == {"07": 150, "unknown": 150}
    south = rows_of(table, measure="auroc", site="south")
    assert "scanner" not in set(south["attribute"])


def test_a_group_with_too_few_patients_has_no_interval_and_says_so(study):
    labels = study.tables[STANDARD]["label"].to_numpy()
    positive = np.flatnonzero(labels)
    sex = np.full(len(labels), "F", object)
    sex[positive[:8]] = sex[np.flatnonzero(labels == 0)[:40]] = "M"  # two images of each patient
    study.samples["north"]["sex"] = sex
    table = run(study)
    for measure, key in (
        ("auroc", STANDARD),
        ("gap", STANDARD),
        ("difference", ("north", "standard", "fedavg", 7)),
    ):
        row = one(table, measure, "M", key)
        assert [row["low"], row["high"]] == ["", ""]
        assert row["note"] == "too few cases: 4 positive of at least 10"
    row, men = one(table, "auroc", "M"), study.tables[STANDARD][sex == "M"]
    assert row["images"] == 48
    assert float(row["value"]) == pytest.approx(roc_auc_score(men["label"], men["score"]))
    by_image = one(run(study, bootstrap={"unit": "image"}), "auroc", "M")
    assert by_image["note"] == "too few cases: 8 positive of at least 10"
    few = one(run(study, minimum_cases=21), "auroc", "M")
    assert few["note"] == "too few cases: 4 positive and 20 negative of at least 21 each"
    enough = one(
        run(study, minimum_cases=5, bootstrap={"unit": "image"}),
        "auroc",
        "M",
    )
    assert enough["note"] == ""
    assert float(enough["low"]) <= float(enough["value"]) <= float(enough["high"])


def test_images_without_a_tag_are_a_group_of_their_own(study):
    study.samples["north"].loc[:99, ["view", "age"]] = None
    study.samples["south"]["view"] = None
    study.samples["north"].loc[100, "view"] = "LL"
    table = run(study)
    found = rows_of(table, measure="auroc", site="north", attribute="view", method="baseline")
    assert found["group"].unique().tolist() == ["AP", "PA", "LL", "unknown"]
    images = found.set_index("group")["images"]
    assert images["unknown"].tolist() == [100, 100]
    assert images.iloc[:4].sum() == 300
    (row,) = rows_of(found, group="LL", architecture="standard").iloc
    assert "positive" in row["note"]
    south = ("south", "standard", "baseline", 7)
    row = rows_of(table, measure="auroc", attribute="view", group="unknown").iloc[-1]
    assert numbers(row) == numbers(one(table, "auroc", "all", ("south", *row.iloc[3:6])))
    assert one(table, "auroc", "AP", south)["note"] == "no images"
    assert not len(rows_of(table, measure="gap", site="south", attribute="view"))
    alone = rows_of(table, measure="tag alone", site="south", attribute="view").iloc[0]
    assert alone["value"] in ("", None) or np.isnan(float(alone["value"]))
    assert alone["note"] == "all images are in one group"


def test_ages_fall_into_their_bands():
    ages = pd.Series([0, 19, 20, 39.9, 80, 120, np.nan])
    bands, names = age_bands(ages, [20, 40, 80])
    assert names == ["0-19", "20-39", "40-79", "80+"]
    assert bands.fillna("").tolist() == ["0-19", "0-19", "20-39", "20-39", "80+", "80+", ""]


@given(st.integers(0, 99), st.lists(st.integers(1, 100), min_size=1, max_size=5, unique=True))
def test_the_groups_of_an_attribute_share_out_the_images(seed, ages):
    rows, samples = draw_site(seed, 60)
    samples.loc[seed % 60 :, "sex"] = None
    samples.loc[: seed % 60, "age"] = np.nan
    groups = group_images(samples, rows, settings("patient", sorted(ages)))
    assert groups[0].chosen.all()
    for attribute in ("view", "sex", "age"):
        chosen = np.stack([group.chosen for group in groups if group.attribute == attribute])
        np.testing.assert_array_equal(chosen.sum(axis=0), 1)


def test_the_order_of_rows_changes_nothing(study, tmp_path):
    run(study)
    first = (tmp_path / "output.csv").read_bytes()
    for name, table in study.samples.items():
        study.samples[name] = table[::-1]
    for name, table in study.tables.items():
        study.tables[name] = table.sample(frac=1, random_state=1)
    assert run(study).columns.tolist() == SUBGROUPS.names
    assert (tmp_path / "output.csv").read_bytes() == first


def test_an_image_that_the_samples_lack_is_refused(study):
    study.samples["north"] = study.samples["north"].drop(index=[3, 4])
    with pytest.raises(InputError, match=r"no image '00003' \(2 such images\)") as caught:
        run(study)
    assert caught.value.where.endswith("north.csv")


def test_a_site_without_samples_is_refused(study):
    del study.samples["south"]
    with pytest.raises(InputError, match="--samples south"):
        run(study)


@pytest.mark.parametrize(
    "subgroups",
    [{"positives": 10}, {"ages": [40, 40]}, {"ages": [40.5]}, {"ages": [0, 40]}, None],
)
def test_impossible_settings_are_refused(study, subgroups):
    subgroups = subgroups and {"ages": AGES} | subgroups
    with pytest.raises(InputError) as caught:
        run(study, subgroups=subgroups)
    assert caught.value.where.startswith("--settings: subgroups")
    assert caught.value.fix.startswith("correct the configuration")
    assert not (study.folder / "output.csv").exists()
