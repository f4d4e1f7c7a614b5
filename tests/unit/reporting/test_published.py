"""The published table beside ours: verdicts, reasons, the three formats, and bad input."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.special import expit
from scipy.stats import t as student

from chexviz.base.errors import InputError
from chexviz.base.tables.evaluation import METRICS, Heading
from chexviz.evaluation.metrics import MEASURED, Measures
from chexviz.evaluation.resamples import resamples
from chexviz.pipeline import settings as job_settings
from chexviz.reporting.tables import published
from chexviz.reporting.tables.original import VALUES, read_data, read_table1
from made_arguments import table_arguments
from made_results import HOSPITAL, RSNA, SIIM, make_results

ARCHITECTURES = {
    "standard": {
        **{"weights": "random", "learning_rate": 1e-3, "schedule": "cosine"},
        **{"baseline": {"epochs": 300}, "federated": {"rounds": 300, "local_epochs": 1}},
    },
    "densenet121": {
        **{"weights": "imagenet", "learning_rate": 1e-5, "schedule": "constant"},
        **{"warmup": {"epochs": 30, "learning_rate": 1e-3}, "baseline": {"epochs": 150}},
        "federated": {"rounds": 150, "local_epochs": 1},
    },
}
READERS = {"rsna": "rsna", "siim": "siim", "hospital": "table"}


@pytest.fixture
def files(repository):
    folder = repository / "paper"
    return folder / "published_table1.csv", folder / "published_data.csv"


@pytest.fixture(scope="module")
def one_seed(tmp_path_factory):
    """Evaluation sets of the size that a fifth of the public datasets has."""
    made = make_results(tmp_path_factory.mktemp("one"), protocols=("paper",), images=30)
    return with_images(made, {"rsna": 5336, "siim": 2409})


@pytest.fixture(scope="module")
def two_seeds(tmp_path_factory):
    folder, sites = tmp_path_factory.mktemp("two"), (HOSPITAL, RSNA, SIIM)
    made = make_results(folder, sites=sites, protocols=("paper",), seeds=(1, 2), images=30)
    return with_images(made, {"rsna": 5336, "siim": 2409})


def with_images(made, images: dict):
    path = made.evaluation("paper", "metrics")
    table = pd.read_csv(path)
    table["images"] = table["site"].map(images).fillna(table["images"]).astype(int)
    table.to_csv(path, index=False)
    return made


def settings_of(made, **sources) -> dict:
    """The settings of a run on the public datasets; sources: of sites that have another one."""
    sites = [
        {key: site[key] for key in ("name", "title", "role", "findings")}
        | {"reader": READERS[site["name"]], "source": sources.get(site["name"], ["local:x"])}
        for site in made.sites
    ]
    return {"sites": sites, "architectures": ARCHITECTURES}


def write(made, files, folder, settings, *options: str) -> dict[str, str]:
    outputs = {kind: folder / f"published.{kind}" for kind in ("csv", "tex", "md")}
    published.main(
        [
            *table_arguments(made, "paper")[:2],
            *(f"--published={files[0]}", f"--data={files[1]}"),
            *(f"--{kind}={path}" for kind, path in outputs.items()),
            *("--settings", json.dumps(settings), *options),
        ]
    )
    return {kind: path.read_text() for kind, path in outputs.items()}


def table_of(made, files, folder, settings) -> pd.DataFrame:
    write(made, files, folder, settings)
    return pd.read_csv(
        folder / "published.csv", dtype={"published": str}, keep_default_na=False, na_values=[""]
    )


def test_every_published_value_has_a_row_and_a_verdict(one_seed, files, tmp_path):
    table = table_of(one_seed, files, tmp_path, settings_of(one_seed))
    original = read_table1(files[0])
    printed = original[[*METRICS, "p"]].to_numpy().ravel()
    assert table["published"].tolist() == [value for value in printed if value]
    assert len(table) == 8 * 5 + 4
    values = table[(table["metric"] != "p") & (table["finding"] == "pneumonia")]
    assert values["reason"].isna().all()
    for row in values.itertuples():
        half = 0.005
        above = float(row.published) - half > row.high
        below = float(row.published) + half < row.low
        assert row.verdict == ("above" if above else "below" if below else "inside")
    assert set(values["verdict"]) == {"inside", "below"}


def test_a_published_row_that_fits_no_set_of_images_is_not_compared(one_seed, files, tmp_path):
    """2,409 images, a fifth of SIIM-ACR, divide in no way that gives the four percentages."""
    table = table_of(one_seed, files, tmp_path, settings_of(one_seed))
    rows = table[(table["finding"] == "pneumothorax") & (table["metric"] != "p")]
    assert len(rows) == 4 * 5
    assert set(rows["verdict"]) == {"not comparable"}
    why = "no 2,409 images, a fifth of the dataset, give the published percentages"
    assert set(rows["reason"]) == {why}
    assert why in (tmp_path / "published.md").read_text()


def evaluation(draws, replicates: int) -> np.ndarray:
    """METRICS of a model of AUROC 0.85 on 241 positive images and 826 negative ones: a fifth of
    the original's. With intervals (5, 3), if there are replicates."""
    labels = (np.arange(1067) < 241).astype(int)
    scores = expit(draws.normal(1.466 * labels - 1.466))
    measures = Measures(labels, scores, np.arange(1067), None)  # Youden's threshold, each time anew
    if not replicates:
        return measures(np.ones((1067, 1)))[0][:, 0]
    drawn = np.hstack(list(resamples(labels == 1, replicates, draws.spawn(1)[0])))
    values = measures(np.column_stack([np.ones(1067), drawn]))[0]
    return np.array(
        [
            [value, *MEASURED[metric].interval(value, others, (241, 826), 0.95)]
            for metric, (value, *others) in zip(METRICS, values, strict=True)
        ]
    )


