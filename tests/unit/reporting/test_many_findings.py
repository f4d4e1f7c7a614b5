"""Several findings a site, and very many of them: sentences stay readable, nothing is dropped."""

import math

import numpy as np
import pandas as pd
import pytest

from chexviz.base.tables.study import PARTICIPANTS
from chexviz.reporting.paper import (
    checklists,
    comparisons,
    external,
    facts,
    heads,
    labels,
    maps,
    patients,
    subgroups,
)
from chexviz.reporting.paper.comparisons import HIGHER, LOWER, SAME, Comparison
from chexviz.reporting.paper.external import Outside
from chexviz.reporting.paper.heads import Head
from chexviz.reporting.paper.labels import View
from chexviz.reporting.paper.maps import Energy, Focus
from chexviz.reporting.paper.subgroups import Area
from chexviz.reporting.tables import cells, characteristics, confusion, flow, inflation, typesetting
from made_results import ABROAD, CLINIC, RSNA

LONGEST = 700  # letters of what is said of 14 findings at 5 sites
TASKS = [f"finding {finding} (Hospital {site})" for site in "ABCDE" for finding in range(14)]
PAIRS = [*zip(TASKS, np.linspace(0.001, 0.04, len(TASKS)), strict=True)]
NIH = patients.Site(
    **{"title": "NIH", "findings": ["pneumonia", "pleural effusion"], "images": 600},
    **{"labelled": 600, "positives": 150, "known": 600, "patients": 200, "nameless": False},
    **{"table": "", "rejected": 0, "reader": "nih", "phantom": False},
)


# --- one site ------------------------------------------------------------------------------------


def test_a_site_of_several_findings_says_how_many_images_have_any():
    assert patients.contributed(NIH) == (
        "contributed 600 radiographs labelled for pneumonia and pleural effusion (150 positive for "
        "at least one, 25\u00a0%), from 200 patients."
    )
    many = NIH._replace(findings=[f"finding {one}" for one in range(14)])
    assert "labelled for 14 findings (" in patients.contributed(many)


def test_an_external_site_is_said_to_train_nothing():
    said = patients.contributed(NIH._replace(external=True, rejected=2))
    assert "from 200 patients. It trains nothing: all its labelled images evaluate. A fur" in said
    assert "It trains nothing" not in patients.contributed(NIH)


def test_a_collection_and_what_was_drawn_from_it_share_patients():
    rsna = NIH._replace(title="RSNA", reader="rsna")
    assert patients.across([rsna, NIH]).startswith(
        "The images of RSNA were drawn from ChestX-ray14, the dataset of NIH, so that these sites "
        "share patients and images."
    )
    assert patients.across([NIH, NIH._replace(reader="table")]) == ""
    assert checklists.dataset("vindr", "local") == "vindr"


# --- external sites ------------------------------------------------------------------------------


def compared(verdict=SAME, p=0.3, task="pneumonia", architecture="Standard") -> Comparison:
    low = -0.04 if verdict != HIGHER else 0.01
    return Comparison(
        **{"task": task, "architecture": architecture, "auroc": "0.84", "baseline": "0.85"},
        **{"difference": -0.01, "low": low, "high": 0.02, "p": p, "verdict": verdict},
        values=(0.84, 0.85),
    )


def outside(place: str, task="pneumonia (Abroad)", **changes) -> Outside:
    against = f"{task} against the baseline of {place}"
    return Outside(task, place, compared(task=against, **changes))


def test_an_external_site_has_each_baseline_beside_the_federated_model():
    rows = [outside("RSNA", p=0.1), outside("Clinic", p=0.0001, verdict=LOWER)]
    rows.append(outside("RSNA", architecture="DenseNet121"))
    assert external.results(rows) == (
        "For pneumonia (Abroad), the federated model had an AUROC of 0.84 with Standard (baseline "
        "of RSNA: 0.85, p = 0.10; of Clinic: 0.85, p < 0.001) and 0.84 with DenseNet121 (baseline "
        "of RSNA: 0.85, p = 0.30)."
    )
    assert comparisons.summary([row.compared for row in rows], external.BASELINES) == (
        "Of three comparisons, the AUROC of the federated model was significantly lower in one "
        "(pneumonia (Abroad) against the baseline of Clinic with Standard, p < 0.001). It did not "
        "differ significantly in the other two (p from 0.10 to 0.30)."
    )
    alone = comparisons.summary([compared()], external.BASELINES)
    assert alone == (
        "The AUROC of the federated model did not differ significantly from that of the baseline "
        "of a single site (p = 0.30)."
    )


