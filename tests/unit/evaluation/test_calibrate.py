"""The tables of calibration, operating points and decisions, and their figures."""

import json

import matplotlib.text
import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from scipy.stats import norm, t
from sklearn.metrics import brier_score_loss

from chexviz.base.errors import InputError
from chexviz.evaluation.calibrate import TABLES, main
from chexviz.evaluation.calibration_measures import fit_temperature
from chexviz.evaluation.intervals import wilson
from chexviz.evaluation.temperature import scale
from chexviz.reporting.figures import calibration as figure_calibration
from chexviz.reporting.figures import decision as figure_decision
from drawings import texts

BOOTSTRAP = {"replicates": 200, "unit": "patient", "confidence": 0.95, "seed": 2022}
MARK = "DEMO: phantom radiographs"


def draw_predictions(seed: int, *, images: int = 240, validation: bool = True) -> pd.DataFrame:
    """Predictions on `images` images, two of each patient; `seed` changes the scores alone."""
    number = np.arange(images)
    label = (number // 2 % 3 == 0).astype(int)
    logit = np.random.default_rng(seed).normal(2 * label - 1.5, 1.2)
    return pd.DataFrame(
        {
            "image": [f"{one:05d}" for one in number],
            "patient": [f"{one // 2:04d}" for one in number],
            "label": label,
            "subset": np.where(validation & (number % 4 < 2), "validation", "evaluation"),
            "score": 1 / (1 + np.exp(-2 * logit)),
        }
    )


class Study:
    def __init__(self, folder, sites=("north", "south"), seeds=(7,), **predictions):
        self.folder, self.files = folder, {}
        for site in sites:
            for architecture in ("standard", "densenet121"):
                for method in ("baseline", "fedavg", "fedprox"):
                    for seed in seeds:
                        key = (site, f"{site} disease", architecture, method, str(seed))
                        file = folder / f"{'-'.join(key)}.csv"
                        table = draw_predictions(len(self.files), **predictions)
                        names = {"site": site, "finding": key[1], "head": site}
                        table.assign(**names).to_csv(file, index=False)
                        self.files[key] = file

    def output(self, name: str):
        return self.folder / f"{name}.csv"

    def run(self, minimum_cases=20, sensitivities=(0.9, 0.95), **bootstrap) -> dict:
        arguments = [
            str(part)
            for key, file in self.files.items()
            for part in ("--prediction", *key[2:], file)
        ]
        for site, finding in dict.fromkeys(key[:2] for key in self.files):
            arguments += ["--findings", site, "train", finding]
        for name in TABLES:
            arguments += [f"--{name.replace('_', '-')}", str(self.output(name))]
        settings = {"minimum_cases": minimum_cases, "sensitivities": list(sensitivities)}
        settings["bootstrap"] = BOOTSTRAP | bootstrap
        main([*arguments, "--settings", json.dumps(settings)])
        return {
            name: pd.read_csv(self.output(name), keep_default_na=False, na_values=[""])
            for name in TABLES
        }

    def figure_arguments(self, module) -> list[str]:
        names = ["calibration", "reliability", "distribution"]
        names = names if module is figure_calibration else ["decision"]
        files = [part for name in names for part in (f"--{name}", str(self.output(name)))]
        outputs = ["--pdf", str(self.folder / "f.pdf"), "--png", str(self.folder / "f.png")]
        titles = [
            {"name": name, "title": name, "role": "train", "findings": [finding]}
            for name, finding in dict.fromkeys(key[:2] for key in self.files)
        ]
        options = ["--titles", json.dumps(titles), "--method", "fedavg", "--mark", MARK]
        return [*files, *options, *outputs]


@pytest.fixture
def study(tmp_path):
    return Study(tmp_path)


def test_numbers_are_those_of_the_evaluation_images(study):
    tables = study.run()
    file = next(iter(study.files.values()))
    table = pd.read_csv(file)
    chosen, rows = (table[table["subset"] == name] for name in ("validation", "evaluation"))
    plain, scaled = tables["calibration"].iloc[:2].itertuples()
    temperature = fit_temperature(chosen["label"].to_numpy(), chosen["score"].to_numpy())
    assert scaled.temperature == pytest.approx(temperature)
    assert plain.brier == pytest.approx(brier_score_loss(rows["label"], rows["score"]))
    after = scale(rows["score"].to_numpy(), temperature)
    assert scaled.brier == pytest.approx(brier_score_loss(rows["label"], after))
    assert scaled.slope == pytest.approx(plain.slope * temperature)
    assert scaled.intercept == pytest.approx(plain.intercept)
    assert (plain.images, plain.patients, plain.positives) == (120, 60, rows["label"].sum())
    point = tables["operating_points"].iloc[0]
    assert point["chosen_on"] == "validation"
    positive = chosen.loc[chosen["label"] == 1, "score"]
    assert np.mean(positive >= point["threshold"]) >= 0.9 > np.mean(positive > point["threshold"])
    called = rows["score"] >= point["threshold"]
    assert point["sensitivity"] == pytest.approx(called[rows["label"] == 1].mean())
    assert point["specificity"] == pytest.approx((~called)[rows["label"] == 0].mean())
    assert point["ppv"] == pytest.approx(rows.loc[called, "label"].mean())
    assert point["npv"] == pytest.approx(1 - rows.loc[~called, "label"].mean())
    decision = tables["decision"].iloc[29]
    called = rows["score"] >= 0.3
    true, false = ((called & (rows["label"] == value)).mean() for value in (1, 0))
    assert decision["threshold"] == 0.3
    assert decision["net_benefit"] == pytest.approx(true - false * 0.3 / 0.7)
    rate = rows["label"].mean()
    assert decision["all"] == pytest.approx(rate - (1 - rate) * 0.3 / 0.7)


def test_bins_histogram_and_intervals_agree_with_the_counts(study):
    tables = study.run()
    keys = ["site", "architecture", "method", "seed", "scaling"]
    for name in ("reliability", "distribution"):
        rows = tables[name].assign(negatives=lambda table: table.get("negatives", 0))
        sums = rows.groupby(keys)[["positives"]].sum()["positives"]
        assert (sums == tables["calibration"].groupby(keys)["positives"].first()).all()
    assert (tables["reliability"].groupby(keys)["images"].sum() == 120).all()
    assert (tables["calibration"]["bins"] == 6).all()  # 120 images, 20 in each
    for name, values in (
        ("calibration", ["brier", "slope", "intercept"]),
        ("reliability", ["observed"]),
        ("operating_points", ["sensitivity", "specificity", "ppv", "npv"]),
        ("decision", ["net_benefit"]),
    ):
        for value in values:
            low, middle, high = (tables[name][f"{value}{end}"] for end in ("_low", "", "_high"))
            bare = low.isna() & high.isna()  # nobody is treated in any resample
            assert (bare | ((low < high) & (low <= middle) & (middle <= high))).all(), value
            assert not (bare & (middle != 0)).any(), value
            assert value == "net_benefit" or not bare.any(), value


def test_nothing_is_fitted_without_validation_images(tmp_path):
    tables = Study(tmp_path, validation=False).run()
    calibration = tables["calibration"].set_index("scaling")
    assert (
        calibration.loc["temperature", ["temperature", "brier", "ece", "slope"]]
        .isna()
        .all(axis=None)
    )
    assert calibration.loc["temperature", "note"].str.contains("no validation images").all()
    assert calibration.loc["none", "brier"].notna().all()
    assert (tables["reliability"]["scaling"] == "none").all()
    assert (tables["operating_points"]["chosen_on"] == "evaluation").all()
    points = tables["operating_points"]
    assert (points["sensitivity"] >= points["target"]).all()


def test_with_too_few_cases_values_have_no_interval_and_nothing_is_fitted(study):
    tables = study.run(minimum_cases=21)  # 20 positive patients evaluate, and 20 choose
    said = "too few cases: 20 positive of at least 21"
    calibration = tables["calibration"].set_index("scaling")
    plain, scaled = calibration.loc["none"], calibration.loc["temperature"]
    assert (plain["note"] == said).all()
    assert (scaled["note"] == f"not fitted: {said}, of the validation images").all()
    assert plain[["brier", "ece", "observed"]].notna().all(axis=None)
    assert plain[["brier_low", "intercept", "slope", "slope_low"]].isna().all(axis=None)
    assert scaled[["temperature", "brier", "ece"]].isna().all(axis=None)
    points = tables["operating_points"]
    assert (points["note"] == f"not chosen: {said}, of the validation images").all()
    assert points[["threshold", "sensitivity"]].isna().all(axis=None)
    decision = tables["decision"].query("scaling == 'none'")
    assert decision["net_benefit"].notna().all()
    assert decision[["net_benefit_low", "net_benefit_high"]].isna().all(axis=None)
    bins = tables["reliability"]
    assert (bins["scaling"] == "none").all()
    assert bins["observed"].notna().all()
    assert bins["observed_low"].isna().all()


def test_validation_images_of_one_class_choose_nothing(tmp_path):
    study = Study(tmp_path)
    for file in study.files.values():
        table = pd.read_csv(file, dtype={"image": str, "patient": str})
        table.loc[table["subset"] == "validation", "label"] = 0
        table.to_csv(file, index=False)
    tables = study.run()
    scaled = tables["calibration"].query("scaling == 'temperature'")
    assert scaled["note"].str.contains("0 positive of at least 20, of the validation").all()
    assert tables["operating_points"]["threshold"].isna().all()


def test_a_bin_of_few_images_has_no_interval(tmp_path):
    study = Study(tmp_path)
    for file in study.files.values():
        table = pd.read_csv(file, dtype={"image": str, "patient": str})
        table["score"] = np.where(np.arange(len(table)) % 24 == 3, 0.9, 0.1)
        table.to_csv(file, index=False)
    rows = study.run()["reliability"].query("scaling == 'none' and images < 20")
    assert len(rows)
    assert rows["observed"].notna().all()
    assert rows[["observed_low", "observed_high"]].isna().all(axis=None)
    assert (rows["note"] == "too few images: fewer than 20").all()


def test_a_rate_of_0_or_1_is_not_taken_for_certain(tmp_path):
    """Wilson's intervals of the patients that a rate is of, not 100.0 (100.0-100.0)."""
    study = Study(tmp_path)
    for file in study.files.values():
        table = pd.read_csv(file, dtype={"image": str, "patient": str})
        table["score"] = table["label"] * 0.1 + 0.6  # separated
        table.to_csv(file, index=False)
    tables = study.run()
    point = tables["operating_points"].iloc[0]
    # 60 patients with two images each, 20 of them positive: 3.8415 / (20 + 3.8415) and the like.
    bounds = {"sensitivity": 0.8389, "specificity": 0.9124, "ppv": 0.8389, "npv": 0.9124}
    for rate, low in bounds.items():
        assert point[rate] == point[f"{rate}_high"] == 1
        assert point[f"{rate}_low"] == pytest.approx(low, abs=5e-5)
    assert pd.isna(point["note"])
    bins = tables["reliability"].query("scaling == 'none'").iloc[:2]
    assert bins["observed"].tolist() == [0, 1]
    assert bins["observed_low"].tolist() == pytest.approx([0, 0.8389], abs=5e-5)
    assert bins["observed_high"].tolist() == pytest.approx([0.0876, 1], abs=5e-5)
    calibration = tables["calibration"].query("scaling == 'none'").iloc[0]
    assert pd.isna(calibration["slope_low"])
    assert calibration["note"] == (
        "no intercept and slope: the scores of 40 positive and 80 negative images separate the "
        "classes, or all but do, or are all equal"
    )


def test_a_rate_that_does_not_exist_says_so(tmp_path):
    study = Study(tmp_path)
    for file in study.files.values():
        table = pd.read_csv(file, dtype={"image": str, "patient": str})
        table.assign(score=0.5).to_csv(file, index=False)
    point = study.run()["operating_points"].iloc[0]
    assert pd.isna(point["npv"])
    assert pd.isna(point["npv_low"])
    assert point["note"] == "npv: not defined, no image is called so"
    # A third of 60 patients with two like images each.
    bounds = [point["ppv_low"], point["ppv_high"]]
    assert bounds == pytest.approx(wilson(1 / 3, 60, 0.95), abs=0.01)


def test_nothing_that_varies_not_has_an_interval(tmp_path):
    """Every score 0.2 from its label: the Brier score is 0.04 in all resamples."""
    study = Study(tmp_path)
    for file in study.files.values():
        table = pd.read_csv(file, dtype={"image": str, "patient": str})
        table.assign(score=0.2 + 0.6 * table["label"]).to_csv(file, index=False)
    tables = study.run()
    row = tables["calibration"].query("scaling == 'none'").iloc[0]
    assert row["brier"] == pytest.approx(0.04)
    assert pd.isna(row["brier_low"])
    # Above 0.8 nobody is treated, whoever is drawn.
    nobody = tables["decision"].query("scaling == 'none' and threshold > 0.8")
    assert (nobody["net_benefit"] == 0).all()
    assert nobody["net_benefit_low"].isna().all()


def test_errors_of_brier_and_net_benefit_are_those_of_their_means(tmp_path):
    """Both are means over images, so each patient's sum has a standard error in closed form."""
    study = Study(tmp_path)
    tables = study.run(replicates=4000)
    table = pd.read_csv(next(iter(study.files.values())))
    rows = table[table["subset"] == "evaluation"]
    label, score = rows["label"], rows["score"]
    squares = ((score - label) ** 2).groupby(rows["patient"]).mean()  # two images each
    calibration, decision = tables["calibration"].iloc[0], tables["decision"].iloc[29]
    value, error = squares.mean(), squares.sem()
    expected = expit(logit(value) + t.ppf([0.025, 0.975], 59) * error / (value * (1 - value)))
    bounds = [calibration["brier_low"], calibration["brier_high"]]
    assert bounds == pytest.approx(expected, rel=0.03)
    gained = np.where(score >= 0.3, np.where(label == 1, 1, -0.3 / 0.7), 0)
    gained = pd.Series(gained, rows.index).groupby(rows["patient"]).mean()
    bounds = [decision["net_benefit_low"], decision["net_benefit_high"]]
    expected = gained.mean() + norm.ppf([0.025, 0.975]) * gained.sem()
    assert bounds == pytest.approx(expected, abs=0.005)


def test_neither_the_order_of_rows_nor_a_rerun_changes_a_byte(study):
    study.run()
    first = [study.output(name).read_bytes() for name in TABLES]
    for file in study.files.values():
        table = pd.read_csv(file, dtype=str)
        table.sample(frac=1, random_state=3).to_csv(file, index=False)
    study.run()
    assert [study.output(name).read_bytes() for name in TABLES] == first


@pytest.mark.parametrize(
    "settings", [{"minimum_cases": 1}, {"sensitivities": [1.2]}, {"sensitivities": ["0.9"]}]
)
def test_wrong_settings_are_refused(study, settings):
    with pytest.raises(InputError, match=next(iter(settings))):
        study.run(**settings)


@pytest.mark.parametrize("module", [figure_calibration, figure_decision])
def test_figures_are_the_same_bytes_on_a_rerun(module, study):
    study.run()
    arguments = study.figure_arguments(module)
    module.main(arguments)
    first = [(study.folder / f"f.{kind}").read_bytes() for kind in ("pdf", "png")]
    module.main(arguments)
    assert [(study.folder / f"f.{kind}").read_bytes() for kind in ("pdf", "png")] == first
    assert b"CreationDate" not in first[0]


@pytest.mark.parametrize("sites", [("north",), ("north", "south", "west")])
def test_figures_show_the_first_method_and_seed_of_every_site(tmp_path, drawn, sites):
    study = Study(tmp_path, sites=sites, seeds=(5, 6))
    table = study.run()["calibration"]
    row = table[(table["method"] == "fedavg") & (table["scaling"] == "temperature")].iloc[0]
    for module, expected in (
        (figure_calibration, f"   T = {row['temperature']:.2f}"),
        (
            figure_calibration,
            f"ECE {row['ece']:.3f} ({row['ece_chance']:.3f}), Brier {row['brier']:.3f}",
        ),
        (figure_decision, "temperature-scaled scores"),
    ):
        before = len(drawn)
        module.main(study.figure_arguments(module))
        said = [text for page in drawn[before:] for text in texts(page)]
        assert said.count("CheXViz") == 2 * len(sites)
        assert expected in said
        assert "FedProx" not in " ".join(said)
    for page in drawn:
        assert min(text.get_fontsize() for text in page.findobj(matplotlib.text.Text)) >= 6
        assert any("First of 2 seeds (5)" in text for text in texts(page))


def test_figures_say_why_they_are_not_scaled(tmp_path, drawn):
    study = Study(tmp_path, validation=False)
    study.run()
    for module in (figure_calibration, figure_decision):
        module.main(study.figure_arguments(module))
    assert any("the protocol has no validation images" in text for text in texts(drawn[0]))
    assert "scores as predicted" in texts(drawn[1])


def test_panels_without_intervals_say_why(study, drawn):
    study.run(minimum_cases=21)
    for module in (figure_calibration, figure_decision):
        module.main(study.figure_arguments(module))
    for figure, lacking in zip(drawn, ("intervals", "bands"), strict=True):
        said = [" ".join(text.split()) for text in texts(figure)]
        expected = f"No {lacking}: too few cases: 20 positive of at least 21."
        assert said.count(expected) == 4


def test_a_site_that_is_not_scaled_is_named_beside_one_that_is(study, drawn):
    for key, file in study.files.items():
        if key[0] == "north":
            table = pd.read_csv(file, dtype={"image": str, "patient": str})
            table = table[(table["subset"] == "evaluation") | (table["image"].astype(int) < 60)]
            table.to_csv(file, index=False)
    study.run()
    figure_calibration.main(study.figure_arguments(figure_calibration))
    said = " ".join(texts(drawn[0]))
    assert "temperature T fitted on validation images. None for North disease: not fitted: " in said
