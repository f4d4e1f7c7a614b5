"""What a job spends before its work: Python's start and the imports of every stage."""

import os
import resource
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
REPEATS = 3


def seconds(*words: str) -> float:
    """CPU seconds of a Python process, the fastest of some."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "workflow"), "OMP_NUM_THREADS": "1"}
    times = []
    for _ in range(REPEATS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, *words], check=True, env=environment, stdout=subprocess.DEVNULL
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(times)


def stages() -> list[str]:
    """The stages that rules run: those that `code(...)` is asked for."""
    rules = "".join(path.read_text() for path in (ROOT / "workflow" / "rules").glob("*.smk"))
    return sorted({part.partition('"')[0] for part in rules.split('code("')[1:]})


def main() -> None:
    bare = seconds("-c", "pass")
    spent: dict[str, list[str]] = {}
    for stage in stages():
        whole = seconds("-m", f"chexviz.{stage}", "--help")
        spent.setdefault(f"{whole - bare:.1f}", []).append(stage)
    print(f"### Start-up\n\nCPU seconds of imports; Python itself takes {bare:.2f} s.\n")
    print("| imports, s | stages |\n|---|---|")
    for imports, names in sorted(spent.items()):
        print(f"| {imports} | {', '.join(names)} |")


if __name__ == "__main__":
    main()