def test_too_few_external_cases_are_not_tested():
    few = outside("RSNA")
    few = few._replace(compared=few.compared._replace(note="too few cases: 3 positive", p=math.nan))
    assert "(baseline of RSNA: 0.85, too few cases: 3 positive)" in external.results([few])


def test_a_site_that_trains_alone_has_no_external_facts(tmp_path):
    assert external.external_facts(tmp_path, pd.DataFrame(), [RSNA, CLINIC], 0.95) is None


# --- many ----------------------------------------------------------------------------------------


def test_results_of_many_tasks_are_a_range_by_architecture():
    rows = [compared(task=task, architecture=one) for task in TASKS for one in ("A", "B")]
    assert comparisons.results(rows) == (
        "Over the 70 tasks, the federated model had an AUROC of 0.840 with A (its baseline: 0.850) "
        "and 0.840 with B (its baseline: 0.850)."
    )


@pytest.mark.parametrize("verdict", [LOWER, HIGHER, SAME])
def test_many_comparisons_are_counted_with_the_range_of_p(verdict):
    rows = [compared(verdict, p, task) for task, p in PAIRS]
    said = [comparisons.summary(rows), comparisons.correction(rows)]
    said.append(comparisons.interpretation(rows, "95 %"))
    opposite = [row._replace(verdict={LOWER: HIGHER, HIGHER: LOWER}.get(verdict)) for row in rows]
    said.append(comparisons.both_protocols(rows, opposite, ("image-wise", "patient-wise")))
    assert max(map(len, said)) < LONGEST
    assert "finding 3 (" not in " ".join(said)
    if verdict != SAME:
        assert f"significantly {verdict} in 70 (p from 0.001 to 0.04)" in said[0]
        assert "the difference of 70 comparisons was significant in the opposite" in said[3]


def test_sentences_of_the_supplement_stay_short():
    rows = [Head(task, False, 0.6, 0.55, 0.65, 1.4, 1.1, 1.7) for task in TASKS]
    energies = [Energy(task, [0.1, 0.3], [0.05, 0.05], [0.2, 0.2]) for task in TASKS]
    focuses = [Focus(task, "Standard", 0.05, 0.02, 0.08, 0.01) for task in TASKS]
    areas = [Area(task, 0.6, 0.5, 0.7) for task in TASKS]
    views = [View(task, 2.0, 1.5, 2.5) for task in TASKS]
    said = {
        "heads": heads.heads(rows),
        "energy": maps.energy([maps.together(energies)]),
        "focus": maps.focus(focuses),
        "view": subgroups.view_alone(areas, TASKS),
        "tied": labels.confounding(views),
        "external": external.results([outside("RSNA", task=task) for task in TASKS]),
    }
    for name, sentence in said.items():
        assert 0 < len(sentence) < LONGEST, name
        assert "finding 3 (" not in sentence, name
    assert said["heads"].startswith(
        "For all 70 tasks together, 70 heads of another finding had an AUROC of 0.600; the "
        "interval lies above 0.5 for all 70 heads. Other heads and the site’s own called images"
    )
    assert "10 to 30\u00a0% for all 70 tasks (a uniform map: 5\u00a0%" in said["energy"]
    assert "in 70 (0.050) of 70 comparisons" in said["focus"]
    assert "AUROC of 0.600 for 70 tasks. For 70 tasks the view cannot" in said["view"]
    assert "The view is tied to 70 of them beyond chance (odds ratios from 2.00)" in said["tied"]


def test_views_of_many_labels_that_nobody_knows_are_not_called_untied():
    unknown = [View(task, math.nan, math.nan, math.nan) for task in TASKS]
    assert "is not known" in labels.confounding(unknown)
    loose = [View(task, 1.1, 0.8, 1.4) for task in TASKS]
    assert labels.confounding(loose).endswith("The view is tied to none of them beyond chance.")


def test_notes_below_tables_stay_short_and_say_how_many_sets_lack_cases():
    few = {"note": "too few cases: 3 positive of at least 20"}
    table = pd.DataFrame({"group": TASKS, "images": range(100, 170), "positives": 20, "seeds": 1})
    text = cells.note(table.assign(note=""))
    assert text.startswith("70 evaluation sets: 100 to 169 images, 20 positive.")
    assert len(cells.note(table.assign(**few))) < LONGEST
    assert "Neither interval nor p: 70 of 70 evaluation sets" in cells.note(table.assign(**few))