def test_a_repetition_lies_within_the_bounds_as_often_as_they_say():
    """The same model on two independent sets: 95 % of the others' values lie within our bounds.

    300 pairs: a standard error of 1.3 points. Our own interval holds but 79 to 85 %.
    """
    draws = np.random.default_rng(5)
    within, inside = np.zeros((2, len(METRICS)))
    for _ in range(300):
        ours, theirs = evaluation(draws, 200), evaluation(draws, 0)
        bounds = np.array([published.repetition(one[np.newaxis], 1.0) for one in ours])
        within += (bounds[:, 0] <= theirs) & (theirs <= bounds[:, 1])
        inside += (ours[:, 1] <= theirs) & (theirs <= ours[:, 2])
    assert ((within / 300 > 0.91) & (within / 300 < 0.985)).all()
    assert (inside / 300 < 0.88).all()


def test_bounds_of_a_repetition_by_hand():
    assert published.repetition(np.array([[0.8, 0.7, 0.85]]), 3.0) == pytest.approx((0.6, 0.9))
    runs = np.array([[0.80, 0.78, 0.82], [0.84, 0.82, 0.86], [0.85, 0.83, 0.87]])
    variance = 2 * (0.02 / 1.959964) ** 2
    between = np.var([0.80, 0.84, 0.85], ddof=1) * 4 / 3
    reach = student.ppf(0.975, 2 * (1 + variance / between) ** 2) * np.sqrt(variance + between)
    assert published.repetition(runs, 1.0) == pytest.approx((0.83 - reach, 0.83 + reach))


def test_a_value_without_interval_has_no_bounds():
    assert np.isnan(published.repetition(np.array([[0.8, np.nan, np.nan]]), 1.0)).all()


def test_our_values_are_those_of_the_evaluation(two_seeds, files, tmp_path):
    table = table_of(two_seeds, files, tmp_path, settings_of(two_seeds)).set_index(
        ["finding", "model", "metric"]
    )
    runs = pd.read_csv(two_seeds.evaluation("paper", "metrics"))
    runs = runs[(runs["site"] == "siim") & (runs["architecture"] == "standard")]
    runs = runs[runs["method"] == "fedavg"]
    for metric, scale in {"auroc": 1, "sensitivity": 100}.items():
        row = table.loc["pneumothorax", "Standard w/ FL", metric]
        assert row["ours"] == pytest.approx(scale * runs[metric].mean())
        bounds = runs[[metric, f"{metric}_low", f"{metric}_high"]].to_numpy()
        wanted = scale * np.array(published.repetition(bounds, 1.0))
        np.testing.assert_allclose(row[["low", "high"]].astype(float), wanted, rtol=1e-12)
        assert row["seeds"] == 2


