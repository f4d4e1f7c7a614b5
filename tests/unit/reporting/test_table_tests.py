"""The table of all paired tests: its rows, cells, three formats, and bad input."""

import math
import re
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from chexviz.base.errors import InputError
from chexviz.base.tables.evaluation import COMPARED, COMPARISONS, LITERAL, read_comparisons
from chexviz.evaluation.over_seeds import expected, holm
from chexviz.reporting import titles
from chexviz.reporting.tables import tests
from made_arguments import titles_argument
from made_results import HOSPITAL, RSNA, SIIM

METHODS = ("fedavg", "scaffold")
SITES = (RSNA, SIIM, HOSPITAL)


def write_comparisons(path: Path, sites, seeds) -> Path:
    """comparisons.csv of both architectures, METHODS and four tests; every p is its own."""
    draws = np.random.default_rng(5)
    rows = []
    for site, architecture, method, seed, test in product(
        sites, ("standard", "densenet121"), METHODS, seeds, titles.TESTS
    ):
        key = [site["name"], site["findings"][0], site["name"], architecture, method, "baseline"]
        key += [site["name"], seed, test]
        difference = draws.normal(0, 0.02)
        tested = norm.sf((difference + 0.05) / 0.02) if test != LITERAL else np.nan
        p = 2 * norm.sf(abs(difference) / 0.02)
        values = [difference, difference - 0.04, difference + 0.04, 0.02, difference / 0.02, p]
        rows.append([*key, *values, np.nan, 0.05, tested, ""])
    columns = [*COMPARED, "test", "difference", "low", "high", "standard_error"]
    columns += ["statistic", "p", "p_holm", "margin", "p_non_inferior", "note"]
    table = pd.DataFrame(rows, columns=columns)
    for _, family in table.groupby(["method", "seed", "test"]):
        table.loc[family.index, "p_holm"] = holm(family["p"].to_numpy())
    table.to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def one_seed(tmp_path_factory):
    path = tmp_path_factory.mktemp("one") / "comparisons.csv"
    return write_comparisons(path, (RSNA, SIIM), (2022,))


@pytest.fixture(scope="module")
def three_seeds(tmp_path_factory):
    path = tmp_path_factory.mktemp("three") / "comparisons.csv"
    return write_comparisons(path, (RSNA, SIIM, HOSPITAL), (1, 2, 3))


def made(comparisons: Path, folder, *options: str) -> dict[str, str]:
    """The table in its three formats."""
    files = {kind: folder / f"tests.{kind}" for kind in ("csv", "tex", "md")}
    outputs = [f"--{kind}={path}" for kind, path in files.items()]
    arguments = [f"--comparisons={comparisons}", "--method=fedavg"]
    arguments.append(titles_argument(SITES[: pd.read_csv(comparisons)["site"].nunique()]))
    tests.main([*arguments, *outputs, *options])
    return {kind: path.read_text() for kind, path in files.items()}


def test_a_row_for_each_comparison_of_the_method_and_each_test(one_seed, tmp_path):
    made(one_seed, tmp_path)
    table = pd.read_csv(tmp_path / "tests.csv")
    assert table[["architecture", "site", "test"]].drop_duplicates().shape[0] == len(table) == 16
    assert set(table["method"]) == {"fedavg"}
    written = COMPARISONS.read(one_seed)
    keys = ["site", "architecture", "method", "test"]
    written = written.set_index(keys)
    for row in table.itertuples():
        source = written.loc[(row.site, row.architecture, row.method, row.test)]
        names = ["difference", "standard_error", "statistic", "p", "p_holm", "margin"]
        found = [getattr(row, name) for name in names]
        np.testing.assert_allclose(found, source[names].astype(float), rtol=1e-12)
        bounds = [row.difference_low, row.difference_high]
        np.testing.assert_allclose(bounds, source[["low", "high"]].astype(float), rtol=1e-12)


def test_several_seeds_are_tested_by_what_is_expected_of_another(three_seeds, tmp_path):
    made(three_seeds, tmp_path)
    table = pd.read_csv(tmp_path / "tests.csv")
    assert len(table) == 3 * 2 * 4
    assert table["difference_low"].isna().all()
    written = COMPARISONS.read(three_seeds)
    for row in table.itertuples():
        keys = ["site", "architecture", "method", "test"]
        rows = written[(written[keys] == [getattr(row, key) for key in keys]).all(axis=1)]
        assert row.difference == pytest.approx(rows["difference"].mean())
        assert row.difference_sd == pytest.approx(rows["difference"].std())
        if row.test == "t_test_replicates":  # of one training
            assert np.isnan([row.standard_error, row.statistic, row.p, row.p_non_inferior]).all()
            continue
        error = math.hypot(rows["standard_error"].mean(), rows["difference"].std() / math.sqrt(3))
        assert row.standard_error == pytest.approx(error)
        assert row.statistic == pytest.approx(row.difference / error)
        of_all = expected(rows["difference"].to_numpy(), rows["standard_error"].to_numpy())
        assert row.p == pytest.approx(of_all.p())
        assert row.p_non_inferior == pytest.approx(of_all.p_non_inferior(row.margin))
        shown = row.p_non_inferior < 0.025
        assert row.verdict == ("non-inferior" if shown else "not shown")
    for _, family in table.groupby("test"):
        np.testing.assert_allclose(family["p_holm"], holm(family["p"].to_numpy()))


