"""What checklists ask for: sentences follow the numbers, and docs/claim.md names what is there."""

import json
import re
from io import BytesIO

import pandas as pd
import pytest
import torch
import typst
from pypdf import PdfReader
from test_paper import TEMPLATE, facts_of, headings, words

from chexviz.base.errors import InputError
from chexviz.base.tables.study import FLOW
from chexviz.evaluation.planning import Precision
from chexviz.models import model, sizes
from chexviz.pipeline import release
from chexviz.reporting.paper import checklists, paper
from chexviz.reporting.tables import characteristics, confusion
from made_paper import REPOSITORY, make_paper
from made_results import HOSPITAL

CLAIM, TRIPOD = 44, 27
PARTS = {3: "abc", 5: "ab", 6: "abc", 8: "abc", 9: "abc", 12: "abcdefg", 18: "abcdef", 20: "abc"}
PARTS |= {23: "ab", 27: "abc"}  # of TRIPOD+AI


# --- sentences ---


def source(**changes) -> dict:
    row = {"kind": "kaggle-dataset", "address": "https://www.kaggle.com/datasets/a/b"}
    row |= {"date": "2026-11-29", "files": 12089, "bytes": 1_972_000_000}
    return row | {"sha256": "0123456789abcdef" * 4} | changes


def test_a_remote_source_has_its_day_and_what_is_not_known_is_unknown():
    said = checklists.source_sentence(source())
    assert said == (
        "fetched from https://www.kaggle.com/datasets/a/b on 2026-11-29, of an unknown release "
        "(12,089 files, 2.0 GB; SHA-256 of their list: 0123456789abcdef)"
    )
    assert "on an unknown day" in checklists.source_sentence(source(date=""))
    own = checklists.source_sentence(source(kind="local", address="", date=""))
    assert own.startswith("files of this machine, of an unknown release and date (12,089 files")
    drawn = checklists.source_sentence(source(kind="phantom", address="", date=""))
    assert drawn == "drawn by the workflow (12,089 files, 2.0 GB)"


def test_what_a_site_holds_is_told_by_its_reader_but_a_phantom_is_drawn():
    assert checklists.dataset("rsna", "local") == "rsna"
    assert checklists.dataset("siim", "kaggle-dataset") == "siim"
    assert checklists.dataset("table", "local") == ""
    assert checklists.dataset("rsna", "phantom") == "drawn"
    assert checklists.kinds_of(["phantom", "local", "kaggle-dataset"]) == ["public", "own", "drawn"]
    assert checklists.kinds_of(["storage"]) == ["own"]


def steps(*rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["step", "reason", "images"]).assign(subset="")


def test_the_flow_is_said_in_the_numbers_of_its_table():
    siim = steps(
        *[("found", "", 24178), ("rejected", "second copy of ...", 12089)],
        *[("rejected", "no annotation in train-rle.csv", 42), ("usable", "", 12047)],
        ("unlabelled", "", 0),
    )
    assert checklists.flow_sentence("SIIM-ACR", siim) == (
        "Of 24,178 radiographs found at SIIM-ACR, 12,047 are usable and 12,131 were rejected "
        "(12,089 second copy of another file; 42 no annotation in train-rle.csv)."
    )
    whole = steps(("found", "", 10), ("usable", "", 10), ("unlabelled", "", 3))
    assert checklists.flow_sentence("A", whole) == (
        "Of 10 radiographs found at A, 10 are usable; 3 usable ones have no label and are in no "
        "subset."
    )
    kinds = [("rejected", f"reason {name}", 2) for name in "abcde"]
    many = steps(("found", "", 20), *kinds, ("usable", "", 10), ("unlabelled", "", 0))
    assert "2 reason c; 4 for other reasons)" in checklists.flow_sentence("A", many)


def test_views_are_counted_and_unknown_where_no_image_has_one():
    people = {"images": 10, "ap": 4, "pa": 3, "view_other": 0, "view_unknown": 3}
    assert checklists.acquisition_sentence(people) == "4 AP, 3 PA, 3 unknown"
    nothing = people | {"ap": 0, "pa": 0, "view_unknown": 10}
    assert checklists.acquisition_sentence(nothing) == "the view of all images is unknown"


def planned(*powers):
    return [({}, None if one is None else Precision(0.01, 0.02, one)) for one in powers]


