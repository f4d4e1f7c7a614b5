"""The paper's PDF: it compiles for every kind of run, says what the results say, and repeats."""

import html
import json
import re
import shutil
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
import typst
import yaml
from PIL import Image
from pypdf import PdfReader

import hostile
from chexviz.base.errors import InputError
from chexviz.base.methods import DEFAULTS
from chexviz.models import sizes
from chexviz.pipeline import release
from chexviz.reporting.paper import inventory, paper
from chexviz.reporting.paper.facts import collect
from made_leaks import ABOUT, write_leaks
from made_paper import REPOSITORY, make_figures, make_paper
from made_results import ABROAD, CLINIC, HOSPITAL, RSNA, SIIM

TEMPLATE = REPOSITORY / "paper" / "paper.typ"
BIBLIOGRAPHY = TEMPLATE.with_name("references.bib")
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
CONFIG = yaml.safe_load((REPOSITORY / "config" / "config.yaml").read_text())
METHODS = CONFIG["methods"] | {
    "dp3": {
        **{"algorithm": "fedavg", "batchnorm": "frozen"},
        "privacy": {"epsilon": 3, "delta": 1e-5, "clip": 1.0},
    },
    "dpsite8": {
        **{"algorithm": "fedavg", "batchnorm": "frozen", "heads": "shared", "weights": "uniform"},
        "privacy": {"epsilon": 8, "delta": 1e-5, "clip": 0.5, "unit": "site"},
    },
}
AUGMENTATION = {"rotation": 10, "zoom": 0.1, "contrast": 0.1, "flip": 0.5}


def settings_of(made) -> dict:
    return {
        **{"sites": made.sites, "protocols": made.protocols, "architectures": SCHEDULES},
        "methods": [{"name": name} | DEFAULTS | METHODS[name] for name in made.methods],
        "seeds": made.seeds,
        "preprocess": {"size": 224, "fit": "pad", "max_pixels": 36_000_000},
        "split": {
            **{"seed": 2022, "paper": {"evaluation": 0.2}},
            "patient": {"evaluation": 0.2, "validation": 0.1},
        },
        "training": {
            **{"batch": 64, "threads": 1, "precision": "auto", "augmentation": AUGMENTATION},
        },
        "evaluation": CONFIG["evaluation"],
        "software": release.software(REPOSITORY / "envs" / "requirements.lock"),
        "code": release.code(REPOSITORY / "CITATION.cff"),
        "sizes": sizes.facts(),
        "figures": inventory.shown_figures(
            made.sites, len(SCHEDULES), ["private methods"] * ("dp3" in made.methods)
        ),
        "attacked": [],
    }


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """Results of two sites under both protocols, one seed."""
    return make_paper(tmp_path_factory.mktemp("two"), images=60)


@pytest.fixture(scope="module")
def nobody(two, tmp_path_factory):
    """The same with no patient known."""
    made = replace(two, root=tmp_path_factory.mktemp("nobody") / "made")
    shutil.copytree(two.root, made.root)
    for site in made.sites:
        path = made.site(site["name"], "samples.csv")
        samples = pd.read_csv(path, dtype=str, keep_default_na=False)
        samples.assign(patient_known="False").to_csv(path, index=False)
    for protocol in made.protocols:
        path = made.root / "audit" / f"{protocol}.csv"
        audit = pd.read_csv(path).assign(known_images=0, affected_images=0)
        audit.assign(fraction=np.nan).to_csv(path, index=False)
    return made


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """Results of three sites, the paper's protocol alone, two seeds, several methods."""
    folder = tmp_path_factory.mktemp("three")
    sites = (RSNA, SIIM, HOSPITAL)
    methods = ("fedavg", "scaffold", "pooled", "ensemble", "dp3", "dpsite8")
    return make_paper(
        folder, sites=sites, protocols=("paper",), seeds=(1, 2), methods=methods, images=60
    )


