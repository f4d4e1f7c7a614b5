"""Which sizes of the evaluation set fit the published percentages (a GRIM test on proportions).

A percentage of n images is 100 k / n for a whole number k, so that of most n no k gives a value to
its last printed digit (Brown and Heathers, Social Psychological and Personality Science 2017).
Several percentages of the same n leave few n.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from chexviz.base.command import argument_parser
from chexviz.base.errors import run
from chexviz.base.tables.summaries import GRIM
from chexviz.reporting.tables.original import read_data, read_table1
from chexviz.reporting.tables.outputs import add_outputs, write
from chexviz.reporting.tables.typesetting import Layout
from chexviz.reporting.wording import capitalised

# A percentage, and the images of the evaluation set that it is a share of.
SHARES = {"sensitivity": "positives", "specificity": "negatives"}
EVALUATION = 5  # one image in so many evaluates: a fifth, as is the custom
WHOLE_NUMBERS = {"smallest": "Int64", "in_fifth": "Int64"}


def scaled(percentage: str) -> tuple[int, int]:
    """A printed percentage as a whole number of its last digits, and 100 % in the same unit."""
    whole, _, decimals = percentage.partition(".")
    return int(whole + decimals), 100 * 10 ** len(decimals)


def fits(percentage: str, sizes: np.ndarray) -> np.ndarray:
    """Whether a whole number k of n images can be printed as `percentage`.

    percentage: as printed, '82.57'; its decimals count. sizes: n, integers >= 1, any shape.
    Returns bool in the same shape. Rounding half up and half to even are both accepted: a value
    halfway between two printable ones may have become the upper one, or the even one. Exact: in
    integers, 2 k 100 % lies between n (2 value - 1) and n (2 value + 1).
    """
    value, whole = scaled(percentage)
    odd = value % 2  # Neither rule rounds a half down to an odd digit.
    smallest = -(-sizes * (2 * value - 1) // (2 * whole))
    largest = (sizes * (2 * value + 1) - odd) // (2 * whole)
    return smallest <= np.minimum(largest, sizes)


def fitting(percentages: list[str], limit: int) -> np.ndarray:
    """The sizes from 1 to `limit` that fit all of the percentages, ascending."""
    sizes = np.arange(1, limit + 1)
    return sizes[np.all([fits(each, sizes) for each in percentages], axis=0)]


def divisions(sensitivities: list[str], specificities: list[str], images: int) -> np.ndarray:
    """How `images` can be divided so that all percentages fit: rows of positives and negatives."""
    positives = fitting(sensitivities, images - 1)
    negatives = images - positives
    fit = np.all([fits(each, negatives) for each in specificities], axis=0)
    return np.stack([positives[fit], negatives[fit]], axis=1)


def by_chance(sensitivities: list[str], specificities: list[str], images: int) -> float:
    """How many divisions would be expected to fit if the percentages were any printable ones.

    Of the whole + 1 printable percentages, n images give n + 1, or all.
    """
    positives = np.arange(1, images)
    expected = np.ones(len(positives))
    for percentages, sizes in ((sensitivities, positives), (specificities, images - positives)):
        for each in percentages:
            expected *= np.minimum((sizes + 1) / (scaled(each)[1] + 1), 1)
    return float(expected.sum())


def count(percentage: str, size: int) -> int:
    """How many of `size` images `percentage` stands for, if it fits."""
    value, whole = scaled(percentage)
    return round(value * size / whole)


def check(published: pd.DataFrame, data: pd.DataFrame) -> pd.DataFrame:
    """A row for each finding and share, as in GRIM; the original calls a finding its task.

    smallest: the smallest size that fits. fitting: how many sizes do, of `sizes`, the images of
    that class in the whole dataset. fifth: images of a fifth of the dataset. divisions: in how many
    ways it can be divided so that both shares fit; by_chance: how many to expect of unrelated
    percentages. in_fifth: this class's part, if there is one way.
    """
    rows = []
    for dataset in data.itertuples():
        values = published[published["task"] == dataset.task]
        shares = [values[metric].tolist() for metric in SHARES]
        fifth = dataset.images // EVALUATION
        ways = divisions(shares[0], shares[1], fifth)
        chance = by_chance(shares[0], shares[1], fifth)
        of_class = {"positives": dataset.positives, "negatives": dataset.images - dataset.positives}
        for position, (metric, group) in enumerate(SHARES.items()):
            percentages = shares[position]
            sizes = fitting(percentages, of_class[group])
            only = ways[0, position] if len(ways) == 1 else None
            smallest = sizes[0] if len(sizes) else None
            chosen = only or smallest
            counts = [count(each, chosen) for each in percentages] if chosen else []
            rows.append(
                {
                    **{"finding": dataset.task, "metric": metric, "of": group},
                    "percentages": " ".join(percentages),
                    "counts": " ".join(map(str, counts)),
                    **{"smallest": smallest, "fitting": len(sizes), "sizes": of_class[group]},
                    **{"fifth": fifth, "divisions": len(ways), "by_chance": chance},
                    "in_fifth": only,
                }
            )
    return pd.DataFrame(rows).astype(WHOLE_NUMBERS)


def read(path: Path) -> pd.DataFrame:
    """Read grim.csv as it was written."""
    return GRIM.read(path).astype(WHOLE_NUMBERS)


def layout(table: pd.DataFrame) -> Layout:
    """The table as readers see it: a group a finding, a row a share."""
    groups: dict[str, list] = {}
    for row in table.itertuples():
        groups.setdefault(f"{capitalised(row.finding)}: {division(row)}", []).append(
            [
                capitalised(row.metric),
                ", ".join(row.percentages.split()),
                ", ".join(f"{int(number):,}" for number in row.counts.split()),
                "–" if pd.isna(row.smallest) else f"{row.smallest:,} {row.of}",
                f"{row.fitting:,} of {row.sizes:,}",
                "–" if pd.isna(row.in_fifth) else f"{row.in_fifth:,}",
            ]
        )
    return Layout(
        head=["Share", "Published (%)", "Images", "Smallest size", "Sizes that fit", "In a fifth"],
        groups=groups,
        caption="Sizes of the original's evaluation sets that fit its published percentages.",
        note="Beside the task: a fifth of its dataset, in how many ways it divides into positives "
        "and negatives so that all percentages fit, and how many to expect of unrelated "
        "percentages. Images: the whole numbers behind the percentages, at the size in the last "
        "column or else at the smallest one. Sizes that fit: of those up to the number of such "
        "images in the dataset. Rounding half up and half to even are both accepted.",
    )


def division(row: Any) -> str:
    """What a fifth of the dataset tells, for a row of the table."""
    ways = {0: "no way that fits", 1: "one way that fits"}
    found = ways.get(row.divisions, f"{row.divisions:,} ways that fit")
    expected = f"{row.by_chance:.2g}" if row.by_chance >= 0.001 else "<0.001"
    return f"{row.fifth:,} images divide in {found} ({expected} by chance)"


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(main)
    parser.add_argument("--published", required=True, type=Path, help="the original's Table 1")
    parser.add_argument("--data", required=True, type=Path, help="the original's datasets")
    add_outputs(parser)
    arguments = parser.parse_args(argv)

    table = check(read_table1(arguments.published), read_data(arguments.data))
    write(GRIM, table, layout(table), arguments)


if __name__ == "__main__":
    run(main)
