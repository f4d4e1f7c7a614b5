"""Too few independent cases: neither an interval nor a p value, anywhere, and readers are told."""

import json
import re
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from pypdf import PdfReader
from test_paper import BIBLIOGRAPHY, TEMPLATE, settings_of
from test_published import settings_of as published_settings

from chexviz.evaluation import evaluate
from chexviz.evaluation.cases import count_cases, first_note, is_too_few, too_few
from chexviz.evaluation.paired_tests import compare
from chexviz.evaluation.predictions import read_models
from chexviz.evaluation.resamples import Bootstrap, Resampling, resamples
from chexviz.evaluation.roc import Ranking, auroc
from chexviz.reporting.figures import roc_curves
from chexviz.reporting.paper import paper
from chexviz.reporting.tables import methods, published, table1
from chexviz.reporting.tables import tests as table_tests
from made_arguments import findings_arguments, table_arguments, titles_argument
from made_paper import make_paper

THREE = "too few cases: 3 positive of at least 20"


def test_cases_are_counted_by_unit_in_each_class():
    labels, unit = np.array([1, 1, 0, 0, 1, np.nan]), np.array([0, 0, 0, 1, 2, 3])
    assert count_cases(labels, unit) == {"positive": 2, "negative": 2}


def test_what_is_lacking_is_named():
    assert too_few({"positive": 20, "negative": 400}, 20) == ""
    assert too_few({"positive": 3, "negative": 400}, 20) == THREE
    both = "too few cases: 3 positive and 19 negative of at least 20 each"
    assert too_few({"positive": 3, "negative": 19}, 20) == both
    assert is_too_few(both)
    assert not is_too_few(np.nan)
    assert first_note(pd.Series(["", np.nan, THREE])) == THREE


def test_three_positives_find_differences_where_there_are_none():
    """Why there is a minimum: of equal models the primary test calls 12 % different instead of 5 %.

    400 samples of 3 and of 20 positives among 200 negatives, AUROC 0.85: standard errors 1.6 and
    1.1 points.
    """
    draws = np.random.default_rng(1)
    rates = []
    for positives in (3, 20):
        labels = (np.arange(positives + 200) < positives).astype(int)
        unit, rejected = np.arange(len(labels)), 0
        for _ in range(400):
            common = draws.normal(size=len(labels))
            own = np.sqrt(0.25) * draws.normal(size=(2, len(labels)))
            scores = 1.466 * labels + np.sqrt(0.75) * common + own
            drawn = np.hstack(list(resamples(labels == 1, 200, draws.spawn(1)[0])))
            weights = np.column_stack([np.ones(len(labels)), drawn])
            one, two = (auroc(Ranking(labels, score, unit).curve(weights)) for score in scores)
            rejected += compare(one[0] - two[0], one[1:] - two[1:], 0.95).p < 0.05
        rates.append(rejected / 400)
    assert rates[0] > 0.08
    assert rates[1] < 0.09
    assert rates[0] > rates[1]


@pytest.fixture(scope="module")
def three_positives(tmp_path_factory):
    """Both sites evaluated anew; at RSNA three images are positive, and federation finds them."""
    made = make_paper(tmp_path_factory.mktemp("three"), protocols=("paper",), images=100)
    predictions = []
    for model in made.models:
        path = made.predictions("paper", model, 2022)
        table = pd.read_csv(path, dtype={"image": str, "patient": str})
        rsna = table[table["site"] == "rsna"]
        positive = rsna.drop_duplicates("patient").index[:3]
        table.loc[rsna.index, "label"] = 0
        table.loc[positive, "label"] = 1
        table.loc[rsna.index, "score"] = np.random.default_rng(3).random(len(rsna))
        if model[1] == "fedavg":
            table.loc[positive, "score"] = 0.999
        table.to_csv(path, index=False)
        predictions += ["--prediction", *model, "2022", str(path)]
    return made, [*predictions, *findings_arguments(made)]


def evaluated(made, predictions, minimum: int) -> None:
    bootstrap = {"replicates": 200, "unit": "patient", "confidence": 0.95, "seed": 1}
    settings = json.dumps({"bootstrap": bootstrap, "minimum_cases": minimum})
    names = ("metrics", "comparisons", "roc")
    outputs = [f"--{name}={made.evaluation('paper', name)}" for name in names]
    evaluate.main([*predictions, "--margin=0.05", "--settings", settings, *outputs])
    folder, tables = made.root / "tables" / "paper", table_arguments(made, "paper")

    def files(name: str) -> list[str]:
        return [f"--{kind}={folder / name}.{kind}" for kind in ("csv", "tex", "md")]

    table1.main([*tables, "--method=fedavg", *files("table1")])
    table_tests.main([*tables[1:], "--method=fedavg", *files("tests")])


