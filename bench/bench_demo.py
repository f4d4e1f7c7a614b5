"""The demo as its user meets it: a first run, a second run, a dry run, and their peak memory."""

import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import psutil

REPOSITORY = Path(__file__).parents[1]
SAMPLE_SECONDS = 0.5
CORES = 2
OVERHEAD = 1.3  # the cores' time against that of the jobs


@dataclass
class Measured:
    """Wall time of a command and the peak memory of its process tree."""

    seconds: float
    peak_gib: float


def tree_memory(process: psutil.Process) -> int:
    """Bytes of a process and its descendants, memory that they share counted once (PSS)."""
    total = 0
    for one in [process, *process.children(recursive=True)]:
        try:
            total += one.memory_full_info().pss
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return total


def measure(line: list[str]) -> Measured:
    """Run a command, which must succeed, and watch it."""
    start, peak = time.monotonic(), 0
    with tempfile.TemporaryFile() as output:
        process = psutil.Popen(line, stdout=output, stderr=subprocess.STDOUT, cwd=REPOSITORY)
        stop = threading.Event()

        def watch():
            nonlocal peak
            while not stop.wait(SAMPLE_SECONDS):
                peak = max(peak, tree_memory(process))

        watcher = threading.Thread(target=watch)
        watcher.start()
        code = process.wait()
        stop.set()
        watcher.join()
        if code:
            output.seek(0)
            sys.exit(output.read().decode()[-4000:])
    return Measured(time.monotonic() - start, peak / 2**30)


def job_seconds(folder: str) -> list[float]:
    """Wall seconds of every job, from its start to its end, as Snakemake measured them."""
    tables = Path(folder, "benchmarks").rglob("*.tsv")
    return [float(pd.read_csv(path, sep="\t")["s"].iloc[0]) for path in tables]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        line = [sys.executable, "-m", "snakemake", "--cores", str(CORES), "--directory", folder]
        line += ["--snakefile", str(REPOSITORY / "Snakefile")]
        line += ["--configfile", str(REPOSITORY / "config" / "demo.yaml")]
        runs = {
            "dry run": (measure([*line, "--dry-run"]), "5 s"),
            "first run": (measure(line), "6 min, 3 GiB"),
            "second run": (measure(line), "10 s"),
        }
        jobs = job_seconds(folder)
    overhead = runs["first run"][0].seconds * CORES / sum(jobs)
    print("| demo on 2 cores | wall time, s | peak memory, GiB | bound |")
    print("|---|---|---|---|")
    for name, (one, bound) in runs.items():
        print(f"| {name} | {one.seconds:.1f} | {one.peak_gib:.2f} | {bound} |")
    print(
        f"\nIts {len(jobs)} jobs take {sum(jobs):.0f} s in sum, {sum(one < 2 for one in jobs)} of "
        f"them less than 2 s: {CORES} cores are taken for {overhead:.2f} times as long (goal: at "
        f"most {OVERHEAD})."
    )


if __name__ == "__main__":
    main()
