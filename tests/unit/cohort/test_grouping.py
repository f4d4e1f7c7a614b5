"""Who belongs together, and what is balanced."""

import numpy as np
import pandas as pd

from chexviz.base.records import groups
from chexviz.cohort.grouping import strata

PAIR = ["site_a", "image_a", "site_b", "image_b"]


def test_groups_join_patients_and_duplicates_across_sites():
    images = pd.DataFrame(
        {
            "site": ["a", "a", "a", "b", "b", "b"],
            "image": ["1", "2", "3", "1", "2", "3"],
            "patient": ["p", "p", "q", "r", "p", "s"],
        }
    )
    near = pd.DataFrame([["a", "3", "b", "1"], ["b", "3", "c", "1"]], columns=PAIR)
    found = groups(images, near)
    assert found[0] == found[1] == found[4]
    assert found[2] == found[3]
    assert len({found[0], found[2], found[5]}) == 3


def test_a_stratum_is_the_site_and_the_rarest_finding_of_an_image():
    """Of four images at a, edema is the rarest; at b it is not labelled, and says nothing."""
    images = pd.DataFrame(
        [
            ("a", 1.0, 1.0),
            ("a", 1.0, 0.0),
            ("a", 1.0, np.nan),
            ("a", 0.0, 0.0),
            ("b", 0.0, 1.0),
            ("b", 1.0, 1.0),
        ],
        columns=["site", "label_pneumonia", "label_edema"],
        index=[7, 3, 5, 1, 0, 2],
    )
    found = strata(images, {"a": ["pneumonia", "edema"], "b": ["pneumonia"]})
    assert found.to_dict() == {7: "a 1", 3: "a 2", 5: "a 2", 1: "a 0", 0: "b 0", 2: "b 1"}


def test_equally_rare_findings_are_numbered_as_they_are_named():
    images = pd.DataFrame({"site": "a", "label_x": [1, 0, 1], "label_y": [0, 1, 1]})
    assert strata(images, {"a": ["x", "y"]}).tolist() == ["a 1", "a 2", "a 1"]
    assert strata(images, {"a": ["y", "x"]}).tolist() == ["a 2", "a 1", "a 1"]
