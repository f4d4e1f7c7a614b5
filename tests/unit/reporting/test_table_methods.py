"""The table of all methods: exact cells from known numbers, its three formats, and bad input."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from chexviz.base.errors import InputError
from chexviz.base.tables import summaries
from chexviz.reporting import wording
from chexviz.reporting.tables import methods
from made_arguments import history_arguments, table_arguments
from made_results import HOSPITAL, RSNA, SIIM, make_results

METHODS = ("fedavg", "scaffold", "pooled", "ensemble")


@pytest.fixture(scope="module")
def one_seed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one")
    return make_results(folder, protocols=("paper",), methods=METHODS, images=40)


@pytest.fixture(scope="module")
def two_seeds(tmp_path_factory):
    folder, sites = tmp_path_factory.mktemp("two"), (RSNA, SIIM, HOSPITAL)
    return make_results(
        folder, sites=sites, protocols=("paper",), seeds=(1, 2), methods=METHODS, images=40
    )


def made(of, folder, *options: str) -> dict[str, str]:
    """The table in its three formats."""
    files = {kind: folder / f"methods.{kind}" for kind in ("csv", "tex", "md")}
    outputs = [f"--{kind}={path}" for kind, path in files.items()]
    arguments = [*table_arguments(of, "paper"), *history_arguments(of, "paper")]
    methods.main([*arguments, *outputs, *options])
    return {kind: path.read_text() for kind, path in files.items()}


def test_a_row_for_every_architecture_and_method_with_the_baseline_first(one_seed, tmp_path):
    made(one_seed, tmp_path)
    table = pd.read_csv(tmp_path / "methods.csv")
    rows = table[["architecture", "method", "site"]].to_numpy().tolist()
    assert rows == [
        [architecture, method, site]
        for architecture in ("standard", "densenet121")
        for method in ("baseline", *METHODS)
        for site in ("rsna", "siim")
    ]
    assert summaries.METHODS.names == list(table.columns)


def test_the_numbers_are_those_of_the_evaluation_and_of_the_histories(one_seed, tmp_path):
    made(one_seed, tmp_path)
    keys = ["site", "architecture", "method"]
    table = pd.read_csv(tmp_path / "methods.csv").set_index(keys)
    for row in pd.read_csv(one_seed.evaluation("paper", "metrics")).itertuples():
        found = table.loc[(row.site, row.architecture, row.method)]
        values = found[["auroc", "auroc_low", "auroc_high"]].tolist()
        assert values == [row.auroc, row.auroc_low, row.auroc_high]
    for row in pd.read_csv(one_seed.evaluation("paper", "comparisons")).itertuples():
        found = table.loc[(row.site, row.architecture, row.method)]
        values = found[["difference", "difference_low", "difference_high", "p"]].tolist()
        assert values == [row.difference, row.low, row.high, row.p]
    sent = table.xs("rsna")["sent"].xs("densenet121")
    assert sent.to_dict() == {
        **{"baseline": 0, "fedavg": 28_200_000, "scaffold": 56_400_000},
        **{"pooled": 0, "ensemble": 0},
    }


def model(**changes) -> dict:
    row = dict.fromkeys(("auroc_low", "auroc_high", "auroc_sd"), np.nan) | {"auroc": 0.8}
    row |= {"uncertainty": "95 % interval", "difference": -0.0123, "difference_low": -0.0314}
    row |= {"difference_high": 0.0071, "difference_sd": np.nan, "p": 0.19, "note": ""}
    return row | changes


def test_a_difference_as_readers_see_it():
    cell = methods.model_cell
    assert cell(model()) == "0.800\n−0.012 (−0.031 to 0.007), p = 0.19"
    assert cell(model(p=0.0001)) == "0.800\n−0.012 (−0.031 to 0.007), p < 0.001"
    seeds = model(uncertainty="SD over seeds", difference_sd=0.0042)
    assert cell(seeds) == "0.800\n−0.012 ± 0.004, p = 0.19"
    assert cell(model(difference=np.nan)) == "0.800"
    few = model(difference_low=np.nan, p=np.nan, note="too few cases: 3 positive of at least 20")
    assert cell(few) == "0.800\n−0.012, too few"


@pytest.mark.parametrize(
    ("count", "text"), [(28_153_216, "28.2"), (371_584, "0.372"), (1.04e8, "104"), (0, "–")]
)
def test_bytes_as_megabytes(count, text):
    assert wording.megabytes(count) == text


def test_every_format_has_every_method_and_the_mark(two_seeds, tmp_path):
    texts = made(two_seeds, tmp_path, "--mark", "DEMO: 5% & more")
    assert r"**DEMO: 5% \& more**" in texts["md"]
    assert r"\textbf{DEMO: 5\% \& more}" in texts["tex"]
    assert texts["csv"].count("DEMO: 5% & more") == 2 * 5 * 3
    for title in ("Baseline", "FedAvg", "SCAFFOLD", "Pooled", "Ensemble"):
        assert texts["md"].count(f"| {title} |") == 2
        assert texts["tex"].count(f"\n{title} & ") == 2
    table = pd.read_csv(tmp_path / "methods.csv")
    fedavg = table[table["method"] == "fedavg"].iloc[0]
    assert f"{fedavg['auroc']:.3f} ± {fedavg['auroc_sd']:.3f}<br>" in texts["md"]
    assert "Mean ± standard deviation over 2 seeds" in texts["md"]
    head = texts["md"].splitlines()[2]
    assert head == (
        "| Architecture | Method | Pneumonia (RSNA) | Pneumothorax (SIIM-ACR) "
        "| Pneumonia (General Hospital) | MB |"
    )


def test_tex_keeps_its_columns(two_seeds, tmp_path):
    tex = made(two_seeds, tmp_path)["tex"]
    body = tex.split(r"\toprule")[1].split(r"\bottomrule")[0]
    rows = [
        line for line in body.splitlines() if line.endswith(r"\\") and "multicolumn" not in line
    ]
    assert len(rows) == 1 + 2 * (1 + 2 * 4)  # a baseline has no second line
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {4}
    assert re.sub(r"\\.", "", tex).count("{") == re.sub(r"\\.", "", tex).count("}")
    assert tex.isascii()


def test_a_rerun_gives_the_same_bytes(one_seed, tmp_path):
    assert made(one_seed, tmp_path) == made(one_seed, tmp_path)


def test_a_history_of_an_older_version_is_named(one_seed, tmp_path):
    path = tmp_path / "old.history.csv"
    path.write_text("round,site,learning_rate,loss,images\n1,rsna,0.1,0.5,10\n")
    with pytest.raises(InputError, match=r"old\.history\.csv[\s\S]*no drift, sent"):
        made(one_seed, tmp_path, "--history", "standard", "fedavg", "1", str(path))


def test_what_a_private_method_spends_is_the_largest_of_its_sites(tmp_path):
    methods_of_run = ("fedavg", "dp3", "dpsite8")
    results = make_results(tmp_path, protocols=("paper",), methods=methods_of_run, images=40)
    promises = {
        "dp3": {"unit": "patient", "delta": 1e-5},
        "dpsite8": {"unit": "site", "delta": 1e-4},
    }
    formats = made(results, tmp_path, f"--private={json.dumps(promises)}")
    table = summaries.METHODS.read(tmp_path / "methods.csv")
    spent = table.drop_duplicates("method").set_index("method")[["epsilon", "delta", "unit"]]
    assert [*spent.loc["dp3"]] == [3.0, 1e-5, "patient"]
    assert [*spent.loc["dpsite8"]] == [8.0, 1e-4, "site"]
    assert spent.loc[["baseline", "fedavg"]].isna().all(axis=None)
    rows = [line for line in formats["md"].splitlines() if line.startswith("|")]
    assert rows[0].endswith("| MB | ε |")
    assert [row.split("|")[-2].strip() for row in rows if "dp3" in row] == ["3.00", "3.00"]
    assert [row.split("|")[-2].strip() for row in rows if "dpsite8" in row] == ["8.00 (site)"] * 2
    assert "at δ = 1e-5 and 1e-4, of each site's training for all images" in formats["md"]
    assert "the largest of the sites; of the federation's average for a site as" in formats["md"]


def test_without_a_private_method_nothing_is_said_of_privacy(one_seed, tmp_path):
    formats = made(one_seed, tmp_path)
    assert not any("ε" in text or "privacy" in text for text in (formats["md"], formats["tex"]))
