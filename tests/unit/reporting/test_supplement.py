"""The supplement's sentences: each number is that of the table it is read from."""

import numpy as np
import pandas as pd
import pytest

from chexviz.reporting.paper import (
    calibration,
    heads,
    inventory,
    labels,
    maps,
    original,
    simulations,
    subgroups,
    supplement,
)

FINDINGS = {"rsna": "pneumonia", "siim": "pneumothorax"}
TITLES = {(site, finding): finding for site, finding in FINDINGS.items()}
SIIM = {"site": "siim", "finding": "pneumothorax"}
FEW = {"note": "too few cases: 3 positive of at least 20"}
SITES = [
    {"name": site, "title": site.upper(), "role": "train", "findings": [finding]}
    for site, finding in FINDINGS.items()
]


@pytest.fixture
def write(tmp_path):
    """Write rows as a table; gives its path."""

    def written(*rows: dict, **common):
        path = tmp_path / "table.csv"
        pd.DataFrame([common | row for row in rows]).to_csv(path, index=False)
        return path

    return written


def model(site="rsna", method="fedavg", architecture="standard") -> dict:
    names = {"site": site, "finding": FINDINGS[site], "head": site}
    return names | {"architecture": architecture, "method": method}


def test_the_protocols_are_compared_in_words(write):
    def row(value, low, high, site):
        bounds = {"inflation": value, "inflation_low": low, "inflation_high": high}
        bounds |= {"verdict": "higher" if low > 0 else "not told apart", "note": ""}
        aurocs = {
            f"auroc_{protocol}{end}": 0.8
            for protocol in ("paper", "patient")
            for end in ("", "_low", "_high")
        }
        names = {"model": "Standard", "seeds": 1}
        return model(site) | names | aurocs | bounds | {"uncertainty": "95 % interval"}

    path = write(
        row(0.04, 0.01, 0.07, "rsna"),
        row(-0.02, -0.05, 0.01, "siim"),
        mark="",
        training_paper=480,
        training_patient=420,
        auroc_paper_sd=np.nan,
        auroc_patient_sd=np.nan,
        inflation_sd=np.nan,
    )
    facts = original.inflation_facts(path, TITLES, "patient-wise protocol")
    assert "a higher AUROC in 1 of 2 models, by up to 0.040 (" in facts["said"]
    assert "Pneumonia: 480 against 420; Pneumothorax: 480 against 420" in facts["said"]
    assert [group["title"] for group in facts["table"]["groups"]] == ["Pneumonia", "Pneumothorax"]


def test_calibration_ranges_leave_out_what_is_not_known(write):
    path = write(
        {"scaling": "none", "ece": 0.1, "ece_chance": 0.02, "slope": 0.8},
        {"scaling": "none", "ece": np.nan, "ece_chance": np.nan, "slope": 1.2},
        {"scaling": "temperature", "ece": np.nan, "ece_chance": np.nan, "slope": np.nan},
        {"scaling": "none", "ece": 0.9, "ece_chance": 0.9, "slope": np.nan} | FEW,
        **model(),
        note="",
    )
    assert calibration.calibration_sentence(path, TITLES) == (
        "the expected calibration error was 0.100, where a perfectly calibrated model would show "
        "0.020 by chance, and the slope 0.80 to 1.20."
    )


def rates(**known) -> dict:
    columns = [f"{name}{end}" for name in calibration.RATES for end in ("", "_low", "_high")]
    return dict.fromkeys(columns, np.nan) | known


def test_operating_points_of_the_compared_models(write):
    sensitivity = {"sensitivity": 0.9, "sensitivity_low": 0.85, "sensitivity_high": 0.94}
    chosen = {"target": 0.9, "chosen_on": "validation", "note": ""}
    path = write(
        model(method="baseline") | chosen | rates(**sensitivity, specificity=0.5),
        model() | chosen | rates(sensitivity=0.8),
        model() | chosen | {"target": 0.95} | rates(sensitivity=0.81),
        model(method="pooled") | chosen | rates(sensitivity=0.1),
        model("siim") | chosen | rates(),
    )
    facts = calibration.operating_facts(path, TITLES, "fedavg")
    assert facts["chosen"] == ["validation"]
    assert facts["table"]["groups"] == [
        {
            "title": "Pneumonia",
            "rows": [
                ["Standard", "90", "90.0 (85.0–94.0)", "50.0", "–", "–"],
                ["Standard w/ FL", "90", "80.0", "–", "–", "–"],
                ["", "95", "81.0", "–", "–", "–"],
            ],
        }
    ]
    none = write(model() | chosen | rates())
    assert calibration.operating_facts(none, TITLES, "fedavg") is None


