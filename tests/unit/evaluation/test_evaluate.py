import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from chexviz.base.errors import InputError
from chexviz.base.randomness import stream
from chexviz.base.tables.evaluation import read_comparisons
from chexviz.base.tables.table import AGAIN
from chexviz.evaluation.evaluate import main
from chexviz.evaluation.over_seeds import holm
from chexviz.evaluation.paired_tests import compare
from chexviz.evaluation.predictions import read_predictions
from chexviz.evaluation.resamples import resamples

SETTINGS = {"replicates": 200, "unit": "patient", "confidence": 0.95, "seed": 2022}
METRICS_COLUMNS = (
    "site,finding,head,architecture,method,seed,images,patients,positives,threshold,"
    "loss,loss_low,loss_high,sensitivity,sensitivity_low,sensitivity_high,"
    "specificity,specificity_low,specificity_high,aupr,aupr_low,aupr_high,"
    "auroc,auroc_low,auroc_high,note"
)
COMPARISONS_COLUMNS = (
    "site,finding,head,architecture,method,reference,reference_head,seed,test,difference,low,high,"
    "standard_error,statistic,p,p_holm,margin,p_non_inferior,note"
)


def draw_predictions(seed: int, *, validation: bool = False, images: int = 200) -> pd.DataFrame:
    """Predictions on `images` images, two of each patient; `seed` changes the scores alone."""
    number = np.arange(images)
    label = (number // 2 % 3 == 0).astype(int)
    logits = np.random.default_rng(seed).normal(1.5 * label - 1)
    return pd.DataFrame(
        {
            "image": [f"{one:05d}" for one in number],
            "patient": [f"{one // 2:04d}" for one in number],
            "label": label,
            "subset": np.where(validation & (number // 2 % 4 == 0), "validation", "evaluation"),
            "score": 1 / (1 + np.exp(-logits)),
        }
    )


@pytest.fixture
def study(tmp_path):
    """Two models of two sites; write changed tables over them and evaluate."""
    return Study(tmp_path)


class Study:
    def __init__(self, folder: Path):
        self.folder = folder
        self.outputs = [folder / f"{name}.csv" for name in ("metrics", "comparisons", "roc")]
        self.predictions, self.sites, self.tasks = [], [], {}
        for seed, site, task, method in (
            (1, "north", "pneumonia", "baseline"),
            (2, "north", "pneumonia", "fedavg"),
            (3, "south", "pneumothorax", "baseline"),
            (4, "south", "pneumothorax", "fedavg"),
        ):
            self.add(site, task, "standard", method, "7", draw_predictions(seed))

    def add(self, site, task, architecture, method, seed, table) -> Path:
        file = self.folder / f"{len(self.predictions)}-{site}-{method}.csv"
        self.predictions.append([architecture, method, seed, str(file)])
        self.sites.append(site)
        self.tasks[site] = task
        self.replace(-1, table)
        return file

    def replace(self, position: int, table: pd.DataFrame) -> None:
        site = self.sites[position]
        table = table.assign(site=site, finding=self.tasks[site], head=site)
        table.to_csv(self.predictions[position][-1], index=False, lineterminator="\n")

    def arguments(self, **settings) -> list[str]:
        arguments = [part for one in self.predictions for part in ("--prediction", *one)]
        for site, task in self.tasks.items():
            arguments += ["--findings", site, "train", task]
        for name, output in zip(("metrics", "comparisons", "roc"), self.outputs, strict=True):
            arguments += [f"--{name}", str(output)]
        minimum = settings.pop("minimum_cases", 20)
        text = json.dumps({"bootstrap": SETTINGS | settings, "minimum_cases": minimum})
        return [*arguments, "--margin", "0.05", "--settings", text]

    def run(self, **settings) -> list[pd.DataFrame]:
        main(self.arguments(**settings))
        return [pd.read_csv(file, float_precision="round_trip") for file in self.outputs]

    def refusal(self, **settings) -> InputError:
        """The error of a refused run, which must leave nothing behind."""
        before = set(self.folder.iterdir())
        with pytest.raises(InputError) as caught:
            main(self.arguments(**settings))
        assert set(self.folder.iterdir()) == before
        return caught.value


def test_tables_have_the_agreed_columns_and_rows(study):
    metrics, comparisons, roc = study.run()
    assert ",".join(metrics.columns) == METRICS_COLUMNS
    assert ",".join(comparisons.columns) == COMPARISONS_COLUMNS
    assert ",".join(roc.columns) == "site,finding,head,architecture,method,seed,fpr,tpr,low,high"
    assert list(metrics["site"] + metrics["method"]) == [
        *("northbaseline", "northfedavg", "southbaseline", "southfedavg")
    ]
    assert list(comparisons["site"]) == 4 * ["north"] + 4 * ["south"]
    assert set(comparisons["reference"]) == {"baseline"}
    assert (comparisons["reference_head"] == comparisons["site"]).all()
    assert set(comparisons["method"]) == {"fedavg"}
    assert len(roc) == 4 * 101
    assert (metrics["seed"] == 7).all()


def test_values_are_scikit_learns(study):
    metrics = study.run()[0].iloc[0]
    table = draw_predictions(1)
    assert (metrics.images, metrics.patients, metrics.positives) == (200, 100, table["label"].sum())
    called = table["score"] >= metrics.threshold
    assert metrics.loss == pytest.approx(log_loss(table["label"], table["score"]), abs=1e-12)
    assert metrics.auroc == pytest.approx(roc_auc_score(table["label"], table["score"]), abs=1e-12)
    expected = average_precision_score(table["label"], table["score"])
    assert metrics.aupr == pytest.approx(expected, abs=1e-12)
    assert metrics.sensitivity == pytest.approx(called[table["label"] == 1].mean(), abs=1e-12)
    assert metrics.specificity == pytest.approx(1 - called[table["label"] == 0].mean(), abs=1e-12)
    for name in ("loss", "sensitivity", "specificity", "aupr", "auroc"):
        assert metrics[f"{name}_low"] < metrics[name] < metrics[f"{name}_high"]


def test_intervals_and_comparison_are_those_of_repeated_patients(study):
    """The whole path once more, resample by resample, with scikit-learn on repeated images."""
    metrics, comparisons, _ = study.run()
    tables = [draw_predictions(1), draw_predictions(2)]
    label = tables[0]["label"].to_numpy()
    generator = np.random.default_rng(stream(2022, "bootstrap", "north"))
    patients = np.hstack(list(resamples(label[::2] == 1, 200, generator))).astype(int)
    areas = np.empty((2, 200))
    for column, drawn in enumerate(patients.T):
        repeated = np.repeat(np.arange(200), np.repeat(drawn, 2))
        for row, table in enumerate(tables):
            areas[row, column] = roc_auc_score(label[repeated], table["score"].to_numpy()[repeated])
    cases = min(label[::2].sum(), 100 - label[::2].sum())
    quantile = t.ppf(0.975, cases - 1) * np.sqrt(cases / (cases - 1))
    for row in range(2):
        area = metrics["auroc"][row]
        half = quantile * areas[row].std(ddof=1) / (area * (1 - area))
        odds = area / (1 - area) * np.exp([-half, half])
        expected = odds / (1 + odds)
        found = metrics.loc[row, ["auroc_low", "auroc_high"]].to_numpy(float)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    observed = metrics["auroc"][1] - metrics["auroc"][0]
    expected = compare(observed, areas[1] - areas[0], 0.95)
    found = comparisons.loc[0, list(expected._fields)].to_numpy(float)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


def test_curves_start_end_and_lie_in_their_bands(study):
    roc = study.run()[2]
    for _, curve in roc.groupby(["site", "method"]):
        np.testing.assert_array_equal(curve["fpr"], np.arange(101) / 100)
        assert curve["tpr"].is_monotonic_increasing
        assert curve["tpr"].iloc[-1] == curve["low"].iloc[-1] == 1
        assert (curve["low"] <= curve["high"]).all()
        assert (curve["low"] < curve["tpr"])[5:50].all()
        assert (curve["high"] > curve["tpr"])[5:50].all()


def test_a_rerun_is_byte_identical_and_a_seed_changes_intervals_only(study):
    main(study.arguments())
    first = [file.read_bytes() for file in study.outputs]
    main(study.arguments())
    assert [file.read_bytes() for file in study.outputs] == first
    before, after = study.run()[0], study.run(seed=1)[0]
    changes = {column for column in before if not before[column].equals(after[column])}
    assert {"auroc_low", "loss_low"} <= changes
    assert all(column.endswith(("_low", "_high")) for column in changes)


def test_written_numbers_read_back_exactly(study):
    metrics = study.run()[0]
    assert metrics["threshold"][0] in set(draw_predictions(1)["score"])


def test_a_model_shares_its_resamples_with_all_others_of_its_site(study):
    alone = study.run()[0]
    study.add("north", "pneumonia", "densenet121", "baseline", "7", draw_predictions(1))
    study.add("north", "pneumonia", "standard", "baseline", "8", draw_predictions(1)[::-1])
    together = study.run()[0].set_index(["site", "architecture", "method", "seed"])
    same = [
        together.loc[key, "threshold":].to_numpy(float)
        for key in (
            ("north", "standard", "baseline", 7),
            ("north", "densenet121", "baseline", 7),
            ("north", "standard", "baseline", 8),  # its rows are in reverse order
        )
    ]
    np.testing.assert_array_equal(same[0], alone.loc[0, "threshold":].to_numpy(float))
    np.testing.assert_array_equal(same[1], same[0])
    np.testing.assert_array_equal(same[2], same[0])


def test_sites_are_resampled_independently(study):
    study.replace(2, draw_predictions(1))
    study.replace(3, draw_predictions(2))
    metrics = study.run()[0]
    assert metrics["auroc"][0] == metrics["auroc"][2]
    assert metrics["auroc_low"][0] != metrics["auroc_low"][2]


def test_a_model_is_compared_with_the_baseline_of_its_architecture_and_seed(study):
    for architecture, seed, scores in (("densenet121", "7", 11), ("standard", "8", 12)):
        for offset, method in enumerate(("baseline", "fedavg", "fedprox")):
            table = draw_predictions(scores + 10 * offset)
            study.add("north", "pneumonia", architecture, method, seed, table)
    metrics, comparisons, _ = study.run()
    keys = ["site", "architecture", "method", "seed"]
    assert len(comparisons) == 4 * 6
    auroc = metrics.set_index(keys)["auroc"]
    for row in comparisons.itertuples():
        model = auroc[row.site, row.architecture, row.method, row.seed]
        baseline = auroc[row.site, row.architecture, "baseline", row.seed]
        assert row.difference == model - baseline


def test_models_that_rank_alike_do_not_differ(study):
    study.replace(1, draw_predictions(1).assign(score=lambda table: table["score"] ** 2))
    row = study.run()[1].iloc[0]
    assert (row.difference, row.standard_error, row.statistic, row.p) == (0, 0, 0, 1)


def test_without_federated_methods_there_is_nothing_to_compare(study):
    del study.predictions[1::2]
    assert study.run()[1].empty
    assert study.outputs[1].read_text() == COMPARISONS_COLUMNS + "\n"


def test_units_give_the_same_values_and_other_intervals(study):
    patient, image = study.run()[0], study.run(unit="image")[0]
    assert patient["auroc"].equals(image["auroc"])
    assert not patient["auroc_low"].equals(image["auroc_low"])


def test_the_threshold_comes_from_validation_images_where_there_are_any(study):
    tables = [draw_predictions(seed, validation=True) for seed in range(4)]
    for position, table in enumerate(tables):
        study.replace(position, table)
    metrics = study.run()[0]
    for position, table in enumerate(tables):
        validation = table[table["subset"] == "validation"]
        assert metrics["threshold"][position] in set(validation["score"])
        evaluation = table[table["subset"] == "evaluation"]
        assert metrics["images"][position] == len(evaluation)
        area = roc_auc_score(evaluation["label"], evaluation["score"])
        assert metrics["auroc"][position] == pytest.approx(area, abs=1e-12)


def test_ids_stay_as_they_are_written(tmp_path):
    table = draw_predictions(1)
    table.loc[0, ["image", "patient"]] = "NA"
    names = {"site": "north", "finding": "pneumonia", "head": "north"}
    table.assign(**names).to_csv(tmp_path / "predictions.csv", index=False)
    read = read_predictions(str(tmp_path / "predictions.csv"))
    assert list(read["image"][[0, 199]]) == ["00001", "NA"]
    assert list(read["patient"][[0, 199]]) == ["0000", "NA"]
    np.testing.assert_array_equal(read["score"], [*table["score"][1:], table["score"][0]])


def change(column, value, rows=3):
    table = draw_predictions(2).astype({column: object})
    table.loc[rows, column] = value
    return table


@pytest.mark.parametrize(
    ("table", "expected", "found"),
    [
        (draw_predictions(2).drop(columns="score"), "the columns", "no score"),
        (change("score", np.nan), r"probability in \[0, 1\]", "score '' of image '00003'"),
        (change("score", "nan"), "a number or nothing in every row of the column score", "nan"),
        (change("score", "high"), "a number or nothing in every row of the column score", "high"),
        (change("score", -0.1), r"probability in \[0, 1\]", "score '-0.1' of image '00003'"),
        (change("score", 1.5, [3, 9]), r"probability in \[0, 1\]", r"image '00003' \(2 such rows"),
        (change("label", "x"), "a number or nothing in every row of the column label", "x"),
        (change("label", 2), "label of 0 or 1", "label '2' of image '00003'"),
        (change("subset", "test"), "validation or evaluation", "subset 'test' of image '00003'"),
        (
            change("image", "00001"),
            "every image once by a head of a finding",
            r"image '00001' of .* \(1 such rows",
        ),
        (change("image", ""), "an id in every row", "image '' of image ''"),
        (change("patient", ""), "a patient in every row", "patient '' of image '00003'"),
    ],
)
def test_bad_tables_are_refused(study, table, expected, found):
    study.replace(1, table)
    error = study.refusal()
    assert error.where == study.predictions[1][-1]
    again = ("remove the file and run the prediction again", AGAIN)
    assert error.fix in again
    with pytest.raises(InputError, match=expected):
        raise error
    with pytest.raises(InputError, match=found):
        raise error


@pytest.mark.parametrize("content", [None, "", "a,b\n1\n2,3,4\n", b"\xff\xfe\x00,"])
def test_files_that_are_no_tables_are_refused(study, content):
    file = Path(study.predictions[1][-1])
    file.unlink()
    if content is not None:
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    error = study.refusal()
    assert error.where == str(file)
    assert error.expected.startswith("a ")  # file or table; content or path is at fault


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_among_evaluation_images_is_refused(study, label):
    for position in (2, 3):
        study.replace(position, draw_predictions(position).assign(label=label))
    error = study.refusal()
    assert error.where == study.predictions[2][-1]
    assert error.expected == "evaluation images of south with and without pneumothorax"
    assert error.found == f"{200 * label} with and {200 - 200 * label} without"
    assert "larger evaluation subset" in error.fix


def test_no_evaluation_image_is_refused(study):
    for position in (2, 3):
        study.replace(position, draw_predictions(position).assign(subset="validation"))
    assert study.refusal().found == "0 with and 0 without"


def test_one_class_among_validation_images_is_refused(study):
    for position in (0, 1):
        table = draw_predictions(position, validation=True)
        table.loc[table["subset"] == "validation", "label"] = 0
        study.replace(position, table)
    error = study.refusal()
    assert error.expected == "validation images of north with and without pneumonia"
    assert error.found == "0 with and 50 without"


def test_patients_of_one_class_are_refused_where_patients_are_resampled(study):
    for position in (0, 1):
        table = draw_predictions(position)
        study.replace(position, table.assign(label=np.arange(200) % 2))
    error = study.refusal()
    assert error.where == study.predictions[0][-1]
    assert error.found.endswith("100 are positive, 0 negative")
    assert "set bootstrap.unit to 'image'" in error.fix
    assert len(study.run(unit="image")[0]) == 4


@pytest.mark.parametrize(
    ("table", "expected", "found"),
    [
        (
            draw_predictions(2).drop(index=5),
            "image '00005' of patient '0002', label 0, in evaluation",
            "no image '00005' (1 images differ)",
        ),
        (
            draw_predictions(2, images=202),
            "no image '00200'",
            "image '00200' of patient '0100', label 0, in evaluation (2 images differ)",
        ),
        (
            change("label", 1, 8),
            "image '00008' of patient '0004', label 0, in evaluation",
            "image '00008' of patient '0004', label 1, in evaluation (1 images differ)",
        ),
        (
            change("patient", "x", 8),
            "image '00008' of patient '0004', label 0, in evaluation",
            "image '00008' of patient 'x', label 0, in evaluation (1 images differ)",
        ),
        (
            change("subset", "validation", 8),
            "image '00008' of patient '0004', label 0, in evaluation",
            "image '00008' of patient '0004', label 0, in validation (1 images differ)",
        ),
    ],
)
def test_models_of_a_site_with_different_images_are_refused(study, table, expected, found):
    study.replace(1, table)
    error = study.refusal()
    assert error.where == study.predictions[1][-1]
    assert study.predictions[0][-1] in error.expected
    assert error.expected.endswith(expected)
    assert error.found == found


def test_a_site_without_a_task_is_refused(study):
    del study.tasks["south"]
    error = study.refusal()
    assert error.where == study.predictions[2][-1]
    assert error.expected == "sites among north"
    assert error.found == "sites south"


def test_one_file_of_a_model_holds_all_sites(study):
    apart = study.run()
    tables = [
        pd.read_csv(words[-1], dtype={"image": str, "patient": str}) for words in study.predictions
    ]
    for place in (0, 1):
        # And what the head of the other site says.
        other = tables[place].assign(finding="pneumothorax", head="south", label=np.nan, score=0.5)
        both = pd.concat([tables[place + 2], other, tables[place]])
        both.to_csv(study.predictions[place][-1], index=False)
    del study.predictions[2:]
    for one, other in zip(apart, study.run(), strict=True):
        pd.testing.assert_frame_equal(one, other)


def test_a_method_without_its_baseline_is_refused_before_any_work(study, capsys):
    file = study.add("south", "pneumothorax", "standard", "fedavg", "8", draw_predictions(5))
    error = study.refusal()
    assert error.where == str(file)
    assert error.expected == (
        "predictions of south pneumothorax standard baseline 8 to compare the head south with"
    )
    assert "evaluate north" not in capsys.readouterr().err
    assert "add the method 'baseline'" in error.fix


def test_a_model_given_twice_is_refused(study):
    file = study.add("north", "pneumonia", "standard", "fedavg", "7", draw_predictions(5))
    error = study.refusal()
    assert error.where == str(file)
    first = study.predictions[1][-1]
    assert error.found == f"{first} for the same north pneumonia north standard fedavg 7"


def test_a_seed_that_is_no_integer_is_refused(study):
    study.predictions[1][2] = "seed7"
    error = study.refusal()
    assert error.expected == "an integer as seed"
    assert error.found == "'seed7'"


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"unit": "hospital"}, "bootstrap.unit: Invalid enum value 'hospital'"),
        ({"replicates": 1}, "bootstrap.replicates: 1"),
        ({"replicates": 200.5}, "bootstrap.replicates: float"),
        ({"confidence": 95}, "bootstrap.confidence: 95"),
        ({"confidence": 1.0}, "bootstrap.confidence: 1.0"),
        ({"seed": None}, "bootstrap.seed: null"),
        ({"minimum_cases": 4}, "minimum_cases: 4"),
        ({"unknown": 1}, "bootstrap: Object contains unknown field unknown"),
    ],
)
def test_impossible_settings_are_refused(study, settings, found):
    error = study.refusal(**settings)
    assert f"{error.where}: {error.found}" == f"--settings: {found}"


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"bootstrap": {"replicates": 5}}'])
def test_settings_that_are_not_the_expected_object_are_refused(study, text):
    arguments = study.arguments()
    arguments[-1] = text
    with pytest.raises(InputError, match="--settings") as caught:
        main(arguments)
    assert caught.value.fix.startswith("correct the configuration")
    assert not any(file.exists() for file in study.outputs)


