"""The complete tables of public datasets, through the real readers, against what they hold."""

import zipfile
from pathlib import Path

import msgspec
import pandas as pd
import pytest
import yaml

from chexviz.base import user_tables
from chexviz.base.errors import InputError
from chexviz.data.readers import chexpert, nih, padchest, vindr
from chexviz.data.readers.listing import Listing, Options
from made_options import NOTHING
from needed import absent

NIH = {
    "infiltration": 19_894,
    "pleural_effusion": 13_317,
    "atelectasis": 11_559,
    "nodule": 6_331,
    "mass": 5_782,
    "pneumothorax": 5_302,
    "consolidation": 4_667,
    "pleural_thickening": 3_385,
    "cardiomegaly": 2_776,
    "emphysema": 2_516,
    "edema": 2_303,
    "fibrosis": 1_686,
    "pneumonia": 1_431,
    "hernia": 227,
    "no_finding": 60_361,
}
GOOGLE = "google2019_nih-chest-xray-labels.csv.gz"
CHEXPERT, VINDR = "chexpert_train.csv.gz", "vinbigdata-train.csv.gz"
PADCHEST = f"{padchest.TABLE}.gz"
CACHE = ".pytest_cache/public_tables"
FETCH = (
    f"python -m pip download --no-deps --require-hashes --dest {CACHE} "
    "--requirement tests/reference/public_tables.txt"
)
MAJORITY = {
    "aortic_enlargement": 2_346,
    "cardiomegaly": 1_817,
    "pleural_effusion": 634,
    "lung_opacity": 547,
    "pneumothorax": 58,
    "no_finding": 10_606,
}


def options(findings, **more) -> Options:
    return msgspec.convert({**NOTHING, "findings": list(findings), **more}, Options)


def table_of(real_data: Path, name: str) -> Path:
    path = real_data / "tables" / name
    if not path.is_file():
        pytest.skip(f"no complete table: {path} is absent")
    return path


@pytest.fixture(scope="module")
def complete(repository, tmp_path_factory) -> Path:
    """The complete tables that the test data lack, from a package that holds them."""
    wheel = repository / CACHE / "torchxrayvision-1.5.7-py3-none-any.whl"
    if not wheel.is_file():
        absent(f"no complete tables of CheXpert, VinDr-CXR and PadChest; fetch them with: {FETCH}")
    folder = tmp_path_factory.mktemp("complete")
    with zipfile.ZipFile(wheel) as archive:
        for name in (CHEXPERT, VINDR, PADCHEST):
            (folder / name).write_bytes(archive.read(f"torchxrayvision/data/{name}"))
    return folder


def listed(read, path: Path, images: list[str], chosen: Options) -> Listing:
    """The listing of a table as if all these files were there; the tables beside it are."""
    tables = [each.name for each in path.parent.iterdir() if each.is_file()]
    files = pd.DataFrame({"file": images, "bytes": 1, "sha256": "of an image"})
    beside = pd.DataFrame({"file": tables, "bytes": 1, "sha256": tables})
    return read(path.parent, pd.concat([files, beside], ignore_index=True), files, chosen)


def positives(found: Listing) -> dict[str, int]:
    columns = [name for name in found.records if name.startswith("label_")]
    return {name.removeprefix("label_"): (found.records[name] == "1").sum() for name in columns}


@pytest.fixture(scope="module")
def contracts(repository) -> dict[str, dict]:
    """What config/five_sites.yaml says that datasets hold."""
    sites = yaml.safe_load((repository / "config/five_sites.yaml").read_text())["sites"]
    return {name: site["contract"] for name, site in sites.items()}


def unknown(found: Listing, finding: str) -> int:
    return (found.records[f"label_{finding}"] == "").sum()


@pytest.fixture(scope="module")
def nih_images(real_data) -> list[str]:
    table = user_tables.read(table_of(real_data, "Data_Entry_2017_v2020.csv.gz"), ["Image Index"])
    return [f"images/{name}" for name in table["Image Index"]]


def test_all_of_nih(real_data, nih_images, contracts):
    path = table_of(real_data, "Data_Entry_2017_v2020.csv.gz")
    found = listed(nih.read, path, nih_images, options(NIH))
    assert len(found.records) == found.table.ids == 112_120
    assert found.records["patient"].nunique() == 30_805
    assert found.records["patient"].str.fullmatch(r"nih-\d{5}").all()
    assert positives(found) == NIH
    assert not any(unknown(found, finding) for finding in NIH)
    assert found.records["view"].value_counts().to_dict() == {"PA": 67_310, "AP": 44_810}
    assert found.rejected.empty
    contract = contracts["nih"]
    assert contract["positives"].items() <= NIH.items()
    assert list(user_tables.read(path, [])) == contract["columns"]["Data_Entry_2017.csv"]