def test_decision_share_is_where_a_model_beats_treating_all_and_none(write):
    def row(threshold, benefit, everyone, seed=1):
        values = {"threshold": threshold, "net_benefit": benefit, "all": everyone}
        return model() | {"seed": seed, "scaling": "none"} | values

    path = write(
        *(row(0.1, 0.2, 0.1), row(0.2, 0.05, 0.1), row(0.3, 0.1, -0.2), row(0.4, -0.1, -0.4)),
        row(0.5, 0.1, -0.4, seed=2),
        row(0.1, 0.9, 0.1) | {"scaling": "temperature"},
        row(0.9, np.nan, np.nan),
        row(0.99, 0.3, 0.1, seed=3) | FEW,
        note="",
    )
    assert "at 50 to 100\u00a0% of the probabilities from 10\u00a0% to 50\u00a0%" in (
        calibration.decision_sentence(path, TITLES)
    )
    assert calibration.decision_sentence(write(row(0.1, np.nan, np.nan), note=""), TITLES) == ""


def test_localisation_counts_models_above_chance_and_prior(write):
    path = write(
        model() | {"measure": "energy", "value": 0.3, "chance": 0.1, "prior": 0.4},
        model(method="baseline") | {"measure": "energy", "value": 0.5, "chance": 0.1, "prior": 0.4},
        model() | {"measure": "iou", "value": 0.9, "chance": 0.1, "prior": 0.2},
        model("siim") | {"measure": "energy", "value": np.nan, "chance": 0.1, "prior": 0.1},
        model("siim") | {"measure": "energy", "value": 0.9, "chance": 0.1, "prior": 0.1} | FEW,
        note="",
    )
    assert maps.energy_sentence(path, TITLES) == (
        "the share of the maps’ energy inside the annotations was 30 to 50\u00a0% for pneumonia (a "
        "uniform map: 10\u00a0%, which both models beat; the mean annotation: 40\u00a0%, which one "
        "of the two models beat)."
    )


@pytest.mark.parametrize(("seeds", "said"), [((1,), "larger"), ((1, 2), "not significantly")])
def test_focus_is_the_difference_of_energy_expected_over_seeds(write, seeds, said):
    values = {1: 0.1, 2: -0.05}

    def row(seed, measure="energy", **changes):
        value = values[seed]
        bounds = {"difference_low": value - 0.02, "difference_high": value + 0.02}
        test = {"difference": value, "standard_error": 0.01, "p": 0.001, "seed": seed}
        return model(**changes) | {"measure": measure} | test | bounds

    path = write(
        *(row(seed) for seed in seeds),
        row(2, measure="iou"),
        row(2, method="pooled"),
    )
    assert f"was {said}" in maps.focus_sentence(path, TITLES, "fedavg", 0.95)


def test_the_largest_gap_is_that_of_the_largest_size(write):
    def gap(value, low, high, **changes):
        bounds = {"measure": "gap", "value": value, "low": low, "high": high}
        names = {"attribute": "sex", "group": "F", "reference": "M"}
        return model() | names | bounds | changes

    tag = {"attribute": "view", "measure": "tag alone", "group": "", "reference": ""}
    path = write(
        *(gap(0.02, -0.01, 0.05), gap(-0.09, -0.15, -0.03), gap(np.nan, np.nan, np.nan)),
        gap(0.5, 0.4, 0.6, method="pooled"),
        gap(0.7, 0.6, 0.8) | tag,
        gap(-0.6, np.nan, np.nan) | FEW,
    )
    said = subgroups.subgroups_sentence(path, TITLES, "fedavg")
    assert "one of 2 gaps" in said
    assert "−0.090 (−0.150 to −0.030) for pneumonia, Standard w/ FL, sex F against M" in said
    assert "0.700 (0.600 to 0.800) for pneumonia" in said
    path = write(gap(np.nan, np.nan, np.nan), gap(np.nan, np.nan, np.nan) | tag)
    said = subgroups.subgroups_sentence(path, TITLES, "fedavg")
    assert "no two groups were large enough" in said
    assert "For pneumonia the view cannot tell images apart" in said