def test_a_p_value_is_shown_but_not_judged(one_seed, files, tmp_path):
    table = table_of(one_seed, files, tmp_path, settings_of(one_seed))
    rows = table[table["metric"] == "p"]
    assert rows["published"].tolist() == ["0.10", "0.19", "0.71", "0.76"]
    assert set(rows["verdict"]) == {"not comparable"}
    assert rows["reason"].str.endswith(published.P_REASON).all()
    assert rows["ours"].between(0, 1).all()
    assert rows["low"].isna().all()


@pytest.mark.parametrize(
    ("printed", "low", "high", "verdict"),
    [
        ("0.85", 0.8549, 0.88, "inside"),
        ("0.85", 0.8551, 0.88, "below"),
        ("0.85", 0.82, 0.846, "inside"),
        ("0.85", 0.82, 0.844, "above"),
        ("85.90", 78.0, 85.896, "inside"),
        ("85.91", 78.0, 85.896, "above"),
        ("86", 78.0, 85.6, "inside"),
    ],
)
def test_a_published_value_is_judged_given_its_rounding(printed, low, high, verdict):
    assert published.verdict({"published": printed, "low": low, "high": high}) == verdict


def test_phantoms_are_not_compared(one_seed, files, tmp_path):
    settings = settings_of(one_seed, siim=["phantom"])
    table = table_of(one_seed, files, tmp_path, settings)
    phantoms = table["finding"] == "pneumothorax"
    assert set(table.loc[phantoms, "verdict"]) == {"not comparable"}
    reasons = table.loc[phantoms & (table["metric"] != "p"), "reason"]
    assert reasons.str.startswith("phantom radiographs; no 2,409 images").all()
    assert table.loc[phantoms, "ours"].notna().all()
    assert table.loc[~phantoms & (table["metric"] != "p"), "reason"].isna().all()


def test_another_dataset_of_the_task_is_not_compared(two_seeds, files, tmp_path):
    """The hospital, listed first, labels pneumonia too."""
    table = table_of(two_seeds, files, tmp_path, settings_of(two_seeds))
    rows = table[(table["finding"] == "pneumonia") & (table["metric"] == "auroc")]
    assert set(rows["site"]) == {"hospital"}
    assert set(rows["reason"]) == {"not the RSNA Pneumonia Detection Challenge dataset"}


def test_part_of_the_dataset_is_not_compared(repository):
    data = read_data(repository / "paper" / "published_data.csv")
    site = {"reader": "rsna", "source": ["local:x"]}

    def other(images: int) -> str:
        return published.other_data(site, "pneumonia", images, data)

    assert other(5336) == ""
    assert other(5300) == ""  # a few files are damaged
    assert other(533) == "533 evaluation images instead of 5,336"


@pytest.mark.parametrize(
    ("architecture", "change", "reason"),
    [
        ("standard", {}, ""),
        ("densenet121", {"weights": "/models/densenet121.pth"}, ""),
        ("standard", {"baseline": {"epochs": 12}}, "Standard trained otherwise (baseline)"),
        (
            "densenet121",
            {"weights": "random", "learning_rate": 1e-3},
            "DenseNet121 trained otherwise (pretrained, learning_rate)",
        ),
        ("standard", {"warmup": {"epochs": 1}}, "Standard trained otherwise (warmup)"),
        ("standard", {"schedule": "constant"}, "Standard trained otherwise (schedule)"),
        ("densenet121", {"schedule": "cosine"}, "DenseNet121 trained otherwise (schedule)"),
        (
            "densenet121",
            {"warmup": {"epochs": 10, "learning_rate": 1e-3}},
            "DenseNet121 trained otherwise (warmup)",
        ),
    ],
)
def test_another_training_is_named(architecture, change, reason):
    training = ARCHITECTURES[architecture] | change
    assert published.other_training(architecture, training) == reason


