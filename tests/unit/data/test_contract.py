"""Data contracts: what is counted, what differs, and the two published ones."""

import csv
import gzip
import json
import shutil

import msgspec
import pandas as pd
import pytest
import yaml
from snakemake.exceptions import WorkflowError
from snakemake.utils import update_config, validate

from chexviz.base.errors import InputError
from chexviz.data.contract import Contract, check
from chexviz.data.download import main as download
from chexviz.data.preprocess import main as preprocess
from chexviz.data.readers.listing import Options
from chexviz.data.readers.registry import read
from chexviz.pipeline import settings as job_settings
from made_archives import zip_bytes, zipped
from made_dicoms import chest, make_manifest, write_dicom
from made_options import NOTHING

SIIM = "ImageId, EncodedPixels\n1.2.3,-1\n1.2.4,2 5 2 5\n1.2.5,7 1\n"
OPTIONS = {
    "findings": ["pneumothorax"],
    **NOTHING,
}
SIZES = {"size": 32, "fit": "pad", "max_pixels": 1_000_000}
CONTRACT = {
    "strict": True,
    "files": {"train-rle.csv": 1, "*.dcm": 4},
    "columns": {"train-rle.csv": ["ImageId", "EncodedPixels"]},
    "rows": 3,
    "ids": 3,
    "images": 3,
    "positives": {"pneumothorax": 2},
}


def siim(folder, names=("1.2.3", "1.2.4", "1.2.5", "1.2.6")):
    """A site in SIIM's layout: four images, the last without annotation."""
    for number, name in enumerate(names):
        path = folder / f"dicom-images-train/2.{number}/3.{number}/{name}.dcm"
        write_dicom(path, chest(number, (16, 16)))
    (folder / "train-rle.csv").write_text(SIIM)
    return folder


@pytest.fixture
def data(tmp_path):
    return siim(tmp_path / "data")


def checked(data, contract=CONTRACT, reader="siim", findings=("pneumothorax",), **changes):
    """The outcome of a contract by check: (expected, found, verdict)."""
    files = make_manifest(data)
    options = msgspec.convert(OPTIONS | {"findings": list(findings)}, Options)
    listing = read(reader, data, files, options)
    table = check("north", contract and Contract(**contract | changes), data, files, listing)
    return {row.check: (row.expected, row.found, row.verdict) for row in table.itertuples()}


def test_a_site_that_is_as_expected(data, capsys):
    assert checked(data) == {
        "files train-rle.csv": ("1", "1", "as expected"),
        "files *.dcm": ("4", "4", "as expected"),
        "columns of train-rle.csv": (
            "ImageId, EncodedPixels",
            "ImageId, EncodedPixels",
            "as expected",
        ),
        "rows of the label table": ("3", "3", "as expected"),
        "ids of the label table": ("3", "3", "as expected"),
        "images": ("3", "3", "as expected"),
        "positives of pneumothorax": ("2", "2", "as expected"),
    }
    assert capsys.readouterr().err == ""


def test_without_a_contract_the_table_says_what_is_there(data):
    assert checked(data, None) == {
        "rows of the label table": ("", "3", "not checked"),
        "ids of the label table": ("", "3", "not checked"),
        "images": ("", "3", "not checked"),
        "positives of pneumothorax": ("", "2", "not checked"),
    }


def test_the_positives_of_each_finding_of_the_site_are_compared(tmp_path):
    data = tmp_path / "data"
    for number in range(3):
        write_dicom(data / f"{number}.dcm", chest(number, (16, 16)))
    (data / "labels.csv").write_text("file,mass,edema\n0.dcm,1,1\n1.dcm,,1\n2.dcm,0,0\n")
    agreed = {"strict": False, "files": {}, "columns": {}}
    agreed["positives"] = {"mass": 1, "edema": 3, "fracture": 7}
    found = checked(data, agreed, "table", findings=["mass", "edema"])
    positives = {name: outcome for name, outcome in found.items() if "positives" in name}
    assert positives == {
        "positives of mass": ("1", "1", "as expected"),
        "positives of edema": ("3", "2", "differs"),
    }


def test_a_second_copy_is_not_more_data(data):
    shutil.copytree(data, data.parent / "copy")
    (data.parent / "copy").rename(data / "pneumothorax")
    assert {verdict for *_, verdict in checked(data).values()} == {"as expected"}


def test_a_compressed_table_is_a_table(data):
    table = data / "train-rle.csv"
    (data / "train-rle.csv.gz").write_bytes(gzip.compress(table.read_bytes()))
    table.unlink()
    assert {verdict for *_, verdict in checked(data).values()} == {"as expected"}


