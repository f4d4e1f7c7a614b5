"""Training with differential privacy for every patient against the same training without.

    python bench/run.py privacy

Ratios are measured side by side in one run, alternating: same model, images, batch and device.
"""

import sys
import tempfile
from dataclasses import replace as with_rows
from pathlib import Path

import pandas as pd
from msgspec.structs import replace

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))
from bench_training import DEVICE, SETTINGS, side_by_side

from chexviz.base.methods import DEFAULTS
from chexviz.base.tables.study import DUPLICATES
from chexviz.federation.settings import Method, Privacy
from chexviz.federation.site import site_of
from chexviz.models.dataset import Dataset
from chexviz.models.model import build
from chexviz.tools.forecast import draw, epoch

SIZE = 128
IMAGES = {"standard": 512, "standardgn": 512, "densenet121": 96}
PER_PATIENT = 2
PRIVACY = Privacy(epsilon=3.0, delta=1e-5, clip=1.0)


def data_of(count: int) -> Dataset:
    """Images of which as many are of each patient."""
    data = draw(count, SIZE, DEVICE)
    patients = [f"patient {number // PER_PATIENT}" for number in range(count)]
    rows = {"site": data.site, "image": [f"{number}" for number in range(count)]}
    return with_rows(data, rows=pd.DataFrame(rows | {"patient": patients}))


def epochs(architecture: str, pairs: Path) -> list[float]:
    """Seconds of an epoch without privacy in auto precision, the same in float32, and with it."""
    data = data_of(IMAGES[architecture])
    frozen = DEFAULTS | {"batchnorm": "frozen"}
    works = []
    for precision, privacy in (("auto", None), ("float32", None), ("float32", PRIVACY)):
        method = Method(algorithm="fedavg", **frozen, privacy=privacy)
        site = site_of(
            data,
            build(architecture, data.heads, seed=1),
            replace(SETTINGS, precision=precision, method=method),
            epochs=100,
            seed=1,
            duplicates=pairs,
            secret=1,
        )
        works.append(lambda site=site: epoch(site))
    return side_by_side(*works)


def main() -> None:
    print(f"Batches of {SETTINGS.batch}, {SIZE} pixels, {PER_PATIENT} images a patient.\n")
    print("| architecture | images | without, s | float32, s | with, s | of without | of float32 |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        pairs = Path(folder) / "duplicates.csv"
        DUPLICATES.write(pd.DataFrame(columns=DUPLICATES.names), pairs)
        for architecture, count in IMAGES.items():
            auto, whole, private = epochs(architecture, pairs)
            cells = [f"{one:.2f}" for one in (auto, whole, private)]
            cells += [f"{private / one:.1f}x" for one in (auto, whole)]
            print(f"| {architecture} | {count} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
