"""What is given away of a run: other names of patients, no place of a machine, a valid crate."""

import json
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pandas as pd
import pytest
import rocrate
from hypothesis import given
from hypothesis import strategies as st

from chexviz.base.tables.models import PREDICTIONS
from chexviz.tools.archive import contents
from chexviz.tools.archive.archive import CONFIG, REPOSITORY, about_run, fill, source_files
from chexviz.tools.archive.crate import describe
from needed import absent

VALIDATOR = "roc-validator==0.13.0"
RECOMMENDED = {  # what the run cannot know: who ran it and who publishes it
    *("process-run-crate-0.5_3.2", "process-run-crate-0.5_5.1", "process-run-crate-0.5_8.6"),
    *("workflow-ro-crate-1.0_8.1", "ro-crate-1.1_22.2", "ro-crate-1.1_22.3"),
}
SCORES = [
    ["rsna", "mrn-1001-a", "mrn-1001", "evaluation", "pneumonia", 1, "rsna", 0.75],
    ["rsna", "mrn-1001-b", "mrn-1001", "evaluation", "pneumonia", 0, "rsna", 0.25],
    ["rsna", "mrn-1002-a", "mrn-1002", "validation", "pneumonia", 0, "rsna", 0.5],
]


@pytest.fixture
def run(tmp_path) -> tuple[dict, dict]:
    """The config and the record of a small run."""
    results = tmp_path / "hospital north" / "results"
    files = {
        "predictions/paper/standard/fedavg/seed1.csv": None,
        "predictions/paper/standard/fedavg/seed1.gradcam.npz": "maps",
        "tables/table1.csv": "task,auroc\npneumonia,0.8\n",
        "splits/paper.csv": "site,image,patient\nrsna,mrn-1001-a,mrn-1001\n",
        "figures/paper/figure2.pdf": "curves",
        "figures/paper/figure3.pdf": "maps on radiographs",
        "paper.pdf": "all figures",
        "bundles/paper/standard/model.onnx": "a model",
        "models/paper/standard/fedavg/seed1/global.safetensors": "a model",
    }
    for name, text in files.items():
        (results / name).parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            PREDICTIONS.write(SCORES, results / name)
        else:
            (results / name).write_text(text)
    chosen = {"sites": ["rsna"], "protocols": ["paper"], "architectures": ["standard"]}
    config = {
        "pathvars": {"results": str(results)},
        "run": chosen | {"methods": ["fedavg"]},
        "sites": {"rsna": {"title": "RSNA", "source": [f"local:{tmp_path}/hospital north/raw"]}},
        "mark": "",
    }
    record = {
        "artifacts": {str(results / name): {"job": f"makes {name}"} for name in files},
        "jobs": {},
        "tables": {"a": {f"{tmp_path}/labels.csv": "b", "download: source": str(config["sites"])}},
    }
    (results / "provenance.json").write_text(json.dumps(record))
    return config, record


def filled(run: tuple[dict, dict], folder: Path, radiographs: bool = False) -> set[str]:
    """Lay a run's results into a folder; their paths there."""
    config, record = run
    where = Path(config["pathvars"]["results"]) / "provenance.json"
    made = fill(folder, config, record, about_run(config, "CC-BY-4.0", where), radiographs)
    return set(map(str, made))


def test_what_names_or_shows_patients_stays_behind(run, tmp_path):
    taken = filled(run, tmp_path / "out")
    assert taken == {
        "results/predictions/paper/standard/fedavg/seed1.csv",
        "results/tables/table1.csv",
        "results/figures/paper/figure2.pdf",
        "results/bundles/paper/standard/model.onnx",
    }
    said = (tmp_path / "out" / "README.md").read_text()
    for why, count in ((contents.NAMES_IMAGES, 1), (contents.RADIOGRAPHS, 2), (contents.OTHER, 2)):
        assert f"- {count} files: {why}" in said


def test_the_paper_goes_in_where_radiographs_may(run, tmp_path):
    more = filled(run, tmp_path / "with", radiographs=True) - filled(run, tmp_path / "without")
    assert more == {"results/paper.pdf", "results/figures/paper/figure3.pdf"}