def test_every_comparison_is_tested_four_ways_the_configured_unit_first(study):
    for unit, other in (("patient", "image"), ("image", "patient")):
        _, comparisons, _ = study.run(unit=unit)
        order = [f"bootstrap_{unit}s", f"bootstrap_{other}s", "delong", "t_test_replicates"]
        assert comparisons["test"].tolist() == 2 * order
        first = comparisons[comparisons["site"] == "north"].set_index("test")
        assert first["difference"].nunique() == 1
        # Two images of a patient share the label, but not their noise: the units differ little.
        errors = first.loc[["bootstrap_patients", "bootstrap_images"], "standard_error"]
        assert list(errors) == pytest.approx(2 * [first.loc["delong", "standard_error"]], rel=0.3)
        assert first.loc["t_test_replicates", "standard_error"] < 0.1 * errors.min()
        assert first["p_non_inferior"].isna().tolist() == [False, False, False, True]
        primary = read_comparisons(study.outputs[1])
        assert primary["test"].tolist() == 2 * order[:1]


def test_units_that_cannot_be_resampled_leave_out_their_test(study):
    """All patients have a positive image: only images can be resampled."""
    for position in range(4):
        table = draw_predictions(position)
        study.replace(position, table.assign(label=np.arange(len(table)) % 2))
    _, comparisons, _ = study.run(unit="image")
    assert comparisons["test"].tolist() == 2 * ["bootstrap_images", "delong", "t_test_replicates"]


