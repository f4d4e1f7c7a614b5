"""The checks of labels and tags: counts by hand, intervals against known values."""

import numpy as np
import pandas as pd
import pytest

from chexviz.base.tables.study import LABEL_CHECKS
from chexviz.cohort import label_checks
from chexviz.cohort.label_checks import check, odds_ratio

FINDINGS = {"a": ["pneumonia"], "b": ["pneumonia"], "c": ["edema"]}


def sample(site: str, image: str, label: str = "0", **values) -> dict:
    """A row of samples.csv. label: of the first finding of the site."""
    row = {"site": site, "image": image, "patient": f"{site}-{image}", "patient_known": "True"}
    row |= {"subset": "", "view": "PA", "sex": "F", "age": "50", "age_stated": "50"}
    row |= {"spacing": "0.5", "sha256": f"{site}{image}", "file": f"{image}.dcm", "phash": "0"}
    return row | {f"label_{FINDINGS.get(site, ['pneumonia'])[0]}": label} | values


ROWS = [
    sample("a", "1", label="1", view="AP"),
    sample("a", "2", label="0", patient="p", sex="M"),
    sample("a", "3", label="", spacing="", view=""),
    sample("a", "4", age="", age_stated="148", patient_known="False", sex=""),
    sample("b", "1", label="1", patient="p"),
    sample("b", "2", label="1", patient="p", age="", age_stated=""),
    sample("c", "1", label="1", patient="p"),
]
PAIRS = pd.DataFrame(
    [
        ("a", "1", "a", "2"),  # labels differ
        ("a", "1", "a", "3"),  # one is not annotated
        ("a", "1", "b", "1"),  # labels agree
        ("a", "2", "b", "2"),  # labels differ
        ("a", "2", "c", "1"),  # labels of different findings
    ],
    columns=["site_a", "image_a", "site_b", "image_b"],
)
NUMBERS = ("age", "spacing", "label_pneumonia", "label_edema")
KEYS = ["site", "check", "group"]


def typed(rows: list[dict]) -> pd.DataFrame:
    """The rows as their tables are read."""
    table = pd.DataFrame(rows).replace("", np.nan)
    return table.astype({name: float for name in NUMBERS if name in table})


def written(folder, rows: list[dict]) -> pd.DataFrame:
    """What the entry point writes for these rows and PAIRS, by site, check and group."""
    for site in FINDINGS:
        own = pd.DataFrame([row for row in rows if row["site"] == site])
        own.drop(columns="site").to_csv(folder / f"{site}.csv", index=False)
    PAIRS.to_csv(folder / "pairs.csv", index=False)
    label_checks.main(
        ["--site", *FINDINGS, "--samples"]
        + [str(folder / f"{site}.csv") for site in FINDINGS]
        + ["--duplicates", str(folder / "pairs.csv"), "--output", str(folder / "out.csv")]
    )
    made = LABEL_CHECKS.read(folder / "out.csv")
    assert list(made.columns) == LABEL_CHECKS.names
    assert not made.duplicated([*KEYS, "finding"]).any()
    return made.set_index(KEYS)


@pytest.fixture
def table(tmp_path) -> pd.DataFrame:
    return written(tmp_path, ROWS)


def counts(table: pd.DataFrame, *key: str) -> tuple[int, int]:
    return tuple(table.loc[key, ["images", "count"]].astype(int))


def of(table: pd.DataFrame, finding: str) -> pd.DataFrame:
    return table[table["finding"] == finding]


def test_conflicts_count_where_both_label_the_finding(table):
    assert counts(table, "a", "conflicting labels", "a") == (2, 2)
    assert counts(table, "a", "conflicting labels", "b") == (2, 1)
    assert counts(table, "b", "conflicting labels", "a") == (2, 1)
    assert counts(table, "c", "conflicting labels", "c") == (0, 0)
    assert ("a", "conflicting labels", "c") not in table.index
    note = table.loc[("a", "conflicting labels", "a"), "note"]
    assert note == "pneumonia: 2, e.g. a/1 is 1, a/2 is 0"
    assert np.isnan(table.loc[("c", "conflicting labels", "c"), "value"])