def test_all_boxes_of_nih(real_data, nih_images):
    path = table_of(real_data, "Data_Entry_2017_v2020.csv.gz")
    found = listed(nih.read, path, nih_images, options(NIH))
    boxes = found.boxes
    assert (len(boxes), boxes["image"].nunique()) == (984, 880)
    drawn = boxes["finding"].value_counts()
    assert (drawn["pneumonia"], drawn["pneumothorax"], drawn["infiltration"]) == (120, 98, 123)
    assert (boxes["x"] + boxes["width"]).max() <= found.side
    assert (boxes["y"] + boxes["height"]).max() <= found.side
    labels = found.records.set_index("image")
    said = [labels.at[row.image, f"label_{row.finding}"] for row in boxes.itertuples()]
    assert set(said) == {"1"}


def test_all_of_googles_labels(real_data, nih_images):
    path = table_of(real_data, GOOGLE)
    chosen = options(nih.REFERENCE_FINDINGS, labels=GOOGLE, given_split=True)
    found = listed(nih.read, path, nih_images, chosen)
    assert len(found.records) == 4_376
    assert found.records["patient"].nunique() == 1_695
    assert positives(found)["pneumothorax"] == 238
    subsets = {"validation": 2_414, "evaluation": 1_962}
    assert found.records["subset"].value_counts().to_dict() == subsets
    assert len(found.rejected) == 112_120 - 4_376


def test_the_real_images_of_nih(real_data):
    folder = real_data / "nih-mini"
    paths = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))
    files = pd.DataFrame({"file": paths, "bytes": 1, "sha256": paths})
    images = files[files["file"].str.endswith(".png")]
    found = nih.read(folder, files, images, options(["pneumothorax", "pneumonia"]))
    assert len(found.records) == found.records["patient"].nunique() == 70
    assert positives(found) == {"pneumothorax": 21, "pneumonia": 15}
    assert found.rejected.empty


def test_all_of_chexpert(complete, contracts):
    path = complete / CHEXPERT
    contract = contracts["chexpert"]
    assert list(user_tables.read(path, [])) == contract["columns"]["train.csv"]
    rows = chexpert.read_labels(path, options(contract["positives"], uncertain="ignore"))
    assert (len(rows), rows["patient"].nunique()) == (223_414, 64_540)
    frontal = rows[rows["refused"] == ""]
    assert len(frontal) == contract["images"] == 191_027
    for finding, count in contract["positives"].items():
        assert (frontal[f"label_{finding}"] == "1").sum() == count, finding
    assert set(rows["refused"]) == {"", "not a frontal view: lateral"}
    assert rows["label_pneumonia"].value_counts()[["1", "0"]].tolist() == [6_039, 2_799]
    assert rows["label_pneumothorax"].value_counts()[["1", "0"]].tolist() == [19_448, 56_341]
    assert (rows["age"] == "").sum() == 3


def test_what_chexpert_is_not_sure_of(complete):
    with pytest.raises(InputError, match="pneumonia 18770, pneumothorax 3145"):
        chexpert.read_labels(complete / CHEXPERT, options(["pneumonia", "pneumothorax"]))


def test_all_of_vindr(complete, contracts):
    path = complete / VINDR
    names = user_tables.read(path, ["image_id"])["image_id"].unique()
    images = [f"train/{name}.dicom" for name in names]
    found = listed(vindr.read, path, images, options(MAJORITY, labels=path.name))
    assert len(found.records) == 15_000
    assert positives(found) == MAJORITY
    assert found.rejected.empty
    assert contracts["vindr"]["positives"].items() <= MAJORITY.items()


def test_all_of_padchest(complete):
    rows = padchest.read_labels(complete / PADCHEST, ["nodule", "mass", "pneumothorax"])
    assert (len(rows), rows["patient"].nunique()) == (160_861, 67_625)
    assert (rows["label_nodule"] == "1").sum() == 3_748
    assert (rows["label_mass"] == "1").sum() == 56
    assert (rows["label_pneumothorax"] == "1").sum() == 533
    assert (rows["refused"] == "").sum() == 91_728 + 14_346 + 4_559


def test_ci_fetches_what_is_not_in_the_test_data(repository):
    script = (repository / ".ci" / "run").read_text().replace("\\\n", " ")
    assert FETCH in " ".join(script.split())
