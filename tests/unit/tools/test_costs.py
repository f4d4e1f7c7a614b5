"""What a run took: benchmarks by stage, and the files on the disk."""

import os

import pytest

from chexviz.base.errors import InputError
from chexviz.tools.costs import main

HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def benchmark(path, seconds, memory):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{HEADER}{seconds}\t0:00:00\t9999\t1\t1\t{memory}\t1\t-\t1\t1\n")


def cells(text):
    """The rows of all tables by their first cell."""
    rows = [line[2:-2].split(" | ") for line in text.splitlines() if line.startswith("|")]
    return {name: rest for name, *rest in rows}


def test_jobs_are_summed_by_stage_and_files_by_folder(tmp_path, capsys):
    benchmarks, results, output = (tmp_path / name for name in ("b", "results", "out/costs.md"))
    benchmark(benchmarks / "train/paper/standard/baseline/seed1/rsna.tsv", 100, 1024)
    benchmark(benchmarks / "train/paper/standard/fedavg/seed1/global.tsv", 50, 2048)
    benchmark(benchmarks / "train/paper/densenet121/fedavg/seed1/global.tsv", 7200, 512)
    benchmark(benchmarks / "preprocess/rsna/1.tsv", 20, 100)
    benchmark(benchmarks / "preprocess/siim.tsv", 19.9, 256)
    benchmark(benchmarks / "grim.tsv", 0.2, "NA")
    (results / "sites/rsna").mkdir(parents=True)
    (results / "sites/rsna/images.npy").write_bytes(bytes(3_000_000))
    os.link(results / "sites/rsna/images.npy", results / "sites/again.npy")
    (results / "paper.pdf").write_bytes(bytes(500_000))
    words = ["--benchmarks", benchmarks, "--data", results, "--output", output]
    main([str(word) for word in words])
    said = capsys.readouterr().out
    assert output.read_text() in said
    found = cells(said)
    assert found["train standard"] == ["2", "2 min 30 s", "1 min 40 s", "2.00 GiB"]
    assert found["train densenet121"] == ["1", "2 h 00 min", "2 h 00 min", "0.50 GiB"]
    assert found["preprocess"] == ["2", "40 s", "20 s", "0.25 GiB"]
    assert found["grim"] == ["1", "0 s", "0 s", ""]
    stages = list(found)[2:6]
    assert stages == ["train densenet121", "train standard", "preprocess", "grim"]
    assert found[str(results)] == ["2", "3.5 MB"]
    assert found[str(results / "sites")] == ["1", "3.0 MB"]


def test_without_benchmarks_it_says_so(tmp_path):
    words = ["--benchmarks", tmp_path, "--data", tmp_path, "--output", tmp_path / "costs.md"]
    with pytest.raises(InputError, match="run the workflow first"):
        main([str(word) for word in words])
    assert not (tmp_path / "costs.md").exists()
