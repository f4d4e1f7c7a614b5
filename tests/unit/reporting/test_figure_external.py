"""The external figure: answers, heads and baselines where nothing trains, and their tests."""

import numpy as np
import pytest

from chexviz.base.errors import InputError
from chexviz.base.tables.evaluation import read_comparisons, read_metrics
from chexviz.reporting.figures import external
from chexviz.reporting.wording import p_text
from drawings import require_on_page, texts
from made_arguments import titles_argument
from made_results import ABROAD, CLINIC, RSNA, SIIM, make_results

SITES = [RSNA, SIIM, CLINIC, ABROAD]


@pytest.fixture(scope="module", params=[("fedavg",), ("shared", "fedavg")], ids=lambda one: one[0])
def made(request, tmp_path_factory):
    """Two of three sites learn pneumonia; heads of their own, or shared ones; two seeds."""
    options = {"protocols": ("paper",), "images": 40, "seeds": (5, 6), "methods": request.param}
    return make_results(tmp_path_factory.mktemp("made"), sites=SITES, **options)


def arguments(made, folder, **changes) -> list[str]:
    files = {name: made.evaluation("paper", name) for name in ("metrics", "comparisons")}
    files |= {kind: folder / f"a.{kind}" for kind in ("pdf", "png")}
    options = [f"--{name}={path}" for name, path in (files | changes).items()]
    return [*options, "--method", made.methods[0], titles_argument(made.sites)]


def test_every_number_is_that_of_the_metrics_of_the_first_seed(made, drawn, tmp_path):
    external.main(arguments(made, tmp_path))
    (figure,) = drawn
    shown = texts(figure)
    assert len(figure.axes) == 2 * 2
    metrics = read_metrics(made.evaluation("paper", "metrics"))
    rows = metrics[metrics["method"].isin(["baseline", made.methods[0]])]
    for row in rows.itertuples():
        text = f"{row.auroc:.3f} ({row.auroc_low:.3f}–{row.auroc_high:.3f})"
        assert (text in shown) == (row.site == "abroad" and row.seed == 5)
    assert {"Pneumonia (Abroad)", "Pneumothorax (Abroad)"} <= set(shown)
    row = metrics[(metrics["site"] == "abroad") & (metrics["finding"] == "pneumothorax")].iloc[0]
    assert f"n: {row['positives']} of {row['images']}" in shown
    assert any("First of 2 seeds (5)." in text for text in shown)
    require_on_page(figure)


def test_the_answer_comes_first_and_has_a_test_against_each_baseline(made, drawn, tmp_path):
    external.main(arguments(made, tmp_path))
    metrics = read_metrics(made.evaluation("paper", "metrics"))
    metrics = metrics[metrics["method"].isin(["baseline", made.methods[0]])]
    heads = {site["name"]: site["title"] for site in made.sites}
    own = metrics[(metrics["site"] == "abroad") & (metrics["finding"] == "pneumonia")]
    lines = external.lines_of(own, "abroad", heads)
    private = made.methods[0] == "fedavg"
    assert lines[0].head == ("mean" if private else "shared")
    kinds = [line.kind for line in lines]
    assert kinds == ["answer"] + ["head"] * 2 * private + ["baseline"] * 2
    assert [line.head for line in lines[-2:]] == ["rsna", "clinic"]
    tests = read_comparisons(made.evaluation("paper", "comparisons")).query(
        "site == 'abroad' and seed == 5 and method == @made.methods[0] and head == @lines[0].head"
    )
    first = drawn[0].axes[0]
    said = [text.get_text() for text in first.texts]
    chosen = (tests["architecture"] == "standard") & (tests["finding"] == "pneumonia")
    p = tests[chosen].set_index("reference_head")["p"]
    assert set(p.index) == {"rsna", "clinic"}
    for value in p:
        assert p_text(value) in said
    assert len(said) == len(lines) + 2  # p of baselines alone
    answer = own.query("architecture == 'standard' and seed == 5 and head == @lines[0].head")
    np.testing.assert_allclose(first.lines[0].get_xdata(), answer["auroc"].item())


def test_too_few_cases_have_no_interval_and_no_p(made, drawn, tmp_path):
    tables = {}
    for name, read in (("metrics", read_metrics), ("comparisons", read_comparisons)):
        table = read(made.evaluation("paper", name))
        few = (table["site"] == "abroad") & (table["finding"] == "pneumonia")
        table.loc[few, "note"] = "too few cases: 3 positive of at least 20"
        for column in ("auroc_low", "auroc_high", "p"):
            if column in table:
                table.loc[few, column] = np.nan
        tables[name] = tmp_path / f"{name}.csv"
        table.to_csv(tables[name], index=False)
    external.main(arguments(made, tmp_path, **tables))
    assert texts(drawn[0]).count("too few") == 2 * 2


def test_without_rows_of_an_external_finding_it_says_so(made, tmp_path):
    table = read_metrics(made.evaluation("paper", "metrics"))
    path = tmp_path / "metrics.csv"
    table[table["site"] != "abroad"].to_csv(path, index=False)
    with pytest.raises(InputError, match="none of abroad pneumonia, abroad pneumothorax"):
        external.main(arguments(made, tmp_path, metrics=path))


def test_rerun_gives_the_same_bytes(made, tmp_path):
    external.main([*arguments(made, tmp_path), "--mark", "DEMO"])
    first = [path.read_bytes() for path in sorted(tmp_path.iterdir())]
    external.main([*arguments(made, tmp_path), "--mark", "DEMO"])
    assert [path.read_bytes() for path in sorted(tmp_path.iterdir())] == first