def test_heads_are_those_of_other_sites_by_the_sites_own_labels(write):
    def row(head, measure, value, labels="pneumonia", **changes):
        names = {"finding": FINDINGS.get(head, "pneumonia"), "head": head, "measure": measure}
        ranked = measure == "auroc"
        names |= {"own": "" if ranked else labels, "labels": labels if ranked else "", "seed": 1}
        bounds = {"value": value, "low": value - 0.05, "high": value + 0.05}
        return model(**changes) | names | bounds

    path = write(
        *(row("rsna", "auroc", 0.9), row("siim", "auroc", 0.6), row("siim", "both_ratio", 1.5)),
        *(row("hospital", "auroc", 0.8), row("hospital", "both_ratio", 2.5)),
        row("siim", "auroc", 0.1, labels="pneumothorax"),
        row("siim", "auroc", 0.2, method="pooled"),
        row("siim", "auroc", 0.99, architecture="densenet121") | FEW,
        note="",
    )
    sentence = heads.heads_sentence(path, TITLES, "fedavg")
    assert supplement.under("image-wise protocol", sentence) == (
        "Under the image-wise protocol, for pneumonia, one head of another finding had an AUROC of "
        "0.600; the interval lies above 0.5 for the only head. For pneumonia, one head of the same "
        "finding elsewhere had an AUROC of 0.800; the interval lies above 0.5 for the only head. "
        "Other heads and the one of pneumonia called images positive together 1.5 to 2.5 times as "
        "often as independent heads would; the interval lies above 1 for both heads."
    )


def test_simulation_is_told_at_its_most_replicates(write):
    path = write(
        {"test": "delong", "replicates": np.nan, "rate": 0.05},
        {"test": "t_test_replicates", "replicates": 1000, "rate": 0.95},
        {"test": "t_test_replicates", "replicates": 25, "rate": 0.7},
        repetitions=100,
        expected=0.05,
    )
    assert simulations.simulation_sentence(simulations.read_simulation(path)) == (
        "In 100 simulated studies, DeLong’s test called 5\u00a0% different and the t test over "
        "replicates (1,000 replicates) called 95\u00a0% different"
    )


def test_coverage_is_told_of_designs_with_enough_cases(write):
    def row(images, positives, measure, rate):
        return {"images": images, "positives": positives, "measure": measure, "rate": rate}

    path = write(
        *(row(1.0, 10, "auroc", 0.8), row(1.0, 20, "auroc", 0.93), row(2.3, 50, "auroc", 0.96)),
        *(row(1.0, 20, "sensitivity_chosen", 0.9), row(2.3, 50, "sensitivity_chosen", 0.94)),
        *(row(1.0, 20, "delong", 0.05), row(2.3, 50, "delong", 0.12)),
        row(2.3, 50, "bootstrap_patients", 0.055),
        repetitions=100,
    )
    # 1.96 sqrt(0.95 x 0.05 / 100) = 0.0427
    known = "In 100 simulated studies of each of several designs a rate of 95\u00a0% is known to "
    known += "4.3 points."
    assert simulations.coverage_sentence(path, 20) == (
        f"{known} With 20 or more patients with the finding, 95\u00a0% intervals held the truth in "
        "93 to 96\u00a0% (AUROC). Sensitivity and specificity are here those of the best of all "
        "thresholds, which the one that was chosen on the same images estimates. What that one "
        "itself finds in other patients, its interval of sensitivity held in 90 to 94\u00a0%. "
        "Where patients had one image each, two equally good models were called different in "
        "5\u00a0% by DeLong’s test, where 5\u00a0% is nominal. Where patients had 2.3 images on "
        "average, two equally good models were called different in 6\u00a0% by the bootstrap over "
        "patients and 12\u00a0% by DeLong’s test, where 5\u00a0% is nominal."
    )
    assert simulations.coverage_sentence(path, 100) == known


def test_labels_have_a_row_a_check_and_a_cell_a_site(write):
    def row(site, check, group, **values):
        of_labels = check in ("positive", "odds ratio", "conflicting labels")
        names = {"site": site, "check": check, "group": group, "note": ""}
        names["finding"] = FINDINGS[site] if of_labels else ""
        numbers = dict.fromkeys(("count", "value", "low", "high"), np.nan)
        return names | {"images": 1000} | numbers | values

    ratio = {"value": 2.5, "low": 1.5, "high": 4.0}
    path = write(
        row("rsna", "patients", "known", images=1000, count=400, value=2.5),
        row("siim", "patients", "known", images=0, count=0),
        row("rsna", "missing", "age", images=1000, count=25, value=0.025),
        row("rsna", "odds ratio", "view AP against PA", **ratio),
        row("siim", "odds ratio", "view AP against PA", value=0.9, low=0.5, high=1.5),
    )
    facts = labels.label_facts(path, SITES)
    assert facts["rows"] == [
        {"title": "Patients (where known)", "cells": ["400 (2.50 images each)", "–"]},
        {"title": "Missing: age", "cells": ["25 of 1,000 (2.5 %)", "–"]},
        {
            "title": "Odds ratio: view AP against PA",
            "cells": ["2.50 (1.50–4.00)", "0.90 (0.50–1.50)"],
        },
    ]
    assert "more often positive at RSNA (odds ratio 2.50 (1.50–4.00))" in facts["view"]
    assert "SIIM" not in facts["view"]


