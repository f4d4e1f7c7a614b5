"""`chexviz predict`: what it says on the screen and in files, and how it ends."""

import csv
import errno
import json
import os
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image

import made_bundles
from chexviz.base.source_code import PACKAGE
from chexviz.data.convert import read_image
from chexviz.evaluation.temperature import scale
from chexviz.inference import heatmaps, predict
from chexviz.inference.answers import Answer, Told, line, printable
from chexviz.inference.bundle import ABOUT, FORMAT, open_bundle
from chexviz.inference.heatmaps import Names
from chexviz.inference.runtime import Runtime
from made_dicoms import chest, write_dicom
from made_rasters import encoded

IDENTIFIED = ("SOPInstance", "StudyInstance", "SeriesInstance")
RESEARCH = "Research use only; not a medical device."


@pytest.fixture
def folder(tmp_path):
    """Three radiographs and one that is none."""
    place = tmp_path / "in"
    write_dicom(place / "a.dcm", chest(1, (80, 60)), ViewPosition="PA")
    write_dicom(place / "b.dcm", chest(2, (80, 60)), jpeg=True, ViewPosition="LL")
    (place / "c.png").write_bytes(encoded(chest(3, (20, 60))))
    (place / "d.dcm").write_bytes(b"")
    return place


def called(*words: str | Path) -> int:
    """Call the command; its status."""
    try:
        predict.main([*map(str, words)])
    except SystemExit as end:
        return end.code
    return 0


def rows_of(path: Path) -> list[dict]:
    with path.open(newline="") as file:
        return [*csv.DictReader(file)]


def expected(bundle_folder: Path, path: Path) -> dict:
    """The scores of one file, computed by hand."""
    bundle = open_bundle(bundle_folder)
    made = bundle.preprocessing
    image, _, _ = read_image(path.read_bytes(), made.size, made.fit, made.max_pixels)
    return Runtime.of(bundle_folder, bundle).run(image[np.newaxis]).scores


def test_every_file_has_its_row_and_the_bad_one_stops_none(bundle_folder, folder, tmp_path, capsys):
    out = tmp_path / "out" / "table.csv"
    lines = tmp_path / "out" / "lines.jsonl"
    assert called(bundle_folder, folder, "--csv", out, "--jsonl", lines) == 1
    rows = rows_of(out)
    assert [Path(row["file"]).name for row in rows] == ["a.dcm", "b.dcm", "c.png", "d.dcm"]
    assert [row["status"] for row in rows] == ["read"] * 3 + ["refused"]
    assert rows[3]["reason"] == "empty: the file has 0 bytes"
    for row in rows[:3]:
        scores = expected(bundle_folder, Path(row["file"]))
        mean = scores["pneumonia", "mean"][0]
        assert float(row["score_pneumonia"]) == pytest.approx(mean, abs=1e-6)
        probability = scale(np.array([mean]), 2.0)[0]
        assert float(row["probability_pneumonia"]) == pytest.approx(probability, abs=1e-6)
        assert row["positive_pneumonia"] == str(int(mean >= 0.5))
        alone = scores["pneumothorax", "south"][0]
        assert float(row["score_pneumothorax"]) == pytest.approx(alone, abs=1e-6)
        assert row["probability_pneumothorax"] == row["positive_pneumothorax"] == ""
        assert row["mark"] == made_bundles.MARK
        assert row["bundle"] == open_bundle(bundle_folder).name
    said = [row["quality"].split("; ")[-2:] for row in rows[:3]]
    assert said[1] == ["lateral view", "lossy compression"]
    assert said[2] == ["unknown view", "very small: 60 x 20 pixels"]
    records = [json.loads(text) for text in lines.read_text().splitlines()]
    assert [one["status"] for one in records] == ["read"] * 3 + ["refused"]
    for row, one in zip(rows[:3], records, strict=False):
        assert one["findings"]["pneumonia"]["score"] == float(row["score_pneumonia"])
        assert one["findings"]["pneumothorax"]["positive"] is None
        assert one["mark"] == made_bundles.MARK
        assert one["note"] == RESEARCH
    shown = capsys.readouterr()
    assert shown.out.startswith(f"{made_bundles.MARK}\n{RESEARCH}\nbundle ")
    assert "calibrated probabilities of pneumonia; of others plain scores" in shown.out
    assert "operating point youden, which pneumothorax lacks" in shown.out
    assert re.search(r"d\.dcm +refused: empty: the file has 0 bytes\n", shown.out)
    assert shown.out.endswith("3 read, 1 refused\n")
    assert "predict: radiograph 4/4, done in" in shown.err