def test_p_values_are_corrected_over_the_sites_of_a_method_and_test(study):
    _, comparisons, _ = study.run()
    for _, rows in comparisons.groupby("test"):
        np.testing.assert_allclose(rows["p_holm"], holm(rows["p"].to_numpy()))
    assert (comparisons["p_holm"] > comparisons["p"]).any()


def test_too_few_cases_leave_the_values_alone(study):
    """34 positive patients of 100: neither interval nor p where 35 are needed, for both sites."""
    metrics, comparisons, roc = study.run(minimum_cases=35)
    note = "too few cases: 34 positive of at least 35"
    assert set(metrics["note"]) == set(comparisons["note"]) == {note}
    enough = study.run(minimum_cases=34)
    assert enough[0]["note"].isna().all()
    bounds = [name for name in metrics if name.endswith(("_low", "_high"))]
    assert metrics[bounds].isna().all(axis=None)
    assert enough[0][bounds].notna().all(axis=None)
    values = ["loss", "sensitivity", "specificity", "aupr", "auroc", "threshold"]
    pd.testing.assert_frame_equal(metrics[values], enough[0][values])
    tested = ["low", "high", "standard_error", "statistic", "p", "p_holm", "p_non_inferior"]
    assert comparisons[tested].isna().all(axis=None)
    pd.testing.assert_series_equal(comparisons["difference"], enough[1]["difference"])
    assert roc[["low", "high"]].isna().all(axis=None)
    pd.testing.assert_frame_equal(roc[["fpr", "tpr"]], enough[2][["fpr", "tpr"]])


def test_what_was_not_tested_is_no_member_of_a_family(study):
    """South has three positive patients: north's p values are corrected for one comparison."""
    for position in (2, 3):
        table = draw_predictions(position)
        table["label"] = (table["patient"].astype(int) < 3).astype(int)
        study.replace(position, table)
    _, comparisons, _ = study.run()
    north = comparisons[comparisons["site"] == "north"]
    assert north["p"].notna().all()
    np.testing.assert_array_equal(north["p_holm"], north["p"])
    assert comparisons.loc[comparisons["site"] == "south", "p_holm"].isna().all()


def test_cases_are_patients_or_images_whichever_is_resampled(study):
    metrics, *_ = study.run(minimum_cases=35, unit="image")  # 68 positive images
    assert metrics["note"].isna().all()
