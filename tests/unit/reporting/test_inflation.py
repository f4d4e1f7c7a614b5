"""Inflation of the AUROC: its unpaired interval, one and several seeds, and bad input."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from chexviz.base.errors import InputError
from chexviz.base.tables.evaluation import read_metrics
from chexviz.reporting.tables import inflation
from made_arguments import inflation_arguments, titles_argument
from made_results import make_results


def wilson(count: int, size: int) -> np.ndarray:
    interval = binomtest(count, size).proportion_ci(method="wilson")
    return np.array([count / size, interval.low, interval.high])


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [
        # Newcombe, Statistics in Medicine 1998, 17:873-890, table II, method 10.
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((10, 10), (0, 20), 0.6791, 1.0000),
    ],
)
def test_intervals_of_two_proportions_give_newcombes_hybrid_score_interval(
    first, second, low, high
):
    found = inflation.unpaired(wilson(*first), wilson(*second))
    assert found[0] == pytest.approx(first[0] / first[1] - second[0] / second[1])
    assert found[1] == pytest.approx(low, abs=5e-5)
    assert found[2] == pytest.approx(high, abs=5e-5)


distances = st.floats(0, 0.5)


@given(st.tuples(*[distances] * 6))
def test_interval_holds_the_difference_and_swaps_its_sides(values):
    a, b, *arms = values
    first, second = (a, a - arms[0], a + arms[1]), (b, b - arms[2], b + arms[3])
    difference, low, high = inflation.unpaired(first, second)
    assert low <= difference <= high
    swapped = inflation.unpaired(second, first)
    np.testing.assert_allclose(swapped, (-difference, -high, -low), atol=1e-12)


def test_symmetric_intervals_add_as_variances():
    difference, low, high = inflation.unpaired((0.9, 0.87, 0.93), (0.8, 0.76, 0.84))
    assert (difference, low, high) == pytest.approx((0.1, 0.05, 0.15))


def test_interval_covers_the_true_difference_of_two_independent_areas():
    """Normal estimates with known errors: 95 of 100 intervals of the difference hold it."""
    rng = np.random.default_rng(3)
    errors = np.array([0.02, 0.035])
    estimates = np.array([0.9, 0.85]) + errors * rng.standard_normal((20000, 2))
    first, second = (
        np.stack([value, value - 1.96 * error, value + 1.96 * error])
        for value, error in zip(estimates.T, errors, strict=True)
    )
    _, low, high = inflation.unpaired(first, second)
    assert np.mean((low < 0.05) & (high > 0.05)) == pytest.approx(0.95, abs=0.006)


@pytest.fixture(scope="module")
def one_seed(tmp_path_factory):
    return make_results(tmp_path_factory.mktemp("one"), images=40)


@pytest.fixture(scope="module")
def two_seeds(tmp_path_factory):
    return make_results(tmp_path_factory.mktemp("two"), seeds=(1, 2), images=40)


def made(of, folder, *options: str) -> dict[str, str]:
    files = {kind: folder / f"inflation.{kind}" for kind in ("csv", "tex", "md")}
    inputs = [*inflation_arguments(of), titles_argument(of.sites)]
    inflation.main([*inputs, *(f"--{kind}={path}" for kind, path in files.items()), *options])
    return {kind: path.read_text() for kind, path in files.items()}


def test_a_row_for_every_model_with_the_evaluations_numbers(one_seed, tmp_path):
    texts = made(one_seed, tmp_path, "--mark", "DEMO")
    keys = ["site", "architecture", "method"]
    table = pd.read_csv(tmp_path / "inflation.csv").set_index(keys)
    aurocs = {
        protocol: pd.read_csv(one_seed.evaluation(protocol, "metrics")).set_index(keys)["auroc"]
        for protocol in ("paper", "patient")
    }
    assert table.index.tolist() == [
        (site, architecture, method)
        for site in ("rsna", "siim")
        for architecture in ("standard", "densenet121")
        for method in ("baseline", "fedavg")
    ]
    difference = aurocs["paper"] - aurocs["patient"]
    pd.testing.assert_series_equal(
        table["inflation"].sort_index(), difference.sort_index(), check_names=False
    )
    for protocol in ("paper", "patient"):
        split = pd.read_csv(one_seed.split(protocol))
        counts = split[split["subset"] == "train"].groupby("site").size()
        sites = table.index.get_level_values("site")
        assert table[f"training_{protocol}"].tolist() == [counts[site] for site in sites]
    assert (table["training_paper"] > table["training_patient"]).all()
    row = table.iloc[0]
    signed = f"{row['inflation']:.3f}".replace("-", "−")
    assert f"| {signed} (" in texts["md"]
    assert "**DEMO**" in texts["md"]
    assert set(table["mark"]) == {"DEMO"}


def test_several_seeds_give_the_spread_of_the_difference(two_seeds, tmp_path):
    texts = made(two_seeds, tmp_path)
    row = pd.read_csv(tmp_path / "inflation.csv").iloc[0]
    paper, patient = (
        pd.read_csv(two_seeds.evaluation(protocol, "metrics")).query(
            "site == 'rsna' and architecture == 'standard' and method == 'baseline'"
        )["auroc"]
        for protocol in ("paper", "patient")
    )
    differences = paper.to_numpy() - patient.to_numpy()
    assert row["inflation"] == pytest.approx(differences.mean())
    assert row["inflation_sd"] == pytest.approx(differences.std(ddof=1))
    half = (row["inflation_high"] - row["inflation_low"]) / 2
    assert half > 1.96 * differences.std(ddof=1) / np.sqrt(2)  # and the error of the images
    assert f"({row['inflation_low']:.3f} to ".replace("-", "−") in texts["md"]
    assert "over 2 seeds" in texts["md"]
    assert "between seeds" in texts["md"]
    assert "trained once" not in texts["md"]


def test_order_of_the_rows_is_that_of_the_models_not_of_the_file(one_seed, tmp_path):
    first = made(one_seed, tmp_path)
    shuffled = read_metrics(one_seed.evaluation("patient", "metrics")).sample(
        frac=1, random_state=1
    )
    shuffled.to_csv(tmp_path / "shuffled.csv", index=False)
    assert made(one_seed, tmp_path, "--patient", str(tmp_path / "shuffled.csv")) == first


def test_tex_keeps_its_columns(one_seed, tmp_path):
    tex = made(one_seed, tmp_path)["tex"]
    body = tex.split(r"\toprule")[1].split(r"\bottomrule")[0]
    rows = [line for line in body.splitlines() if "multicolumn" not in line and "&" in line]
    assert len(rows) == 1 + 8
    assert {len(re.findall(r"(?<!\\)&", line)) for line in rows} == {5}
    assert tex.isascii()


def test_model_of_one_protocol_only_is_named(one_seed, tmp_path):
    fewer = pd.read_csv(one_seed.evaluation("patient", "metrics")).iloc[1:]
    fewer.to_csv(tmp_path / "fewer.csv", index=False)
    with pytest.raises(InputError, match=r"fewer\.csv[\s\S]*rsna pneumonia rsna standard baseline"):
        made(one_seed, tmp_path, "--patient", str(tmp_path / "fewer.csv"))


def found(*differences: tuple[float, float, float], sizes=(480, 420), note="") -> pd.DataFrame:
    """Differences with their interval, a model each, as `compare` gives them."""
    rows = [
        {
            "site": "rsna",
            "group": "Pneumonia",
            "inflation": value,
            "verdict": inflation.verdict(low, high, note),
        }
        for value, low, high in differences
    ]
    return pd.DataFrame(rows).assign(training_paper=sizes[0], training_patient=sizes[1])


def words(table: pd.DataFrame) -> str:
    return inflation.words(table, "patient-wise protocol")


SHOWN = {
    "higher": (0.04, 0.01, 0.07),
    "lower": (-0.03, -0.05, -0.01),
    "unclear": (-0.06, -0.21, 0.09),
}


@pytest.mark.parametrize(
    ("models", "said"),
    [
        (["unclear"], "In none of 1 model can the AUROC"),
        (
            ["higher", "unclear"],
            "gave a higher AUROC in 1 of 2 models, by up to 0.040 (differences",
        ),
        (["lower", "unclear"], "gave a lower AUROC in 1 of 2 models, by up to 0.030 (differences"),
        (["lower", "higher"], "a higher AUROC in 1 and a lower one in 1 of 2 models (differences"),
    ],
)
def test_words_are_those_of_the_intervals(models, said):
    """The demo has intervals beyond 0 in both directions: that is no 'what leakage adds'."""
    text = words(found(*(SHOWN[name] for name in models)))
    assert said in text
    assert ("as leakage would" in text) == (models[0] == "higher")
    assert "what leakage adds" not in text
    assert "trains on more images (Pneumonia: 480 against 420), which by itself may raise" in text
    assert "-" not in text.replace("image-wise", "").replace("patient-wise", "")


def test_a_negative_difference_is_not_called_what_leakage_adds():
    text = words(found((-0.02, -0.05, 0.01), (-0.05, -0.1, 0.01)))
    assert text.startswith("In none of 2 models can")
    assert "(differences: −0.050 to −0.020)" in text
    assert "show neither that leakage adds anything nor" in text


def test_words_follow_the_numbers_of_images_that_train():
    assert "protocol trains on fewer images" in words(found(SHOWN["higher"], sizes=(9, 10)))
    equal = words(found(SHOWN["higher"], sizes=(1000, 1000)))
    assert "trains on other images (Pneumonia: 1,000 against 1,000)" in equal
    assert "raise" not in equal


def test_too_few_cases_say_nothing_of_leakage():
    few = found(SHOWN["higher"], note="too few cases: 3 positive of at least 20")
    assert words(few).startswith("There are too few cases to tell")
    some = words(pd.concat([few, found(SHOWN["higher"])]))
    assert "in 1 of 1 model, by up to 0.040" in some
    assert "For 1 more there are too few cases." in some


def test_too_few_cases_under_one_protocol_leave_no_interval(one_seed, tmp_path):
    metrics = pd.read_csv(one_seed.evaluation("patient", "metrics"))
    few = metrics["site"] == "rsna"
    metrics.loc[few, ["auroc_low", "auroc_high"]] = np.nan
    metrics["note"] = np.where(few, "too few cases: 3 positive of at least 20", "")
    metrics.to_csv(tmp_path / "few.csv", index=False)
    texts = made(one_seed, tmp_path, "--patient", str(tmp_path / "few.csv"))
    table = pd.read_csv(tmp_path / "inflation.csv").set_index("site")
    assert set(table.loc["rsna", "verdict"]) == {"too few"}
    assert table.loc["rsna", ["inflation_low", "inflation_high"]].isna().all(axis=None)
    assert table.loc["siim", "inflation_low"].notna().all()
    assert "Neither interval nor p: Pneumonia (too few cases: 3 positive" in texts["md"]
