"""Tables of the report as pages, and the source behind its rules."""

import json
import re

import pytest

from chexviz.base.errors import InputError
from chexviz.tools import report_page


def cells(page: str) -> list[list[str]]:
    """The text of every cell, row by row, the head first."""
    rows = re.findall(r"<tr>(.*?)</tr>", page)
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]


def test_bounds_and_deviations_stand_beside_their_value():
    text = "auroc,auroc_low,auroc_high,f,f_sd\n0.84213,0.8,0.912345,0.5,0.0123456\n0.1,,,,\n"
    head, first, second = cells(report_page.table_page("t.csv", text))
    assert head == ["auroc", "f"]
    assert first == ["0.8421 (0.8 to 0.9123)", "0.5 ± 0.01235"]
    assert second == ["0.1", ""]


def test_a_bound_without_its_value_is_a_column_of_its_own():
    head, row = cells(report_page.table_page("t.csv", "rate,low,high\n0.5,0.4,0.6\n"))
    assert (head, row) == (["rate", "low", "high"], ["0.5", "0.4", "0.6"])


def test_names_integers_and_missing_values_stay_as_they_are():
    text = "image,images,empty,p\n0012-ab,26684,,1.5e-12\n<b>&,-3,,\n"
    head, first, second = cells(report_page.table_page("t.csv", text))
    assert head == ["image", "images", "p"]
    assert first == ["0012-ab", "26684", "1.5e-12"]
    assert second == ["&lt;b&gt;&amp;", "-3", ""]


def test_the_mark_becomes_a_strip_and_the_table_can_be_downloaded():
    text = "a,mark\n1,DEMO\n2,DEMO\n"
    page = report_page.table_page("t.csv", text)
    assert cells(page) == [["a"], ["1"], ["2"]]
    assert '<p class="mark">DEMO</p>' in page
    uri = re.search(r'href="(data:text/csv[^"]*)" download="t.csv"', page)[1]
    assert report_page.from_data_uri(uri) == text


def test_a_table_without_rows_says_so():
    page = report_page.table_page("t.csv", "a,b\n")
    assert "0 rows" in page
    assert cells(page) == [[]]


def test_only_tables_and_rules_of_entry_points_change(tmp_path):
    uri = report_page.data_uri("a\n1\n", "text/csv")
    results = {
        "t.csv": {"name": "t.csv", "mime_type": "text/csv", "data_uri": uri},
        "f.png": {"name": "f.png", "mime_type": "image/png", "data_uri": "data:,"},
    }
    rules = {
        "table1": {"code": "<i>python</i> -m chexviz.reporting.tables.table1 &#92;"},
        "other": {"code": ["<pre>true</pre>"]},
    }
    path = tmp_path / "report.html"
    path.write_text(
        f"<title>Snakemake Report</title><script>var results = {json.dumps(results)};\n"
        f"</script><script>var rules = {json.dumps(rules)};\n</script>"
    )
    report_page.complete(path)
    page = path.read_text()
    assert page.count("</script>") == 2
    found = json.loads(re.search(r"var results = (.*);\n", page)[1])
    assert found["f.png"] == results["f.png"]
    assert found["t.csv"]["mime_type"] == "text/html"
    assert cells(report_page.from_data_uri(found["t.csv"]["data_uri"])) == [["a"], ["1"]]
    found = json.loads(re.search(r"var rules = (.*);\n", page)[1])
    assert found["other"] == rules["other"]
    assert "the baseline and one method for every finding" in found["table1"]["code"]


def test_what_is_no_report_is_refused(tmp_path):
    path = tmp_path / "report.html"
    path.write_text("<html></html>")
    with pytest.raises(InputError, match="make report"):
        report_page.complete(path)
    assert path.read_text() == "<html></html>"
