"""The supplement's sentences: from numbers to words."""

import math

import pandas as pd
import pytest

from chexviz.reporting.paper import calibration, heads, labels, maps, shortcuts, subgroups
from chexviz.reporting.paper.calibration import Calibration
from chexviz.reporting.paper.heads import Head
from chexviz.reporting.paper.labels import View
from chexviz.reporting.paper.maps import Energy, Focus
from chexviz.reporting.paper.shortcuts import Measured
from chexviz.reporting.paper.subgroups import Area, Gap

NAN = math.nan


def test_calibration_says_what_is_known():
    said = calibration.calibration(
        Calibration([0.031, 0.256], [0.044, 0.074], [0.021, 0.043], [0.46, 2.29])
    )
    assert said == (
        "the expected calibration error was 0.031 to 0.256, where a perfectly calibrated model "
        "would show 0.044 to 0.074 by chance, and the slope 0.46 to 2.29. Temperature scaling on "
        "the validation images gave 0.021 to 0.043."
    )
    said = calibration.calibration(Calibration([0.1], [0.02], [], []))
    assert said == (
        "the expected calibration error was 0.100, where a perfectly calibrated model would show "
        "0.020 by chance."
    )
    assert calibration.calibration(Calibration([], [], [], [])).startswith("there were too few")


def test_decisions():
    assert calibration.decisions([0.17, 0.93], (0.01, 0.99)) == (
        "Acting on a score was better than treating all and treating none at 17 to 93\u00a0% of "
        "the probabilities from 1\u00a0% to 99\u00a0%, by model."
    )


def gap(value: float, low: float, high: float) -> Gap:
    return Gap("pneumonia", "Standard w/ FL", "view", "AP", "PA", value, low, high)


def test_gaps_count_intervals_without_0_and_name_the_largest():
    assert subgroups.gaps([]) == "no two groups were large enough to compare."
    assert subgroups.gaps([gap(0.02, -0.01, 0.05), gap(-0.09, -0.15, -0.03)]) == (
        "one of 2 gaps between a group and the largest one of its kind had an interval without 0, "
        "uncorrected for their number. The largest was −0.090 (−0.150 to −0.030) for pneumonia, "
        "Standard w/ FL, view AP against PA."
    )
    assert "the only gap" in subgroups.gaps([gap(0.02, -0.01, 0.05)])


def test_the_view_alone_reaches_nothing_where_no_image_has_one():
    assert subgroups.view_alone([Area("pneumonia", 0.678, 0.59, 0.76)], []) == (
        "The view alone, without any pixel, would reach an AUROC of 0.678 (0.590 to 0.760) "
        "for pneumonia."
    )
    said = subgroups.view_alone([], ["pneumothorax"])
    assert said == (
        "For pneumothorax the view cannot tell images apart: all have the same, or none is stated."
    )
    assert "0.500" not in said


def head(auroc, low, high, both=(NAN, NAN, NAN), same=False, task="pneumothorax") -> Head:
    return Head(task, same, auroc, low, high, *both)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            [head(0.496, 0.38, 0.61)],
            "For pneumothorax, one head of another finding had an AUROC of 0.496: it did not tell "
            "the labels apart beyond chance.",
        ),
        (
            [head(0.213, 0.1, 0.35), head(0.72, 0.62, 0.83), head(0.55, 0.4, 0.7)],
            "For pneumothorax, three heads of another finding had an AUROC of 0.213 to 0.720; the "
            "interval lies above 0.5 for one of the three heads and below 0.5 for one of the three "
            "heads.",
        ),
        (
            [head(0.49, 0.4, 0.6), head(0.52, 0.4, 0.6)],
            "For pneumothorax, two heads of another finding had an AUROC of 0.490 to 0.520: none "
            "of them told the labels apart beyond chance.",
        ),
        (
            [head(0.8, 0.7, 0.9, same=True)],
            "For pneumothorax, one head of the same finding elsewhere had an AUROC of 0.800; the "
            "interval lies above 0.5 for the only head.",
        ),
        (
            [head(NAN, NAN, NAN, (1.3, 1.1, 1.5)), head(NAN, NAN, NAN, (0.8, 0.0, 1.8))],
            "Other heads and the one of pneumothorax called images positive together 0.8 to 1.3 "
            "times as often as independent heads would; the interval lies above 1 for one of the "
            "two heads.",
        ),
        ([head(NAN, NAN, NAN)], ""),
        ([], ""),
    ],
)
def test_heads_are_said_to_tell_labels_apart_only_where_their_intervals_do(rows, said):
    assert heads.heads(rows) == said
    assert "not trained for" not in said


def test_energy_counts_the_models_that_beat_chance_and_the_mean_annotation():
    said = maps.energy([Energy("pneumonia", [0.02, 0.06], [0.07, 0.08], [0.21, 0.23])])
    assert said == (
        "the share of the maps’ energy inside the annotations was 2 to 6\u00a0% for pneumonia (a "
        "uniform map: 7 to 8\u00a0%, which neither of the two models beat; the mean annotation: "
        "21 to 23\u00a0%, which neither of the two models beat)."
    )
    assert "none of the two" not in said
    assert maps.energy([]).startswith("there were too few")