def test_scores_keep_all_but_the_names(run, tmp_path):
    filled(run, tmp_path / "out")
    table = PREDICTIONS.read(
        tmp_path / "out" / "results" / "predictions" / "paper/standard/fedavg/seed1.csv"
    )
    was = pd.DataFrame(SCORES, columns=PREDICTIONS.names).set_index("score")
    now = table.set_index("score")
    kept = ["site", "subset", "finding", "label", "head"]
    pd.testing.assert_frame_equal(
        now[kept].sort_index(), was[kept].sort_index(), check_dtype=False, check_names=False
    )
    assert now.loc[0.75, "patient"] == now.loc[0.25, "patient"] != now.loc[0.5, "patient"]
    assert table["image"].nunique() == 3
    assert table["image"].is_monotonic_increasing  # the order says nothing


def test_no_id_and_no_place_is_left_anywhere(run, tmp_path):
    filled(run, tmp_path / "out")
    files = [file for file in (tmp_path / "out").rglob("*") if file.is_file()]
    assert len(files) > 100
    for file in files:
        for secret in ("mrn-100", str(tmp_path), "hospital north"):
            assert secret.encode() not in file.read_bytes(), file


def test_the_same_name_is_the_same_number(tmp_path):
    text = contents.without_places({"a": "/x/one", "b": "local:/x/two", "c": "/x/one"}, tmp_path)
    found = json.loads(text)
    assert found["a"] == found["c"] == "(path 1 of that machine)"
    assert found["b"] == "local:(path 2 of that machine)"


@pytest.mark.parametrize(
    "text", ["https://a.b/c/d", "results/demo/x.csv", "3/4", "AP / PA", "AP/PA", "a: b", "{x}/y"]
)
def test_what_is_no_place_of_a_machine_stays(text, tmp_path):
    assert json.loads(contents.without_places({"a": text}, tmp_path)) == {"a": text}


@given(st.lists(st.text(min_size=1), unique=True))
def test_every_name_gets_a_number_of_its_own(names):
    found = contents.numbered("image", list(names))
    assert set(found) == set(names)
    assert len(set(found.values())) == len(names)
    assert len({len(one) for one in found.values()}) <= 1  # so that they sort as numbers


def test_of_the_code_nothing_names_patients():
    taken = set(map(str, source_files()))
    assert {"Snakefile", "workflow/Snakefile", "config/config.yaml", "docs/provenance.md"} <= taken
    assert "workflow/chexviz/tools/archive/archive.py" in taken
    assert not [file for file in taken if file.endswith((".gz", ".pyc"))]


def test_the_crate_is_one_to_its_validator(run, tmp_path):
    """A Workflow Run Crate 0.5, by roc-validator: all that is required, and most of the rest."""
    config, record = run
    folder = tmp_path / "out"
    where = Path(config["pathvars"]["results"]) / "provenance.json"
    about = about_run(config, "CC-BY-4.0", where)
    made = fill(folder, config, record, about, False)
    described = describe(folder, about, REPOSITORY / "Snakefile", CONFIG, made)
    described.write_zip(tmp_path / "crate.zip")
    context = Path(rocrate.__file__).parent / "data" / "ro-crate.jsonld"
    judge = Path(__file__).with_name("judge_crate.py")
    line = [Path(sys.executable).with_name("uv"), "tool", "run", "--from", VALIDATOR, "python"]
    line += [judge, context, tmp_path / "crate.zip", "workflow-run-crate-0.5"]
    done = subprocess.run(list(map(str, line)), capture_output=True, text=True)
    if "error: " in done.stderr and not done.stdout:
        absent(f"{VALIDATOR} cannot be fetched: {done.stderr[-300:]}")
    issues = json.loads(done.stdout.splitlines()[-1])["workflow-run-crate-0.5"]
    assert [one for one in issues if one.startswith("REQUIRED")] == []
    assert {one.split()[1].rstrip(":") for one in issues} <= RECOMMENDED
    action = described.dereference("#run")
    assert PurePosixPath(action["object"].id) == CONFIG
    assert {one.id for one in action["result"]} == set(map(str, made))
