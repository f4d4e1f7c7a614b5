"""View, sex and age: as the file says, else as the dataset's tables do."""

import pandas as pd
import pytest

from chexviz.data.described import completed, gender, years

FILE = ["view", "sex", "age", "age_stated"]


def samples(*rows):
    return pd.DataFrame(rows, columns=FILE, dtype=str)


def told(*rows):
    return pd.DataFrame(rows, columns=["view", "sex", "age"], dtype=str)


def test_a_table_says_what_a_file_does_not():
    found = completed(samples(["", "", "", ""]), told(["ap", "Female", "45.0"]))
    assert found.values.tolist() == [["AP", "F", "45", "45.0"]]


def test_a_file_counts_first():
    found = completed(samples(["PA", "M", "62", "062Y"]), told(["AP", "F", "45"]))
    assert found.values.tolist() == [["PA", "M", "62", "062Y"]]


def test_an_impossible_age_of_a_file_is_no_gap():
    found = completed(samples(["", "", "", "155"]), told(["", "", "55"]))
    assert found.values.tolist() == [["", "", "", "155"]]


def test_images_that_were_rejected_take_nothing_with_them():
    rows = samples(["", "", "", ""], ["PA", "", "", ""]).set_index(pd.Index([0, 2]))
    found = completed(rows, told(["AP", "", "1"], ["X", "F", "2"], ["LL", "M", "3"]))
    assert found["sex"].to_dict() == {0: "", 2: "M"}
    assert found["view"].tolist() == ["AP", "PA"]
    assert found["age"].tolist() == ["1", "3"]


def test_without_tables_all_stays():
    rows = samples(["PA", "", "62", "062Y"], ["", "", "", ""])
    pd.testing.assert_frame_equal(completed(rows, pd.DataFrame({"image": ["a", "b"]})), rows)
    assert completed(rows[:0], told()).empty


@pytest.mark.parametrize(
    ("text", "found"),
    [
        *(("062Y", "62"), ("18M", "1.5"), ("45", "45"), ("45.0", "45"), ("0.5", "0.5")),
        *(("", ""), ("155", ""), ("121.0", ""), ("-3", ""), ("nan", ""), ("85 or more", "")),
    ],
)
def test_ages(text, found):
    assert years(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [("f", "F"), ("M", "M"), ("Female", "F"), ("MALE", "M"), ("O", ""), ("", ""), ("2", "")],
)
def test_sexes(text, found):
    assert gender(text) == found
