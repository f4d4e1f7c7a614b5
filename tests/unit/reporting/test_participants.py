"""Which images a study has and who is on them: flow, characteristics, their figure and table."""

from pathlib import Path
from types import SimpleNamespace

import matplotlib.text
import numpy as np
import pandas as pd
import pytest

from chexviz.base import rejections
from chexviz.base.tables.study import FLOW, PARTICIPANTS, SOURCES
from chexviz.data.sources.registry import of_kind
from chexviz.pipeline import provenance
from chexviz.reporting.figures import flow as figure_flow
from chexviz.reporting.figures import style
from chexviz.reporting.tables import characteristics, flow, participants, sources
from made_arguments import participants_arguments
from made_results import HOSPITAL, RSNA, SIIM, make_results

OUTPUTS = ("flow", "sources", "csv", "tex", "md", "pdf", "png")
EDEMA = ["edema"]
MINIMUM = 6  # pt, of text in figures


def samples(count=10, **columns) -> pd.DataFrame:
    """Images of known patients, two each; every fourth is positive."""
    defaults = {
        "image": [f"i{number:03d}" for number in range(count)],
        "patient": [f"p{number // 2}" for number in range(count)],
        "patient_known": True,
        "label_edema": [float(number % 4 == 0) for number in range(count)],
        **{"view": "AP", "sex": "F", "age": 50.0},
    }
    return pd.DataFrame(defaults | columns)


def split(images, subsets, site="north") -> pd.DataFrame:
    return pd.DataFrame({"site": site, "image": images, "subset": subsets})


def rejected(*reasons) -> pd.DataFrame:
    return pd.DataFrame({"file": "x", "reason": list(reasons)}, dtype=str)


def images(steps, step, **keys):
    rows = steps[steps["step"] == step]
    for key, value in keys.items():
        rows = rows[rows[key] == value]
    return rows["images"].tolist()


# --- flow ---


def test_every_radiograph_found_is_usable_or_rejected_and_every_label_in_a_subset():
    own = samples(label_edema=[1, 0, 0, 0, 1, 0, 0, 0, None, None])
    why = ["second copy of a/1.dcm", "second copy of b/22.dcm", "no annotation in train-rle.csv"]
    lost = ["no file for image 7", "in labels.csv, but there is no such file"]
    subsets = {"paper": split(own["image"][:8], ["train"] * 6 + ["evaluation"] * 2)}
    steps = flow.steps("north", EDEMA, own, rejected(*why, *lost), subsets)
    assert images(steps, "found") == [13]  # rows of a table that have no file are none
    assert images(steps, "rejected") == [2, 1]
    assert images(steps, "usable") == [10]
    assert images(steps, "unlabelled") == [2]
    assert images(steps, "subset", protocol="paper") == [6, 2]
    assert images(steps, "found")[0] == 10 + sum(images(steps, "rejected"))
    reasons = steps.loc[steps["step"] == "rejected", "reason"].tolist()
    assert reasons == ["second copy of ...", "no annotation in train-rle.csv"]
    assert [rejections.spelt(one) for one in reasons] == [
        *("second copy of another file", "no annotation in train-rle.csv"),
    ]


def test_patients_are_counted_where_they_are_known_and_otherwise_unknown():
    known = flow.steps("north", EDEMA, samples(), rejected(), {}).set_index("step")
    assert known.loc["usable", ["positives", "patients"]].tolist() == [3, 5]
    nobody = flow.steps("north", EDEMA, samples(patient_known=False), rejected(), {}).set_index(
        "step"
    )
    assert np.isnan(nobody.loc["usable", "patients"])
    some = samples(patient_known=[True] * 4 + [False] * 6)
    assert (
        flow.steps("n", EDEMA, some, rejected(), {}).set_index("step").loc["usable", "patients"]
        == 2
    )


def test_sites_together_are_the_sums_and_their_patients_are_unknown():
    own = samples()
    splits = {"paper": split(own["image"], ["train"] * 8 + ["evaluation"] * 2)}
    steps = [flow.steps("north", EDEMA, own, rejected("no pixel data"), splits) for _ in range(3)]
    together = flow.together(pd.concat(steps))
    assert images(together, "found") == [33]
    assert images(together, "subset", subset="train") == [24]
    assert together["patients"].isna().all()


# --- characteristics ---


def test_ages_have_median_and_quartiles_and_unknown_tags_are_counted():
    own = samples(
        8,
        age=[20, 30, 40, 50, 60, np.nan, np.nan, 99],
        sex=["F", "F", "M", None, "F", "M", "M", "F"],
        view=["AP", "PA", "PA", "LL", None, "AP", "AP", "PA"],
        label_edema=[1, 0, 0, 0, 1, 0, 0, None],
    )
    (row,) = characteristics.describe("north", EDEMA, own, {})
    assert (row["images"], row["positives"]) == (7, 2)  # the last is not labelled
    assert (row["age_low"], row["age_median"], row["age_high"]) == (30, 40, 50)
    assert (row["age_unknown"], row["sex_unknown"], row["view_unknown"]) == (2, 1, 1)
    assert (row["female"], row["male"]) == (3, 3)
    assert (row["ap"], row["pa"], row["view_other"]) == (3, 2, 1)
    assert characteristics.cells(row) == [
        *("All", "7", "2 (29 %)", "4", "3 (50 %)\n1 unknown", "40 (30–50)\n2 unknown"),
        "3 (50 %)\n1 other, 1 unknown",
    ]


def test_what_no_image_tells_is_unknown_and_no_number():
    own = samples(patient_known=False, view=None, sex=None, age=np.nan)
    (row,) = characteristics.describe("north", EDEMA, own, {})
    assert characteristics.cells(row)[3:] == ["unknown"] * 4


