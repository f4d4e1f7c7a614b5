"""A site in shards: the same tables and images as in one piece, wherever they are read."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from test_preprocess import NAMES, arguments, hospital

from chexviz.base.errors import InputError
from chexviz.data import merge_shards, preprocess
from chexviz.data.readers import rsna
from chexviz.images.annotated import read_images
from chexviz.images.arrays import open_images
from chexviz.models.dataset import load_datasets
from made_dicoms import chest, make_manifest, write_dicom
from made_workers import Here
from trainings import CPU

TABLES = NAMES[1:]


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    monkeypatch.setattr(preprocess, "Workers", Here)


@pytest.fixture(autouse=True)
def boxes_are_drawn_on_the_small_images(monkeypatch):
    monkeypatch.setattr(rsna, "SIDE", 64)


def sharded(data, out, count, **settings):
    """Preprocess a folder in shards and merge them; gives the list of their arrays."""
    folders = [out / "shards" / str(number) for number in range(1, count + 1)]
    for number, folder in enumerate(folders, 1):
        words = arguments(data, folder, **settings)
        preprocess.main([*words, "--shard", str(number), str(count)])
    words = ["--site", "north"]
    words += ["--settings", json.dumps({"contract": settings.get("contract")})]
    words += ["--shards", *(str(folder / "images.npy") for folder in folders)]
    words += ["--index", str(out / "shards.csv")]
    words += [word for name in TABLES for word in (f"--{name.partition('.')[0]}", str(out / name))]
    merge_shards.main(words)
    return out / "shards.csv"


def boxed(data, count=30):
    """An RSNA site with boxes, an image without a file, and a file without a row."""
    hospital(data, count, broken=(4, 20))
    rows = ["patientId,x,y,width,height,Target"]
    for number in range(1, count):
        box = "8,9.5,20,15,1" if number % 3 == 0 else ",,,,0"
        rows.append(f"{number:03d},{box}")
    rows.append("absent,,,,,0")
    (data / "labels.csv").unlink()
    (data / "stage_2_train_labels.csv").write_text("\n".join(rows) + "\n")
    return {"reader": "rsna", "findings": ["pneumonia"]}


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("layout", ["table", "rsna"])
@pytest.mark.parametrize(("count", "files"), [(2, 30), (7, 30), (12, 9)])
def test_the_number_of_shards_changes_no_byte(data, tmp_path, layout, count, files):
    settings = boxed(data, files) if layout == "rsna" else {"contract": None}
    if layout == "table":
        hospital(data, files, broken=(0, 7, 29))
    make_manifest(data)
    preprocess.main(arguments(data, tmp_path / "whole", **settings))
    index = sharded(data, tmp_path / "parts", count, **settings)
    for name in TABLES:
        assert index.with_name(name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    whole = np.load(tmp_path / "whole" / "images.npy")
    stacks = open_images(index)
    assert 1 < len(stacks) <= count
    np.testing.assert_array_equal(np.concatenate(stacks), whole)


def test_shards_of_a_site_of_several_findings(data, tmp_path):
    """One shard has no known label of one of them, the other none of the other."""
    rows = [
        f"{number:03d}.dcm,p{number},{label}" for number, label in enumerate(("1,", ",0", ",1"))
    ]
    for number in range(3):
        write_dicom(data / f"{number:03d}.dcm", chest(number))
    (data / "labels.csv").write_text("\n".join(["file,patient,mass,edema", *rows]))
    make_manifest(data)
    settings = {"findings": ["mass", "edema"]}
    preprocess.main(arguments(data, tmp_path / "whole", **settings))
    index = sharded(data, tmp_path / "parts", 3, **settings)
    for name in TABLES:
        assert index.with_name(name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    samples = pd.read_csv(index.with_name("samples.csv"), dtype=str, keep_default_na=False)
    assert samples[["label_mass", "label_edema"]].values.tolist() == [
        ["1", ""],
        ["", "0"],
        ["", "1"],
    ]


def test_readers_find_an_image_in_whichever_shard_it_is(data, tmp_path):
    hospital(data, 20, broken=(3,))
    make_manifest(data)
    preprocess.main(arguments(data, tmp_path / "whole"))
    index = sharded(data, tmp_path / "parts", 3)
    samples = pd.read_csv(index.with_name("samples.csv"), dtype=str)
    split = samples[["image", "patient", "label_pneumothorax"]].assign(site="north", subset="train")
    split["position"] = range(len(split))
    split.loc[::4, "subset"] = "evaluation"
    split.to_csv(tmp_path / "split.csv", index=False)
    heads = {"north": ["pneumothorax"]}
    (one,), (other,) = (
        load_datasets(heads, images, tmp_path / "split.csv", ["train"], [CPU])
        for images in (tmp_path / "whole" / "images.npy", index)
    )
    assert len(other.images.stacks) == 3
    chosen = np.random.default_rng(0).permutation(len(one))
    assert (one.images.read(chosen) == other.images.read(chosen)).all()
    wanted = samples["image"][::-3].tolist()
    there = [
        read_images(path, index.with_name("samples.csv"), wanted)
        for path in (tmp_path / "whole" / "images.npy", index)
    ]
    np.testing.assert_array_equal(*there)


def test_a_shard_looks_at_no_other_shards_files(data, tmp_path):
    hospital(data, 20)
    make_manifest(data)
    (data / "000.dcm").unlink()
    preprocess.main([*arguments(data, tmp_path / "2"), "--shard", "2", "2"])
    with pytest.raises(InputError, match="No such file"):
        preprocess.main([*arguments(data, tmp_path / "1"), "--shard", "1", "2"])


def test_a_shard_without_a_label_is_no_empty_site_but_a_site_of_them_is(data, tmp_path):
    hospital(data, 20, broken=range(10))
    make_manifest(data)
    index = sharded(data, tmp_path / "parts", 2)
    assert pd.read_csv(index)["images"].tolist() == [10]
    hospital(data, 20, broken=range(20))
    make_manifest(data)
    with pytest.raises(InputError, match="empty site") as caught:
        sharded(data, tmp_path / "none", 2)
    assert "20 x not a DICOM file" in caught.value.found
    assert sorted(path.name for path in (tmp_path / "none").iterdir()) == ["shards"]


def test_shards_that_do_not_fit_their_tables_are_refused(data, tmp_path):
    hospital(data, 12)
    make_manifest(data)
    index = sharded(data, tmp_path / "parts", 2)
    first, second = (tmp_path / "parts" / "shards" / number for number in "12")
    shutil.copy(first / "images.npy", tmp_path / "kept.npy")
    np.save(first / "images.npy", np.load(first / "images.npy")[:-1])
    with pytest.raises(InputError, match="5 images") as caught:
        open_images(index)
    assert "6 images" in caught.value.expected
    index.unlink()
    outputs = {name: index.with_name(f"{name}.csv") for name in merge_shards.OUTPUTS}
    outputs["index"] = index
    shards = [first / "images.npy", second / "images.npy"]
    with pytest.raises(InputError, match="11 images"):
        merge_shards.merge("north", None, shards, outputs)
    shutil.copy(tmp_path / "kept.npy", first / "images.npy")
    (second / "samples.csv").write_text("image,label_pneumothorax\na,1\n")
    with pytest.raises(InputError, match="image,label_pneumothorax"):
        merge_shards.merge("north", None, shards, outputs)
    assert not index.exists()


def test_a_missing_array_is_named(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        open_images(tmp_path / "images.npy")
