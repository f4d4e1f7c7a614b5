"""Growth: preprocessing of 1x, 10x and 100x the images, and the graph of jobs of many sites."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).parent))
from bench_preprocess import ROOT, SIZE, command, make_site, radiographs

IMAGES = (120, 1_200, 12_000)
SITES = (10, 100)
FINDINGS = ("pneumonia", "pneumothorax")
METHODS = ["fedavg", "uniform", "fedprox", "fedbn", "fedrep", "scaffold", "fedadam"]
METHODS += ["median", "pooled", "ensemble"]
SEEDS = [1, 2, 3, 4, 5]
BOUND = 10.0  # CPU seconds to build the graph of the most sites


def measured(line: list[str], **options) -> tuple[float, float, str]:
    """CPU seconds of a process and its children, its peak memory in MiB, and what it printed."""
    process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True, **options)
    said = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(line[:3])} failed: {said[-2000:]}")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, said


def growth(folder: Path) -> list[list[str]]:
    """A row for each number of images."""
    (folder / "files").mkdir()
    files, _ = radiographs(folder / "files")
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow")}
    rows = []
    for count in IMAGES:
        site = folder / str(count)
        make_site(files, site, count)
        options = {"env": environment, "stderr": subprocess.DEVNULL}
        seconds, peak, _ = measured(command(site, 2), **options)
        rows.append(
            [f"{count:,}", f"{seconds:.1f}", f"{1000 * seconds / count:.2f}", f"{peak:.0f}"]
        )
    return rows


def study(count: int) -> dict:
    """A config of so many phantom sites with all methods and seeds."""
    sites = {
        f"s{number:03d}": {
            **{"title": f"Site {number}", "findings": [FINDINGS[number % 2]]},
            **{"reader": "table", "source": ["phantom"], "labels": "labels.csv"},
        }
        for number in range(count)
    }
    return {"run": {"sites": list(sites), "methods": METHODS, "seeds": SEEDS}, "sites": sites}


def graph(folder: Path, count: int) -> list[float]:
    """Jobs; CPU seconds and peak memory (MiB) of building their graph; CPU seconds of a dry run."""
    overlay = folder / f"{count}.yaml"
    overlay.write_text(yaml.safe_dump(study(count)))
    line = [sys.executable, "-m", "snakemake", "--cores", "2"]
    line += ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    line += ["--configfile", str(ROOT / "config" / "demo.yaml"), str(overlay)]
    options = {"stderr": subprocess.STDOUT, "cwd": ROOT}
    built, peak, _ = measured([*line, "--rulegraph"], **options)
    listed, _, said = measured([*line, "--dry-run"], **options)
    totals = [row.split()[1] for row in said.splitlines() if row.startswith("total ")]
    return [int(totals[0]), built, peak, listed]


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = growth(folder)
        print(
            f"### Growth\n\nPreprocessing to {SIZE} pixels by two workers: CPU seconds of all "
            "processes, start included; peak memory of the largest.\n"
        )
        print("| images | CPU, s | CPU per image, ms | peak memory, MiB |\n|---|---|---|---|")
        for row in rows:
            print("|", " | ".join(row), "|")
        print(
            f"\nThe graph of 2 protocols, 2 architectures, {len(METHODS)} methods and {len(SEEDS)} "
            "seeds, built (`snakemake --rulegraph`) and listed job by job (`--dry-run`): CPU "
            "seconds, Snakemake's start included.\n"
        )
        print("| sites | jobs | built, s | peak memory, MiB | listed, s | bound of building |")
        print("|---|---|---|---|---|---|")
        for count in SITES:
            jobs, built, peak, listed = graph(folder, count)
            bound = f"{BOUND:.0f} s" if count == SITES[-1] else ""
            print(f"| {count} | {jobs:,} | {built:.1f} | {peak:.0f} | {listed:.1f} | {bound} |")
    if built > BOUND:
        sys.exit(f"The graph of {SITES[-1]} sites MISSES its bound of {BOUND:.0f} s.")


if __name__ == "__main__":
    main()