@pytest.fixture(scope="module")
def abroad(tmp_path_factory):
    """A site of two findings, one of them that of another site, and an external site."""
    return make_paper(
        tmp_path_factory.mktemp("abroad"),
        sites=(RSNA, CLINIC, SIIM, ABROAD),
        methods=("surgical", "fedavg"),
        images=60,
    )


def facts_of(made, mark="", **changes) -> dict:
    return collect(made.root, BIBLIOGRAPHY, settings_of(made) | changes, mark)


def write_paper(results, settings, output, mark="") -> bytes:
    arguments = ["--template", str(TEMPLATE), "--bibliography", str(BIBLIOGRAPHY)]
    arguments += [
        "--results",
        str(results),
        "--settings",
        json.dumps(settings),
        "--mark",
        mark,
        "--output",
        str(output),
    ]
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


def squeezed(text: str) -> str:
    """Without what lines of a page put in: spaces and hyphens."""
    return re.sub(r"[\s\u00ad-]", "", text)


def abstract(facts: dict) -> str:
    """The first page of the PDF up to its figure, squeezed; of HTML it is no part."""
    pages = PdfReader(BytesIO(paper.typeset(TEMPLATE, facts))).pages
    return squeezed(pages[0].extract_text()).partition("Figure1.")[0]


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
    first = write_paper(two.root, settings_of(two), tmp_path / "paper.pdf")
    assert first.startswith(b"%PDF-")
    assert write_paper(two.root, settings_of(two), tmp_path / "again.pdf") == first
    assert b"/CreationDate" not in first
    assert b"/ModDate" not in first
    assert str(two.root).encode() not in first
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.pdf", "paper.pdf"]


def test_pdf_of_three_sites_and_one_protocol(three, tmp_path):
    pdf = write_paper(three.root, settings_of(three), tmp_path / "paper.pdf", mark="DEMO: phantoms")
    assert pdf.startswith(b"%PDF-")


def test_a_mark_and_a_title_are_no_markup(three):
    sites = [three.sites[0] | {"title": hostile.TEXT}, *three.sites[1:]]
    facts = facts_of(three, hostile.TEXT, sites=sites)
    text = words(facts)
    assert f"{hostile.TEXT} [" in text  # and what is cited for the site
    assert f"Pneumonia ({hostile.TEXT})" in text
    pages = PdfReader(BytesIO(paper.typeset(TEMPLATE, facts))).pages
    for page in pages:  # over each of them
        text = re.sub(r"\s", "", page.extract_text())
        assert re.sub(r"\s", "", hostile.TEXT) in text


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
    marked = red_pixels(facts_of(three, "DEMO: phantoms"))
    assert len(marked) > 2
    assert min(marked) > 20
    plain = red_pixels(facts_of(three))
    assert max(plain) == 0


def test_what_the_text_has_no_words_for_is_called_by_its_name(three):
    settings = settings_of(three)
    method = settings["methods"][0] | {"algorithm": "fedavgm"}
    architectures = [*SCHEDULES, SCHEDULES[0] | {"name": "resnet18"}]
    text = words(facts_of(three, methods=[method], architectures=architectures))
    assert "the algorithm fedavgm as its code defines it, each site weighted" in text
    assert "resnet18 is as configured." in text


def test_a_private_method_is_told_with_what_it_promises(two, three):
    text = words(facts_of(three))
    assert "each site trains with differential privacy for all images of a patient" in text
    assert "Differential privacy" in text
    assert "A patient is one record at a site" in text
    assert "Where a whole site is one record" in text
    assert "it shortens each step to 0.5 and adds noise to their sum" in text
    assert "differential privacy" not in words(facts_of(two))


def test_sections_follow_the_protocols_that_ran(two, three):
    both = headings(facts_of(two))
    assert {"Published and reproduced", "Patient-wise protocol", "Supplement"} <= set(both)
    one = headings(facts_of(three))
    assert "Published and reproduced" in one
    assert "Supplement" in one
    assert "Patient-wise protocol" not in one


