"""The paper's PDF: it compiles for every kind of run, says what the results say, and repeats."""

import html
import json
import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typst
import yaml
from made_results import (
    HOSPITAL,
    RSNA,
    SIIM,
    figure3_arguments,
    figure_audit_arguments,
    figure_training_arguments,
    history_arguments,
    make_results,
    table_arguments,
)
from PIL import Image

from chexviz import (
    figure1,
    figure2,
    figure3,
    figure_audit,
    figure_training,
    paper,
    plan,
    table1,
    table_methods,
)
from chexviz.errors import InputError

REPOSITORY = Path(__file__).parents[2]
TEMPLATE = REPOSITORY / "paper" / "paper.typ"
SCHEDULES = [
    {
        **{"name": "standard", "weights": "random", "learning_rate": 1e-3, "schedule": "cosine"},
        **{"baseline": {"epochs": 300}, "federated": {"rounds": 301, "local_epochs": 1}},
    },
    {
        **{"name": "densenet121", "weights": "imagenet", "learning_rate": 1e-5},
        **{"schedule": "constant", "warmup": {"epochs": 30, "learning_rate": 2.5e-3}},
        **{"baseline": {"epochs": 150}, "federated": {"rounds": 150, "local_epochs": 2}},
    },
]
METHODS = yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text())["methods"]
AUGMENTATION = {"rotation": 10, "zoom": 0.1, "contrast": 0.1, "flip": 0.5}
BOOTSTRAP = {"replicates": 2000, "unit": "patient", "confidence": 0.95, "seed": 2022}


def settings_of(made) -> dict:
    return {
        **{"sites": made.sites, "protocols": made.protocols, "architectures": SCHEDULES},
        "methods": [{"name": name} | plan.METHOD | METHODS[name] for name in made.methods],
        "seeds": made.seeds,
        "preprocess": {"size": 224, "fit": "pad"},
        "split": {
            **{"seed": 2022, "paper": {"evaluation": 0.2}},
            "patient": {"evaluation": 0.2, "validation": 0.1},
        },
        "training": {
            **{"batch": 64, "threads": 1, "precision": "auto", "augmentation": AUGMENTATION},
        },
        "evaluation": {"bootstrap": BOOTSTRAP},
    }


def draw_everything(made) -> dict:
    """Make the tables and figures of these results; return the files that the paper reads."""
    root = made.root
    inputs = {"figure1": str(root / "figure1.pdf")}
    inputs["published"] = str(REPOSITORY / "paper" / "published_table1.csv")
    inputs["bibliography"] = str(REPOSITORY / "paper" / "references.bib")
    files = ["--pdf", inputs["figure1"], "--png", str(root / "figure1.png")]
    figure1.main(["--settings", json.dumps({"sites": made.sites}), *files])
    inputs["labels"] = str(root / "audit" / "labels.csv")
    inputs["figure_audit"] = str(root / "audit.pdf")
    files = ["--pdf", inputs["figure_audit"], "--png", str(root / "audit.png")]
    figure_audit.main([*figure_audit_arguments(made), *files])
    for protocol in made.protocols:
        for name, path in draw_protocol(made, protocol).items():
            inputs.setdefault(name, {})[protocol] = str(path)
    for site in made.sites:
        for name in ("samples", "rejected"):
            inputs.setdefault(name, {})[site["name"]] = str(made.site(site["name"], f"{name}.csv"))
    return inputs