def test_what_many_sites_train_on_is_summed_once_a_site():
    table = pd.DataFrame({"group": TASKS, "site": [task[-2] for task in TASKS]})
    table = table.assign(training_paper=1000, training_patient=900)
    assert inflation.sizes(table).startswith(
        "The image-wise protocol trains on more images (of all sites together: 5,000 against 4,500)"
    )


def test_long_tables_of_latex_go_on_in_further_ones_and_lose_no_row():
    groups = {task: [["Standard", str(row)] for row in range(4)] for task in TASKS}
    tex = typesetting.to_tex(typesetting.Layout(["Model", "x"], groups, "All.", "Note."), "")
    assert tex.count(r"\begin{table*}") == tex.count(r"\end{table*}") == 7
    assert tex.count("Standard & ") == 280
    assert [tex.count(caption) for caption in (r"\caption{All.}", "All. (continued)")] == [1, 6]
    assert typesetting.parts({}) == [{}]


# --- images by finding ---------------------------------------------------------------------------


def images(**labels) -> pd.DataFrame:
    count = len(next(iter(labels.values())))
    names = [f"i{number}" for number in range(count)]
    rows = {"image": names, "patient": names, "patient_known": True, "view": "AP", "sex": "F"}
    return pd.DataFrame(rows | {"age": 50.0} | labels)


def clinic() -> pd.DataFrame:
    """Five images: both findings, one each, none, and one without any known label."""
    nan = np.nan
    return images(label_pneumonia=[1, 1, 0, 0, nan], label_pleural_effusion=[1, nan, 1, 0, nan])


def split_of(subsets: list) -> dict[str, pd.DataFrame]:
    names = [f"i{number}" for number in range(len(subsets))]
    return {"paper": pd.DataFrame({"site": "clinic", "image": names, "subset": subsets})}


def test_an_image_is_positive_with_any_finding_and_counted_with_each_that_is_known():
    split = split_of(["train", "train", "evaluation", "evaluation"])
    rows = characteristics.describe("clinic", CLINIC["findings"], clinic(), split)
    table = characteristics.joined([*rows, *characteristics.describe("rsna", [], clinic(), {})])
    table = PARTICIPANTS.frame(table.assign(mark=""))
    every = table.iloc[0]
    assert (every["images"], every["positives"]) == (4, 3)
    assert every[["positives_pneumonia", "known_pneumonia"]].tolist() == [2, 4]
    assert every[["positives_pleural_effusion", "known_pleural_effusion"]].tolist() == [2, 3]
    assert table.iloc[-1][["positives_pneumonia", "known_pneumonia"]].isna().all()
    shown = characteristics.findings_layout(table, [CLINIC])
    assert shown.head == ["Finding", "All", "paper: training", "paper: evaluation"]
    assert shown.groups == {
        "Clinic": [
            ["Pneumonia", "2 of 4", "2 of 2", "0 of 2"],
            ["Pleural effusion", "2 of 3", "1 of 1", "1 of 2"],
        ]
    }


def test_labelled_images_that_a_given_split_leaves_out_are_counted():
    split = split_of(["train", "train", "evaluation"])
    nobody = pd.DataFrame({"file": [], "reason": []}, dtype=str)
    steps = flow.steps("clinic", CLINIC["findings"], clinic(), nobody, split)
    subsets = steps[steps["step"] == "subset"].set_index("subset")["images"]
    assert subsets.to_dict() == {"train": 2, "evaluation": 1, "none": 1}
    assert steps.loc[steps["step"] == "unlabelled", "images"].tolist() == [1]
    assert checklists.flow_sentence("Clinic", steps).endswith(
        "1 usable ones have no label and are in no subset; 1 labelled ones are in no subset of its "
        "dataset’s own split."
    )


