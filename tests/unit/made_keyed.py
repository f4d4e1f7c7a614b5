"""Sites whose images have patients, files and hashes in common, for the audit between sites."""

from pathlib import Path

import numpy as np
import pandas as pd

from chexviz.base.tables.sites import SAMPLES
from chexviz.base.tables.study import SPLIT

KEY = b"k" * 32


def made_site(rows: list[tuple]) -> pd.DataFrame:
    """Images by patient ('' unknown), sha256, phash (a number) and subset; named by position."""
    table = pd.DataFrame(rows, columns=["patient", "sha256", "phash", "subset"])
    image = [f"{number:04d}" for number in range(len(table))]
    return table.assign(
        image=image,
        patient=table["patient"].where(table["patient"] != "", image),
        patient_known=table["patient"] != "",
        phash=[f"{one:016x}" for one in table["phash"]],
        position=range(len(table)),
    )


def drawn_site(site: str, seed: int, count: int = 60) -> pd.DataFrame:
    """Images of patients and files that other sites have too; hashes that are near some others."""
    draws = np.random.default_rng([seed, *site.encode()])
    near = np.random.default_rng(seed).integers(0, 2**63, 2 * count)  # the same for all sites
    rows = []
    for file in draws.integers(0, 3 * count, size=count):
        flips = sum(1 << int(bit) for bit in draws.choice(64, draws.integers(0, 7), replace=False))
        rows.append(
            (
                "" if file % 5 == 0 else f"P{file % 50}",  # a file is of one patient
                f"{file:064x}",
                int(near[draws.integers(len(near))]) ^ flips,
                str(draws.choice(["train", "validation", "evaluation"])),
            )
        )
    return made_site(rows)


def write_site(folder: Path, images: pd.DataFrame, site: str) -> None:
    """samples.csv and split.csv of a site; every fifth image has no label, and is in no subset."""
    folder.mkdir(parents=True, exist_ok=True)
    absent = dict.fromkeys({*SAMPLES.names} - {*images}, "")
    samples = images.assign(**absent, label_pneumonia=0)
    samples[[*SAMPLES.names, "label_pneumonia"]].assign(subset="").to_csv(
        folder / "samples.csv", index=False
    )
    used = images[images["position"] % 5 != 4].assign(site=site, label_pneumonia=0)
    used[[*SPLIT.names, "label_pneumonia"]].to_csv(folder / "split.csv", index=False)


def write_key(folder: Path, key: bytes = KEY) -> Path:
    path = folder / "secret"
    path.write_bytes(key)
    path.chmod(0o600)
    return path
