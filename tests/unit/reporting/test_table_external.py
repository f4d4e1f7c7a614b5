"""The table of external sites: its rows, its numbers, and what it refuses."""

import pandas as pd
import pytest

from chexviz.base.errors import InputError
from chexviz.base.tables.summaries import EXTERNAL
from chexviz.evaluation.over_seeds import holm
from chexviz.reporting.tables import external, methods, table1
from made_arguments import history_arguments, table_arguments
from made_results import ABROAD, CLINIC, RSNA, SIIM, make_results

METHODS = ("fedavg", "surgical")
KEYS = ["finding", "architecture", "method", "head"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Pneumonia is learned at two sites, pneumothorax at one."""
    sites = (RSNA, CLINIC, SIIM, ABROAD)
    folder = tmp_path_factory.mktemp("made")
    return make_results(folder, sites=sites, protocols=("paper",), methods=METHODS, images=40)


def written(made, folder, *options: str, module=external) -> dict[str, str]:
    files = {kind: folder / f"table.{kind}" for kind in ("csv", "tex", "md")}
    outputs = [f"--{kind}={path}" for kind, path in files.items()]
    module.main([*table_arguments(made, "paper"), *outputs, *options])
    return {kind: path.read_text() for kind, path in files.items()}


def test_every_baseline_and_head_has_a_row_and_an_answer_one_for_each_baseline(made, tmp_path):
    written(made, tmp_path)
    table = EXTERNAL.read(tmp_path / "table.csv")
    assert set(table["site"]) == {"abroad"}
    rows = table[table["architecture"] == "standard"]
    rows = rows[["finding", "method", "head", "reference"]]
    assert rows.to_numpy().tolist() == [
        ["pneumonia", "baseline", "rsna", ""],
        ["pneumonia", "baseline", "clinic", ""],
        ["pneumonia", "fedavg", "rsna", "rsna"],
        ["pneumonia", "fedavg", "clinic", "clinic"],
        ["pneumonia", "fedavg", "mean", "rsna"],
        ["pneumonia", "fedavg", "mean", "clinic"],
        ["pneumonia", "surgical", "shared", "rsna"],
        ["pneumonia", "surgical", "shared", "clinic"],
        ["pneumothorax", "baseline", "siim", ""],
        ["pneumothorax", "fedavg", "siim", "siim"],
        ["pneumothorax", "surgical", "shared", "siim"],
    ]


def test_its_numbers_are_those_of_the_evaluation_corrected_within_a_method(made, tmp_path):
    written(made, tmp_path)
    table = EXTERNAL.read(tmp_path / "table.csv")
    metrics = pd.read_csv(made.evaluation("paper", "metrics")).set_index(["site", *KEYS])
    tests = pd.read_csv(made.evaluation("paper", "comparisons"))
    tests = tests.set_index(["site", *KEYS, "reference_head"])
    for row in table.itertuples():
        key = (row.site, *(getattr(row, name) for name in KEYS))
        assert row.auroc == pytest.approx(metrics.loc[key, "auroc"])
        if row.reference:
            tested = tests.loc[(*key, row.reference)]
            numbers = tested[["difference", "p"]].tolist()
            assert [row.difference, row.p] == pytest.approx(numbers)
    for method, rows in table.groupby("method"):
        if method != "baseline":
            assert rows["p_holm"].tolist() == pytest.approx(holm(rows["p"].to_numpy()))
    assert (
        table.loc[table["method"] == "baseline", ["difference", "p", "p_holm"]]
        .isna()
        .all(axis=None)
    )


def test_readers_see_a_model_once_above_its_baselines(made, tmp_path):
    texts = written(made, tmp_path, "--mark=DEMO")
    lines = [line for line in texts["md"].splitlines() if line.startswith("| ")]
    assert lines[1].startswith("| Pneumonia (Abroad) | Standard, RSNA |")
    (place,) = [n for n, line in enumerate(lines) if "| Standard w/ FL, mean |" in line]
    assert "| RSNA |" in lines[place]
    assert lines[place + 1].startswith("|  |  |  |  |  | Clinic |")
    assert "No threshold was chosen on these images." in texts["md"]
    assert texts["tex"].isascii()
    assert all("DEMO" in text for text in texts.values())
    assert written(made, tmp_path, "--mark=DEMO") == texts


def test_a_head_that_was_not_compared_is_refused(made, tmp_path):
    fewer = pd.read_csv(made.evaluation("paper", "comparisons"))
    fewer[fewer["head"] != "mean"].to_csv(tmp_path / "fewer.csv", index=False)
    with pytest.raises(InputError, match=r"fewer\.csv[\s\S]*Standard w/ FL on abroad"):
        written(made, tmp_path, "--comparisons", str(tmp_path / "fewer.csv"))


def test_other_tables_leave_external_sites_out(made, tmp_path):
    text = written(made, tmp_path, "--method=fedavg", module=table1)["md"]
    assert "Pleural effusion (Clinic)" in text
    assert "Abroad" not in text
    written(made, tmp_path, *history_arguments(made, "paper"), module=methods)
    table = pd.read_csv(tmp_path / "table.csv")
    assert "abroad" not in set(table["site"])
    assert len(table) == 2 * 3 * 4  # architectures, methods and endpoints


def test_of_many_endpoints_each_is_a_group_of_the_table_of_methods(made, tmp_path, monkeypatch):
    monkeypatch.setattr(methods, "BESIDE", 3)
    text = written(made, tmp_path, *history_arguments(made, "paper"), module=methods)["md"]
    assert text.startswith("| Task | Method | AUROC | MB |")
    assert text.count("| DenseNet121, Surgical Aggregation |") == 4
    assert "| Pleural effusion (Clinic) | Standard, Baseline |" in text