def test_patient_protocol_alone_is_not_compared_with_the_published_table(two, tmp_path):
    settings = settings_of(two) | {"protocols": ["patient"]}
    facts = collect(two.root, BIBLIOGRAPHY, settings, "")
    assert facts["published"] is None
    assert "Published and reproduced" not in headings(facts)
    assert write_paper(two.root, settings, tmp_path / "paper.pdf").startswith(b"%PDF-")


def test_text_holds_the_files_numbers(two):
    text = words(facts_of(two))
    metrics = pd.read_csv(two.evaluation("paper", "metrics"))
    for row in metrics.itertuples():
        assert f"{row.auroc:.3f} ({row.auroc_low:.3f}–{row.auroc_high:.3f})" in text
    assert "2,000 bootstrap resamples of patients" in text
    assert "300 epochs, federations for 301 rounds of one local epoch" in text
    assert "150 rounds of two local epochs" in text
    assert "180 radiographs labelled for pneumonia (45 positive, 25" in text
    assert "A further 1 file could not be used" in text


def test_the_paper_says_what_is_concluded(two):
    """Each sentence is laid out as it is, but for the letter p; the words: test_conclusions.py."""
    facts = facts_of(two)
    text = words(facts).replace("\u00a0", " ")
    names = "results summary correction interpretation leakage optimism calibration energy focus"
    for protocol in facts["protocols"]:
        of_first = {"interpretation", "optimism"} if protocol["name"] != "paper" else set()
        for name in {*names.split(), "subgroups", "heads"} - of_first:
            assert re.sub(r"\s+", " ", protocol[name]) in text
    for sentence in (*facts["known"].values(), facts["both"], facts["inflation"]["said"]):
        assert sentence == facts["known"]["disjoint"] or re.sub(r"\s+", " ", sentence) in text
    first = facts["protocols"][0]
    for sentence in (first["results"], first["summary"], first["correction"]):
        assert squeezed(sentence) in abstract(facts)
    assert squeezed(facts["known"]["disjoint"]) in abstract(facts)


def test_what_leaks_is_said_where_it_was_measured(two):
    text = words(facts_of(two))
    assert "What the updates of sites and the models give away was not measured" in text
    write_leaks(two.root)
    make_figures(two, [two.root / "figures" / "privacy.pdf"], 1)
    shown = inventory.shown_figures(two.sites, len(SCHEDULES), ["privacy"])
    text = words(facts_of(two, attacked=[ABOUT], figures=shown))
    assert "Gradient inversion of Standard w/ FL on 24 images" in text
    assert "with an AUROC of 0.710 (0.660 to 0.760) (control: 0.510 (0.450 to 0.570))" in text
    assert "was not measured in this run" not in text
    assert "What leaks: what attacks on the updates of sites and on the models got." in text


def test_epsilon_is_shown_with_leaks_under_the_protocol_that_is_attacked(two, tmp_path):
    made = replace(two, root=tmp_path / "made")
    shutil.copytree(two.root, made.root)
    write_leaks(made.root)
    figures = [made.root / "figures" / one / "epsilon.pdf" for one in ("paper", "patient")]
    make_figures(made, [*figures, made.root / "figures" / "privacy.pdf"], 1)
    asked = ["private methods"], ["private methods", "privacy"]
    without, attacked = (inventory.shown_figures(two.sites, len(SCHEDULES), one) for one in asked)
    text = words(facts_of(made, figures=without))
    assert text.count("AUROC against differential privacy") == 2
    assert "Below, what attacks" not in text
    assert "what attacks on these models get" not in text
    text = words(facts_of(made, figures=attacked, attacked=[ABOUT]))
    assert text.count("Less epsilon is more noise. Below, what attacks on the models") == 1
    assert "what ε costs in AUROC, and what attacks on these models get." in text


def test_where_no_patient_is_known_nothing_goes_by_patients(nobody):
    facts = facts_of(nobody)
    text = words(facts).replace("\u00a0", " ")
    assert "Duplicate-disjoint protocol" in headings(facts)
    assert "60 images, 15 positive, patients unknown" in text
    repeated = "Repeated with no near-duplicate image on both sides of the split"
    assert squeezed(repeated) in abstract(facts)
    assert "Patients are unknown, so that images of one patient can be on both sides." in text
    assert "as none is known, each image counts as one" in text
    for claim in ("o patient on", "60 patients", "hole patients", "no patient and no near"):
        assert claim not in text
    assert "respects that images of one patient" not in text
    assert "atient-wise" not in text