def test_a_subset_of_a_protocol_has_its_own_row():
    own = samples()
    splits = {
        "paper": split(own["image"], ["train"] * 8 + ["evaluation"] * 2),
        "patient": split(own["image"], ["train"] * 6 + ["validation"] * 2 + ["evaluation"] * 2),
    }
    table = pd.DataFrame(characteristics.describe("north", EDEMA, own, splits))
    assert table["subset"].tolist() == [
        *("all", "train", "evaluation", "train", "validation", "evaluation"),
    ]
    assert table["images"].tolist() == [10, 8, 2, 6, 2, 2]
    shown = characteristics.layout(table, {"north": "North, pneumonia"})
    assert [row[0] for row in shown.groups["North, pneumonia"]][1:3] == [
        *("paper: training", "paper: evaluation"),
    ]


# --- sources ---


@pytest.mark.parametrize(
    ("source", "address"),
    [
        ("kaggle-competition:rsna-x", "https://www.kaggle.com/c/rsna-x"),
        ("kaggle-dataset:someone/siim", "https://www.kaggle.com/datasets/someone/siim"),
        ("storage:s3://bucket/a.zip", "s3://bucket/a.zip"),
        ("local:/home/me/secret", ""),
        ("phantom", ""),
    ],
)
def test_the_address_of_a_source_is_where_others_find_it(tmp_path, source, address):
    assert of_kind(source).address(source) == address
    manifest, fetched = tmp_path / "manifest.csv", tmp_path / "fetched.csv"
    manifest.write_text("file,bytes,sha256\na.dcm,3,00\nb.dcm,4,11\n")
    fetched.write_text(f"source,date,address\n{source},,{address}\n")
    row = sources.describe("north", manifest, fetched)
    assert (row["kind"], row["address"]) == (source.partition(":")[0], address)
    assert (row["files"], row["bytes"], row["date"]) == (2, 7, "")
    fetched.write_text(f"source,date,address\n{source},2026-11-29,{address}\n")
    again = sources.describe("north", manifest, fetched)
    assert again == row | {"date": "2026-11-29"}  # the same files have the same checksum


def test_the_day_of_a_download_is_no_part_of_what_results_rest_on(tmp_path):
    files = [tmp_path / "site" / name for name in ("manifest.csv", "fetched.csv")]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.write_text("x")
    job = SimpleNamespace(output=[str(file) for file in files])
    table = provenance.data_table(job, [], tmp_path, lambda file: "sum")
    assert [Path(name).name for name in table] == ["manifest.csv"]


# --- the job ---


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_results(tmp_path_factory.mktemp("made"), sites=(RSNA, SIIM, HOSPITAL), images=40)


def run(results, folder, mark="DEMO"):
    paths = {name: folder / f"out.{name}" for name in OUTPUTS}
    outputs = [f"--{name}={path}" for name, path in paths.items()]
    participants.main([*participants_arguments(results), *outputs, f"--mark={mark}"])
    return paths


def test_the_tables_are_those_of_the_samples_and_the_same_on_a_rerun(made, tmp_path):
    paths = run(made, tmp_path)
    first = {name: path.read_bytes() for name, path in paths.items()}
    table = PARTICIPANTS.read(paths["csv"])
    rsna = pd.read_csv(made.site("rsna", "samples.csv"))
    (row,) = table[(table["site"] == "rsna") & (table["subset"] == "all")].to_dict("records")
    assert row["female"] == (rsna["sex"] == "F").sum()
    assert row["age_median"] == rsna["age"].median()
    steps = FLOW.read(paths["flow"])
    own = steps[steps["site"] == "siim"]
    assert images(own, "found") == [len(rsna) + 2]
    for protocol in made.protocols:
        assert sum(images(own, "subset", protocol=protocol)) == len(rsna)
    listed = SOURCES.read(paths["sources"])
    assert listed["kind"].tolist() == ["kaggle-competition", "kaggle-dataset", "local"]
    assert "/data/chest" not in paths["sources"].read_text()
    for name in ("flow", "sources", "csv", "tex", "md"):
        assert "DEMO" in paths[name].read_text(), name
    assert {name: path.read_bytes() for name, path in run(made, tmp_path).items()} == first


@pytest.mark.parametrize("count", [1, 3, 7])
def test_the_figure_fits_and_of_many_sites_shows_the_sums(count):
    own = samples()
    protocols = {
        "paper": split(own["image"], ["train"] * 8 + ["evaluation"] * 2, site="s0"),
        "patient": split(own["image"], ["train"] * 6 + ["validation"] * 2 + ["evaluation"] * 2),
    }
    why = rejected(*(f"{'a very long reason ' * 4}of kind {'x' * number}" for number in range(9)))
    steps = []
    for site in range(count):
        splits = {name: table.assign(site=f"s{site}") for name, table in protocols.items()}
        steps.append(flow.steps(f"s{site}", EDEMA, own, why, splits))
    titles = {f"s{site}": f"Hospital {site}, pneumonia" for site in range(count)}
    figure = figure_flow.draw(pd.concat(steps), titles)
    texts = [one for one in figure.findobj(matplotlib.text.Text) if one.get_text().strip()]
    renderer = figure.canvas.get_renderer()
    for text in texts:
        box = text.get_window_extent(renderer)
        assert figure.bbox.x0 <= box.x0 < box.x1 <= figure.bbox.x1, text
        assert figure.bbox.y0 <= box.y0 < box.y1 <= figure.bbox.y1, text
        assert text.get_fontsize() >= MINIMUM
    shown = [text.get_text() for text in texts]
    assert ("All 7 sites together" in shown) == (count == 7)
    assert f"{19 * (count if count == 7 else 1):,}" in shown
    assert any("for 4 other kinds of reasons" in text for text in shown)
    style.plt.close(figure)