def test_answers_keep_the_order_of_the_inputs(bundle_folder, folder, tmp_path):
    """What is refused without being read stands between the others."""
    os.mkfifo(tmp_path / "pipe.dcm")
    given = [folder / "c.png", tmp_path / "pipe.dcm", folder / "a.dcm", folder / "d.dcm"]
    assert called(bundle_folder, *given, folder / "b.dcm", "--csv", tmp_path / "x.csv") == 1
    found = [row["file"] for row in rows_of(tmp_path / "x.csv")]
    assert found == [*map(str, given), str(folder / "b.dcm")]


def test_status_is_0_where_all_were_read(bundle_folder, folder):
    (folder / "d.dcm").unlink()
    assert called(bundle_folder, folder) == 0


@pytest.mark.parametrize(("point", "threshold"), [("youden", 0.5), ("sensitivity-0.9", 0.4)])
def test_the_operating_point_decides(bundle_folder, folder, tmp_path, point, threshold):
    called(bundle_folder, folder / "a.dcm", f"--point={point}", "--csv", tmp_path / "x.csv")
    (row,) = rows_of(tmp_path / "x.csv")
    assert row["positive_pneumonia"] == str(int(float(row["score_pneumonia"]) >= threshold))


def test_usage_is_refused_before_anything_is_read(bundle_folder, folder, tmp_path, capsys):
    newer = shutil.copytree(bundle_folder, tmp_path / "newer")
    (newer / ABOUT).write_text(json.dumps({"format": FORMAT + 1}))
    (tmp_path / "empty").mkdir()
    for words, said in (
        ([bundle_folder], "the following arguments are required: PATH"),
        ([tmp_path / "absent", folder], "no such folder"),
        ([newer, folder], f"format {FORMAT + 1}"),
        ([bundle_folder, tmp_path / "absent"], "expected: a file, a folder or a zip archive"),
        ([bundle_folder, tmp_path / "empty"], "expected: a radiograph: DICOM, PNG or JPEG"),
        ([bundle_folder, folder, "--point=best"], "found:    best"),
        ([bundle_folder, folder, f"--csv={folder}"], "expected: a file to write"),
        ([bundle_folder, folder, f"--dicom={folder / 'a.dcm' / 'x'}"], "Not a directory"),
        ([bundle_folder, folder, f"--heatmaps={folder / 'a.dcm'}"], "File exists"),
    ):
        assert called(*words) == 2
        assert said in capsys.readouterr().err


def test_pictures_show_each_finding_and_what_they_are_not(bundle_folder, folder, tmp_path):
    (folder / "again").mkdir()
    shutil.copy(folder / "a.dcm", folder / "again" / "a.dcm")
    out = tmp_path / "maps"
    assert called(bundle_folder, folder, "--heatmaps", out, "--csv", tmp_path / "x.csv") == 1
    rows = rows_of(tmp_path / "x.csv")
    named = [row["heatmap"] for row in rows if row["status"] == "read"]
    assert sorted(map(str, out.iterdir())) == sorted(named)
    assert len(set(named)) == 4
    panel, gap, text = heatmaps.PANEL, heatmaps.GAP, heatmaps.LINE
    with Image.open(named[0]) as picture:
        assert picture.size == (3 * panel + 2 * gap, panel + 4 * text)
        pixels = np.asarray(picture).astype(int)
    assert (pixels[2, 2] == [0xB3, 0x26, 0x1E]).all()  # the strip of the mark
    plain = pixels[text : text + panel, :panel]
    assert (plain[..., 0] == plain[..., 2]).all()
    over = pixels[text : text + panel, panel + gap : 2 * panel + gap]
    assert (over[..., 0] - over[..., 2]).max() > 60  # the colours of a map


