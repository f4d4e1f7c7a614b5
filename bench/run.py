"""Run every benchmark and print what it measured as Markdown, with the hardware's name.

make bench                      all of them
python bench/run.py bootstrap   one of them
"""

import os
import platform
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def processor() -> str:
    """The processor's own name, as Linux tells it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()


def memory() -> str:
    """The machine's memory."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"{total / 2**30:.0f} GiB"


def main(names: list[str]) -> None:
    scripts = sorted(HERE.glob("bench_*.py"))
    chosen = [path for path in scripts if not names or path.stem.removeprefix("bench_") in names]
    print(f"Measured on {os.cpu_count()} cores of {processor()}, {memory()}.\n", flush=True)
    for path in chosen:
        subprocess.run([sys.executable, path], check=True)
        print(flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