def test_the_margin_is_judged_by_the_power_that_the_sizes_give():
    assert checklists.margin_sentence(planned(0.999, 0.9999), 0.05) == (
        "A federation that loses nothing would be shown to lose less than 0.05 with a power of "
        "above 99 % by evaluation set."
    )
    low = checklists.margin_sentence(planned(0.35, 0.9, None), 0.05)
    assert (
        "a power of 35 % to 90 % by evaluation set (1 set left out, too small to plan with)" in low
    )
    assert low.endswith("where the power is low, a margin that is not met says little.")
    assert checklists.margin_sentence(planned(None), 0.05).startswith("No evaluation set is large")


def errors(missed, alarms, shared_missed, shared_alarms, seed=1) -> pd.DataFrame:
    counts = {"false_negatives": missed, "false_positives": alarms, "seed": seed}
    shared = dict(zip(confusion.SHARED, (shared_missed, shared_alarms), strict=True))
    return pd.DataFrame([counts | shared])


def test_errors_that_the_baseline_makes_too_are_said():
    model = pd.concat([errors(10, 30, 4, 6), errors(0, 10, 0, 5), errors(99, 99, 9, 9, seed=2)])
    assert checklists.error_sentence(model) == (
        "the federated models of the first of 2 seeds made 50 errors (10 false negatives, 40 false "
        "positives); the baselines made 15 of them (30 %) as well."
    )
    one = checklists.error_sentence(errors(1, 0, 0, 0))
    assert "made 1 error (1 false negative, 0 false positives)" in one
    assert "made none of them as well" in one
    assert checklists.error_sentence(errors(0, 0, 0, 0)) == "the federated models made no error."


@pytest.mark.parametrize(
    ("share", "said"),
    [(0.805, "80 %"), (0.991, "above 99 %"), (0.004, "below 1 %"), (0.99, "99 %")],
)
def test_a_power_is_not_rounded_to_certainty(share, said):
    assert checklists.power_text(share) == said


# --- release ---


def test_versions_are_those_of_the_lock_and_the_address_that_of_the_citation(tmp_path):
    lock = REPOSITORY / "envs" / "requirements.lock"
    versions = dict(release.software(lock))
    assert f"torch=={versions['PyTorch']} " in lock.read_text()
    assert len(versions["NumPy"].split(" or ")) == lock.read_text().count("\nnumpy==")
    short = tmp_path / "short.lock"
    short.write_text("torch==1.0 \\\n")
    with pytest.raises(InputError, match="none of torchvision"):
        release.software(short)
    citation = tmp_path / "CITATION.cff"
    citation.write_text('version: 1.2\nlicense: MIT\nrepository-code: "https://example.org/x"\n')
    assert release.code(citation) == {
        **{"version": "1.2", "licence": "MIT", "address": "https://example.org/x"}
    }
    assert release.code(REPOSITORY / "CITATION.cff")["version"] == "0.1.0"


def test_the_text_has_the_sizes_of_the_models_that_are_built():
    standard = model.build("standard", {"rsna": ["pneumonia"]}, 1)
    layers = standard.representation.layers
    widths = [one.out_channels for one in layers if isinstance(one, torch.nn.Conv2d)]
    facts = sizes.facts()
    assert widths == facts["standard"]
    block = standard.task("rsna")
    assert (block.layers[0].out_features, block.dropout.share) == (
        *(facts["hidden"], facts["dropout"]),
    )


# --- the paper ---


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    return make_paper(tmp_path_factory.mktemp("two"), images=60)


@pytest.fixture(scope="module")
def rare(tmp_path_factory):
    """One site of its own, three positive evaluation images, nothing known of its patients."""
    return make_paper(
        tmp_path_factory.mktemp("rare"),
        sites=(HOSPITAL,),
        protocols=("paper",),
        seeds=(1, 2),
        images=12,
        known=False,
    )


def has_label(facts: dict, label: str) -> bool:
    answer = typst.query(
        *(str(TEMPLATE), f"<{label}>"),
        root="/",
        ignore_system_fonts=True,
        sys_inputs={"facts": json.dumps(facts)},
    )
    return len(json.loads(answer)) == 1


def rows_of(title: str) -> list[list[str]]:
    """The rows of one checklist in docs/claim.md: item, what it asks for, where."""
    text = (REPOSITORY / "docs" / "claim.md").read_text()
    section = text.partition(f"## {title}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (\d+[a-g]?) \| (.+?) \| (.+) \|$", section, re.MULTILINE)
    return [list(row) for row in rows]


