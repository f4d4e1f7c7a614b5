"""The tables of attacks on a model, with numbers that are known."""

from pathlib import Path

import numpy as np
import pandas as pd

from chexviz.base.tables.privacy import HASHES, INVERSION, MEMBERSHIP, SCENARIOS
from chexviz.reporting.tables import leaks

ABOUT = {"architecture": "standard", "method": "fedavg", "seed": 2022}
NAMES = ("psnr", "psnr_control", "psnr_leak", "ssim", "ssim_control", "ssim_leak", "first")


def inversion_table(few: bool = False) -> pd.DataFrame:
    values = {"psnr": 12.0, "psnr_control": 10.5, "psnr_leak": 1.5, "ssim": 0.2}
    values |= {"ssim_control": 0.1, "ssim_leak": 0.1, "first": 0.25}
    ends = {}
    for name in NAMES:
        low, high = (np.nan, np.nan) if few else (0.9 * values[name], 1.1 * values[name])
        ends |= {name: values[name], f"{name}_low": low, f"{name}_high": high}
    rows = [
        ABOUT
        | {"site": "rsna", "scenario": name, "together": 1, "images": 24, "seeds": 3}
        | ends
        | {"candidates": 50, "chance": 0.02, "note": "too few cases: 4 images" if few else ""}
        for name in SCENARIOS
    ]
    return pd.DataFrame(rows)[INVERSION.names]


def membership_table() -> pd.DataFrame:
    counts = {"shadows": 4, "members": 400, "others": 110}
    nan = np.nan
    rows = [
        ("attack", "auroc", nan, 0.71, 0.66, 0.76, ""),
        ("attack", "tpr", 0.01, 0.08, 0.05, 0.12, ""),
        ("attack", "tpr", 0.001, nan, nan, nan, "too few cases: 0.1 % of 110 patients is less"),
        ("control", "auroc", nan, 0.51, 0.45, 0.57, ""),
    ]
    names = ["comparison", "measure", "fpr", "value", "value_low", "value_high", "note"]
    return pd.DataFrame(rows, columns=names).assign(**ABOUT, **counts)[MEMBERSHIP.names]


def hashes_table() -> pd.DataFrame:
    values = {"bits": (9.4, 21.2), "correlation": (0.59, 0.61), "control": (-0.01, 0.0)}
    rows = [
        (
            site,
            "order" if measure == "bits" else "picture",
            measure,
            value,
            np.nan,
            np.nan,
            90,
            42,
            "",
        )
        for measure, pair in (values | {"first": (0.6, 0.7)}).items()
        for site, value in zip(("rsna", "siim"), pair, strict=True)
    ]
    return pd.DataFrame(rows, columns=HASHES.names)


def write_leaks(root: Path) -> None:
    """Below the results, as the paper reads them."""
    folder = root / "privacy" / ABOUT["architecture"] / ABOUT["method"]
    for path in (folder, root / "tables"):
        path.mkdir(parents=True, exist_ok=True)
    INVERSION.write(inversion_table(), folder / "inversion.csv")
    MEMBERSHIP.write(membership_table(), folder / "membership.csv")
    HASHES.write(hashes_table(), root / "privacy" / "hashes.csv")
    tables = [f"--{name}={folder / name}.csv" for name in ("inversion", "membership")]
    leaks.main([*tables, *leak_outputs(root / "tables")])


def leak_outputs(folder: Path) -> list[str]:
    """The part of a command line that names the files of the table of leaks."""
    return [f"--{kind}={folder / f'leaks.{kind}'}" for kind in ("csv", "tex", "md")]


def leak_arguments(folder: Path, models: list[tuple[str, str]], **changes: object) -> list[str]:
    """The part of a command line that names the tables of some models, which it writes.

    models: architecture and method of each; the AUROC of the first is 0.6, of the next 0.61 and so
    on. changes: columns of the tables of membership and what all their rows have in them.
    """
    words: dict[str, list[str]] = {"membership": [], "inversion": []}
    for number, (architecture, method) in enumerate(models):
        about = {"architecture": architecture, "method": method}
        members = membership_table()
        attack = (members["measure"] == "auroc") & (members["comparison"] == "attack")
        members.loc[attack, "value"] = 0.6 + 0.01 * number
        for name, table, rows in (
            ("membership", MEMBERSHIP, members.assign(**changes)),
            ("inversion", INVERSION, inversion_table()),
        ):
            path = folder / f"{architecture}.{method}.{name}.csv"
            table.write(rows.assign(**about), path)
            words[name].append(str(path))
    return [word for name, files in words.items() for word in (f"--{name}", *files)]