def test_the_papers_own_configuration_trains_as_the_original(repository):
    config = yaml.safe_load((repository / "config" / "config.yaml").read_text())
    settings = job_settings.published(config)
    for name, training in settings["architectures"].items():
        assert published.other_training(name, training) == ""
    data = read_data(repository / "paper" / "published_data.csv").set_index("task")
    for site in settings["sites"]:
        (finding,) = site["findings"]
        dataset = data.loc[finding]
        contract = config["sites"][site["name"]]["contract"]
        assert site["reader"] == dataset["reader"]
        assert contract["images"] == dataset["images"]
        assert contract["positives"] == {finding: dataset["positives"]}


def test_models_that_did_not_run_keep_their_row(tmp_path, files):
    made = make_results(tmp_path, protocols=("paper",), methods=("scaffold",), images=30)
    table = table_of(made, files, tmp_path, settings_of(made))
    absent = table[table["model"].str.contains("FL")]
    assert set(absent["reason"]) == {"no such model in this run"}
    assert absent["ours"].isna().all()
    assert "0.84 (" in (tmp_path / "published.md").read_text()


def test_undefined_value_is_a_dash_with_its_reason(one_seed, files, tmp_path):
    metrics = pd.read_csv(one_seed.evaluation("paper", "metrics"))
    columns = ["aupr", "aupr_low", "aupr_high"]
    metrics.loc[:, columns] = np.nan
    metrics.to_csv(tmp_path / "metrics.csv", index=False)
    options = ["--metrics", str(tmp_path / "metrics.csv")]
    texts = write(one_seed, files, tmp_path, settings_of(one_seed), *options)
    assert "0.63 (a)<br>–" in texts["md"]
    assert "undefined in our evaluation" in texts["md"]


def test_the_three_formats(one_seed, files, tmp_path):
    settings = settings_of(one_seed, siim=["phantom"])
    texts = write(one_seed, files, tmp_path, settings, "--mark", "DEMO: 5% & more")
    assert r"**DEMO: 5% \& more**" in texts["md"]
    assert r"\textbf{DEMO: 5\% \& more}" in texts["tex"]
    row = pd.read_csv(tmp_path / "published.csv").iloc[4]
    cell = f"0.85 {row['verdict']}<br>{row['ours']:.3f} ({row['low']:.3f}–{row['high']:.3f})"
    assert cell in texts["md"]
    assert "(b) phantom radiographs; (c) no 2,409 images" in texts["md"]
    body = texts["tex"].split(r"\toprule")[1].split(r"\bottomrule")[0]
    rows = [line for line in body.splitlines() if "multicolumn" not in line and "&" in line]
    assert len(rows) == 1 + 2 * 8
    assert {len(re.findall(r"(?<!\\)&", line)) for line in rows} == {6}
    assert re.sub(r"\\.", "", texts["tex"]).count("{") == re.sub(r"\\.", "", texts["tex"]).count(
        "}"
    )
    assert texts["tex"].isascii()
    again = write(one_seed, files, tmp_path, settings, "--mark", "DEMO: 5% & more")
    assert again == texts


def test_missing_file_and_column_are_named(one_seed, files, tmp_path):
    with pytest.raises(InputError, match=r"gone\.csv[\s\S]*no such file"):
        write(one_seed, (tmp_path / "gone.csv", files[1]), tmp_path, settings_of(one_seed))
    with pytest.raises(InputError, match=r"published_table1\.csv[\s\S]*no dataset, reader"):
        write(one_seed, (files[0], files[0]), tmp_path, settings_of(one_seed))


def test_a_metric_that_the_original_has_not_leaves_its_table_as_it_is(files, monkeypatch):
    before = read_table1(files[0])
    monkeypatch.setitem(METRICS, "brier", Heading("Brier"))
    assert read_table1(files[0]).equals(before)
    assert {*VALUES} - {"p"} <= {*METRICS}
