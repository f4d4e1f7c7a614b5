"""What comparisons allow to say: the words follow the numbers, in every case that there is."""

import math

import pytest

from chexviz.reporting.paper import comparisons
from chexviz.reporting.paper.comparisons import HIGHER, LOWER, MIXED, SAME, UNTESTED, Comparison

NAN = math.nan
BOTH = ("image-wise protocol", "patient-wise protocol")


def row(verdict: str, p: float, difference: float = -0.02, task: str = "pneumonia", **changes):
    return Comparison(
        **{"task": task, "architecture": "Standard", "auroc": "0.84", "baseline": "0.85"},
        **{"difference": difference, "low": -0.041, "high": 0.01, "p": p, "verdict": verdict},
    )._replace(**changes)


def untested() -> Comparison:
    return row(UNTESTED, NAN, NAN, low=NAN, high=NAN)


# --- verdicts and summaries ----------------------------------------------------------------------


def test_verdict_is_that_of_the_p_value():
    assert comparisons.verdict(0.05, [-0.1]) == SAME
    assert comparisons.verdict(0.049, [-0.1, -0.2]) == LOWER
    assert comparisons.verdict(0.049, [0.1]) == HIGHER
    assert comparisons.verdict(0.049, [0.1, 0.2, -0.001]) == MIXED
    assert comparisons.verdict(NAN, [0.1]) == UNTESTED


def test_results_go_by_task():
    few = untested()._replace(note="too few cases: 3 positive")
    rows = [row(SAME, 0.1), row(LOWER, 0.0001, task="pneumothorax"), few]
    assert comparisons.results(rows) == (
        "For pneumonia, the federated model and its baseline had an AUROC of 0.84 and 0.85 with "
        "Standard (p = 0.10) and 0.84 and 0.85 with Standard (too few cases: 3 positive). For "
        "pneumothorax, the federated model and its baseline had an AUROC of 0.84 and 0.85 with "
        "Standard (p < 0.001)."
    )


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            [row(SAME, 0.1), row(SAME, 0.76)],
            "In none of the two comparisons did the AUROC of the federated model differ "
            "significantly from that of its baseline (p from 0.10 to 0.76).",
        ),
        (
            [row(SAME, 0.1)],
            "The AUROC of the federated model did not differ significantly from that of its "
            "baseline (p = 0.10).",
        ),
        (
            [row(HIGHER, 0.01, 0.03)],
            "The AUROC of the federated model was significantly higher than that of its baseline "
            "(p = 0.01).",
        ),
        (
            [row(MIXED, 0.01)],
            "The AUROC of the federated model differed from that of its baseline on average, but "
            "not with every seed (p = 0.01).",
        ),
        (
            [row(LOWER, 0.0001), row(SAME, 0.3), row(SAME, 0.4)],
            "Of three comparisons, the AUROC of the federated model was significantly lower in one "
            "(pneumonia with Standard, p < 0.001). It did not differ significantly in the other "
            "two (p from 0.30 to 0.40).",
        ),
        (
            [row(LOWER, 0.02), row(HIGHER, 0.01, 0.03)],
            "Of two comparisons, the AUROC of the federated model was significantly lower in one "
            "(pneumonia with Standard, p = 0.02) and significantly higher in one (pneumonia with "
            "Standard, p = 0.01).",
        ),
        (
            [row(MIXED, 0.01), row(SAME, 0.3), untested()],
            "In one (pneumonia with Standard, p = 0.01) it differed on average, but not in the "
            "same direction with every seed. It did not differ significantly in one (p = 0.30). "
            "One could not be tested, with too few cases.",
        ),
        (
            [row(SAME, 0.3), untested(), untested()],
            "The AUROC of the federated model did not differ significantly from that of its "
            "baseline in one of three comparisons (p = 0.30). Two could not be tested, with too "
            "few cases.",
        ),
        (
            [untested(), untested()],
            "There were too few cases to test whether federation changed the AUROC.",
        ),
        ([untested()], "There were too few cases to test whether federation changed the AUROC."),
    ],
)
def test_the_summary_follows_the_p_values(rows, said):
    assert comparisons.summary(rows) == said


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([row(LOWER, 0.01)], ""),
        ([row(LOWER, 0.01), untested()], ""),
        (
            [row(SAME, 0.1), row(SAME, 0.7)],
            "These p values are not corrected for several tests.",
        ),
        # Holm by hand: 4 x 0.04 = 0.16; 2 x 0.001 = 0.002 and 0.03.
        (
            [row(LOWER, 0.04), *(row(SAME, p) for p in (0.13, 0.14, 0.24))],
            "These p values are not corrected for several tests; after Holm’s correction no "
            "difference is significant.",
        ),
        (
            [row(LOWER, 0.001), row(LOWER, 0.03)],
            "These p values are not corrected for several tests; after Holm’s correction two "
            "differences are significant.",
        ),
        (
            [row(LOWER, 0.001), row(SAME, 0.3)],
            "These p values are not corrected for several tests; after Holm’s correction one "
            "difference is significant.",
        ),
    ],
)
def test_it_is_said_whether_p_values_are_corrected(rows, said):
    assert comparisons.correction(rows) == said