def test_dicom_objects_of_dicom_files_alone(bundle_folder, folder, tmp_path):
    identity = {f"{name}UID": f"1.2.3.{number}" for number, name in enumerate(IDENTIFIED)}
    identity |= {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.1"}
    write_dicom(folder / "e.dcm", chest(4), ViewPosition="PA", **identity)
    (folder / "c.png").rename(tmp_path / "c.png")
    words = [folder / "a.dcm", folder / "e.dcm", tmp_path / "c.png"]
    words += ["--dicom", tmp_path / "d", "--csv", tmp_path / "x.csv"]
    assert called(bundle_folder, *words) == 0
    first, second, third = rows_of(tmp_path / "x.csv")
    assert first["quality"].endswith("no DICOM results: it has no valid SOPClassUID")
    assert third["quality"].endswith("no DICOM results: it is a PNG file")
    paths = second["dicom"].split("; ")
    assert [Path(path).name for path in paths] == ["e.dcm.sc.dcm", "e.dcm.seg.dcm", "e.dcm.sr.dcm"]
    assert sorted(map(str, (tmp_path / "d").iterdir())) == sorted(paths)
    assert first["dicom"] == third["dicom"] == first["heatmap"] == ""
    assert first["score_pneumonia"]


def test_names_of_pictures_lead_out_of_no_folder_and_are_all_different():
    names = Names()
    given = ("x.zip:../../etc/a b.dcm", "y/a_b.dcm", "x.zip:..\\A_b.dcm", "..", "z/.hidden")
    made = ["a_b.dcm", "a_b.dcm_2", "A_b.dcm_3", "radiograph", "hidden"]
    assert [names.of(name) for name in given] == made
    assert names.of("RADIOGRAPH") == "RADIOGRAPH_2"
    assert len(names.of("x" * 5000)) < 100


def test_what_a_terminal_would_obey_is_not_printed(bundle_folder):
    bundle = open_bundle(bundle_folder)
    name = "\x1b[31mred\n\u202etxt.dcm"
    assert printable(name) == "?[31mred??txt.dcm"
    found = dict.fromkeys(("pneumonia", "pneumothorax"), Told(0.25, None, True))
    for answer in (Answer(name, "broken\x07"), Answer(name, "", found, quality=["view \x1b"])):
        assert not set(line(answer, bundle)) & {"\x1b", "\x07", "\n", "\u202e"}


def test_no_cell_is_a_formula(bundle_folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_dicom(tmp_path / "=1+1.dcm", chest(1))
    assert called(bundle_folder, "=1+1.dcm", "--csv", tmp_path / "x.csv") == 0
    assert rows_of(tmp_path / "x.csv")[0]["file"] == "'=1+1.dcm"


def limited(words: list, most: int) -> subprocess.CompletedProcess:
    """Call the command in a process whose files may not grow beyond so many bytes."""
    program = [sys.executable, "-m", "chexviz", "predict", *map(str, words)]
    return subprocess.run(
        program,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(PACKAGE.parent)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (most, most)),
    )


def test_a_picture_that_cannot_be_written_whole_is_not_there(bundle_folder, folder, tmp_path):
    out = [tmp_path / "maps", tmp_path / "x.csv"]
    done = limited([bundle_folder, folder, "--heatmaps", out[0], "--csv", out[1]], 20_000)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-2].startswith("ERROR a file may not grow any more: ")
    assert [*out[0].iterdir()] == []
    assert [*tmp_path.glob("*.csv"), *tmp_path.glob(".*")] == []


def test_a_full_disk_is_said_and_leaves_nothing_half_written(
    bundle_folder, folder, tmp_path, monkeypatch
):
    pictures = iter(range(100))
    whole = heatmaps.drawn

    def drawn(*arguments):
        if next(pictures) == 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return whole(*arguments)

    monkeypatch.setattr(heatmaps, "drawn", drawn)
    out = tmp_path / "maps"
    with pytest.raises(OSError, match="No space left") as caught:
        predict.main([str(bundle_folder), str(folder), f"--heatmaps={out}", f"--csv={out}.csv"])
    assert "in writing" in caught.value.__notes__[0]
    assert [path.name for path in out.iterdir()] == ["a.dcm.png"]
    assert not Path(f"{out}.csv").exists()