def test_every_item_of_both_checklists_is_there_once():
    assert [row[0] for row in rows_of("CLAIM 2024")] == [str(item + 1) for item in range(CLAIM)]
    expected = [f"{item + 1}{part}" for item in range(TRIPOD) for part in PARTS.get(item + 1, [""])]
    assert [row[0] for row in rows_of("TRIPOD+AI")] == expected


def test_every_item_names_what_the_paper_has(two):
    facts = facts_of(two)
    sections = set(headings(facts))
    first = PdfReader(BytesIO(paper.typeset(TEMPLATE, facts))).pages[0].extract_text()
    assert "Abstract." in first
    assert "an open reproduction" in first
    labels = set()
    for item, _, where in rows_of("CLAIM 2024") + rows_of("TRIPOD+AI"):
        named = re.findall(r"\*\*(.+?)\*\*", where)
        assert set(named) <= sections, item
        shown = re.findall(r"`@([\w{}-]+)`", where)
        plain = where in ("Title", "Abstract")
        assert named or shown or plain, item
        for protocol in two.protocols:
            labels |= {label.replace("{protocol}", protocol) for label in shown}
    missing = [label for label in sorted(labels) if not has_label(facts, label)]
    assert not missing


def test_the_paper_says_it_of_public_data(two):
    text = words(facts_of(two))
    for said in (
        "This is a retrospective study of radiographs and labels that existed before it.",
        "fetched from https://www.kaggle.com/c/rsna on 2026-11-29, of an unknown release",
        "radiologists drew a box around every opacity",
        "Of 182 radiographs found at RSNA, 180 are usable and 2 were rejected",
        "32, 64, and 128 maps",
        "dropout of 0.3",
        "running statistics, and images are not augmented",
        "The model of the last epoch or round is the one that is evaluated",
        "On evaluation images the image-wise protocol chooses the threshold",
        "this release states no public address",
        "The publishers answer for the approval of the collection and for consent",
        "PyTorch ",
        "the federated models made",
    ):
        assert said in text, said
    assert "the site to state" not in text


def test_the_paper_says_it_of_own_data_of_unknown_patients_and_three_positives(rare):
    facts = facts_of(rare)
    (group,) = facts["reporting"]["precision"]["groups"]
    assert group["rows"] == [["paper", "12", "3", "too few", "too few", "too few"]]
    assert facts["protocols"][0]["groups"][0]["positives"] == 3
    assert paper.typeset(TEMPLATE, facts).startswith(b"%PDF-")
    text = words(facts)
    for said in (
        "files of this machine, of an unknown release and date",
        "who labelled, from what, and how well readers agree is unknown here",
        "No evaluation set is large enough to plan with.",
        "the view of all images is unknown",
        "approval, consent and removal of names are for the site to state",
        "General Hospital: not public.",
    ):
        assert said in text, said
    assert "/data/chest" not in text
    assert "wang2017" not in text


def test_the_paper_says_it_of_drawn_radiographs(two):
    table = pd.read_csv(two.root / "audit" / "sources.csv")
    drawn = table.assign(kind="phantom", address="", date="")
    try:
        drawn.to_csv(two.root / "audit" / "sources.csv", index=False)
        text = words(facts_of(two))
    finally:
        table.to_csv(two.root / "audit" / "sources.csv", index=False)
    assert "This run is a test of the workflow on drawn radiographs." in text
    assert "the label is what was drawn, so it has no error" in text
    assert "Drawn radiographs show nobody." in text
    assert "kaggle.com" not in text.partition("References")[0]
    assert "radiologists drew a box" not in text


def test_the_numbers_of_the_tables_are_in_the_paper(two):
    pages = PdfReader(BytesIO(paper.typeset(TEMPLATE, facts_of(two)))).pages
    text = re.sub(r"\s", "", "".join(page.extract_text() for page in pages))
    people = pd.read_csv(two.root / "tables" / "participants.csv")
    for row in people.fillna({"protocol": ""}).to_dict("records"):
        for cell in characteristics.cells(row):
            assert re.sub(r"\s", "", cell) in text, cell
    assert FLOW.names == list(pd.read_csv(two.root / "audit" / "flow.csv"))