def abstract(made) -> str:
    """The PDF's first page up to the introduction."""
    facts = paper.collect(made.root, BIBLIOGRAPHY, settings_of(made), "")
    page = PdfReader(BytesIO(paper.typeset(TEMPLATE, facts))).pages[0].extract_text()
    return re.sub(r"\s+", " ", page.replace("-\n", "")).partition("1 Introduction")[0]


def test_three_positive_images_make_no_claim_in_the_abstract(three_positives):
    """Without a minimum they made 'significantly higher, p = 0.01'; now there is no such test."""
    made, predictions = three_positives
    given = [predictions[place : place + 4] for place in range(1, 5 * len(made.models), 5)]
    findings = [[site["name"], site["role"], *site["findings"]] for site in made.sites]
    bootstrap = Bootstrap(replicates=200, unit="patient", confidence=0.95, seed=1)
    settings = Resampling(bootstrap=bootstrap, minimum_cases=0)
    comparisons = evaluate.evaluate(read_models(given, findings), settings, 0.05)["comparisons"]
    claimed = comparisons[comparisons["test"] == "bootstrap_patients"].query("site == 'rsna'")
    assert (claimed["p"] < 0.05).all()
    assert (claimed["difference"] > 0).all()
    evaluated(made, predictions, 20)
    text = abstract(made)
    assert "Abstract" in text
    for claim in ("significantly higher", "Federation helped", "p < 0.001"):
        assert claim not in text
    assert f"with Standard ({THREE})" in text
    assert "Two could not be tested, with too few cases." in text


def test_tables_and_the_figure_tell_of_three_positives(three_positives, drawn):
    made, predictions = three_positives
    evaluated(made, predictions, 20)
    folder = made.root / "tables" / "paper"
    table = pd.read_csv(folder / "table1.csv", keep_default_na=False, na_values=[""])
    few = table["site"] == "rsna"
    assert (table.loc[few, "note"] == THREE).all()
    assert table.loc[few, ["auroc_low", "sensitivity_high", "p"]].isna().all(axis=None)
    assert table.loc[few, ["auroc", "sensitivity"]].notna().all(axis=None)
    text = (folder / "table1.md").read_text()
    row = next(line for line in text.splitlines() if "Standard w/ FL" in line)
    assert row.endswith("| too few |")
    assert "(" not in row
    assert f"Neither interval nor p: Pneumonia ({THREE})." in text
    tests = pd.read_csv(folder / "tests.csv", keep_default_na=False, na_values=[""])
    assert set(tests.loc[tests["site"] == "rsna", "verdict"]) == {"too few"}
    assert "for the 2 comparisons of this table" in (folder / "tests.md").read_text()

    names = ("roc", "metrics", "comparisons")
    files = [f"--{name}={made.evaluation('paper', name)}" for name in names]
    roc_curves.main([*files, titles_argument(made.sites), "--method=fedavg", "--pdf=x", "--png=x"])
    said = [text.get_text() for text in drawn[0].findobj(roc_curves.style.plt.Text)]
    assert said.count("CheXViz, too few for p") == 2
    assert any(THREE in text for text in said)


def test_published_values_are_not_judged_by_three_positives(three_positives, tmp_path, repository):
    made, predictions = three_positives
    evaluated(made, predictions, 20)
    files = {kind: tmp_path / f"published.{kind}" for kind in ("csv", "tex", "md")}
    published.main(
        [
            f"--published={repository / 'paper' / 'published_table1.csv'}",
            f"--data={repository / 'paper' / 'published_data.csv'}",
            *table_arguments(made, "paper")[:2],
            *("--settings", json.dumps(published_settings(made))),
            *(f"--{kind}={path}" for kind, path in files.items()),
        ]
    )
    table = pd.read_csv(files["csv"])
    rows = table[(table["finding"] == "pneumonia") & (table["metric"] == "auroc")]
    assert rows["reason"].str.contains(THREE).all()
    assert (rows["verdict"] == "not comparable").all()
    assert rows["low"].isna().all()
    assert methods.TOO_FEW == "too few"