def draw_protocol(made, protocol: str) -> dict:
    """Make the tables and figures of one protocol; return the files that the paper reads."""
    folder = made.root / protocol
    names = ("figure2", "figure3", "training", "exchange")
    figures = {name: [folder / f"{name}.{kind}" for kind in ("pdf", "png")] for name in names}

    def saved(name: str) -> list[str]:
        return [
            f"--{kind}={path}" for kind, path in zip(("pdf", "png"), figures[name], strict=True)
        ]

    def formats(name: str) -> list[str]:
        return [f"--{kind}={folder / name}.{kind}" for kind in ("csv", "tex", "md")]

    evaluated = table_arguments(made, protocol)
    method = ["--method", made.methods[0]]
    table1.main([*evaluated, *method, *formats("table1")])
    table_methods.main([*evaluated, *history_arguments(made, protocol), *formats("methods")])
    roc = f"--roc={made.evaluation(protocol, 'roc')}"
    figure2.main([*evaluated, roc, *method, *saved("figure2")])
    figure3.main([*figure3_arguments(made, protocol), *saved("figure3")])
    both = [f for name in names[2:] for f in (f"--{name}", *map(str, figures[name]))]
    figure_training.main([*figure_training_arguments(made, protocol), *both])
    return {
        **{name: made.evaluation(protocol, name) for name in ("metrics", "comparisons")},
        **{name: folder / f"{name}.csv" for name in ("table1", "methods")},
        **{name: made.root / name / f"{protocol}.csv" for name in ("audit", "splits")},
        **{name: pdf for name, (pdf, _) in figures.items()},
    }


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Results of two sites under both protocols, one seed, and the paper's inputs."""
    made = make_results(tmp_path_factory.mktemp("two"), images=60)
    return made, draw_everything(made)


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """Results of three sites, the paper's protocol alone, two seeds, several methods."""
    folder = tmp_path_factory.mktemp("three")
    sites = (RSNA, SIIM, HOSPITAL)
    methods = ("fedavg", "scaffold", "pooled", "ensemble")
    made = make_results(
        folder, sites=sites, protocols=("paper",), seeds=(1, 2), methods=methods, images=60
    )
    return made, draw_everything(made)


def write_paper(inputs, settings, output, mark="") -> bytes:
    arguments = ["--template", str(TEMPLATE), "--inputs", json.dumps(inputs)]
    arguments += ["--settings", json.dumps(settings), "--mark", mark, "--output", str(output)]
    paper.main(arguments)
    return output.read_bytes()


def words(facts: dict) -> str:
    """The text of the paper: its HTML export without tags."""
    page = typst.compile(
        str(TEMPLATE),
        root="/",
        format="html",
        ignore_system_fonts=True,
        sys_inputs={"facts": json.dumps(facts)},
    ).decode()
    text = re.sub(r"<style.*?</style>|<[^>]+>", "", page.partition("<body")[2], flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(text))


def headings(facts: dict) -> list[str]:
    answer = typst.query(
        str(TEMPLATE),
        "heading",
        field="body",
        root="/",
        ignore_system_fonts=True,
        sys_inputs={"facts": json.dumps(facts)},
    )
    return re.findall(r'"text": ?"([^"]+)"', answer)


def test_pdf_of_two_protocols_repeats_byte_for_byte_without_a_date(two, tmp_path):
    made, inputs = two
    first = write_paper(inputs, settings_of(made), tmp_path / "paper.pdf")
    assert first.startswith(b"%PDF-")
    assert write_paper(inputs, settings_of(made), tmp_path / "again.pdf") == first
    assert b"/CreationDate" not in first
    assert b"/ModDate" not in first
    assert str(made.root).encode() not in first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.pdf", "paper.pdf"]


def test_pdf_of_three_sites_and_one_protocol(three, tmp_path):
    made, inputs = three
    pdf = write_paper(inputs, settings_of(made), tmp_path / "paper.pdf", mark="DEMO: phantoms")
    assert pdf.startswith(b"%PDF-")


def red_pixels(facts: dict) -> list[int]:
    """How many pixels in the top 20 mm of each page are red; figures and text have none there."""
    options = {"root": "/", "format": "png", "ppi": 60, "ignore_system_fonts": True}
    pages = typst.compile(str(TEMPLATE), sys_inputs={"facts": json.dumps(facts)}, **options)
    counts = []
    for page in pages:
        with Image.open(BytesIO(page)) as image:
            top = np.array(image.convert("RGB"), dtype=int)[: int(20 / 25.4 * 60)]
        counts.append(int(((top[..., 0] - top[..., 1]) > 80).sum()))
    return counts


