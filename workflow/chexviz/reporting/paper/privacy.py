"""What attacks on the updates of sites and on the models got."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from chexviz.base.tables.privacy import HASHES, INVERSION, LEAKS, MEMBERSHIP
from chexviz.reporting.paper.inventory import HASHES as HASHES_FILE
from chexviz.reporting.paper.inventory import leak_file
from chexviz.reporting.tables import leaks
from chexviz.reporting.tables.typesetting import to_json
from chexviz.reporting.titles import model_title
from chexviz.reporting.wording import between, counted, fixed, interval, joined, percent, tally

# What a sentence says the server had.
SEEN = {
    "image_all": "the gradient of a single image over the whole model",
    "image": "that of the exchanged block alone",
    "batch": "the exchanged gradient of a batch",
    "round": "the update of a round, as it is sent",
}


def privacy_facts(results: Path, attacked: Sequence[dict]) -> dict | None:
    """What is said of the first model that is attacked and of the audit's hashes, and the table of
    all such models; None without one."""
    if not attacked:
        return None
    first = attacked[0]
    title = model_title(first["architecture"], first["method"])
    said = [
        inversion(INVERSION.read(results / leak_file(first, "inversion")), title),
        membership(MEMBERSHIP.read(results / leak_file(first, "membership")), title),
        hashes(HASHES.read(results / HASHES_FILE)),
    ]
    table = LEAKS.read(results / "tables" / "leaks.csv")
    return {"said": joined(said), "table": to_json(leaks.layout(table)), "models": len(attacked)}


def inversion(table: pd.DataFrame, model: str) -> str:
    """How much nearer reconstructions are to the right image than to one that took no part."""
    rows = {row["scenario"]: row for _, row in table.iterrows()}
    told = "; ".join(f"{leak(rows[name])} from {seen}" for name, seen in SEEN.items())
    last = rows["round"]
    found = percent(last["first"])
    return (
        f"Gradient inversion of {model} on {counted(last['images'], 'image')} came nearer to the "
        f"right image than to one that took no part by, in dB of PSNR, {told}. From that update "
        f"the right image was the first of {tally(last['candidates'], 'candidate')} in {found} of "
        f"reconstructions (by chance {percent(last['chance'])})."
    )


def leak(row: pd.Series) -> str:
    """The difference of PSNR, with its interval if there are enough images."""
    if pd.isna(row["psnr_leak_low"]):
        return f"{fixed(row['psnr_leak'], 1)} (too few images for an interval)"
    return interval(row["psnr_leak"], row["psnr_leak_low"], row["psnr_leak_high"], 1)


def membership(table: pd.DataFrame, model: str) -> str:
    """How well members are told from others, beside the control, and how many at few errors."""
    areas = table[table["measure"] == "auroc"].set_index("comparison")
    attack, control = (area(areas.loc[one]) for one in ("attack", "control"))
    counts = areas.loc["attack"]
    who = (
        f"{tally(counts['members'], 'patient')} who trained {model} from "
        f"{tally(counts['others'], 'patient')} who did not"
    )
    said = f"Membership inference told {who} with an AUROC of {attack} (control: {control})."
    rates = table[(table["measure"] == "tpr") & (table["comparison"] == "attack")]
    return joined([said, *(share(row) for _, row in rates.iterrows())])


def area(row: pd.Series) -> str:
    """An AUROC, with its interval if there are enough patients."""
    if pd.isna(row["value_low"]):
        return f"{fixed(row['value'])}, without an interval: {row['note']}"
    return interval(row["value"], row["value_low"], row["value_high"])


def share(row: pd.Series) -> str:
    """How many members are found while so few others are accused; or why that is not told."""
    wrongly = f"{100 * row['fpr']:g}\u00a0%"
    if pd.isna(row["value"]):
        return f"At {wrongly} false positives nothing can be said: {row['note']}."
    found = percent(row["value"])
    if pd.notna(row["value_low"]):
        found += f" ({percent(row['value_low'])} to {percent(row['value_high'])})"
    return f"At {wrongly} false positives it found {found} of those who trained."


def hashes(table: pd.DataFrame) -> str:
    """What the perceptual hashes of an audit between sites would give away, over all sites."""
    found = table.dropna(subset=["value"]).groupby("measure")["value"].agg(list)
    if found.empty:
        return "What perceptual hashes give away was not measured: no two sites have radiographs."
    own, control = between(found["correlation"], 2), between(found["control"], 2)
    return (
        "Of the perceptual hashes that an audit between sites exchanges in secret order, the other "
        f"sites' radiographs put {between(found['bits'], 0)} of 64 bits into their place (by "
        "chance one). A picture drawn from a hash in plain order had a mean correlation of "
        f"{own} with its radiograph, and of {control} with those of other patients."
    )