def test_datasets_that_are_drawn_are_not_called_those_of_a_hospital(two):
    sites = [site | {"phantom": True} for site in two.sites]
    text = words(facts_of(two, sites=sites)).replace("\u00a0", " ")
    assert "180 phantom radiographs labelled for pneumonia" in text
    assert "come from one hospital" not in text
    assert "1,096" not in text
    assert "come from one hospital" in words(facts_of(two))


def test_shared_task_is_compared_with_the_first_site_that_has_it(three):
    facts = facts_of(three)
    groups = facts["published"]["table"]["groups"]
    assert [group["title"] for group in groups] == ["Pneumonia (RSNA)", "Pneumothorax (SIIM-ACR)"]
    assert [len(group["rows"]) for group in groups] == [4, 4]


def test_several_findings_and_external_sites_are_described_as_what_they_are(abroad, tmp_path):
    facts = facts_of(abroad)
    text = words(facts).replace("\u00a0", " ")
    for said in (
        "labelled for pneumonia and pleural effusion (",
        "The images of Abroad train nothing: they evaluate alone (external validation).",
        "Abroad is external: all labelled images evaluate every baseline",
        "with one task block for all sites",
        "one output for each finding",
        "A federated model has a head for each finding.",
        "No image of Abroad trained a model. For pneumonia (Abroad), the federated model had",
        "Before any use would come more sites that trained nothing",
        "Images with each finding",
        "Pleural effusion (Clinic)",
    ):
        assert said in text, said
    assert "No site is external" not in text
    assert "Two tasks are the smallest case" not in text
    assert "nan" not in text.split()
    first = facts["protocols"][0]["external"]
    for sentence in (first["results"], first["summary"], first["correction"]):
        assert re.sub(r"\s+", " ", sentence).replace("\u00a0", " ") in text
    assert squeezed(first["summary"]) in abstract(facts)
    assert "Abroad(pneumonia" not in abstract(facts)  # it is no site of the federation
    assert headings(facts).count("External sites") == 2
    pdf = write_paper(abroad.root, settings_of(abroad), tmp_path / "paper.pdf")
    assert pdf.startswith(b"%PDF-")
    table = abroad.root / "tables" / "patient" / "external.csv"
    with hidden(table), pytest.raises(InputError, match=r"tables/patient/external\.csv"):
        facts_of(abroad)


def test_of_many_groups_the_text_shows_some_and_the_supplement_all(abroad):
    facts = facts_of(abroad)
    main = facts["protocols"][0]
    main["groups"] = [main["groups"][0] | {"title": f"Task {one}"} for one in range(9)]
    text = words(facts)
    assert "The first six of 9 tasks; Table S1 has all of them." in text
    assert [text.count(f"Task {one} ") for one in (0, 5, 6, 8)] == [2, 2, 1, 1]


@contextmanager
def hidden(path):
    """The file is gone for a while."""
    kept = path.rename(path.with_suffix(".hidden"))
    try:
        yield
    finally:
        kept.rename(path)


def test_missing_input_is_named(two, tmp_path):
    table = two.root / "audit" / "patient.csv"
    with hidden(table), pytest.raises(InputError, match=r"audit/patient\.csv"):
        write_paper(two.root, settings_of(two), tmp_path / "paper.pdf")
    settings = settings_of(two)
    del settings["training"]
    with pytest.raises(InputError, match="missing required field training"):
        write_paper(two.root, settings, tmp_path / "paper.pdf")
    assert list(tmp_path.iterdir()) == []


def test_template_that_does_not_compile_is_named(two, tmp_path):
    template = tmp_path / "broken.typ"
    template.write_text("#unknown")
    facts = facts_of(two)
    with pytest.raises(InputError, match=r"broken\.typ[\s\S]*unknown"):
        paper.typeset(template, facts)
