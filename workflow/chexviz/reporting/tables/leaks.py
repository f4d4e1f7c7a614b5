"""The table of leaks: what attacks on the updates of sites and on the models got, by model."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.tables.privacy import INVERSION, LEAKS, MEMBERSHIP, SCENARIOS
from chexviz.reporting.tables.outputs import add_outputs, write
from chexviz.reporting.tables.typesetting import Layout
from chexviz.reporting.titles import architecture_title, method_title
from chexviz.reporting.wording import bracketed, interval, joined, percent, tally

MODEL = ["architecture", "method", "seed"]
ENDS = ("", "_low", "_high")
HEAD = (
    "Method",
    *(
        "One image, all blocks (dB)",
        "One image (dB)",
        "Batch (dB)",
        "Round (dB)",
        "Right first (%)",
    ),
    *("Membership", "Control", "Found (%)"),
)


def summarise(inversion: pd.DataFrame, membership: pd.DataFrame) -> pd.DataFrame:
    """A row for each model that is attacked: LEAKS. The two: of all models."""
    found = membership.set_index(MODEL)
    rows = []
    for model, own in inversion.groupby(MODEL, sort=False):
        told = images_of(own) | members_of(found.loc[[model]])
        rows.append(dict(zip(MODEL, model, strict=True)) | told)
    return pd.DataFrame(rows)


def images_of(rows: pd.DataFrame) -> dict:
    """What came back of images, of a model's rows of INVERSION."""
    by_scenario = rows.set_index("scenario")
    last = by_scenario.loc["round"]
    return {
        "images": last["images"],
        **{
            f"{name}{end}": by_scenario.loc[name, f"psnr_leak{end}"]
            for name in SCENARIOS
            for end in ENDS
        },
        **{f"first{end}": last[f"first{end}"] for end in ENDS},
        "chance": last["chance"],
    }


def members_of(rows: pd.DataFrame) -> dict:
    """Who is found, of a model's rows of MEMBERSHIP, at the largest false positive rate."""
    areas = rows[rows["measure"] == "auroc"].set_index("comparison")
    attacks = rows[(rows["measure"] == "tpr") & (rows["comparison"] == "attack")]
    share = attacks.sort_values("fpr").iloc[-1]
    return {
        **{name: rows[name].iloc[0] for name in ("members", "others")},
        **{f"membership{end}": areas.loc["attack", f"value{end}"] for end in ENDS},
        **{f"control{end}": areas.loc["control", f"value{end}"] for end in ENDS},
        "fpr": share["fpr"],
        **{f"found{end}": share[f"value{end}"] for end in ENDS},
    }


def layout(table: pd.DataFrame) -> Layout:
    """The table as readers see it: a group an architecture, a row a method."""
    groups = {
        architecture_title(architecture): [cells(row) for row in rows.to_dict("records")]
        for architecture, rows in table.groupby("architecture", sort=False)
    }
    caption = "What attacks on the updates of sites and on the models got."
    return Layout([*HEAD], groups, caption, note(table), "Architecture")


def cells(row: Mapping) -> list[str]:
    """A model as readers see it."""
    return [
        method_title(row["method"]),
        *(value(row, name, 1, signed=True) for name in SCENARIOS),
        value(row, "first", 0, scale=100),
        *(value(row, name, 3) for name in ("membership", "control")),
        value(row, "found", 1, scale=100),
    ]


def value(row: Mapping, name: str, digits: int, *, scale: float = 1, signed: bool = False) -> str:
    """A value with its interval below it, '1.5\\n0.4 to 2.6'; alone with too few cases for one."""
    middle, low, high = (scale * row[f"{name}{end}"] for end in ENDS)
    whole = (interval if signed and not np.isnan(low) else bracketed)(middle, low, high, digits)
    return whole.replace(" (", "\n", 1).removesuffix(")")


def note(table: pd.DataFrame) -> str:
    """What the columns are, and of how many images and patients."""
    first = table.iloc[0]
    seed = f"Models of seed {first['seed']}."
    images = (
        "dB: by how much reconstructions from a gradient or an update are nearer to the right "
        "image than to one that took no part (PSNR), all blocks: as if all of the model were "
        f"sent; mean over {tally(first['images'], 'image')} of as many patients. Right first: how "
        "often the right image is the one that a reconstruction of the update of a round "
        f"correlates with most (by chance {percent(first['chance'])})."
    )
    members = (
        "Membership: AUROC of the attack that tells those who trained "
        f"({tally(first['members'], 'patient')}) from those who did not "
        f"({tally(first['others'], 'patient')}); control: the same patients, in models that all "
        f"of them trained. Found: of those who trained, at {100 * first['fpr']:g} % false "
        "positives; –: too few patients."
    )
    return joined([images, members, "Second lines: 95 % intervals; none: too few cases.", seed])


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    for option in ("inversion", "membership"):
        parser.add_argument(f"--{option}", nargs="+", required=True, type=Path, help="one a model")
    add_outputs(parser)
    arguments = parser.parse_args(argv)
    inversion, membership = (
        pd.concat(map(table.read, paths), ignore_index=True)
        for table, paths in ((INVERSION, arguments.inversion), (MEMBERSHIP, arguments.membership))
    )
    table = summarise(inversion, membership)
    write(LEAKS, table, layout(table), arguments)


if __name__ == "__main__":
    run(main)