def row(**changes) -> pd.Series:
    row = {"test": "bootstrap_patients", "primary": True, "uncertainty": "95 % interval"}
    row |= {"difference": -0.0123, "difference_low": -0.0314, "difference_high": 0.0071}
    row |= {"difference_sd": 0.0042, "standard_error": 0.00981, "statistic": -1.254, "p": 0.21}
    row |= {"p_holm": 0.63, "p_non_inferior": 0.0004, "verdict": "non-inferior"}
    return pd.Series(row | changes)


def test_a_test_as_readers_see_it():
    def cells(**changes):
        return tests.test_cells(row(**changes))

    primary = ["Bootstrap over patients (primary)", "−0.012 (−0.031 to 0.007)", "0.0098"]
    assert cells() == [*primary, "z = −1.25", "0.21", "0.63", "yes, p < 0.001"]
    literal = {"test": "t_test_replicates", "primary": False, "verdict": np.nan}
    assert cells(**literal, p_non_inferior=np.nan) == [
        *("t-test over replicates (anti-conservative)", *primary[1:], "t = −1.25"),
        *("0.21", "0.63", "–"),
    ]
    several = {"uncertainty": "SD over seeds", "standard_error": np.nan, "statistic": np.nan}
    assert cells(**several, verdict="not shown", p_non_inferior=0.3)[1:] == [
        *("−0.012 ± 0.004", "–", "–", "0.21", "0.63", "no, p = 0.30")
    ]
    unknown = dict.fromkeys(("p", "p_holm", "p_non_inferior"), np.nan) | {"verdict": np.nan}
    assert cells(**unknown)[-3:] == ["–", "–", "–"]
    bounds = dict.fromkeys(("difference_low", "difference_high"), np.nan)
    bare = dict.fromkeys(("standard_error", "statistic"), np.nan)
    few = cells(**unknown | bounds | bare | {"verdict": "too few"})
    assert few[1:] == ["−0.012", "–", "–", "too few", "–", "too few"]


def test_markdown_names_each_model_once_and_the_family(one_seed, tmp_path):
    text = made(one_seed, tmp_path, "--mark=DEMO: x")["md"]
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert text.startswith("**DEMO: x**")
    assert len(lines) == 1 + 16
    assert text.count("DenseNet121 w/ FL") == 2
    assert text.count("(primary)") == 4
    assert "for the 4 comparisons of this table" in text
    assert "no loss of 0.05 or more" in text
    assert {line.count("|") for line in lines} == {9}


def test_tex_is_balanced_and_plain(three_seeds, tmp_path):
    tex = made(three_seeds, tmp_path)["tex"]
    body = tex.split(r"\toprule")[1].split(r"\bottomrule")[0]
    rows = [
        line for line in body.splitlines() if line.endswith(r"\\") and "multicolumn" not in line
    ]
    assert len(rows) == 1 + 24
    assert {row.count(" & ") for row in rows} == {6}
    assert "for the 6 comparisons" in tex
    assert "expected over trainings" in tex
    assert tex.isascii()
    assert not re.search(r"(?<!\\)[%_#]", tex)


def test_a_method_that_was_not_compared_is_refused(one_seed, tmp_path):
    with pytest.raises(InputError, match="rows of the method fedprox"):
        made(one_seed, tmp_path, "--method=fedprox")
    assert not list(tmp_path.iterdir())


def test_comparisons_of_an_older_version_are_refused(one_seed, tmp_path):
    path = tmp_path / "comparisons.csv"
    table = pd.read_csv(one_seed)
    table.drop(columns="test").to_csv(path, index=False)
    for reader in (COMPARISONS.read, read_comparisons):
        with pytest.raises(InputError, match="no test"):
            reader(path)


def test_the_primary_test_alone_is_read_for_the_other_tables(one_seed, tmp_path):
    table = read_comparisons(one_seed)
    assert set(table["test"]) == {"bootstrap_patients"}
    assert len(table) == 2 * 2 * 2
    empty = tmp_path / "comparisons.csv"
    empty.write_text(one_seed.read_text().splitlines()[0] + "\n")
    assert read_comparisons(empty).empty