@pytest.mark.parametrize(
    ("protocols", "tables"),
    [
        (["paper", "patient"], ["published", "grim", "inflation"]),
        (["paper"], ["published", "grim"]),
        (["patient"], ["grim"]),
    ],
)
def test_what_a_run_cannot_tell_is_not_read(protocols, tables):
    assert inventory.study_tables(protocols) == tables
    attacked = [{"architecture": "standard", "method": "fedavg"}]
    assert inventory.study_tables(protocols, attacked) == [*tables, "leaks"]
    files = inventory.files(protocols, SITES, inventory.shown_figures(SITES, 2))
    assert len(files) == len(set(files))
    read = {name for name in ("published", "grim", "inflation") if f"tables/{name}.csv" in files}
    assert read == set(tables)
    assert "sites/rsna/samples.csv" in files
    assert not [name for name in files if name.endswith("external.csv")]
    abroad = [*SITES, SITES[0] | {"name": "abroad", "role": "external"}]
    files = inventory.files(protocols, abroad, inventory.shown_figures(abroad, 2))
    assert [name for name in files if name.endswith("external.csv")] == [
        f"tables/{protocol}/external.csv" for protocol in protocols
    ]


def judged(measure, value, over="positives", **changes):
    test = {"difference": 0.1, "difference_low": 0.05, "difference_high": 0.15, "p": 0.001}
    row = {"over": over, "tuned_on": "", "chance": 0.3, "p_chance": 0.001, "standard_error": 0.02}
    return model() | test | row | {"measure": measure, "value": value} | changes


def test_lungs_are_compared_with_a_uniform_map_and_with_the_baselines(write):
    path = write(
        judged("lung_energy", 0.6),
        judged("lung_energy", 0.2, method="baseline", difference=np.nan, p=np.nan),
        judged("lung_energy", 0.9, over="true positives", difference=-0.5),
        judged("lung_pointing", 0.9, difference=-0.5),
        note="",
    )
    assert maps.lungs_sentences(path, TITLES, "fedavg", 0.95) == (
        "of all images with the finding, the share of the maps’ energy within the lungs was 20 to "
        "60\u00a0% for pneumonia (a uniform map: 30\u00a0%), significantly more than that of a "
        "uniform map in one of the two comparisons and less in one of the two comparisons. The "
        "share of the federated map’s energy within the lungs, on all images with the finding and "
        "without correction for several tests, was larger than that of the baseline in one "
        "(pneumonia with Standard, 0.100 (0.050 to 0.150), p = 0.001) of one comparison: that "
        "agrees with the original."
    )


def test_lungs_that_are_not_told_apart(write):
    path = write(judged("lung_energy", 0.6, p=0.5), note="")
    said = maps.lungs_sentences(path, TITLES, "fedavg", 0.95)
    assert "energy within the lungs, on all images with the finding and without" in said
    assert "was not significantly different from that of the baseline in one comparison" in said


def test_without_lung_masks_or_with_too_few_nothing_is_tested(write):
    path = write(judged("iou", 0.6), note="")
    said = maps.lungs_sentences(path, TITLES, "fedavg", 0.95)
    assert said.startswith("no site has lung masks")
    path = write(judged("lung_energy", 0.6, p=np.nan, p_chance=np.nan), note="")
    said = maps.lungs_sentences(path, TITLES, "fedavg", 0.95)
    assert said.startswith("there were too few images with lung masks")


def test_miou_and_hit_rate_over_all_positives_and_true_positives(write):
    path = write(
        judged("iou", 0.1, tuned_on="validation"),
        judged("iou", 0.2, tuned_on="validation", method="baseline"),
        judged("pointing", 0.5),
        judged("iou", 0.3, over="true positives", tuned_on="validation"),
        judged("pointing", 0.6, over="true positives"),
        judged("pointing", 0.9, over="true positives") | FEW,
        judged("iou", 0.3, **SIIM, tuned_on="fixed", note="threshold fixed: few"),
        judged("pointing", 0.4, **SIIM),
        note="",
    )
    assert maps.chexlocalize_sentence(path, {**TITLES}) == (
        "mIoU (at thresholds that the validation images chose or at a fixed threshold) and hit "
        "rate were 0.100 to 0.200 and 50\u00a0% for pneumonia, 0.300 and 40\u00a0% for "
        "pneumothorax over all images with the finding; 0.300 and 60\u00a0% for pneumonia over "
        "true positives."
    )
    path = write(judged("iou", 0.6) | FEW, judged("pointing", np.nan), note="")
    assert "too few annotated images" in maps.chexlocalize_sentence(path, TITLES)