DIFFERENCES = [
    ({"files": {"*.dcm": 5}}, "files *.dcm", "5", "4", "manifest.csv and run again"),
    ({"files": {"detailed.csv": 1}}, "files detailed.csv", "1", "0", "not complete"),
    (
        {"columns": {"train-rle.csv": ["ImageId", "Pixels"]}},
        "columns of train-rle.csv",
        "ImageId, Pixels",
        "ImageId, EncodedPixels",
        "another release",
    ),
    ({"columns": {"x.csv": ["a"]}}, "columns of x.csv", "a", "no such file", "another release"),
    ({"rows": 4}, "rows of the label table", "4", "3", "added or removed"),
    ({"ids": 4}, "ids of the label table", "4", "3", "missing in the label table"),
    ({"images": 12047}, "images", "12047", "3", "missing or too many"),
    (
        {"positives": {"pneumothorax": 1}},
        "positives of pneumothorax",
        "1",
        "2",
        "labels were edited",
    ),
]


@pytest.mark.parametrize(("change", "name", "expected", "found", "fix"), DIFFERENCES)
def test_every_kind_of_difference_is_named_with_what_to_do(
    data, change, name, expected, found, fix
):
    with pytest.raises(InputError) as caught:
        checked(data, **change)
    said = str(caught.value)
    words = (f"\n    {name}: expected {expected}; found {found}\n", fix)
    for word in ("site north", f"1 of its checks differ in {data}", "strict: false", *words):
        assert word in said


def test_all_differences_come_at_once(data):
    with pytest.raises(InputError, match="2 of its checks") as caught:
        checked(data, images=4, positives={"pneumothorax": 3})
    for word in ("images: expected 4; found 3", "positives of pneumothorax: expected 3; found 2"):
        assert word in str(caught.value)


def test_what_lacks_is_named(tmp_path):
    """Removed from the files 1.2.4 and 1.2.5, and from the table a row that 1.2.6 had."""
    data = siim(tmp_path / "data", ["1.2.3", "1.2.6"])
    with pytest.raises(InputError) as caught:
        checked(data, ids=4)
    assert "ids of the label table: expected 4; found 3" in caught.value.found
    assert (
        "2 of 3 images in train-rle.csv have no file, such as '1.2.4', '1.2.5'"
        in caught.value.found
    )
    assert "1 radiographs have no row in it, such as 'dicom-images-train/2.1/3.1/1.2.6" in (
        caught.value.found
    )


def test_what_is_not_strict_warns_and_is_in_the_table(data, capsys):
    found = checked(data, strict=False, images=12047)
    assert found["images"] == ("12047", "3", "differs")
    assert found["positives of pneumothorax"][2] == "as expected"
    said = capsys.readouterr().err
    assert "WARNING site north" in said
    assert "images: expected 12047; found 3" in said


# --- in the config ---

HOSPITAL = {"title": "H", "findings": ["x"], "reader": "table", "source": ["phantom"]}


def merged(repository, *overlays, site="rsna"):
    """A site's contract in the config with overlays, as Snakemake merges and validates it."""
    config = yaml.safe_load((repository / "config" / "config.yaml").read_text())
    together: dict = {}
    for overlay in overlays:
        update_config(together, overlay)
    update_config(config, together)
    validate(config, str(repository / "workflow" / "schemas" / "config.schema.yaml"))
    return job_settings.preprocess(config, site)["contract"]


def overlay(contract):
    return {"sites": {"rsna": {"contract": contract}}}


def test_an_overlay_can_null_a_contract_or_change_it(repository):
    assert merged(repository)["strict"]
    assert merged(repository, overlay({"strict": False}))["images"] == 26684
    demo = yaml.safe_load((repository / "config" / "demo.yaml").read_text())
    assert merged(repository, demo) is None
    again = merged(repository, demo, overlay(CONTRACT))
    assert (again["images"], again["positives"]) == (3, {"pneumonia": 6012, "pneumothorax": 2})


def test_a_site_without_the_key_has_no_contract(repository):
    assert merged(repository, {"sites": {"hospital": HOSPITAL}}, site="hospital") is None


def test_rows_and_ids_need_not_be_known(repository, data):
    known = {key: value for key, value in CONTRACT.items() if key not in ("rows", "ids")}
    agreed = merged(
        repository, {"sites": {"hospital": HOSPITAL | {"contract": known}}}, site="hospital"
    )
    assert checked(data, agreed)["ids of the label table"] == ("", "3", "not checked")


