"""Numbers and lists as a sentence has them."""

import pytest

from chexviz.reporting import wording


@pytest.mark.parametrize(
    ("count", "whole", "said"),
    [
        (0, 4, "none of the four models"),
        (0, 2, "neither of the two models"),
        (1, 2, "one of the two models"),
        (2, 2, "both models"),
        (3, 12, "three of the 12 models"),
        (4, 4, "all four models"),
        (1, 1, "the only model"),
        (0, 1, "no model"),
        (0, 0, "no model"),
    ],
)
def test_a_part_of_some_things(count, whole, said):
    assert wording.part_of(count, whole, "model") == said


def test_counts_and_lists():
    assert [wording.in_words(count) for count in (0, 1, 10, 11, 26684)] == [
        *("no", "one", "ten", "11", "26,684")
    ]
    assert wording.counted(1, "comparison") == "one comparison"
    assert wording.counted(4, "comparison") == "four comparisons"
    assert wording.counted(2, "head of it", "heads of it") == "two heads of it"
    assert wording.tally(26684, "image") == "26,684 images"
    assert wording.listed(["a"]) == "a"
    assert wording.listed(["a", "b"]) == "a and b"
    assert wording.listed(["a", "b", "c"]) == "a, b, and c"
    assert wording.joined(["One.", "", "Two."]) == "One. Two."


@pytest.mark.parametrize(
    ("value", "digits", "said"),
    [(-0.0391, 3, "−0.039"), (-0.0001, 3, "0.000"), (0.05, 2, "0.05"), (12.5, 0, "12")],
)
def test_numbers_have_a_minus_sign_only_where_they_are_below_zero(value, digits, said):
    assert wording.fixed(value, digits) == said


def test_percentages_and_ranges():
    assert wording.percent(0.2253) == "22.5\u00a0%"
    assert wording.percent(0.6) == "60\u00a0%"
    assert wording.percent(0.0) == "0\u00a0%"
    assert wording.between([0.0432, 0.0211]) == "0.021 to 0.043"
    assert wording.between([0.0211, 0.0214]) == "0.021"
    assert wording.percent_between([0.02, 0.06]) == "2 to 6\u00a0%"
    assert wording.interval(-0.027, -0.064, 0.009) == "−0.027 (−0.064 to 0.009)"