def test_each_finding_that_two_sites_label_is_compared(tmp_path):
    """Site c labels edema, but it also says pneumonia of an image of which a says none."""
    further = {"a": {}, "b": {"label_edema": "1"}, "c": {"label_pneumonia": "1"}}
    table = written(tmp_path, [row | further[row["site"]] for row in ROWS])
    pneumonia, edema = of(table, "pneumonia"), of(table, "edema")
    assert counts(pneumonia, "a", "conflicting labels", "c") == (1, 1)
    assert counts(pneumonia, "c", "conflicting labels", "a") == (1, 1)
    note = pneumonia.loc[("c", "conflicting labels", "a"), "note"]
    assert note == "pneumonia: 1, e.g. c/1 is 1, a/2 is 0"
    assert counts(pneumonia, "a", "conflicting labels", "b") == (2, 1)
    assert "a" not in edema.index.get_level_values("site")  # it does not label edema
    for finding in ("edema", "pneumonia"):  # no two images are alike
        assert counts(of(table, finding), "b", "conflicting labels", "c") == (0, 0)


def test_every_finding_of_a_site_has_rows_of_its_own(tmp_path):
    edema = {"1": "1", "2": "0", "3": "1"}
    table = written(tmp_path, [row | {"label_edema": edema.get(row["image"], "")} for row in ROWS])
    expected = {  # of the edema labels, those of images 1 and 3 agree
        "pneumonia": {"conflicting": (2, 2), "positive": (3, 1), "sexes": (2, 1)},
        "edema": {"conflicting": (3, 2), "positive": (3, 2), "sexes": (3, 2)},
    }
    for finding, numbers in expected.items():
        own = of(table, finding)
        assert counts(own, "a", "conflicting labels", "a") == numbers["conflicting"]
        assert counts(own, "a", "positive", "all") == numbers["positive"]
        assert counts(own, "a", "odds ratio", "sex M against F") == numbers["sexes"]
        assert counts(own, "a", "missing", "label") == (4, 1)
    note = of(table, "edema").loc[("a", "conflicting labels", "a"), "note"]
    assert note == "edema: 2, e.g. a/1 is 1, a/2 is 0"
    without = table[table["finding"] == ""].index.get_level_values("check")
    assert set(without) == {
        *("shared patient", "shared duplicate", "shared exact"),
        *("patients", "several images", "missing", "impossible"),
    }


def test_a_finding_of_which_no_label_is_known_has_nothing_to_divide(tmp_path):
    table = written(tmp_path, [row | {"label_edema": ""} for row in ROWS])
    own = of(table, "edema").loc["a"]
    assert tuple(own.loc[("missing", "label"), ["images", "count"]]) == (4, 4)
    assert own.loc[("positive", "all"), "images"] == 0
    assert own.loc[("positive", "all"), ["value", "low", "high"]].isna().all()


def test_what_sites_share(table):
    assert counts(table, "a", "shared patient", "b") == (3, 1)  # of one the patient is unknown
    assert counts(table, "b", "shared patient", "a") == (2, 2)
    assert table.loc[("b", "shared patient", "a"), "note"] == "patients: 1"
    assert counts(table, "a", "shared duplicate", "b") == (4, 2)
    assert counts(table, "a", "shared exact", "b") == (4, 0)


def test_unknown_patients_are_said_not_counted():
    images = typed(ROWS).assign(patient_known=lambda rows: rows["site"] != "b")
    table = check(images, PAIRS, FINDINGS).set_index(KEYS)
    for site, other in (("a", "b"), ("b", "c")):
        note = table.loc[(site, "shared patient", other), "note"]
        assert note == "patients of one or both are unknown"
        assert np.isnan(table.loc[(site, "shared patient", other), "value"])
    assert table.loc[("a", "shared patient", "c"), "note"] == "patients: 1"