@pytest.mark.parametrize("wrong", [{"imagse": 3}, {"images": "many"}, {"columns": {"a.csv": []}}])
def test_a_contract_with_a_mistake_is_refused(repository, wrong):
    with pytest.raises(WorkflowError):
        merged(repository, overlay(CONTRACT | wrong))


# --- through the stages ---


def nested(folder):
    """The layout of a mirror: everything in an archive within the archive, and a second copy."""
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    return files | {"pneumothorax.zip": zip_bytes(files)}


LAYOUTS = {
    "flat": lambda folder: nested(folder) | {"pneumothorax.zip": zip_bytes({"x.txt": ""})},
    "a second copy in an archive inside": nested,
    "in a folder": lambda folder: {f"siim/{name}": text for name, text in nested(folder).items()},
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_layouts_of_siims_mirrors_meet_one_contract(tmp_path, layout, monkeypatch):
    monkeypatch.setattr("chexviz.data.readers.siim.SIDE", 16)
    source = zipped(tmp_path / "site.zip", LAYOUTS[layout](siim(tmp_path / "made")))
    manifest, out = tmp_path / "resources" / "manifest.csv", tmp_path / "out"
    words = ["--site", "siim", "--manifest", str(manifest), "--settings"]
    settings = {"source": [f"local:{source}"], "reader": "siim", "phantom": None}
    download([*words, json.dumps(settings)])
    settings = OPTIONS | SIZES | {"reader": "siim", "contract": CONTRACT}
    outputs = {name: out / f"{name}.csv" for name in ("samples", "annotations", "rejected")}
    outputs |= {"images": out / "images.npy", "contract": out / "contract.csv"}
    paths = [word for name, path in outputs.items() for word in (f"--{name}", str(path))]
    preprocess([*words, json.dumps(settings), *paths])
    assert set(pd.read_csv(outputs["contract"])["verdict"]) == {"as expected"}
    samples = pd.read_csv(outputs["samples"], dtype=str)
    assert samples["image"].tolist() == ["1.2.3", "1.2.4", "1.2.5"]
    with outputs["rejected"].open(newline="") as file:
        reasons = [row["reason"] for row in csv.DictReader(file)]
    copies = [reason for reason in reasons if reason.startswith("second copy of")]
    assert len(copies) == (0 if layout == "flat" else 4)
    assert reasons.count("no annotation in train-rle.csv") == 1
    assert len(reasons) == len(copies) + 1


def test_a_strict_contract_stops_before_anything_is_decoded(tmp_path, data, monkeypatch):
    make_manifest(data)
    monkeypatch.setattr("chexviz.data.preprocess.convert_all", lambda *words, **more: 1 / 0)
    settings = OPTIONS | SIZES | {"reader": "siim"}
    settings |= {"contract": CONTRACT | {"images": 4}}
    words = ["--site", "siim", "--manifest", str(tmp_path / "manifest.csv")]
    names = ("images", "samples", "annotations", "rejected", "contract")
    words += [word for name in names for word in (f"--{name}", str(tmp_path / "out" / name))]
    with pytest.raises(InputError, match="data contract"):
        preprocess([*words, "--settings", json.dumps(settings)])
    assert not (tmp_path / "out").exists()


# --- the published datasets ---


@pytest.mark.parametrize(
    ("site", "table", "image", "label", "negative"),
    [
        ("rsna", "stage_2_train_labels.csv", "patientId", "Target", "0"),
        ("siim", "train-rle.csv", "ImageId", "EncodedPixels", "-1"),
    ],
)
def test_the_contracts_are_those_of_the_published_tables(
    repository, real_data, site, table, image, label, negative
):
    config = yaml.safe_load((repository / "config" / "config.yaml").read_text())
    contract = config["sites"][site]["contract"]
    published = {"siim": "siim-train-rle.csv.gz"}.get(site, f"{table}.gz")
    rows = pd.read_csv(real_data / "tables" / published, dtype=str, keep_default_na=False)
    rows.columns = rows.columns.str.strip()
    assert contract["strict"]
    assert contract["files"][table] == 1
    assert contract["columns"] == {table: list(rows.columns)}
    assert contract["rows"] == len(rows)
    assert contract["ids"] == contract["images"] == rows[image].nunique()
    positive = rows.loc[rows[label].str.strip() != negative, image].nunique()
    assert list(contract["positives"].values()) == [positive]
    assert contract["files"]["*.dcm"] >= contract["images"]
