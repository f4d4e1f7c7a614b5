"""Published data and models, against areas, standard errors and tests computed elsewhere."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from chexviz.base.errors import InputError
from chexviz.evaluation.evaluate import main
from chexviz.evaluation.paired_tests import compare, compare_delong
from chexviz.evaluation.resamples import positive_units, resamples
from chexviz.evaluation.roc import Ranking, auroc
from chexviz.tools.compare import main as compare_files

MODELS = ("zech_pretrained", "haooyuee_nih25")
PAIR = " - ".join(MODELS)
TASKS = ("Pneumonia", "Pneumothorax")
REPLICATES = 4000
STORED_REPLICATES = 1000


def relative_error(*replicates: int) -> float:
    """Standard error of a ratio of standard deviations of so many normal replicates each."""
    return math.sqrt(sum(1 / (2 * (count - 1)) for count in replicates))


@pytest.fixture(scope="module")
def answers(real_data):
    text = (real_data / "predictions" / "known_answers.json").read_text()
    return json.loads(text)["NIH_ChestXray14_test"]


def test_tied_scores_give_the_areas_and_tests_of_proc(real_data):
    """pROC's aSAH: 113 patients, one of three scores with five values only; against DeLong's z."""
    text = (real_data / "predictions" / "known_answers.json").read_text()
    known = json.loads(text)["pROC_aSAH"]
    pairs = next(known[key] for key in known if key.startswith("delong_paired_two_sided"))
    table = pd.read_csv(real_data / "predictions" / "aSAH.csv")
    labels, unit = (table["outcome"] == "Poor").to_numpy(int), np.arange(len(table))
    assert len(pairs) == 3
    for pair, expected in pairs.items():
        rankings = [Ranking(labels, table[name].to_numpy(), unit) for name in pair.split(" - ")]
        areas = [auroc(ranking.curve(np.ones((len(unit), 1)))).item() for ranking in rankings]
        assert areas == pytest.approx([expected["auc1"], expected["auc2"]], rel=0, abs=1e-12)
        replicates = np.hstack(
            [
                np.subtract(*(auroc(ranking.curve(weights)) for ranking in rankings))
                for weights in resamples(labels == 1, REPLICATES, np.random.default_rng(3))
            ]
        )
        tested = compare(areas[0] - areas[1], replicates, 0.95)
        scores = table[pair.split(" - ")].to_numpy().T
        delong = compare_delong(areas[0] - areas[1], labels, scores, 0.95)
        found = [delong.statistic, delong.p, delong.low, delong.high]
        assert found == pytest.approx([expected["z"], expected["p"], *expected["ci95"]], abs=1e-9)
        # A bootstrap divides by n where DeLong divides by n - 1: with 41 positives that is at most
        # 1.2 % less standard error, beside a Monte Carlo error of 1.1 %.
        assert tested.statistic == pytest.approx(
            expected["z"], rel=0.012 + 3 * relative_error(REPLICATES)
        )


@pytest.fixture(scope="module")
def predictions(real_data):
    return pd.read_csv(
        real_data / "predictions" / "nih14-two-models.csv.gz",
        dtype={"image": str, "patient_id": str},
        float_precision="round_trip",
    )


def scores_of(predictions, task):
    return [predictions[f"{task}__{model}"].to_numpy() for model in MODELS]


@pytest.mark.parametrize("task", TASKS)
def test_areas_are_the_published_ones(predictions, answers, task):
    labels, unit = predictions[f"y_{task}"].to_numpy(), np.arange(len(predictions))
    for model, scores in zip(MODELS, scores_of(predictions, task), strict=True):
        area = auroc(Ranking(labels, scores, unit).curve(np.ones((len(unit), 1)))).item()
        assert area == pytest.approx(answers[task]["published_auc"][model], rel=0, abs=1e-12)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    ("kind", "stored"), [("image", "boot_image_B1000"), ("patient", "boot_patient_cluster_B1000")]
)
def test_standard_errors_of_the_difference_agree(predictions, answers, task, kind, stored):
    """Within three Monte Carlo standard errors (7.5 %) of the stored values.

    A standard deviation of B normal replicates has the relative error 1 / sqrt(2 (B - 1)): 2.2 %
    for the stored 1,000, 1.1 % for our 4,000. Whether the stored resamples were stratified is not
    recorded. It cannot be seen at this size: with 40,000 replicates stratifying made the standard
    error 0.2 to 1.1 % smaller, hence the 2 % allowed beside Monte Carlo error in the second check.
    """
    labels = predictions[f"y_{task}"].to_numpy()
    unit = (
        pd.factorize(predictions["patient_id"])[0]
        if kind == "patient"
        else np.arange(len(predictions))
    )
    rankings = [Ranking(labels, scores, unit) for scores in scores_of(predictions, task)]
    positive = positive_units(labels, unit)

    def standard_error(blocks):
        areas = [[auroc(ranking.curve(weights)) for ranking in rankings] for weights in blocks]
        return np.std(np.subtract(*np.hstack(areas)), ddof=1)

    def unstratified(generator):
        for _ in range(0, REPLICATES, 50):
            even = np.full(len(positive), 1 / len(positive))
            yield generator.multinomial(len(positive), even, size=50).T.astype(float)

    error = standard_error(resamples(positive, REPLICATES, np.random.default_rng(1)))
    known = answers[task]["pairs"][PAIR][stored]["se"]
    assert error / known == pytest.approx(1, abs=3 * relative_error(REPLICATES, STORED_REPLICATES))
    plain = standard_error(unstratified(np.random.default_rng(2)))
    assert error / plain == pytest.approx(1, abs=0.02 + 3 * relative_error(REPLICATES, REPLICATES))


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    ("kind", "stored"), [("image", "boot_image_B1000"), ("patient", "boot_patient_cluster_B1000")]
)
def test_the_entry_point_compares_the_published_models(
    predictions, answers, tmp_path, task, kind, stored
):
    arguments = []
    for method, scores in zip(("fedavg", "baseline"), scores_of(predictions, task), strict=True):
        file = tmp_path / f"{method}.csv"
        table = predictions.rename(columns={"patient_id": "patient", f"y_{task}": "label"})
        table = table[["image", "patient", "label"]].assign(subset="evaluation", score=scores)
        names = {"site": "nih", "finding": task.lower(), "head": "nih"}
        table.assign(**names).to_csv(file, index=False)
        arguments += ["--prediction", "densenet121", method, "0", str(file)]
    arguments += ["--findings", "nih", "train", task.lower()]
    settings = {"replicates": REPLICATES, "unit": kind, "confidence": 0.95, "seed": 2022}
    outputs = {name: tmp_path / f"{name}.csv" for name in ("metrics", "comparisons", "roc")}
    for name, file in outputs.items():
        arguments += [f"--{name}", str(file)]
    settings = {"bootstrap": settings, "minimum_cases": 20}
    main([*arguments, "--margin", "0.05", "--settings", json.dumps(settings)])

    known = answers[task]
    metrics = pd.read_csv(outputs["metrics"], float_precision="round_trip")
    assert set(metrics["images"]) == {known["n_images"]}
    assert set(metrics["patients"]) == {known["n_patients"]}
    assert set(metrics["positives"]) == {known["n_pos"]}
    assert list(metrics["auroc"]) == pytest.approx(list(known["published_auc"].values()), abs=1e-12)
    tests = pd.read_csv(outputs["comparisons"], float_precision="round_trip")
    row = tests.iloc[0]
    pair = known["pairs"][PAIR]
    assert row.difference == pytest.approx(pair["diff"], rel=0, abs=1e-12)
    tolerance = 3 * relative_error(REPLICATES, STORED_REPLICATES)
    assert row.standard_error / pair[stored]["se"] == pytest.approx(1, abs=tolerance)
    # A 2.5 % quantile of B normal replicates has the standard error 2.67 / sqrt(B) deviations.
    error = row.standard_error * 2.67 * math.sqrt(1 / REPLICATES + 1 / STORED_REPLICATES)
    assert [row.low, row.high] == pytest.approx(pair[stored]["ci95_percentile"], abs=3 * error)
    delong = tests.set_index("test").loc["delong"]
    found = [delong.standard_error, delong.statistic, delong.p, delong.low, delong.high]
    names = ("se_delong", "z_delong", "p_delong")
    expected = [*(pair[name] for name in names), *pair["ci95_diff_delong"]]
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)
    if kind == "image":
        # DeLong's test estimates the same standard error without resampling.
        error = 0.02 + 3 * relative_error(REPLICATES)
        assert row.standard_error / delong.standard_error == pytest.approx(1, abs=error)


def test_the_command_takes_images_of_a_patient_for_dependent_or_says_that_it_does_not(
    predictions, answers, tmp_path
):
    """`patient_id` once made images independent unseen: 0.0085 where patients have 0.0097."""
    task = TASKS[0]
    names = {"patient_id": "patient", f"y_{task}": "label"}
    files = {}
    for method, scores in zip(("baseline", "model"), scores_of(predictions, task), strict=True):
        table = predictions.assign(score=scores)[["image", *names, "score"]]
        files[method] = tmp_path / f"{method}.csv"
        table.rename(columns={f"y_{task}": "label"}).to_csv(files[method], index=False)
    with pytest.raises(InputError, match="patient_id"):
        compare_files([str(file) for file in files.values()])
    for file in files.values():
        pd.read_csv(file).rename(columns=names).to_csv(file, index=False)
    known, found = answers[task]["pairs"][PAIR], {}
    tolerance = 3 * relative_error(STORED_REPLICATES, STORED_REPLICATES)
    for unit, stored in (("image", "boot_image_B1000"), ("patient", "boot_patient_cluster_B1000")):
        written = tmp_path / f"{unit}.csv"
        options = ["--unit", unit, "--replicates", str(STORED_REPLICATES), "--tests", str(written)]
        compare_files([*(str(file) for file in files.values()), *options])
        found[unit] = pd.read_csv(written).iloc[0].standard_error
        assert found[unit] / known[stored]["se"] == pytest.approx(1, abs=tolerance)
    assert found["patient"] > found["image"]