def test_every_finding_of_a_site_is_an_evaluation_set_of_the_images_whose_label_is_known():
    rows = {"site": ["clinic", "abroad"], "protocol": "paper", "subset": "evaluation"}
    counts = {"positives_pneumonia": [3, 4], "known_pneumonia": [30, 40]}
    counts |= {"positives_pleural_effusion": [2, None], "known_pleural_effusion": [20, None]}
    counts |= {"positives_pneumothorax": [None, 9], "known_pneumothorax": [None, 90]}
    sets = checklists.evaluation_sets(pd.DataFrame(rows | counts), [CLINIC, ABROAD])
    assert [(one.site, one.finding, one.images, one.positives) for one in sets] == [
        ("clinic", "pneumonia", 30, 3),
        ("clinic", "pleural_effusion", 20, 2),
        ("abroad", "pneumonia", 40, 4),
        ("abroad", "pneumothorax", 90, 9),
    ]


def test_errors_are_those_of_labelled_images_and_external_heads_are_named():
    rows = {"subset": "evaluation", "label": [1.0, 0.0, np.nan], "score": [0.2, 0.9, 0.9]}
    judged = confusion.called(pd.DataFrame(rows), 0.5)
    assert judged["positive"].tolist() == [False, True]
    row = {"architecture": "standard", "method": "baseline", "threshold": 0.5, "seed": 1}
    row |= dict.fromkeys(confusion.CELLS, 3) | dict.fromkeys(confusion.SHARED, np.nan)
    clinics = {"site": "clinic", "finding": "pleural_effusion", "head": "clinic"}
    abroad = {"site": "abroad", "finding": "pneumonia", "head": "clinic"}
    shown = confusion.layout(pd.DataFrame([row | clinics, row | abroad]), [CLINIC, ABROAD])
    assert {title: rows[0][0] for title, rows in shown.groups.items()} == {
        "Clinic (pleural effusion)": "Standard, Baseline",
        "Abroad (pneumonia)": "Standard, Baseline, Clinic",
    }


def test_subsets_go_by_finding_and_of_many_by_site(tmp_path, monkeypatch):
    path = tmp_path / "split.csv"
    table = clinic().head(4).assign(site="clinic", subset=["train", "train", *2 * ["evaluation"]])
    table.assign(position=range(4)).to_csv(path, index=False)
    rows = facts.subset_facts(path, [CLINIC])
    assert [row["title"] for row in rows] == ["Pneumonia", "Pleural effusion"]
    assert rows[1]["train"] == {"images": 1, "positives": 1}
    monkeypatch.setattr(facts, "NAMED", 1)
    (row,) = facts.subset_facts(path, [CLINIC])
    assert row["title"] == "Clinic (pneumonia, pleural effusion)"
    assert row["evaluation"] == {"images": 2, "positives": 1}
    assert row["validation"] == {"images": 0, "positives": 0}


def test_checks_of_labels_have_a_row_for_each_finding_of_a_site_with_several(tmp_path):
    def row(site, check, group, finding="", **values):
        names = {"site": site, "check": check, "group": group, "finding": finding, "note": ""}
        return names | {"images": 100, "count": 5, "value": 0.05, "low": 0.5, "high": 2} | values

    ratio = "odds ratio", "view AP against PA"
    table = [
        row("rsna", "conflicting labels", "rsna", "pneumonia"),
        row("rsna", "conflicting labels", "clinic", "pneumonia"),
        row("rsna", "missing", "view"),
        row("rsna", *ratio, "pneumonia"),
        row("clinic", "conflicting labels", "clinic", "pleural_effusion", count=7, value=0.07),
        row("clinic", "missing", "view"),
        row("clinic", *ratio, "pneumonia"),
        row("clinic", *ratio, "pleural_effusion", value=3.0, low=2.0, high=4.0),
    ]
    path = tmp_path / "labels.csv"
    pd.DataFrame(table).to_csv(path, index=False)
    found = labels.label_facts(path, [RSNA, CLINIC])
    assert {one["title"]: one["cells"] for one in found["rows"]} == {
        "Conflicting labels of near-identical images (pneumonia)": ["5 of 100 (5.0 %)", "–"],
        "Conflicting labels of near-identical images (pleural effusion)": ["–", "7 of 100 (7.0 %)"],
        "Missing: view": ["5 of 100 (5.0 %)"] * 2,
        "Odds ratio: view AP against PA (pneumonia)": ["0.05 (0.50–2.00)"] * 2,
        "Odds ratio: view AP against PA (pleural effusion)": ["–", "3.00 (2.00–4.00)"],
    }
    assert "more often positive at Clinic (pleural effusion) (odds ratio 3.00" in found["view"]