def focus(difference: float, p: float) -> Focus:
    bounds = difference - 0.01, difference + 0.01
    return Focus("pneumonia", "Standard", difference, *bounds, p)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([focus(0.05, 0.01), focus(0.04, 0.02)], "that agrees with the original."),
        ([focus(0.05, 0.01), focus(0.04, 0.2)], "that agrees with the original in part."),
        ([focus(0.05, 0.01), focus(-0.04, 0.02)], "in part, and speaks against it in part."),
        (
            [focus(0.05, 0.4), focus(-0.04, 0.02)],
            "that does not support the original, and speaks against it.",
        ),
        (
            [focus(0.05, 0.4), focus(NAN, NAN)],
            "the share of the federated map’s energy inside the annotation, on the true positives "
            "of both and without correction for several tests, was not significantly different "
            "from that of the baseline in one comparison: that does not support the original, and "
            "does not refute it.",
        ),
        ([focus(NAN, NAN)], "there were too few annotated true positives to test that."),
        ([], "there were too few annotated true positives to test that."),
    ],
)
def test_the_claim_that_federation_focuses_maps_is_answered(rows, said):
    assert maps.focus(rows).endswith(said)


def test_the_answer_names_what_differs():
    said = maps.focus([focus(0.014, 0.04), focus(-0.086, 0.02), focus(0.0, 0.9)])
    assert (
        "was larger than that of the baseline in one (pneumonia with Standard, 0.014 (0.004 to "
        "0.024), p = 0.04) and smaller in one (pneumonia with Standard, −0.086 (−0.096 to "
        "−0.076), p = 0.02) of three comparisons"
    ) in said


def test_the_view_is_tied_to_the_label_only_where_the_interval_says_so():
    tied = View("RSNA", 6.13, 3.92, 9.59)
    loose, unknown = View("SIIM-ACR", 1.44, 0.98, 2.13), View("Hospital", NAN, NAN, NAN)
    assert labels.confounding([tied, loose]) == (
        "The view is tied to the label: AP images are more often positive at RSNA (odds ratio 6.13 "
        "(3.92–9.59)). A model may learn the view instead of the finding."
    )
    assert labels.confounding([loose]) == (
        "In no dataset is the view (AP or PA) tied to the label beyond chance."
    )
    assert labels.confounding([loose, unknown]) == (
        "At SIIM-ACR the view (AP or PA) is not shown to be tied to the label. For Hospital that "
        "is not known."
    )
    assert labels.confounding([unknown]) == (
        "Whether the view (AP or PA) is tied to the label is not known."
    )


def owed(value: float, low: float, high: float, attribute: str = "chest tube") -> Measured:
    return Measured("pneumothorax", "Standard", attribute, value, low, high)


def test_what_attributes_explain():
    assert shortcuts.gained_by([]) == "no attribute had groups that were large enough to match."
    none = shortcuts.gained_by([owed(0.01, -0.02, 0.04), owed(-0.05, -0.08, -0.02)])
    assert none == (
        "none of 2 pairings of a model and an attribute had a higher AUROC over all images than "
        "within groups, with an interval without 0, uncorrected for their number."
    )
    some = shortcuts.gained_by([owed(0.08, 0.05, 0.11), owed(0.02, 0.01, 0.03, "view: AP")])
    assert some.startswith("two of 2 pairings")
    assert some.endswith(
        "The attribute was worth most, 0.080 (0.050 to 0.110) for pneumothorax, Standard, "
        "chest tube."
    )


def test_whom_a_tag_turns_round():
    assert shortcuts.turned_round([]) == ""
    assert shortcuts.turned_round([owed(0.4, 0.3, 0.52)]).startswith("No model was shown")
    said = shortcuts.turned_round([owed(0.2, 0.1, 0.3), owed(0.8, 0.7, 0.9)])
    assert said == (
        "Negative images with a tag were ranked above positive images without it once in 2: the "
        "lowest AUROC was 0.200 (0.100 to 0.300) for pneumothorax, Standard, chest tube."
    )


def test_in_which_group_most_are_missed():
    gaps = [
        Gap("pneumothorax", "Standard", "chest tube", "no", "yes", 0.3, 0.2, 0.4),
        Gap("pneumothorax", "Standard", "sex", "F", "M", 0.05, -0.05, 0.15),
    ]
    assert shortcuts.missed([]) == ""
    assert shortcuts.missed(gaps[1:]) == (
        "None of 1 false negative rates differed from that of the largest group, with an interval "
        "without 0."
    )
    assert shortcuts.missed(gaps) == (
        "One of 2 false negative rates differed from that of the largest group, with an interval "
        "without 0. The largest difference was 0.300 (0.200 to 0.400) for pneumothorax, Standard, "
        "chest tube no against yes."
    )


def test_what_representations_carry():
    columns = ["method", "attribute", "auroc"]
    rows = [
        ("fedavg", "view", 0.8),
        ("fedavg", "view", 0.9),
        ("untrained", "view", 0.6),
        ("baseline", "view", 0.99),
        ("fedavg", "chest_tube", 0.7),
        ("untrained", "chest_tube", 0.55),
        ("fedavg", "sex", 0.7),
        ("untrained", "sex", float("nan")),
    ]
    assert shortcuts.carried(pd.DataFrame(rows[:1], columns=columns), "fedavg") == ""
    assert shortcuts.carried(pd.DataFrame(rows, columns=columns), "fedavg") == (
        "From the representation block a linear model reached an AUROC of 0.800 to 0.900 for view "
        "(untrained: 0.600) and 0.700 for chest tube (untrained: 0.550)."
    )