def test_mark_is_a_banner_on_the_first_page_and_a_header_on_all(three):
    made, inputs = three
    marked = red_pixels(paper.collect(inputs, settings_of(made), "DEMO: phantoms"))
    assert len(marked) > 2
    assert min(marked) > 20
    plain = red_pixels(paper.collect(inputs, settings_of(made), ""))
    assert max(plain) == 0


def test_sections_follow_the_protocols_that_ran(two, three):
    both = headings(paper.collect(two[1], settings_of(two[0]), ""))
    assert {"Published and reproduced", "Patient-wise protocol", "Supplement"} <= set(both)
    one = headings(paper.collect(three[1], settings_of(three[0]), ""))
    assert "Published and reproduced" in one
    assert "Supplement" in one
    assert "Patient-wise protocol" not in one


def test_patient_protocol_alone_is_not_compared_with_the_published_table(two, tmp_path):
    made, inputs = two
    settings = settings_of(made) | {"protocols": ["patient"]}
    facts = paper.collect(inputs, settings, "")
    assert facts["published"] is None
    assert "Published and reproduced" not in headings(facts)
    assert write_paper(inputs, settings, tmp_path / "paper.pdf").startswith(b"%PDF-")


def test_text_holds_the_files_numbers(two):
    made, inputs = two
    text = words(paper.collect(inputs, settings_of(made), ""))
    metrics = pd.read_csv(made.evaluation("paper", "metrics"))
    for row in metrics.itertuples():
        assert f"{row.auroc:.3f} ({row.auroc_low:.3f}–{row.auroc_high:.3f})" in text
    assert "2,000 bootstrap resamples of patients" in text
    assert "300 epochs, federations for 301 rounds of one local epoch" in text
    assert "150 rounds of two local epochs" in text
    assert "180 radiographs labelled for pneumonia (45 positive, 25" in text
    assert "A further 1 file could not be used" in text


def comparison(verdict: str, p: float, difference: float = -0.02) -> dict:
    values = {"difference": difference, "low": -0.041, "high": 0.01, "p": p}
    values |= {"p_text": paper.p_text(p), "verdict": verdict}
    names = {"task": "pneumonia", "model": "Standard w/ FL", "architecture": "Standard"}
    return names | values | {"auroc": "0.84", "baseline": "0.85"}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (
            [comparison("same", 0.1), comparison("same", 0.76)],
            [
                "In none of the two comparisons did the AUROC of the federated model differ "
                "significantly from that of its baseline (p from 0.10 to 0.76).",
                "admit losses of up to 0.041 in AUROC",
            ],
        ),
        (
            [comparison("same", 0.1)],
            ["The AUROC of the federated model did not differ significantly from that of"],
        ),
        (
            [comparison("lower", 0.0001), comparison("same", 0.3), comparison("same", 0.4)],
            [
                "Of three comparisons, the AUROC of the federated model was significantly lower in "
                "one (pneumonia with Standard, p < 0.001).",
                "It did not differ significantly in the other two (p from 0.30 to 0.40).",
                "in one of three comparisons federation cost discrimination, by 0.020 in AUROC.",
            ],
        ),
        (
            [comparison("higher", 0.01, 0.03)],
            ["was significantly higher than that of its baseline (p = 0.01).", "Federation helped"],
        ),
        (
            [comparison("lower", 0.02), comparison("higher", 0.01, 0.03)],
            [
                "significantly lower in one (pneumonia with Standard, p = 0.02) and significantly "
                "higher in one (pneumonia with Standard, p = 0.01).",
                "whether it pays depends on the task",
            ],
        ),
    ],
)
def test_conclusions_follow_the_p_values(two, rows, expected):
    made, inputs = two
    facts = paper.collect(inputs, settings_of(made) | {"protocols": ["paper"]}, "")
    facts["protocols"][0]["comparisons"] = rows
    text = words(facts).replace("\u00a0", " ")
    for sentence in expected:
        assert sentence in text
    if rows[0]["verdict"] != "same":
        assert "In none of" not in text