def test_a_crashing_decoder_costs_its_file_alone(bundle_folder, folder, tmp_path, monkeypatch):
    """In this process only the crash is told; which process it ends, test_workers shows."""
    from chexviz.inference.inputs import Source
    from chexviz.inference.reading import crashed

    done = crashed(Source("x", folder), -11)
    assert done.reason == "it ended the process that decoded it: SIGSEGV"
    assert crashed(Source("x", folder), -9).image is None


def test_it_starts_within_three_seconds_without_pytorch_and_snakemake(bundle_folder, folder):
    """The least of three starts, from the command to the end of one radiograph, in CPU seconds.

    Which other processes disturb less; the processes that read are counted too.
    """
    program = """
import resource, sys
from chexviz.__main__ import main
main(sys.argv[1:])
heavy = {"torch", "snakemake", "sklearn", "kaggle", "matplotlib", "pandas", "highdicom"}
print("imported:", heavy & set(sys.modules))
used = [resource.getrusage(one) for one in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(sum(one.ru_utime + one.ru_stime for one in used))
"""
    line = [sys.executable, "-c", program, "predict", str(bundle_folder), str(folder / "a.dcm")]
    environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
    took = []
    for _ in range(3):
        done = subprocess.run(line, capture_output=True, text=True, env=environment, check=True)
        *_, imported, seconds = done.stdout.splitlines()
        assert imported == "imported: set()"
        took.append(float(seconds))
    assert min(took) < 3


def test_nothing_leaves_the_machine_nor_is_kept_on_it(bundle_folder, folder, tmp_path):
    """ONNX Runtime would send what it runs on, and keep an id of the machine in the home."""
    home = tmp_path / "home"
    home.mkdir()
    line = [sys.executable, "-m", "chexviz", "predict", str(bundle_folder), str(folder / "a.dcm")]
    strace = shutil.which("strace")
    trace = tmp_path / "trace"
    if strace:
        line = [strace, "-f", "-qq", "-o", str(trace), "-e", "trace=connect,sendto,sendmsg", *line]
    elif "CI" in os.environ:
        pytest.fail("strace is not installed")
    environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent), "HOME": str(home)}
    environment = {name: one for name, one in environment.items() if "TELEMETRY" not in name}
    done = subprocess.run(line, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert [*home.rglob("*")] == []
    if strace:
        assert not re.search(r"connect\(|sendto\(|sendmsg\(", trace.read_text())


def test_memory_does_not_grow_with_the_number_of_files(tmp_path):
    """Ten times as many radiographs take no more: the largest size of the process.

    As the kernel has it of the program alone; `getrusage` would count what started it.
    """
    size = 128
    model = made_bundles.model_of(size=size)
    made_bundles.write(tmp_path / "bundle", model, made_bundles.about(model, size=size))
    for number in range(8):
        write_dicom(tmp_path / "in" / f"{number}.dcm", chest(number, (80, 60)))
    program = """
import sys
from pathlib import Path
from chexviz.inference import answering, predict
answering.WINDOW = 64
predict.main(sys.argv[1:])
print(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
"""
    largest = []
    for times in (10, 100):
        copies = tmp_path / str(times)
        copies.mkdir()
        for number in range(8 * times):
            (copies / f"{number}.dcm").hardlink_to(tmp_path / "in" / f"{number % 8}.dcm")
        line = [sys.executable, "-c", program, str(tmp_path / "bundle"), str(copies)]
        environment = os.environ | {"PYTHONPATH": str(PACKAGE.parent)}
        done = subprocess.run(line, capture_output=True, text=True, env=environment, check=True)
        largest.append(int(done.stdout.splitlines()[-1]))
    images = 8 * (100 - 10) * size**2 / 1024  # KiB, of all that are more
    assert largest[1] - largest[0] < images / 2


def test_the_whole_bundle_is_used_from_its_hash_checked_bytes(bundle_folder, tmp_path):
    """A graph that was exchanged, with its hash, is another bundle: it says so in every row."""
    other = made_bundles.resealed(bundle_folder, tmp_path / "other", mark="")
    assert open_bundle(other).name != open_bundle(bundle_folder).name
    text = (other / ABOUT).read_bytes()
    assert msgspec.json.decode(text)["mark"] == ""
