"""Table 1: exact strings from known numbers, its three formats, and bad input."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from chexviz.base.errors import InputError
from chexviz.base.tables.evaluation import METRICS
from chexviz.base.tables.sites import SAMPLES
from chexviz.base.tables.summaries import TABLE1
from chexviz.reporting import titles, wording
from chexviz.reporting.tables import cells, models, outputs, table1, typesetting

SITES = [
    {"name": name, "title": title, "role": "train", "findings": [finding]}
    for name, title, finding in (
        *(("rsna", "RSNA", "pneumonia"), ("siim", "SIIM-ACR", "pneumothorax")),
        ("h", "Our hospital", "edema"),
    )
]
VALUES = {
    "loss": (0.3811, 0.3512, 0.4098),
    "sensitivity": (0.8257, 0.8012, 0.8461),
    "specificity": (0.7197, 0.7, 0.74),
    "aupr": (0.6304, 0.6, 0.66),
    "auroc": (0.85049, 0.8399, 0.8607),
}


def model(site: str, finding: str, method: str, seed: int) -> dict:
    row = {"site": site, "finding": finding, "head": site, "architecture": "standard"}
    return row | {"method": method, "seed": seed}


def metric_row(site="rsna", finding="pneumonia", method="baseline", seed=1, shift=0.0) -> dict:
    row = model(site, finding, method, seed)
    row |= {"images": 5336, "patients": 4000, "positives": 1205, "threshold": 0.3, "note": ""}
    for metric, (value, low, high) in VALUES.items():
        row |= {metric: value + shift, f"{metric}_low": low, f"{metric}_high": high}
    return row


TESTED = {"test": "bootstrap_patients", "p_holm": 1.0, "margin": 0.05, "p_non_inferior": 0.01}
TESTED["note"] = ""


def comparison_row(p, site="rsna", finding="pneumonia", seed=1, method="fedavg") -> dict:
    row = model(site, finding, method, seed) | {"reference": "baseline", "reference_head": site}
    row |= {"difference": -0.01, "low": -0.02}
    return row | {"high": 0.003, "standard_error": 0.006, "statistic": -1.6, "p": p} | TESTED


def evaluated(*sites, seeds=(1,), p=0.104, methods=("fedavg",)):
    """Metrics (of baseline and methods) and comparisons for these (site, finding)."""
    metrics, comparisons = [], []
    for site, finding in sites or [("rsna", "pneumonia")]:
        for number, seed in enumerate(seeds):
            for method in (*methods, "baseline"):
                metrics.append(metric_row(site, finding, method, seed, shift=0.02 * number))
            for method in methods:
                comparisons.append(comparison_row(p, site, finding, seed, method))
    return pd.DataFrame(metrics), pd.DataFrame(comparisons)


def write(folder, metrics, comparisons) -> list[str]:
    arguments = ["--method", "fedavg", "--titles", json.dumps(SITES)]
    for name, table in {"metrics": metrics, "comparisons": comparisons}.items():
        table.to_csv(folder / f"{name}.csv", index=False)
        arguments += [f"--{name}", str(folder / f"{name}.csv")]
    for kind in ("csv", "tex", "md"):
        arguments += [f"--{kind}", str(folder / f"table1.{kind}")]
    return arguments


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.0, "<0.001"),
        (0.000999, "<0.001"),
        (0.001, "0.001"),
        (0.0096, "0.010"),
        (0.0104, "0.01"),
        (0.0449, "0.04"),
        (0.0496, "0.050"),
        (0.0504, "0.050"),
        (0.104, "0.10"),
        (0.994, "0.99"),
        (1.0, ">0.99"),
        (np.nan, "–"),
    ],
)
def test_p_value_as_readers_expect_it(p, text):
    assert wording.p_text(p) == text


def test_markdown_has_the_papers_rows_in_order():
    table = models.summarise(*evaluated(), SITES)
    lines = typesetting.to_markdown(table1.layout(table), "").splitlines()
    assert lines[2] == (
        "| Pneumonia | Standard | 0.381 (0.351–0.410) | 82.6 (80.1–84.6) | 72.0 (70.0–74.0) "
        "| 0.630 (0.600–0.660) | 0.850 (0.840–0.861) | – |"
    )
    assert lines[3].startswith("|  | Standard w/ FL | 0.381")
    assert lines[3].endswith("| 0.10 |")
    assert lines[5].startswith("Evaluation set: Pneumonia: 5,336 images, 1,205 positive.")


def test_sites_are_named_by_their_finding_and_by_their_title_where_two_share_one():
    def names(sites: list[dict]) -> list[str]:
        pairs = [(site["name"], site["findings"][0]) for site in sites]
        return models.summarise(*evaluated(*pairs), sites)["group"].drop_duplicates().tolist()

    assert names(SITES) == ["Pneumonia", "Pneumothorax", "Edema"]
    same = [*SITES[:2], SITES[2] | {"findings": ["pneumonia"]}]
    titled = ["Pneumonia (RSNA)", "Pneumothorax (SIIM-ACR)", "Pneumonia (Our hospital)"]
    assert names(same) == titled


def test_several_seeds_give_mean_and_standard_deviation():
    table = models.summarise(*evaluated(seeds=(1, 2, 3), p=0.04), SITES)
    row = table.iloc[1]
    assert row["uncertainty"] == "SD over seeds"
    assert row["auroc"] == pytest.approx(0.87049)
    assert row["auroc_sd"] == pytest.approx(0.02)
    assert np.isnan(row["auroc_low"])
    assert row["p"] == pytest.approx(0.0956, abs=1e-4)
    assert row["difference"] == pytest.approx(-0.01)
    assert row["difference_sd"] == pytest.approx(0, abs=1e-12)
    assert table.iloc[0][["difference", "difference_sd", "p"]].isna().all()
    assert cells.cell(row, "auroc") == "0.870 ± 0.020"
    assert cells.cell(row, "sensitivity") == "84.6 ± 2.0"
    assert "over 3 seeds" in typesetting.to_markdown(table1.layout(table), "")


def test_of_several_methods_table_1_shows_the_one_that_is_asked_for(tmp_path):
    several = evaluated(methods=("fedprox", "fedavg", "unheard"))
    arguments = write(tmp_path, *several)
    table1.main(arguments)
    table = pd.read_csv(tmp_path / "table1.csv")
    assert table["model"].tolist() == ["Standard", "Standard w/ FL"]
    assert "FedProx" not in (tmp_path / "table1.tex").read_text()
    table1.main([*arguments, "--method", "fedprox"])
    assert "| Standard w/ FedProx |" in (tmp_path / "table1.md").read_text()
    table1.main([*arguments, "--method", "unheard"])
    assert "| Standard w/ unheard |" in (tmp_path / "table1.md").read_text()
    with pytest.raises(InputError, match=r"metrics\.csv[\s\S]*rows of the method scaffold"):
        table1.main([*arguments, "--method", "scaffold"])


def test_undefined_metric_is_a_dash():
    metrics, comparisons = evaluated()
    metrics.loc[:, ["sensitivity", "sensitivity_low", "sensitivity_high"]] = np.nan
    table = models.summarise(metrics, comparisons, SITES)
    rows = table1.layout(table).groups["Pneumonia"]
    assert [row[1 + [*METRICS].index("sensitivity")] for row in rows] == ["–"] * 2


def test_csv_is_tidy_and_unrounded(tmp_path):
    path = tmp_path / "table1.csv"
    outputs.write_marked(TABLE1, models.summarise(*evaluated(), SITES), "", path)
    table = pd.read_csv(path)
    assert table["model"].tolist() == ["Standard", "Standard w/ FL"]
    assert table.loc[1, "auroc"] == 0.85049
    assert table.loc[1, "auroc_low"] == 0.8399
    assert table.loc[1, "p"] == 0.104
    assert table.loc[1, ["difference", "difference_low"]].tolist() == [-0.01, -0.02]
    assert np.isnan(table.loc[0, "p"])


def test_tex_escapes_and_keeps_its_columns():
    pairs = [("a", "50% & #$~^{x}\\"), ("b", "y"), ("c", "y")]
    sites = [
        {"name": name, "title": f"{name}_1", "role": "train", "findings": [finding]}
        for name, finding in pairs
    ]
    table = models.summarise(*evaluated(*pairs), sites)
    tex = typesetting.to_tex(table1.layout(table), "DEMO_1: 5% & more")
    assert r"\textbf{DEMO\_1: 5\% \& more}" in tex
    assert r"50\% \& \#\$\textasciitilde{}\textasciicircum{}\{x\}\textbackslash{} (a\_1)" in tex
    for command in (r"\toprule", r"\midrule", r"\bottomrule"):
        assert command in tex
    body = tex.split(r"\toprule")[1].split(r"\bottomrule")[0]
    rows = [
        line for line in body.splitlines() if line.endswith(r"\\") and "multicolumn" not in line
    ]
    assert len(rows) == 1 + 6
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {6}
    unescaped = re.sub(r"\\.", "", tex)
    assert unescaped.count("{") == unescaped.count("}")
    assert tex.isascii()


def test_every_format_shows_the_mark_and_a_rerun_gives_the_same_bytes(tmp_path):
    arguments = [*write(tmp_path, *evaluated()), "--mark", "DEMO: phantoms"]
    table1.main(arguments)
    first = {kind: (tmp_path / f"table1.{kind}").read_bytes() for kind in ("csv", "tex", "md")}
    assert all(b"DEMO: phantoms" in content for content in first.values())
    table1.main(arguments)
    for kind, content in first.items():
        assert (tmp_path / f"table1.{kind}").read_bytes() == content
    table1.main(write(tmp_path, *evaluated()))
    assert all(b"DEMO" not in (tmp_path / f"table1.{kind}").read_bytes() for kind in first)


def test_uncompared_seed_is_refused(tmp_path):
    metrics, comparisons = evaluated(seeds=(1, 2))
    with pytest.raises(InputError, match=r"comparisons\.csv[\s\S]*Standard w/ FL on rsna"):
        table1.main(write(tmp_path, metrics, comparisons.iloc[:1]))


def test_missing_file_and_column_are_named(tmp_path):
    metrics, comparisons = evaluated()
    arguments = write(tmp_path, metrics.drop(columns="aupr_low"), comparisons)
    with pytest.raises(InputError, match=r"metrics\.csv[\s\S]*no aupr_low"):
        table1.main(arguments)
    (tmp_path / "metrics.csv").unlink()
    with pytest.raises(InputError, match=r"metrics\.csv[\s\S]*no such file"):
        table1.main(arguments)


def test_names_that_look_missing_or_numeric_stay(tmp_path):
    path = tmp_path / "samples.csv"
    path.write_text("image,patient\nNA,00012\n0012,nan\n,x\n")
    table = SAMPLES.read(path, "image", "patient")
    assert table["image"].tolist()[:2] == ["NA", "0012"]
    assert table["patient"].tolist() == ["00012", "nan", "x"]
    assert table["image"].isna().tolist() == [False, False, True]


def test_headings_are_those_of_the_metrics_whatever_their_order(monkeypatch):
    table = models.summarise(*evaluated(), SITES)
    first = table1.layout(table)
    assert first.head == ["Model", *(metric.text for metric in METRICS.values()), "p"]
    turned = dict(reversed(METRICS.items()))
    monkeypatch.setattr(table1, "METRICS", turned)
    second = table1.layout(table)
    for row, other in zip(first.groups["Pneumonia"], second.groups["Pneumonia"], strict=True):
        found = dict(zip(second.head, other, strict=True))
        assert found == dict(zip(first.head, row, strict=True))


def test_an_architecture_without_a_title_stands_for_itself():
    assert titles.architecture_title("resnet18") == "resnet18"
    assert titles.model_title("resnet18", "fedavg") == "resnet18 w/ FL"