def test_verdict_is_that_of_the_p_value():
    assert paper.verdict(0.05, -0.1) == "same"
    assert paper.verdict(0.049, -0.1) == "lower"
    assert paper.verdict(0.049, 0.1) == "higher"
    assert paper.verdict(np.nan, 0.1) == "undefined"


def runs(value, low, high, metric="auroc") -> pd.DataFrame:
    return pd.DataFrame({metric: value, f"{metric}_low": low, f"{metric}_high": high})


def test_published_value_is_inside_given_its_rounding():
    cell = paper.published_cell("0.85", runs([0.87], [0.8549], [0.88]), "auroc")
    assert cell == {"published": "0.85", "ours": "0.870 (0.855–0.880)", "inside": True}
    assert not paper.published_cell("0.85", runs([0.87], [0.8551], [0.88]), "auroc")["inside"]
    assert paper.published_cell("0.85", runs([0.83], [0.82], [0.846]), "auroc")["inside"]
    assert not paper.published_cell("0.85", runs([0.83], [0.82], [0.844]), "auroc")["inside"]


def test_published_percentage_and_the_envelope_of_seeds():
    two_seeds = runs([0.80, 0.84], [0.78, 0.82], [0.82, 0.86], "sensitivity")
    cell = paper.published_cell("85.90", two_seeds, "sensitivity")
    assert cell == {"published": "85.90", "ours": "82.0 (78.0–86.0)", "inside": True}
    assert not paper.published_cell("86.01", two_seeds, "sensitivity")["inside"]


def test_published_table_is_the_original_one():
    table = pd.read_csv(REPOSITORY / "paper" / "published_table1.csv")
    assert len(table) == 8
    assert table["sensitivity"].tolist()[:4] == [82.57, 78.01, 84.90, 80.08]
    assert table["p"].dropna().tolist() == [0.10, 0.19, 0.71, 0.76]
    # The four pneumonia sensitivities are fractions of 1,205 positives, to two decimals.
    fractions = 100 * np.round(table["sensitivity"][:4] / 100 * 1205) / 1205
    np.testing.assert_allclose(fractions.round(2), table["sensitivity"][:4])


def test_shared_task_is_compared_with_the_first_site_that_has_it(three):
    made, inputs = three
    facts = paper.collect(inputs, settings_of(made), "")
    titles = [group["title"] for group in facts["published"]]
    assert titles == ["Pneumonia (RSNA)", "Pneumothorax (SIIM-ACR)"]
    assert [len(group["rows"]) for group in facts["published"]] == [4, 4]


def test_missing_input_is_named(two, tmp_path):
    made, inputs = two
    gone = inputs | {"audit": inputs["audit"] | {"patient": str(tmp_path / "absent.csv")}}
    with pytest.raises(InputError, match=r"absent\.csv"):
        write_paper(gone, settings_of(made), tmp_path / "paper.pdf")
    without = {name: files for name, files in inputs.items() if name != "splits"}
    with pytest.raises(InputError, match="a file for splits, paper"):
        write_paper(without, settings_of(made), tmp_path / "paper.pdf")
    settings = settings_of(made)
    del settings["training"]
    with pytest.raises(InputError, match="no training"):
        write_paper(inputs, settings, tmp_path / "paper.pdf")
    assert list(tmp_path.iterdir()) == []


def test_template_that_does_not_compile_is_named(two, tmp_path):
    made, inputs = two
    template = tmp_path / "broken.typ"
    template.write_text("#unknown")
    facts = paper.collect(inputs, settings_of(made), "")
    with pytest.raises(InputError, match=r"broken\.typ[\s\S]*unknown"):
        paper.typeset(template, facts)
