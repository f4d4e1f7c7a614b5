"""What readers call endpoints, places and heads."""

import pandas as pd
import pytest

from chexviz.reporting import titles
from chexviz.reporting.selection import of_endpoints
from made_results import ABROAD, CLINIC, HOSPITAL, RSNA, SIIM

NIH = CLINIC | {"name": "nih", "title": "NIH", "findings": [f"finding_{one}" for one in "abcd"]}


@pytest.mark.parametrize(
    ("sites", "named"),
    [
        ((RSNA, SIIM), ["pneumonia", "pneumothorax"]),
        ((CLINIC, SIIM), ["pneumonia", "pleural effusion", "pneumothorax"]),
        ((RSNA, HOSPITAL), ["pneumonia (RSNA)", "pneumonia (General Hospital)"]),
        # An external site always has its place, and gives the others none.
        (
            (RSNA, SIIM, ABROAD),
            ["pneumonia", "pneumothorax", "pneumonia (Abroad)", "pneumothorax (Abroad)"],
        ),
    ],
)
def test_an_endpoint_is_named_by_its_finding_and_by_its_place_where_that_is_needed(sites, named):
    found = titles.endpoint_titles(list(sites))
    assert list(found.values()) == named
    assert [*found] == titles.endpoints(list(sites)) + titles.endpoints(list(sites), "external")


def test_places_list_few_findings_and_count_many():
    places = titles.place_titles([RSNA, CLINIC, NIH])
    assert places == {
        "rsna": "RSNA (pneumonia)",
        "clinic": "Clinic (pneumonia, pleural effusion)",
        "nih": "NIH (4 findings)",
    }
    assert titles.endpoint_places([CLINIC])["clinic", "pleural_effusion"] == (
        "Clinic (pleural effusion)"
    )
    assert titles.head_titles([RSNA]) == {"rsna": "RSNA", "shared": "shared", "mean": "mean"}


def test_rows_are_grouped_by_site_and_finding():
    table = pd.DataFrame(
        {"site": ["clinic", "clinic", "abroad", ""], "finding": ["pleural_effusion", "x", "x", "y"]}
    )
    named = titles.endpoint_titles([CLINIC])
    assert titles.grouped(table, named)["group"].tolist() == ["Pleural effusion", None, None, None]
    assert len(of_endpoints(table, named)) == 1
    assert titles.group_titles(table.head(1), [CLINIC]) == {
        ("clinic", "pleural_effusion"): "Pleural effusion"
    }


def test_methods_that_share_heads_have_a_title():
    assert titles.method_title("shared") == "Shared heads"
    assert titles.model_title("standard", "surgical") == "Standard w/ Surgical Aggregation"