# --- what it means -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            [row(SAME, 0.1), row(SAME, 0.3, low=-0.03), untested()],
            "did not change the AUROC by an amount that these evaluation sets can show. A "
            "difference that is not significant is not proof of equality: the 95 % intervals of "
            "the differences admit losses of up to 0.041 in AUROC.",
        ),
        (
            # Significant alone, not among four.
            [row(LOWER, 0.04, -0.039), *(row(SAME, p) for p in (0.13, 0.14, 0.24))],
            "Federation cost discrimination in one of four comparisons (by 0.039 in AUROC) if each "
            "comparison is looked at alone. After correction for several tests this is not "
            "significant, so that the evaluation sets do not establish that federation changed "
            "the AUROC.",
        ),
        (
            [row(LOWER, 0.0001), row(LOWER, 0.04, -0.03), row(SAME, 0.3)],
            "Federation cost discrimination in two of three comparisons (by 0.020 and 0.030 in "
            "AUROC); after correction for several tests one of these remains.",
        ),
        (
            [row(HIGHER, 0.001, 0.03), row(SAME, 0.3)],
            "Federation helped in one of two comparisons (by 0.030 in AUROC).",
        ),
        ([row(HIGHER, 0.01, 0.03)], "Federation helped, by 0.030."),
        (
            [row(LOWER, 0.001), row(HIGHER, 0.001, 0.03)],
            "Federation cost discrimination in one of two comparisons (by 0.020 in AUROC) and "
            "helped in one of two comparisons (by 0.030 in AUROC): whether it pays depends on the "
            "task and the architecture.",
        ),
        (
            # One direction alone is left, so that nothing is shown to depend on the task.
            [row(LOWER, 0.04, -0.039), row(HIGHER, 0.0001, 0.109), row(SAME, 0.1), row(SAME, 0.3)],
            "Federation cost discrimination in one of four comparisons (by 0.039 in AUROC) and "
            "helped in one of four comparisons (by 0.109 in AUROC); after correction for several "
            "tests one of these remains.",
        ),
        (
            [row(MIXED, 0.01), row(SAME, 0.4)],
            "In one of two comparisons, whether federation helped or harmed depended on the seed "
            "of the training.",
        ),
        (
            [untested(), untested()],
            "The evaluation sets hold too few cases to compare the models with their baselines.",
        ),
    ],
)
def test_the_interpretation_follows_the_p_values(rows, said):
    assert comparisons.interpretation(rows, "95 %").endswith(said)


def test_one_significant_and_one_not_are_no_difference_of_protocols():
    main, other = [row(LOWER, 0.04), row(SAME, 0.3)], [row(SAME, 0.06), row(SAME, 0.3)]
    said = comparisons.both_protocols(main, other, BOTH)
    assert said == (
        "The patient-wise protocol gave no significant difference, the image-wise protocol one. "
        "That one of two tests is significant does not show that their results differ, and the "
        "protocols train and evaluate on different images."
    )
    assert "depends on how images are split" not in said
    said = comparisons.both_protocols(other, main, BOTH)
    assert "gave one significant difference, the image-wise protocol none." in said


def test_a_protocol_without_any_test_agrees_with_none():
    for main in ([row(LOWER, 0.01)], [untested()]):
        assert comparisons.both_protocols(main, [untested()], BOTH) == (
            "Under the patient-wise protocol there were too few cases for any test."
        )


def test_protocols_that_agree_and_that_contradict():
    lower, same = [row(LOWER, 0.04), row(SAME, 0.3)], [row(SAME, 0.4), row(SAME, 0.3)]
    assert comparisons.both_protocols(lower, lower, BOTH) == (
        "The patient-wise protocol gave the same significant difference, in the same direction."
    )
    assert comparisons.both_protocols(same, same, BOTH) == (
        "The patient-wise protocol gave no significant difference either."
    )
    assert comparisons.both_protocols(lower, [row(HIGHER, 0.04, 0.1), row(SAME, 0.3)], BOTH) == (
        "Under the patient-wise protocol the difference of pneumonia with Standard was significant "
        "in the opposite direction."
    )
