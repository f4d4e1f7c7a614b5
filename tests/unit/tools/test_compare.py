"""Two tables of predictions from anywhere: what is told on the terminal, written, and refused."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from chexviz.base.errors import InputError
from chexviz.evaluation.paired_tests import compare_delong
from chexviz.evaluation.roc import Ranking, auroc
from chexviz.tools.compare import main

TESTS = ["bootstrap_patients", "bootstrap_images", "delong", "t_test_replicates"]


def draw_table(seed: int, images: int = 120) -> pd.DataFrame:
    number = np.arange(images)
    label = (number // 2 % 3 == 0).astype(int)
    logits = np.random.default_rng(seed).normal(1.5 * label - 1)
    return pd.DataFrame(
        {
            "image": [f"{one:04d}" for one in number],
            "patient": [f"p{one // 2}" for one in number],
            "label": label,
            "subset": np.where(number // 2 % 4 == 0, "validation", "evaluation"),
            "score": 1 / (1 + np.exp(-logits)),
        }
    )


class Pair:
    """A baseline's and a model's table; `compare` runs the entry point on them."""

    def __init__(self, folder, capsys):
        self.folder, self.capsys = folder, capsys
        self.baseline, self.model = folder / "baseline.csv", folder / "model.csv"
        self.write(draw_table(1), draw_table(2))

    def write(self, baseline: pd.DataFrame, model: pd.DataFrame) -> None:
        baseline.to_csv(self.baseline, index=False)
        model.to_csv(self.model, index=False)

    def compare(self, *options: str) -> str:
        outputs = [f"--{name}={self.folder / f'{name}.csv'}" for name in ("metrics", "tests")]
        files = str(self.baseline), str(self.model)
        main([*files, "--replicates=200", "--minimum-cases=10", *outputs, *options])
        return self.capsys.readouterr().out

    def tables(self) -> list[pd.DataFrame]:
        names = ("metrics", "tests")
        return [
            pd.read_csv(self.folder / f"{name}.csv", float_precision="round_trip") for name in names
        ]

    def refusal(self, *options: str) -> InputError:
        before = set(self.folder.iterdir())
        with pytest.raises(InputError) as caught:
            self.compare(*options)
        assert set(self.folder.iterdir()) == before
        return caught.value


@pytest.fixture
def pair(tmp_path, capsys):
    return Pair(tmp_path, capsys)


def test_tables_hold_both_models_and_all_tests(pair):
    pair.compare()
    metrics, tests = pair.tables()
    assert list(metrics["model"]) == ["baseline", "model"]
    assert list(metrics["file"]) == [str(pair.baseline), str(pair.model)]
    assert list(tests["test"]) == TESTS
    evaluated = [table[table["subset"] == "evaluation"] for table in (draw_table(1), draw_table(2))]
    labels = evaluated[0]["label"].to_numpy()
    scores = [table["score"].to_numpy() for table in evaluated]
    expected = [roc_auc_score(labels, each) for each in scores]
    np.testing.assert_allclose(metrics["auroc"], expected, rtol=0, atol=1e-12)
    assert list(metrics["images"]) == [len(labels)] * 2
    found = tests.set_index("test").loc["delong", "difference":"p"].to_numpy(float)
    known = compare_delong(expected[1] - expected[0], labels, np.stack(scores[::-1]), 0.95)
    np.testing.assert_allclose(found, known, rtol=1e-9)
    assert tests["difference"][0] == pytest.approx(expected[1] - expected[0], abs=1e-12)


def test_the_terminal_says_what_the_tables_hold(pair):
    text = pair.compare("--margin=0.03")
    metrics, tests = pair.tables()
    assert "90 images of 45 patients, 30 with the finding" in text
    assert "200 resamples of patients" in text
    for row in metrics.itertuples():
        assert f"{row.auroc:.3f} ({row.auroc_low:.3f}–{row.auroc_high:.3f})" in text
    for row in tests.itertuples():
        assert f"({row.low:.3f} to {row.high:.3f})".replace("-", "−") in text
    assert "Bootstrap over patients (primary)" in text
    assert "t-test over replicates (anti-conservative)" in text
    assert "margin 0.03" in text
    assert set(tests["margin"]) == {0.03}
    assert text.count("(primary)") == 1
    assert "Holm" not in text


def test_with_too_few_cases_there_are_values_alone(pair):
    text = pair.compare("--minimum-cases=16")  # of 15 patients with the finding
    metrics, tests = pair.tables()
    assert "note     too few cases: 15 positive of at least 16, for an interval or a test" in text
    assert f"{metrics['auroc'][0]:.3f} (" not in text
    assert tests[["low", "high", "p", "p_non_inferior"]].isna().all(axis=None)
    assert set(tests["verdict"]) == {"too few"}
    assert "z = " not in text


def test_without_options_nothing_is_written(pair):
    before = set(pair.folder.iterdir())
    main([str(pair.baseline), str(pair.model)])
    assert set(pair.folder.iterdir()) == before
    assert "2,000 resamples of patients" in pair.capsys.readouterr().out


def test_three_columns_are_enough_and_images_are_then_the_units(pair):
    columns = ["image", "label", "score"]
    pair.write(*(draw_table(seed)[columns].assign(score_other="?") for seed in (1, 2)))
    text = pair.compare()
    metrics, tests = pair.tables()
    assert "120 images, 40 with the finding" in text
    assert "resamples of images" in text
    assert list(metrics["images"]) == [120, 120]
    assert list(tests["test"]) == TESTS[1:]


@pytest.mark.parametrize("name", ["patient_id", "PatientID", "Subset"])
def test_a_column_that_seems_to_be_one_that_counts_is_not_ignored(pair, name):
    column = "subset" if name == "Subset" else "patient"
    pair.write(*(draw_table(seed).rename(columns={column: name}) for seed in (1, 2)))
    error = pair.refusal()
    assert error.found == name
    assert error.fix.startswith(f"if it says what `{column}` would, rename it")


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        ({}, [], "independent patients, who have several images"),
        ({}, ["--unit=image"], "independent images, although patients have several"),
        ({"patient": None}, [], "independent images: no column `patient` says who is on them"),
        ({"patient": range(120)}, [], "independent images: every patient has one"),
    ],
)
def test_it_says_what_it_takes_for_independent(pair, change, options, said):
    tables = [draw_table(seed).assign(**change).dropna(axis=1) for seed in (1, 2)]
    pair.write(*tables)
    assert f"assumed  {said}" in pair.compare(*options)


def test_tables_of_other_programs_are_read_and_missing_patients_refused(pair):
    pair.compare()
    before = pair.tables()[1]
    other = draw_table(2).assign(label=draw_table(2)["label"] == 1)
    pair.write(draw_table(1), draw_table(2))
    other.to_csv(pair.model, sep=";", index=False, encoding="utf-16")
    pair.compare()
    pd.testing.assert_frame_equal(pair.tables()[1], before)
    other.assign(patient=other["patient"].replace("p3", "NA")).to_csv(pair.model, index=False)
    for file in pair.folder.glob("[mt]e*s.csv"):
        file.unlink()
    assert pair.refusal().expected.startswith("a patient in every row")


def test_the_unit_can_be_chosen_and_its_test_is_the_same(pair):
    pair.compare()
    by_patient = pair.tables()[1].set_index("test")
    assert "Bootstrap over images (primary)" in pair.compare("--unit=image")
    by_image = pair.tables()[1].set_index("test")
    assert list(by_image.index) == [TESTS[1], TESTS[0], *TESTS[2:]]
    same = TESTS[:3]
    pd.testing.assert_frame_equal(by_patient.loc[same], by_image.loc[same])
    assert by_patient.loc[TESTS[3], "p"] != by_image.loc[TESTS[3], "p"]


def test_the_order_of_rows_and_a_rerun_change_no_byte(pair):
    first = pair.compare()
    files = [(pair.folder / f"{name}.csv").read_bytes() for name in ("metrics", "tests")]
    pair.write(draw_table(1)[::-1], draw_table(2).sample(frac=1, random_state=0))
    assert pair.compare() == first
    again = [(pair.folder / f"{name}.csv").read_bytes() for name in ("metrics", "tests")]
    assert again == files


def test_swapped_tables_change_the_sign(pair):
    pair.compare()
    one = pair.tables()[1].set_index("test")
    pair.write(draw_table(2), draw_table(1))
    pair.compare()
    other = pair.tables()[1].set_index("test")
    np.testing.assert_allclose(other["difference"], -one["difference"], rtol=0, atol=1e-14)
    np.testing.assert_allclose(other["statistic"], -one["statistic"], rtol=1e-9)
    np.testing.assert_allclose(other["p"], one["p"], rtol=1e-7)


def test_repeated_images_of_a_patient_are_a_weight(pair):
    """Every image twice under another name: the same areas, and the same spread over patients."""
    pair.compare()
    once = pair.tables()[1].set_index("test")
    tables = [draw_table(seed) for seed in (1, 2)]
    copies = [table.assign(image=table["image"] + "b") for table in tables]
    pair.write(*(pd.concat(both) for both in zip(tables, copies, strict=True)))
    pair.compare()
    twice = pair.tables()[1].set_index("test")
    np.testing.assert_allclose(twice["difference"][:3], once["difference"][:3], atol=1e-14)
    columns = ["low", "high", "standard_error", "statistic", "p"]
    same = twice.loc["bootstrap_patients", columns], once.loc["bootstrap_patients", columns]
    np.testing.assert_allclose(*(each.to_numpy(float) for each in same), rtol=1e-9, atol=1e-14)
    # What takes images for independent is fooled by copies.
    ratio = (twice["standard_error"] / once["standard_error"])[["bootstrap_images", "delong"]]
    assert (ratio < 0.8).all()


@pytest.mark.parametrize(
    ("change", "expected", "found"),
    [
        (lambda table: table.drop(columns="score"), "the columns image", "no column score"),
        (lambda table: table.drop(columns="image"), "the columns image", "no column image"),
        (lambda table: table.assign(score=np.nan), "a probability in", "score ''"),
        (lambda table: table.assign(score=table["score"] * 9), "a probability in", "image"),
        (lambda table: table.assign(label=2), "a label of 0 or 1", "label '2'"),
        (lambda table: pd.concat([table, table[:1]]), "every image once", "image '0000'"),
    ],
)
def test_bad_tables_are_refused(pair, change, expected, found):
    pair.write(draw_table(1), change(draw_table(2)))
    error = pair.refusal()
    assert error.where == str(pair.model)
    assert error.expected.startswith(expected)
    assert found in error.found
    assert "docs/evaluation.md" in error.fix


def test_other_images_and_one_class_are_refused(pair):
    pair.write(draw_table(1), draw_table(2)[:-1])
    assert "no image '0119'" in pair.refusal().found
    pair.write(*(draw_table(seed).assign(label=1) for seed in (1, 2)))
    error = pair.refusal()
    assert error.expected.endswith("images of predictions with and without the finding")


def test_patients_in_one_file_alone_are_refused(pair):
    pair.write(draw_table(1), draw_table(2).drop(columns="patient"))
    error = pair.refusal()
    assert error.where == str(pair.model)
    assert str(pair.baseline) in error.expected


def test_patients_who_all_have_the_finding_leave_the_images(pair):
    tables = [draw_table(seed).assign(label=np.arange(120) % 2) for seed in (1, 2)]
    pair.write(*tables)
    assert "--unit image" in pair.refusal().fix
    pair.compare("--unit=image")
    tests = pair.tables()[1]
    assert list(tests["test"]) == TESTS[1:]
    assert tests["p"].between(0, 1).all()


@pytest.mark.parametrize(
    "option", ["--replicates=1", "--margin=0", "--margin=2", "--unit=site", "--minimum-cases=4"]
)
def test_impossible_options_are_refused(pair, option):
    with pytest.raises(SystemExit) as caught:
        pair.compare(option)
    assert caught.value.code == 2


def test_exact_ties_count_one_half(pair):
    tables = [draw_table(seed) for seed in (1, 2)]
    tables = [table.assign(score=table["score"].round(1), subset="evaluation") for table in tables]
    pair.write(*tables)
    pair.compare()
    metrics, tests = pair.tables()
    labels = tables[0]["label"].to_numpy()
    for value, table in zip(metrics["auroc"], tables, strict=True):
        assert value == pytest.approx(roc_auc_score(labels, table["score"]), abs=1e-12)
        ranking = Ranking(labels, table["score"].to_numpy(), np.arange(120))
        assert value == auroc(ranking.curve(np.ones((120, 1)))).item()
    assert tests["difference"].std() < 0.01