def test_patients_and_the_images_of_those_who_have_several(table):
    assert counts(table, "a", "patients", "known") == (3, 3)
    assert counts(table, "a", "several images", "patient") == (3, 0)
    assert counts(table, "b", "patients", "known") == (2, 1)
    assert counts(table, "b", "several images", "patient") == (2, 2)
    assert table.loc[("b", "patients", "known"), "value"] == 2  # images of each
    unknown = typed(ROWS).assign(patient_known=False)
    nobody = check(unknown, PAIRS, FINDINGS).set_index(KEYS)
    assert counts(nobody, "b", "patients", "known") == (0, 0)
    assert np.isnan(nobody.loc[("b", "patients", "known"), "value"])


def test_missing_tags_and_impossible_ages(table):
    tags = ("patient", "label", *label_checks.TAGS)
    assert [counts(table, "a", "missing", tag) for tag in tags] == [(4, 1)] * 6
    assert table.loc[("a", "missing", "patient"), "note"] == "shared patients cannot be found"
    assert counts(table, "a", "impossible", "age") == (4, 1)
    assert table.loc[("a", "impossible", "age"), "note"] == "'148'"
    assert counts(table, "b", "missing", "age") == (2, 1)
    assert counts(table, "b", "impossible", "age") == (1, 0)


def test_balance_by_view_and_sex(table):
    assert counts(table, "a", "positive", "all") == (3, 1)
    assert counts(table, "a", "positive", "view AP") == (1, 1)
    assert counts(table, "a", "positive", "view PA") == (2, 0)
    assert counts(table, "a", "positive", "sex unknown") == (1, 0)
    assert table.loc[("b", "odds ratio", "view AP against PA"), "note"].startswith("needs both")


def made(first: tuple[int, int], second: tuple[int, int]) -> pd.DataFrame:
    """Positive and negative images of the views AP and PA."""
    views = ["AP"] * sum(first) + ["PA"] * sum(second)
    values = [one for part in (first, second) for one in ["1"] * part[0] + ["0"] * part[1]]
    rows = [
        sample("s", str(number), label, view=view)
        for number, (view, label) in enumerate(zip(views, values, strict=True))
    ]
    return typed(rows).assign(patient_known=True)


def test_the_confounder_of_the_published_rsna_counts():
    """A tenth of them: AP 1,217 (38.3 % positive), PA 1,451 (9.3 %); Woolf's interval."""
    row = odds_ratio(made((466, 751), (135, 1316)), "pneumonia", "view", label_checks.VIEWS)
    assert row["value"] == pytest.approx(466 * 1316 / (751 * 135))
    error = np.sqrt(1 / 466 + 1 / 751 + 1 / 135 + 1 / 1316)
    assert np.log([row["low"], row["high"]]) == pytest.approx(
        np.log(row["value"]) + 1.959964 * error * np.array([-1, 1])
    )
    assert row["low"] > 4


def test_an_empty_cell_gets_half_a_count():
    row = odds_ratio(made((3, 4), (0, 5)), "pneumonia", "view", label_checks.VIEWS)
    assert row["value"] == pytest.approx(3.5 * 5.5 / (4.5 * 0.5))
    assert row["note"] == "0.5 added to every count, as one is 0"
    for counts in (((0, 4), (0, 5)), ((3, 4), (0, 0))):
        row = odds_ratio(made(*counts), "pneumonia", "view", label_checks.VIEWS)
        assert np.isnan(row["value"])


def test_the_intervals_are_wilsons():
    table = check(made((10, 90), (0, 20)), PAIRS, {"s": ["pneumonia"]}).set_index("group")
    # By Wilson's formula, of 10 in 100 and of 0 in 20.
    assert table.loc["view AP", ["low", "high"]].tolist() == pytest.approx(
        [0.05523, 0.17437], abs=1e-5
    )
    assert table.loc["view PA", ["low", "high"]].tolist() == pytest.approx([0, 0.16113], abs=1e-5)
